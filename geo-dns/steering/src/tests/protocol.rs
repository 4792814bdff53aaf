//! Headers, EDNS, truncation: RFC 1035, 6891, 7871, 8906 in bytes.

use std::{cell::Cell, net::IpAddr, time::Duration};

use expect_test::expect;
use hickory_proto::op::Message;
use model::RegionName;

use super::world::*;
use crate::{Outcome, Rcode, Transport, answer, refuse};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn answer_udp(packet: &[u8]) -> Option<(Rcode, Vec<u8>)> {
    let view = view(&plan());
    let mut out = vec![0xff; 7];
    let rcode = answer(&view, packet, CLIENT, Transport::Udp, &|| None, 0, &mut out).rcode;
    assert_eq!(rcode.is_none(), out.is_empty(), "silence is an empty answer");
    rcode.map(|rcode| (rcode, out))
}

fn rcode_of(packet: &[u8]) -> Option<Rcode> {
    answer_udp(packet).map(|(rcode, out)| {
        if !ends_with_family_0(&out) {
            Message::from_vec(&out).expect("hickory reads every answer");
        }
        assert_eq!(out[..2], packet[..2]);
        rcode
    })
}

/// A query for `www.shop.test A` with these header counts and these bytes behind the question.
fn raw(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd];
    packet.extend([flags].into_iter().chain(counts).flat_map(u16::to_be_bytes));
    packet.extend(b"\x03www\x04shop\x04test\0\0\x01\0\x01");
    packet.extend(rest);
    packet
}

/// An OPT record with these options.
fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41, 0x04, 0xd0, 0, version, 0, 0];
    record.extend((options.len() as u16).to_be_bytes());
    record.extend(options);
    record
}

fn with_option(code: u16, data: &[u8]) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend((data.len() as u16).to_be_bytes());
    option.extend(data);
    raw(0, [1, 0, 0, 1], &opt(0, &option))
}

#[test]
fn headers_are_judged_before_anything_else() {
    let good = raw(0x0100, [1, 0, 0, 0], &[]);
    assert_eq!(rcode_of(&good), Some(Rcode::NoError));
    for length in 0..12 {
        assert_eq!(answer_udp(&good[..length]), None, "{length} bytes are no header");
    }
    for length in 12..good.len() {
        assert_eq!(rcode_of(&good[..length]), Some(Rcode::FormErr), "cut to {length}");
    }
    assert_eq!(answer_udp(&raw(0x8000, [1, 0, 0, 0], &[])), None, "a response is never answered");
    for opcode in 1..16 {
        assert_eq!(rcode_of(&raw(opcode << 11, [1, 0, 0, 0], &[])), Some(Rcode::NotImp), "opcode {opcode}");
    }
    assert_eq!(rcode_of(&raw(0, [0, 0, 0, 0], &[])), Some(Rcode::FormErr), "no question");
    assert_eq!(rcode_of(&raw(0, [2, 0, 0, 0], &[])), Some(Rcode::FormErr), "two questions");
    assert_eq!(rcode_of(&raw(0, [u16::MAX, 0, 0, 0], &[])), Some(Rcode::FormErr), "a promise of many questions");
    assert_eq!(rcode_of(&raw(0, [1, 1, 0, 0], &[])), Some(Rcode::FormErr), "a query with an answer");
    assert_eq!(rcode_of(&raw(0, [1, 0, 1, 0], &[])), Some(Rcode::FormErr), "a query with an authority");
    assert_eq!(rcode_of(&raw(0, [1, 0, 0, u16::MAX], &[])), Some(Rcode::FormErr), "a promise of many records");
    assert_eq!(rcode_of(&raw(0, [1, 0, 0, 0], b"more")), Some(Rcode::NoError), "what follows is not looked at");
}

#[test]
fn flags_come_back_as_they_should() {
    let flags = |sent: u16| {
        let (_, out) = answer_udp(&raw(sent, [1, 0, 0, 0], &[])).unwrap();
        u16::from_be_bytes([out[2], out[3]])
    };
    assert_eq!(flags(0), 0x8400);
    assert_eq!(flags(0x0100), 0x8500, "RD comes back, RA does not come");
    assert_eq!(flags(0x0010), 0x8410, "CD comes back");
    assert_eq!(flags(0x0660), 0x8400, "AA, TC, AD and the unknown bit do not");
}

#[test]
fn the_question_comes_back_in_its_own_letters() {
    let mut packet = raw(0, [1, 0, 0, 0], &[]);
    packet[12..27].copy_from_slice(b"\x03wWw\x04ShOp\x04tEsT\0");
    let (rcode, out) = answer_udp(&packet).unwrap();
    assert_eq!(rcode, Rcode::NoError);
    assert_eq!(&out[12..31], &packet[12..31]);
    assert_eq!(Message::from_vec(&out).unwrap().answers[0].name.to_string(), "wWw.ShOp.tEsT.");
}

#[test]
fn question_names_are_plain() {
    for name in [&b"\xc0\x0c"[..], b"\x03www\xc0\x0c", b"\x40www", b"\x80www\0"] {
        let mut packet = raw(0, [1, 0, 0, 0], &[]);
        packet.truncate(12);
        packet.extend(name);
        packet.extend([0, 1, 0, 1]);
        assert_eq!(rcode_of(&packet), Some(Rcode::FormErr), "{name:?}");
    }
    // 255 bytes are a name, 256 are not.
    for (last, want) in [(61, Rcode::Refused), (62, Rcode::FormErr)] {
        let mut packet = raw(0, [1, 0, 0, 0], &[]);
        packet.truncate(12);
        for label in [63, 63, 63, last] {
            packet.push(label);
            packet.extend(vec![b'x'; label.into()]);
        }
        packet.extend([0, 0, 1, 0, 1]);
        assert_eq!(rcode_of(&packet), Some(want), "last label of {last}");
    }
}

#[test]
fn types_that_are_no_data_are_not_looked_up() {
    for (rtype, want) in [
        (41, Rcode::FormErr),
        (249, Rcode::NotImp),
        (250, Rcode::FormErr),
        (251, Rcode::Refused),
        (252, Rcode::Refused),
        (253, Rcode::NotImp),
        (254, Rcode::NotImp),
        (0, Rcode::NoError),
        (65535, Rcode::NoError),
    ] {
        let mut packet = raw(0, [1, 0, 0, 0], &[]);
        let at = packet.len() - 4;
        packet[at..at + 2].copy_from_slice(&u16::to_be_bytes(rtype));
        assert_eq!(rcode_of(&packet), Some(want), "type {rtype}");
    }
    for (class, want) in [(1, Rcode::NoError), (3, Rcode::Refused), (4, Rcode::Refused), (255, Rcode::Refused)] {
        let mut packet = raw(0, [1, 0, 0, 0], &[]);
        let at = packet.len() - 1;
        packet[at] = class;
        assert_eq!(rcode_of(&packet), Some(want), "class {class}");
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let check = |packet: &[u8], want: &str| {
        let (_, out) = answer_udp(packet).unwrap();
        let text = show(&out);
        let read = Message::from_vec(&out).unwrap();
        let rcode = u16::from(read.metadata.response_code);
        assert_eq!(if rcode == 16 { "16" } else { text.lines().next().unwrap() }, want);
        assert!(text.contains("edns 1232"), "{text}");
    };
    check(&raw(0, [1, 0, 0, 1], &opt(0, &[])), "No Error aa");
    check(&raw(0, [1, 0, 0, 1], &opt(1, &[])), "16");
    check(&raw(0, [1, 0, 0, 1], &opt(255, b"x")), "16");
    check(&with_option(10, b"12345678"), "No Error aa");
    check(&with_option(65001, &[0; 100]), "No Error aa");
    check(&raw(0, [1, 0, 0, 1], &opt(0, &[0, 10, 0])), "Form Error");
    check(&raw(0, [1, 0, 0, 1], &opt(0, &[0, 10, 0, 9, 1])), "Form Error");
    check(&raw(0, [1, 0, 0, 2], &[opt(0, &[]), opt(0, &[])].concat()), "Form Error");
    let none = answer_udp(&raw(0, [1, 0, 0, 0], &[])).unwrap().1;
    assert!(!show(&none).contains("edns"), "no OPT in, none out");
    let named = [b"\x01x".as_slice(), &opt(0, &[])].concat();
    assert_eq!(rcode_of(&raw(0, [1, 0, 0, 1], &named)), Some(Rcode::FormErr), "an OPT record belongs to the root");
}

#[test]
fn signed_queries_are_not_for_us() {
    let tsig = [b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x02xx".as_slice()].concat();
    assert_eq!(rcode_of(&raw(0, [1, 0, 0, 1], &tsig)), Some(Rcode::NotAuth));
}

#[test]
fn client_subnets_are_read_to_the_letter() {
    let check = |option: &[u8], want: Rcode| {
        assert_eq!(rcode_of(&with_option(8, option)), Some(want), "{option:?}");
    };
    check(&[0, 1, 24, 0, 5, 1, 2], Rcode::NoError);
    check(&[0, 1, 0, 0], Rcode::NoError);
    check(&[0, 2, 0, 0], Rcode::NoError);
    check(&[0, 0, 0, 0], Rcode::NoError);
    check(&[0, 2, 56, 0, 0x2a, 0, 0, 0, 0, 0, 0], Rcode::NoError);
    check(&[0, 1, 32, 0, 5, 1, 2, 255], Rcode::NoError);
    check(&[0, 1, 1, 0, 0x80], Rcode::NoError);
    check(&[], Rcode::FormErr);
    check(&[0, 1, 24], Rcode::FormErr);
    check(&[0, 1, 24, 24, 5, 1, 2], Rcode::FormErr); // a scope in a query
    check(&[0, 1, 24, 0, 5, 1], Rcode::FormErr); // too few bytes
    check(&[0, 1, 24, 0, 5, 1, 2, 0], Rcode::FormErr); // too many
    check(&[0, 1, 20, 0, 5, 1, 0x1f], Rcode::FormErr); // bits behind the prefix
    check(&[0, 1, 1, 0, 0xc0], Rcode::FormErr);
    check(&[0, 1, 33, 0, 5, 1, 2, 3, 4], Rcode::FormErr); // longer than the address
    check(&[[0, 2, 129, 0].as_slice(), &[0; 17]].concat(), Rcode::FormErr);
    check(&[0, 3, 8, 0, 5], Rcode::FormErr); // no such family
    check(&[0, 0, 8, 0, 5], Rcode::FormErr);
    let option = [0, 8, 0, 5, 0, 1, 8, 0, 5];
    let twice = raw(0, [1, 0, 0, 1], &opt(0, &[option, option].concat()));
    assert_eq!(rcode_of(&twice), Some(Rcode::FormErr));
    let (_, out) = answer_udp(&with_option(8, &[0, 0, 0, 0])).unwrap();
    assert!(ends_with_family_0(&out), "it comes back as it came");
}

#[test]
fn what_does_not_fit_says_so() {
    let view = view(&plan());
    let check = |question: &str, want: &str, limit: usize| {
        let (outcome, packet) = ask(&view, question);
        let text = show(&packet);
        assert!(text.starts_with(want), "{question}: {text}");
        assert!(packet.len() <= limit, "{question}: {} bytes", packet.len());
        assert_eq!(outcome.truncated, text.lines().next().unwrap().contains("tc"));
        assert_eq!(outcome.truncated, Message::from_vec(&packet).unwrap().answers.is_empty());
    };
    check("big.shop.test TXT", "No Error aa tc", 512);
    check("big.shop.test TXT edns=400", "No Error aa tc", 512);
    check("big.shop.test TXT edns=1232", "No Error aa\n", 1232);
    check("huge.shop.test TXT edns=4096", "No Error aa tc", 1232);
    check("huge.shop.test TXT edns=65535", "No Error aa tc", 1232);
    check("huge.shop.test TXT tcp", "No Error aa\n", 65535);
    check("huge.shop.test TXT tcp edns=512", "No Error aa\n", 65535);
}

#[test]
fn the_server_says_who_it_is() {
    let view = view(&plan());
    let mut got = String::new();
    for question in [
        "version.bind TXT ch",
        "VERSION.server TXT ch edns=1232",
        "id.server TXT ch",
        "hostname.bind ANY ch",
        "plan.atoll TXT ch",
        "plan.atoll TXT",
        "version.bind A ch",
        "authors.bind TXT ch",
        "version.bind TXT",
    ] {
        got += &format!("> {question}\n{}", show(&ask(&view, question).1));
    }
    expect![[r#"
        > version.bind TXT ch
        No Error aa
        version.bind. 0 TXT atoll VERSION plan abc:42
        > VERSION.server TXT ch edns=1232
        No Error aa
        VERSION.server. 0 TXT atoll VERSION plan abc:42
        edns 1232
        > id.server TXT ch
        No Error aa
        id.server. 0 TXT us-east
        > hostname.bind ANY ch
        No Error aa
        hostname.bind. 0 TXT us-east
        > plan.atoll TXT ch
        No Error aa
        plan.atoll. 0 TXT plan abc:42 no quorum was heard since the start
        > plan.atoll TXT
        Query Refused
        > version.bind A ch
        Query Refused
        > authors.bind TXT ch
        Query Refused
        > version.bind TXT
        Query Refused
    "#]]
    .assert_eq(&got.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn outcomes_name_zone_and_region() {
    let view = view(&plan());
    let check = |question: &str, rcode: Rcode, zone: Option<&str>, region: Option<&str>| {
        let outcome = ask(&view, question).0;
        let want = Outcome { rcode: Some(rcode), zone, truncated: false, ..outcome };
        assert_eq!(outcome, want, "{question}");
        assert_eq!(outcome.region.map(RegionName::as_str), region, "{question}");
        let (zones, regions) = (view.names().zones(), view.names().regions());
        assert_eq!(outcome.zone_index.map(|i| zones[i as usize].as_str()), zone, "{question}");
        assert_eq!(outcome.region_index.and_then(|i| regions[usize::from(i)].as_ref()), outcome.region, "{question}");
    };
    check("www.shop.test A @5.1.1.1", Rcode::NoError, Some("shop.test"), Some("eu-west"));
    check("store.shop.test A @3.1.1.1", Rcode::NoError, Some("shop.test"), Some("us-east"));
    check("ns1.shop.test A", Rcode::NoError, Some("shop.test"), None);
    check("missing.in.shop.test A", Rcode::NxDomain, Some("in.shop.test"), None);
    check("example.com A", Rcode::Refused, None, None);
}

#[test]
fn without_a_plan_every_name_is_refused() {
    let mut out = Vec::new();
    let outcome = refuse(&raw(0, [1, 0, 0, 0], &[]), Transport::Udp, &mut out);
    assert_eq!(outcome.rcode, Some(Rcode::Refused));
    assert_eq!(show(&out), "Query Refused\n");
    assert_eq!(refuse(&[1, 2], Transport::Udp, &mut out).rcode, None);
    assert!(out.is_empty());
}

#[test]
fn a_server_tells_how_old_the_planes_word_is_and_asks_for_it_only_then() {
    let view = view(&plan());
    let told = |question: &str, heard: Option<Duration>| {
        let (line, asked, mut out) = (line(question), Cell::new(0), Vec::new());
        let ask = || {
            asked.set(asked.get() + 1);
            heard
        };
        answer(&view, &line.packet, line.client, line.transport, &ask, 0, &mut out);
        (show(&out), asked.get())
    };
    let seconds = |n: u64| Some(Duration::from_millis(n * 1000 + 999));
    for (heard, says) in [
        (seconds(0), "plan abc:42 a quorum was heard 0 s ago"),
        (seconds(86_400), "plan abc:42 a quorum was heard 86400 s ago"),
        (None, "plan abc:42 no quorum was heard since the start"),
    ] {
        let (text, asked) = told("Plan.Atoll TXT ch", heard);
        assert!(text.contains(says), "{text}");
        assert_eq!(asked, 1);
    }
    for other in ["www.shop.test A", "version.bind TXT ch", "plan.atoll A ch", "plan.atoll TXT"] {
        assert_eq!(told(other, seconds(1)).1, 0, "{other}");
    }
}

#[test]
fn who_asks_is_told_which_server_it_was_and_why() {
    let mut plan = plan();
    down(&mut plan, "us-east eu-west ap-south");
    let view = view(&plan);
    let mut got = String::new();
    for question in [
        "ns1.shop.test A nsid",
        "example.com A edns=1232",
        "example.com A",
        "shop.test AXFR edns=1232",
        "free.shop.test A edns=1232",
        "www.shop.test A edns=1232 nsid ecs=5.1.2.0/24",
        "closed.shop.test A edns=1232",
        "loop.shop.test A edns=1232",
        "huge.shop.test TXT edns=512 nsid",
        "id.server TXT ch nsid",
    ] {
        got += &format!("> {question}\n{}", show(&ask(&view, question).1));
    }
    expect![[r#"
        > ns1.shop.test A nsid
        No Error aa
        ns1.shop.test. 300 A 192.0.2.1
        edns 1232 nsid=us-east
        > example.com A edns=1232
        Query Refused
        edns 1232 ede=20 (no zone of this server has this name)
        > example.com A
        Query Refused
        > shop.test AXFR edns=1232
        Query Refused
        edns 1232 ede=21 (zones are not transferred)
        > free.shop.test A edns=1232
        No Error aa
        free.shop.test. 30 A 198.51.100.1
        edns 1232
        > www.shop.test A edns=1232 nsid ecs=5.1.2.0/24
        No Error aa
        www.shop.test. 5 A 198.51.100.2
        edns 1232 ecs=5.1.2.0/24 scope /8 nsid=us-east ede=0 (every member is down: all are named)
        > closed.shop.test A edns=1232
        No Error aa
        authority shop.test. 5 SOA ns1.shop.test. hostmaster.shop.test. 42 3600 600 1209600 30
        edns 1232 ede=0 (every member is down: none is named)
        > loop.shop.test A edns=1232
        No Error aa
        loop.shop.test. 300 CNAME loop.shop.test.
        edns 1232 ede=0 (aliases lead in a circle, or over more than 8 names)
        > huge.shop.test TXT edns=512 nsid
        No Error aa tc
        edns 1232 nsid=us-east
        > id.server TXT ch nsid
        No Error aa
        id.server. 0 TXT us-east
        edns 1232 nsid=us-east
    "#]]
    .assert_eq(&got);
    let mut out = Vec::new();
    refuse(&line("www.shop.test A nsid").packet, Transport::Udp, &mut out);
    assert_eq!(show(&out), "Query Refused\nedns 1232 nsid= ede=14 (this server has no plan yet)\n");
}

#[test]
fn whatever_is_asked_for_512_bytes_have_room_for_what_is_no_record() {
    let label = "x".repeat(63);
    let view = view(&plan());
    for name in [
        format!("{label}.{label}.{label}.{}.shop.test", "x".repeat(50)),
        format!("{label}.{label}.{label}.{}", "x".repeat(61)),
    ] {
        let (_, packet) = ask(&view, &format!("{name} A nsid edns=512 ecs=2a00::/128"));
        assert!(packet.len() <= 512, "{} bytes for {name}", packet.len());
    }
}
