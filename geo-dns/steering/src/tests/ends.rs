//! Where a zone ends: delegations with glue, DNAMEs, aliases from one zone into another; and data of any type.

use expect_test::{Expect, expect};
use model::{RecordData, Soa, Zone};

use super::world::*;
use crate::View;

fn zone(origin: &str, records: &[(&str, &str, &str)]) -> Zone {
    let record = |(name, rtype, value): &(&str, &str, &str)| {
        let data = match *rtype {
            "A" => RecordData::A(value.parse().unwrap()),
            "AAAA" => RecordData::Aaaa(value.parse().unwrap()),
            "CNAME" => RecordData::Cname((*value).into()),
            _ => RecordData::Other { rtype: (*rtype).into(), value: (*value).into() },
        };
        model::Record { name: (*name).into(), data, ttl: None }
    };
    Zone {
        origin: origin.into(),
        ttl: 300,
        soa: Soa::default(),
        ns: vec!["ns.else.test".into()],
        records: records.iter().map(record).collect(),
        steered: Vec::new(),
    }
}

/// A View with an end of every kind.
pub(super) fn ends() -> View {
    let mut plan = plan();
    plan.world.zones.push(zone(
        "a.test",
        &[
            ("cut", "NS", "ns1.cut.a.test"),
            ("cut", "NS", "ns.else.test"),
            ("cut", "DS", "1 8 2 abcd"),
            ("ns1.cut", "A", "192.0.2.1"),
            ("ns1.cut", "AAAA", "2001:db8::1"),
            ("apart", "NS", "ns.else.test"),
            ("to-cut", "CNAME", "www.cut.a.test"),
            ("to-b", "CNAME", "host.b.test"),
            ("to-nothing", "CNAME", "none.b.test"),
            ("old", "DNAME", "b.test"),
            ("turn", "DNAME", "turn.turn.a.test"),
            ("x.y", "A", "192.0.2.3"),
        ],
    ));
    plan.world.zones.push(zone(
        "b.test",
        &[
            ("host", "A", "192.0.2.2"),
            ("@", "MX", "10 host.b.test."),
            ("_x._tcp", "SRV", "1 2 443 host.b.test"),
            ("@", "CAA", "0 issue \"ca.test\""),
            ("@", "HTTPS", "1 . alpn=h2 port=8443"),
            ("odd", "TYPE731", "\\# 3 abcdef"),
            ("back", "CNAME", "to-b.a.test"),
            ("child", "NS", "ns.else.test"),
            ("child", "DS", "1 8 2 abcd"),
        ],
    ));
    plan.world.zones.push(zone("child.b.test", &[("host", "A", "192.0.2.4")]));
    plan.world.validate().map_err(|errors| errors.to_string()).unwrap_or_else(|errors| {
        // The shared world has circles and texts on purpose; what is added here is right.
        assert!(!errors.contains("zone[2]") && !errors.contains("zone[3]") && !errors.contains("zone[4]"), "{errors}");
    });
    view(&plan)
}

fn check(questions: &str, want: &Expect) {
    let view = ends();
    let mut got = String::new();
    for question in questions.lines().map(str::trim).filter(|q| !q.is_empty()) {
        got += &format!("> {question}\n{}", show(&ask(&view, question).1));
    }
    want.assert_eq(&got);
}

#[test]
fn what_is_delegated_is_referred_with_glue_and_without_authority() {
    check(
        "cut.a.test A
         www.cut.a.test A
         ns1.cut.a.test A
         cut.a.test NS
         cut.a.test ANY
         cut.a.test DS
         x.apart.a.test TXT
         to-cut.a.test A
         y.a.test A",
        &expect![[r#"
            > cut.a.test A
            No Error
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > www.cut.a.test A
            No Error
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > ns1.cut.a.test A
            No Error
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > cut.a.test NS
            No Error
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > cut.a.test ANY
            No Error
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > cut.a.test DS
            No Error aa
            cut.a.test. 300 DS AAEIAqvN
            > x.apart.a.test TXT
            No Error
            authority apart.a.test. 300 NS ns.else.test.
            > to-cut.a.test A
            No Error aa
            to-cut.a.test. 300 CNAME www.cut.a.test.
            authority cut.a.test. 300 NS ns1.cut.a.test.
            authority cut.a.test. 300 NS ns.else.test.
            additional ns1.cut.a.test. 300 A 192.0.2.1
            additional ns1.cut.a.test. 300 AAAA 2001:db8::1
            > y.a.test A
            No Error aa
            authority a.test. 30 SOA ns.else.test. hostmaster.a.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn of_a_zone_inside_a_zone_the_outer_one_tells_ds() {
    check(
        "child.b.test DS
         child.b.test NS
         host.child.b.test A
         host.child.b.test DS",
        &expect![[r#"
            > child.b.test DS
            No Error aa
            child.b.test. 300 DS AAEIAqvN
            > child.b.test NS
            No Error aa
            child.b.test. 300 NS ns.else.test.
            > host.child.b.test A
            No Error aa
            host.child.b.test. 300 A 192.0.2.4
            > host.child.b.test DS
            No Error aa
            authority child.b.test. 30 SOA ns.else.test. hostmaster.child.b.test. 42 3600 600 1209600 30
        "#]],
    );
}

#[test]
fn aliases_are_followed_from_zone_to_zone() {
    check(
        "to-b.a.test A
         to-b.a.test AAAA
         to-nothing.a.test A
         back.b.test A",
        &expect![[r#"
            > to-b.a.test A
            No Error aa
            to-b.a.test. 300 CNAME host.b.test.
            host.b.test. 300 A 192.0.2.2
            > to-b.a.test AAAA
            No Error aa
            to-b.a.test. 300 CNAME host.b.test.
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
            > to-nothing.a.test A
            Non-Existent Domain aa
            to-nothing.a.test. 300 CNAME none.b.test.
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
            > back.b.test A
            No Error aa
            back.b.test. 300 CNAME to-b.a.test.
            to-b.a.test. 300 CNAME host.b.test.
            host.b.test. 300 A 192.0.2.2
        "#]],
    );
}

#[test]
fn a_dname_speaks_for_what_is_below_it() {
    check(
        "host.old.a.test A
         HOST.old.a.test AAAA
         none.old.a.test A
         old.a.test DNAME
         old.a.test A
         host.old.a.test DNAME
         host.old.a.test CNAME
         x.turn.a.test A",
        &expect![[r#"
            > host.old.a.test A
            No Error aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            host.old.a.test. 300 CNAME host.b.test.
            host.b.test. 300 A 192.0.2.2
            > HOST.old.a.test AAAA
            No Error aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            HOST.old.a.test. 300 CNAME HOST.b.test.
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
            > none.old.a.test A
            Non-Existent Domain aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            none.old.a.test. 300 CNAME none.b.test.
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
            > old.a.test DNAME
            No Error aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            > old.a.test A
            No Error aa
            authority a.test. 30 SOA ns.else.test. hostmaster.a.test. 42 3600 600 1209600 30
            > host.old.a.test DNAME
            No Error aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            host.old.a.test. 300 CNAME host.b.test.
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
            > host.old.a.test CNAME
            No Error aa
            old.a.test. 300 DNAME AWIEdGVzdAA=
            host.old.a.test. 300 CNAME host.b.test.
            > x.turn.a.test A
            No Error aa tc
        "#]],
    );
}

#[test]
fn a_dname_that_makes_a_name_too_long_says_so() {
    let label = "x".repeat(60);
    let view = ends();
    // With `old.a.test` it has 255 bytes at most, with `turn.turn.a.test` more.
    let question = format!("{label}.{label}.{label}.{}.turn.a.test A", "y".repeat(57));
    let (outcome, packet) = ask(&view, &question);
    assert_eq!(outcome.rcode, Some(crate::Rcode::YxDomain));
    let message = hickory_proto::op::Message::from_vec(&packet).unwrap();
    assert_eq!(message.metadata.response_code.to_str(), hickory_proto::op::ResponseCode::YXDomain.to_str());
    assert_eq!(message.answers.len(), 1, "the DNAME, and no CNAME");
}

#[test]
fn any_type_is_answered_as_written() {
    check(
        "b.test MX
         _x._tcp.b.test SRV
         b.test CAA
         b.test HTTPS
         odd.b.test TYPE731
         odd.b.test TYPE732",
        &expect![[r#"
            > b.test MX
            No Error aa
            b.test. 300 MX 10 host.b.test.
            > _x._tcp.b.test SRV
            No Error aa
            _x._tcp.b.test. 300 SRV 1 2 443 host.b.test.
            > b.test CAA
            No Error aa
            b.test. 300 CAA 0 issue "ca.test"
            > b.test HTTPS
            No Error aa
            b.test. 300 HTTPS 1 . alpn=h2, port=8443
            > odd.b.test TYPE731
            No Error aa
            odd.b.test. 300 Unknown q83v
            > odd.b.test TYPE732
            No Error aa
            authority b.test. 30 SOA ns.else.test. hostmaster.b.test. 42 3600 600 1209600 30
        "#]],
    );
}

/// More than a World may hold, and more than any answer: a later version's World, or one whose limits were lifted.
#[test]
fn of_a_hundred_thousand_records_at_one_name_none_is_told_without_the_others() {
    let addresses: Vec<String> =
        (0..100_000_u32).map(|i| std::net::Ipv4Addr::from(0x0a00_0000 | i).to_string()).collect();
    let mut records: Vec<(&str, &str, &str)> =
        addresses.iter().map(|address| ("many", "A", address.as_str())).collect();
    // Written twice, they are one.
    records.extend(records.clone());
    records.extend(addresses[..3000].iter().map(|address| ("some", "A", address.as_str())));
    let mut plan = plan();
    plan.world.zones.push(zone("a.test", &records));
    let view = view(&plan);
    for (question, answers) in
        [("many.a.test A", 0), ("many.a.test A tcp", 0), ("some.a.test A", 0), ("some.a.test A tcp", 3000)]
    {
        let (outcome, packet) = ask(&view, question);
        let message = hickory_proto::op::Message::from_vec(&packet).unwrap();
        assert_eq!((message.answers.len(), outcome.truncated), (answers, answers == 0), "{question}");
        assert!(packet.len() <= if question.ends_with("tcp") { 65_535 } else { 512 }, "{question}: {}", packet.len());
    }
    assert_eq!(ask(&view, "many.a.test AAAA").0.rcode, Some(crate::Rcode::NoError));
}

#[test]
fn a_referral_that_does_not_fit_with_its_glue_is_truncated() {
    let mut plan = plan();
    let names: Vec<String> = (0..30).map(|i| format!("server-{i}.with-a-long-name.cut")).collect();
    let absolute: Vec<String> = names.iter().map(|name| format!("{name}.a.test")).collect();
    let mut records: Vec<(&str, &str, &str)> = absolute.iter().map(|name| ("cut", "NS", name.as_str())).collect();
    records.extend(names.iter().map(|name| (name.as_str(), "AAAA", "2001:db8::1")));
    plan.world.zones.push(zone("a.test", &records));
    let view = view(&plan);
    assert!(ask(&view, "www.cut.a.test A").0.truncated);
    let (outcome, packet) = ask(&view, "www.cut.a.test A tcp");
    assert!(!outcome.truncated);
    let message = hickory_proto::op::Message::from_vec(&packet).unwrap();
    assert_eq!((message.authorities.len(), message.additionals.len()), (30, 30));
}

#[test]
fn addresses_of_servers_elsewhere_in_the_zone_are_told_as_far_as_there_is_room() {
    let mut plan = plan();
    let many: Vec<String> = (0..16).map(|i| format!("server-{i}.with-a-long-name.cut")).collect();
    let absolute: Vec<String> = many.iter().map(|name| format!("{name}.a.test")).collect();
    let mut records = vec![
        ("one", "NS", "ns.two.a.test"),
        ("two", "NS", "ns.one.a.test"),
        ("ns.one", "A", "192.0.2.1"),
        ("ns.two", "A", "192.0.2.2"),
        ("full", "NS", "ns.else.test"),
    ];
    records.extend(absolute.iter().map(|name| ("full", "NS", name.as_str())));
    records.push(("cut", "NS", "ns.else.test"));
    records.extend(many.iter().map(|name| (name.as_str(), "AAAA", "2001:db8::1")));
    plan.world.zones.push(zone("a.test", &records));
    let view = view(&plan);
    // Each of the two could not be found without the other's address (RFC 9471, 3.2).
    expect![[r#"
        No Error
        authority one.a.test. 300 NS ns.two.a.test.
        additional ns.two.a.test. 300 A 192.0.2.2
    "#]]
    .assert_eq(&show(&ask(&view, "one.a.test A").1));
    let told = |question: &str| {
        let (outcome, packet) = ask(&view, question);
        let message = hickory_proto::op::Message::from_vec(&packet).unwrap();
        (outcome.truncated, message.authorities.len(), message.additionals.len())
    };
    assert_eq!(told("full.a.test A tcp"), (false, 17, 16));
    let (truncated, servers, addresses) = told("full.a.test A edns=1232");
    assert!(!truncated && servers == 17 && (1..16).contains(&addresses), "{truncated} {servers} {addresses}");
}

#[test]
fn what_is_told_of_an_end_is_what_was_done() {
    let view = ends();
    for (name, want) in [
        ("www.cut.a.test", "a name that is delegated to other servers"),
        ("host.old.a.test", "a static name"),
        ("to-nothing.a.test", "no such name"),
    ] {
        let told = crate::explain(&view, name, [127, 0, 0, 1].into(), crate::Rtype::A).unwrap();
        assert_eq!(told.matched, want, "{name}");
    }
}
