//! What depends on the connection and on who asks: idle time-outs told (RFC 7828), explanations over class CH.

use std::time::Duration;

use hickory_proto::{
    op::{Edns, Message, ResponseCode},
    rr::{DNSClass, RecordType, rdata::opt::EdnsOption},
};

use crate::{
    tcp::{ask_tcp, connect, framed, read_answer},
    world::*,
};

/// A query with edns-tcp-keepalive of so many bytes.
fn with_keepalive(length: usize) -> Vec<u8> {
    let mut message = Message::from_vec(&query(5, "www.shop.test.", RecordType::A)).unwrap();
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(11, vec![0; length]));
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// The time-out that an answer tells, in units of 100 ms.
fn told(answer: &Message) -> Option<u16> {
    match answer.edns.as_ref()?.option(11.into())? {
        EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_told_how_long_they_may_be_idle() {
    let server = serve_with(Some(plan(1)), |config| config.tcp.idle = Duration::from_millis(12_345));
    assert_eq!(told(&ask_tcp(&server, &with_keepalive(0)).await), Some(123));
    assert_eq!(told(&ask_tcp(&server, &query(1, "www.shop.test.", RecordType::A)).await), None);
    let wrong = ask_tcp(&server, &with_keepalive(2)).await;
    assert_eq!((wrong.metadata.response_code, told(&wrong)), (ResponseCode::FormErr, Some(123)));
    for length in [0, 2] {
        let answer = ask_udp(server.local_addr(), &with_keepalive(length));
        assert_eq!((data(&answer), told(&answer)), (vec!["192.0.2.1".to_owned()], None));
    }
    // A fault does not end the connection.
    let mut stream = connect(&server).await;
    for length in [2, 0] {
        tokio::io::AsyncWriteExt::write_all(&mut stream, &framed(&with_keepalive(length))).await.unwrap();
        assert_eq!(told(&read_answer(&mut stream).await), Some(123));
    }
}

/// Asks why.
fn why() -> Vec<u8> {
    let mut message = Message::from_vec(&query(5, "www.shop.test.explain.atoll.", RecordType::TXT)).unwrap();
    message.queries[0].set_query_class(DNSClass::CH);
    message.to_vec().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_told_why_and_others_are_not() {
    let server = serve(Some(plan(1)));
    let answer = ask_tcp(&server, &why()).await;
    let lines = data(&answer).concat();
    assert!(lines.contains("us-east answers NOERROR from plan 7:1"), "{lines}");
    assert!(lines.contains("named: among the first in the order that serve"), "{lines}");
    assert!(ask_udp(server.local_addr(), &why()).metadata.truncation, "it is too long for 512 bytes");

    let others = serve_with(Some(plan(1)), |config| config.explain_for = vec!["192.0.2.0/24".parse().unwrap()]);
    for answer in [ask_tcp(&others, &why()).await, ask_udp(others.local_addr(), &why())] {
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    }
}
