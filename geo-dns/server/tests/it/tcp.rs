//! TCP: framing, pipelining, bounds.

use std::{net::SocketAddr, time::Duration};

use dns_server::DnsHandle;
use hickory_proto::{op::Message, rr::RecordType};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::*;

pub(crate) fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}

pub(crate) async fn connect(server: &DnsHandle) -> TcpStream {
    TcpStream::connect(server.local_addr()).await.unwrap()
}

pub(crate) async fn read_answer(stream: &mut TcpStream) -> Message {
    let read = async {
        let length = stream.read_u16().await.unwrap();
        let mut packet = vec![0; length.into()];
        stream.read_exact(&mut packet).await.unwrap();
        Message::from_vec(&packet).unwrap()
    };
    timeout(SOON, read).await.expect("an answer in time")
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the server closes the connection");
    assert!(rest.is_empty(), "nothing more was said");
}

pub(crate) async fn ask_tcp(server: &DnsHandle, packet: &[u8]) -> Message {
    let mut stream = connect(server).await;
    stream.write_all(&framed(packet)).await.unwrap();
    read_answer(&mut stream).await
}

fn ask_over_udp(server: SocketAddr, packet: Vec<u8>) -> tokio::task::JoinHandle<Message> {
    tokio::task::spawn_blocking(move || ask_udp(server, &packet))
}

#[tokio::test]
async fn what_does_not_fit_udp_comes_whole_over_tcp() {
    let server = serve(Some(plan(1)));
    for (name, length) in [("big.shop.test.", 1000), ("huge.shop.test.", 40_000)] {
        let packet = query(5, name, RecordType::TXT);
        let short = ask_over_udp(server.local_addr(), packet.clone()).await.unwrap();
        assert!(short.metadata.truncation && short.answers.is_empty(), "{name}");
        let whole = ask_tcp(&server, &packet).await;
        assert!(!whole.metadata.truncation);
        assert_eq!(data(&whole)[0].len(), length, "{name}");
    }
    assert_eq!(server.counters().truncated, 2);
}

#[tokio::test]
async fn both_transports_give_the_same_answer() {
    let server = serve(Some(plan(1)));
    for name in ["www.shop.test.", "no.shop.test.", "shop.test.", "example.com."] {
        let packet = query(5, name, RecordType::A);
        let udp = ask_over_udp(server.local_addr(), packet.clone()).await.unwrap();
        assert_eq!(ask_tcp(&server, &packet).await, udp, "{name}");
    }
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_their_order() {
    let server = serve(Some(plan(1)));
    let mut stream = connect(&server).await;
    let names = ["www.shop.test.", "huge.shop.test.", "no.shop.test."];
    let queries: Vec<u8> =
        (0..300).flat_map(|id| framed(&query(id, names[usize::from(id) % 3], RecordType::TXT))).collect();
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all(&queries).await.unwrap() };
    let read = async {
        for id in 0..300 {
            let length = reader.read_u16().await.unwrap();
            let mut packet = vec![0; length.into()];
            reader.read_exact(&mut packet).await.unwrap();
            assert_eq!(packet[..2], u16::to_be_bytes(id));
        }
    };
    timeout(SOON, async { tokio::join!(write, read) }).await.expect("300 answers in time");
    assert_eq!(server.counters().connections, 1);
}

#[tokio::test]
async fn a_query_may_come_in_pieces() {
    let server = serve(Some(plan(1)));
    let mut stream = connect(&server).await;
    stream.set_nodelay(true).unwrap();
    for byte in framed(&query(5, "www.shop.test.", RecordType::A)) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(data(&read_answer(&mut stream).await), ["192.0.2.1"]);
}

#[tokio::test]
async fn who_sends_no_query_is_closed() {
    let server = serve(Some(plan(1)));
    let response = [0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for bytes in
        [vec![0, 0], vec![0xff, 0xff], vec![0x10, 0x01, 0, 0], framed(&response), b"GET / HTTP/1.1\r\n".to_vec()]
    {
        let mut stream = connect(&server).await;
        stream.write_all(&bytes).await.unwrap();
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn who_is_idle_is_closed() {
    let server = serve_with(Some(plan(1)), |config| config.tcp.idle = Duration::from_millis(50));
    let mut silent = connect(&server).await;
    closed(&mut silent).await;
    let mut slow = connect(&server).await;
    slow.write_all(&[0]).await.unwrap();
    closed(&mut slow).await;
}

#[tokio::test]
async fn who_never_reads_is_closed_and_holds_little() {
    let server = serve_with(Some(plan(1)), |config| config.tcp.idle = Duration::from_millis(200));
    let mut stream = connect(&server).await;
    let packet = framed(&query(5, "huge.shop.test.", RecordType::TXT));
    // 40 KB for each of these: far more than sockets hold. Not one answer is read.
    let asked = async { while stream.write_all(&packet).await.is_ok() {} };
    timeout(SOON, asked).await.expect("the server lets go of who does not read");
    let answered: u64 = server.counters().answers.values().sum();
    // What was answered fits the sockets' buffers and one outbox; the rest was not even looked at.
    assert!(answered * 40_000 < 64 << 20, "{answered} answers were made for nobody");
}

#[tokio::test]
async fn who_trickles_has_as_long_as_who_is_idle() {
    let server = serve_with(Some(plan(1)), |config| config.tcp.idle = Duration::from_millis(300));
    let mut stream = connect(&server).await;
    stream.set_nodelay(true).unwrap();
    // A byte now and then does not put it off: what counts is the whole query.
    let trickle = async {
        for byte in framed(&query(5, "www.shop.test.", RecordType::A)).into_iter().cycle() {
            if stream.write_all(&[byte & 1]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, trickle).await.expect("the server closes the connection");
    assert_eq!(server.counters().answers.len(), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_places_come_back() {
    let server = serve_with(Some(plan(1)), |config| config.tcp.per_source = 2);
    let packet = framed(&query(5, "www.shop.test.", RecordType::A));
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    for stream in [&mut first, &mut second] {
        stream.write_all(&packet).await.unwrap();
        read_answer(stream).await;
    }
    let mut third = connect(&server).await;
    closed(&mut third).await;
    assert_eq!(server.counters().connections_refused, 1);
    drop(first);
    let free = async {
        while server.counters().connections < 3 {
            drop(connect(&server).await);
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, free).await.expect("the place of who has gone is free");
}

#[tokio::test]
async fn stopping_closes_connections() {
    let server = serve(Some(plan(1)));
    let mut stream = connect(&server).await;
    stream.write_all(&framed(&query(5, "www.shop.test.", RecordType::A))).await.unwrap();
    read_answer(&mut stream).await;
    server.shutdown().await;
    closed(&mut stream).await;
}
