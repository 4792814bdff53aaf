//! UDP, and the server as a whole.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dns_server::{DnsConfig, Views, start};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use steering::{Basis, Rcode, Transport};

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_steered_name_is_answered_and_counted() {
    let server = serve(Some(plan(1)));
    let answer = ask_udp(server.local_addr(), &query(77, "www.shop.test.", RecordType::A));
    assert_eq!(answer.metadata.id, 77);
    assert!(answer.metadata.authoritative);
    assert_eq!(data(&answer), ["192.0.2.1"]);
    ask_udp(server.local_addr(), &query(78, "no.shop.test.", RecordType::A));
    ask_udp(server.local_addr(), &query(79, "example.com.", RecordType::A));

    let counters = server.counters();
    for (rcode, count) in [(Rcode::NoError, 1), (Rcode::NxDomain, 1), (Rcode::Refused, 1)] {
        assert_eq!(counters.answers[&(Transport::Udp, rcode)], count, "{rcode}");
    }
    assert_eq!(counters.zones["shop.test"], 2);
    assert_eq!(counters.regions[&region("us-east")], 1);
    assert_eq!(counters.bases, BTreeMap::from([(Basis::FirstChoice, 1)]));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plan_names_are_refused() {
    let server = serve(None);
    let answer = ask_udp(server.local_addr(), &query(1, "www.shop.test.", RecordType::A));
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let first = serve(None);
    let addr = first.local_addr();
    let error = start(DnsConfig::new(addr), Views::default(), never_heard()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot serve DNS on {addr} (UDP): Address already in use")), "{error}");
    assert!(error.contains(&format!("`ss -lunp 'sport = :{}'`", addr.port())), "{error}");

    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error =
        start(DnsConfig::new(tcp.local_addr().unwrap()), Views::default(), never_heard()).unwrap_err().to_string();
    assert!(error.contains("(TCP): Address already in use") && error.contains("`ss -ltnp "), "{error}");

    let error = start(DnsConfig::new("192.0.2.77:0".parse().unwrap()), Views::default(), never_heard())
        .unwrap_err()
        .to_string();
    assert!(error.contains("192.0.2.77 is not an address of this machine"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_gives_its_port_back() {
    let server = serve(Some(plan(1)));
    let addr = server.local_addr();
    ask_udp(addr, &query(1, "www.shop.test.", RecordType::A));
    let stream = std::net::TcpStream::connect(addr).unwrap();
    server.shutdown().await;
    let again = start(DnsConfig::new(addr), Views::default(), never_heard()).unwrap();
    assert_eq!(again.local_addr(), addr);
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_thread_answers_and_all_are_counted_together() {
    let server = serve_with(Some(plan(1)), |config| config.threads = NonZeroUsize::new(4).unwrap());
    // The kernel chooses the thread by the client's port: 64 of them meet all four, but for once in ten million times.
    for id in 0..64 {
        let answer = ask_udp(server.local_addr(), &query(id, "www.shop.test.", RecordType::A));
        assert_eq!(data(&answer), ["192.0.2.1"]);
    }
    let counters = server.counters();
    assert_eq!(counters.answers[&(Transport::Udp, Rcode::NoError)], 64);
    assert_eq!(counters.zones["shop.test"], 64);
    assert_eq!(counters.regions[&region("us-east")], 64);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_every_address_answers_from_the_one_that_was_asked() {
    for (wildcard, asked) in [("0.0.0.0:0", &["127.0.0.1", "127.0.0.99"][..]), ("[::]:0", &["::1"])] {
        let server = serve_with(Some(plan(1)), |config| config.listen = wildcard.parse().unwrap());
        for addr in asked {
            let addr = SocketAddr::new(addr.parse().unwrap(), server.local_addr().port());
            // `ask_udp` looks where the answer comes from.
            assert_eq!(data(&ask_udp(addr, &query(1, "www.shop.test.", RecordType::A))), ["192.0.2.1"], "{addr}");
        }
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn latencies_are_counted_once_an_answer() {
    let server = serve(Some(plan(1)));
    for id in 0..20 {
        ask_udp(server.local_addr(), &query(id, "www.shop.test.", RecordType::A));
    }
    // The time is noted right after the answer is sent.
    let counted = async {
        while server.counters().latency[&Transport::Udp].count() < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("20 latencies");
    assert_eq!(server.counters().latency[&Transport::Udp].count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_under_load_stops() {
    let server = serve(Some(plan(1)));
    let addr = server.local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let packet = query(1, "www.shop.test.", RecordType::A);
                while !stop.load(Ordering::Relaxed) {
                    // Once the server is gone the kernel says so.
                    let _ = socket.send_to(&packet, addr);
                }
            })
        })
        .collect();
    let stopped = tokio::time::timeout(SOON, server.shutdown()).await;
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    stopped.expect("it stops though there is always more");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_answered_or_not_and_hurts_nobody() {
    let server = serve(Some(plan(1)));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = 1_u32;
    for round in 0..20_000_usize {
        let packet: Vec<u8> = (0..round % 700)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        socket.send_to(&packet, server.local_addr()).unwrap();
    }
    // What the kernel dropped of it does not matter; the server still answers.
    let answer = ask_udp(server.local_addr(), &query(9, "www.shop.test.", RecordType::A));
    assert_eq!(data(&answer), ["192.0.2.1"]);
    assert!(server.counters().silent > 0);
}
