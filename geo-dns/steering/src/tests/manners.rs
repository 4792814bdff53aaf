//! What depends on who asks and how: the idle time-out of a connection (RFC 7828), explanations for listed networks, and clients
//! who do not want their place to be used (RFC 7871, 7.1.2).

use std::net::IpAddr;

use hickory_proto::rr::RData;

use super::world::*;
use crate::{Asker, Outcome, Rcode, Transport, answer_to};

/// Idle time-out of the connection, 12 s.
const IDLE: u16 = 120;

/// A query for `www.shop.test A` with these options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend(b"\x03www\x04shop\x04test\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0");
    packet.extend((options.len() as u16).to_be_bytes());
    packet.extend(options);
    packet
}

#[test]
fn an_idle_time_out_is_told_on_connections_to_who_asks() {
    use Transport::{Tcp, Udp};
    let view = view(&plan());
    let told: &[u8] = &[0, 11, 0, 2, 0, IDLE as u8];
    #[track_caller]
    fn check(view: &crate::View, (transport, options): (Transport, &[u8]), rcode: Rcode, told: Option<&[u8]>) {
        let mut out = Vec::new();
        let idle_100ms = (transport == Tcp).then_some(IDLE);
        let asker = Asker { idle_100ms, ..Asker::new([127, 0, 0, 1].into(), transport, &|| None, 0) };
        let outcome = answer_to(view, &with_options(options), &asker, &mut out);
        assert_eq!(outcome.rcode, Some(rcode), "{options:?}");
        let found = out.windows(6).find(|window| window.starts_with(&[0, 11, 0, 2]));
        assert_eq!(found, told, "{options:?} over {}", transport.as_str());
    }
    check(&view, (Tcp, &[0, 11, 0, 0]), Rcode::NoError, Some(told));
    check(&view, (Tcp, &[0, 3, 0, 0, 0, 11, 0, 0, 0, 77, 0, 1, 5]), Rcode::NoError, Some(told));
    check(&view, (Tcp, &[]), Rcode::NoError, None);
    check(&view, (Udp, &[0, 11, 0, 0]), Rcode::NoError, None);
    // A client has no time-out to tell; over UDP the option counts for nothing, whatever it says.
    check(&view, (Tcp, &[0, 11, 0, 2, 0, 1]), Rcode::FormErr, Some(told));
    check(&view, (Tcp, &[0, 11, 0, 0, 0, 11, 0, 1, 0]), Rcode::FormErr, Some(told));
    check(&view, (Udp, &[0, 11, 0, 2, 0, 1]), Rcode::NoError, None);
    check(&view, (Udp, &[0, 11, 0, 3, 0, 1, 2]), Rcode::NoError, None);
}

/// Asks in class CH, as somebody who is told reasons or is not.
fn ask_ch<'v>(view: &'v crate::View, question: &str, trusted: bool, out: &mut Vec<u8>) -> Outcome<'v> {
    let line = line(&format!("{question} ch"));
    let asker = Asker { trusted: &|_| trusted, ..Asker::new(line.client, line.transport, &|| None, 0) };
    answer_to(view, &line.packet, &asker, out)
}

/// The strings of the one TXT record of an answer.
fn strings(packet: &[u8]) -> Vec<String> {
    let message = hickory_proto::op::Message::from_vec(packet).unwrap();
    let [record] = &message.answers[..] else { panic!("one record, not {:?}", message.answers) };
    let RData::TXT(text) = &record.data else { panic!("no TXT: {record}") };
    text.txt_data.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

#[test]
fn an_explanation_is_given_line_by_line_to_whom_it_may_be_given() {
    let view = view(&plan());
    let mut out = Vec::new();
    let outcome = ask_ch(&view, "www.shop.test.explain.atoll TXT @5.1.1.1 tcp", true, &mut out);
    assert_eq!(outcome.rcode, Some(Rcode::NoError));
    let told = crate::explain(&view, "www.shop.test", [5, 1, 1, 1].into(), crate::Rtype::A).unwrap();
    assert_eq!(strings(&out), told.lines());
    assert!(told.lines().iter().any(|line| line.starts_with("> eu-west")), "{:?}", told.lines());

    let explained = |question: &str, from: &str, name: &str, rtype: &str| {
        let mut out = Vec::new();
        ask_ch(&view, question, true, &mut out);
        let told = crate::explain(&view, name, from.parse().unwrap(), rtype.parse().unwrap()).unwrap();
        assert_eq!(strings(&out), told.lines(), "{question}");
    };
    explained("_aaaa.www.shop.test.explain.atoll TXT @5.1.1.1 tcp", "5.1.1.1", "www.shop.test", "AAAA");
    explained("_TXT.a.b.c.shop.test.explain.atoll TXT tcp", "127.0.0.1", "a.b.c.shop.test", "TXT");
    explained("www.shop.test.explain.atoll TXT ecs=3.1.1.0/24 tcp", "3.1.1.0", "www.shop.test", "A");
    explained("_sip._tcp.shop.test.explain.atoll TXT tcp", "127.0.0.1", "_sip._tcp.shop.test", "A");
    explained("explain.atoll TXT tcp", "127.0.0.1", ".", "A");

    // What does not fit a datagram comes over a connection.
    let outcome = ask_ch(&view, "www.shop.test.explain.atoll TXT @5.1.1.1", true, &mut out);
    assert!(outcome.truncated && out.len() <= 512, "{} bytes", out.len());
}

#[test]
fn nobody_else_is_told_why() {
    let view = view(&plan());
    let mut out = Vec::new();
    let outcome = ask_ch(&view, "www.shop.test.explain.atoll TXT edns=1232", false, &mut out);
    assert_eq!(outcome.rcode, Some(Rcode::Refused));
    assert!(show(&out).starts_with("Query Refused"), "{}", show(&out));
    let reason = b"explanations are given to listed networks only";
    assert!(out.windows(reason.len()).any(|window| window == reason));
    // Nor is it a name of class IN, nor has it other types.
    assert_eq!(ask(&view, "www.shop.test.explain.atoll TXT").0.rcode, Some(Rcode::Refused));
    assert_eq!(ask_ch(&view, "www.shop.test.explain.atoll A", true, &mut out).rcode, Some(Rcode::Refused));
    assert_eq!(ask_ch(&view, "www.shop.test.unexplain.atoll TXT", true, &mut out).rcode, Some(Rcode::Refused));
}

#[test]
fn who_opts_out_of_client_subnets_is_answered_by_the_source_with_scope_0() {
    let view = view(&plan());
    let sources: [IpAddr; 2] = [[5, 1, 1, 1].into(), [3, 1, 1, 1].into()];
    // Family 0, IPv4 and IPv6, each with a prefix of no bits: 12 bytes are back as they came, the scope 0.
    for option in [[0, 8, 0, 4, 0, 0, 0, 0], [0, 8, 0, 4, 0, 1, 0, 0], [0, 8, 0, 4, 0, 2, 0, 0]] {
        for source in sources {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            let asker = Asker::new(source, Transport::Udp, &|| None, 0);
            let outcome = answer_to(&view, &with_options(&option), &asker, &mut with);
            let plain = answer_to(&view, &with_options(&[]), &asker, &mut without);
            assert_eq!((outcome.region, outcome.scope), (plain.region, Some(0)), "{option:?} from {source}");
            assert!(with.ends_with(&option), "{option:?} from {source}");
            assert_eq!(with.len(), without.len() + option.len());
        }
    }
    let regions = sources.map(|source| {
        let mut out = Vec::new();
        let asker = Asker::new(source, Transport::Udp, &|| None, 0);
        answer_to(&view, &with_options(&[0, 8, 0, 4, 0, 1, 0, 0]), &asker, &mut out).region
    });
    assert_ne!(regions[0], regions[1], "the source counts");
}

#[test]
fn a_question_can_be_told_in_words() {
    let question = |text: &str| crate::question_of(&line(text).packet).map(|(name, rtype)| format!("{name} {rtype}"));
    assert_eq!(question("WWW.Shop.test AAAA").as_deref(), Some("www.shop.test AAAA"));
    assert_eq!(question("shop.test TYPE731").as_deref(), Some("shop.test TYPE731"));
    assert_eq!(crate::question_of(&[1, 2, 3]), None);
    assert_eq!(crate::question_of(&[0; 12]), None);
}
