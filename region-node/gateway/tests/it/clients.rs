//! Clients of every manner: HTTP/2, WebSocket, slow, rude, too many.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::support::{PATIENCE, World, raw_worker, read, text, until, worker};

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_with_many_streams_on_one_connection() {
    let world = World::start().await;
    let echo = worker(async |request| {
        let cookie = request.headers()["cookie"].to_str().unwrap().to_owned();
        text(format!("{} {} {cookie}", request.uri(), request.headers()["host"].to_str().unwrap()))
    })
    .await;
    world.set_workers(&[echo.address]);
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = |n: u32| {
        let mut sender = sender.clone();
        let uri = format!("http://shop.test/{n}");
        let request = Request::get(uri).header("cookie", "a=1").header("cookie", "b=2").body(Full::<Bytes>::default());
        async move { read(sender.send_request(request.unwrap()).await.unwrap()).await.unwrap() }
    };
    let answers: Vec<_> = (0..20).map(|n| tokio::spawn(ask(n))).collect();
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.await.unwrap();
        assert_eq!(answer.body, format!("/{n} shop.test a=1; b=2"));
        assert_eq!(answer.header("x-atoll-region"), Some("us-east"));
    }
    assert_eq!(world.metric("connections_total"), 1.0);
}

#[tokio::test]
async fn a_websocket_passes_both_ways_and_counts_as_under_way() {
    let world = World::start().await;
    let live = raw_worker(async |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        assert!(String::from_utf8_lossy(&head).to_lowercase().contains("upgrade: websocket"));
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome";
        stream.write_all(answer).await.unwrap();
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    world.set_workers(&[live.address]);
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    let head = "GET /live HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"welcome") {
        assert!(client.read_buf(&mut seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
    }
    let head = String::from_utf8_lossy(&seen).to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("x-atoll-region: us-east"), "{head}");
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    assert_eq!(world.in_flight(), [(0, 1)]);
    drop(client);
    until("the tunnel is gone", || world.in_flight() == [(0, 0)]).await;
    assert_eq!(world.metric("tunnels_total"), 1.0);
}

/// Writes `head`, then waits for the gateway to hang up; says how long that took.
async fn cut_after(world: &World, head: &[u8]) -> Duration {
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(head).await.unwrap();
    let started = Instant::now();
    let mut sink = Vec::new();
    let _ = timeout(PATIENCE, client.read_to_end(&mut sink)).await.expect("the gateway hangs up");
    started.elapsed()
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_whatever_it_begins_with() {
    let world = World::with(|limits| limits.header_timeout = Duration::from_millis(300)).await;
    for head in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\nx-slow:", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        let took = cut_after(&world, head.as_bytes()).await;
        assert!(took >= Duration::from_millis(200), "{head:?} was cut after {took:?}");
    }
    until("all slots are free", || world.metric("connections_open") == 0.0).await;
}

#[tokio::test]
async fn an_oversized_head_is_refused() {
    let world = World::start().await;
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x: {}\r\n", "a".repeat(70 * 1024));
    for lines in [many, long] {
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
        // The gateway may hang up before all is written.
        let _ = client.write_all(head.as_bytes()).await;
        let mut line = [0; 12];
        client.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"HTTP/1.1 431");
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_free_slot() {
    let world = World::with(|limits| limits.max_connections = 2).await;
    let shop = worker(async |_| text("served")).await;
    world.set_workers(&[shop.address]);
    let idle = [TcpStream::connect(world.address()).await.unwrap(), TcpStream::connect(world.address()).await.unwrap()];
    until("both hold a slot", || world.metric("connections_open") == 2.0).await;
    let (answer, ()) = tokio::join!(world.get("/", &[]), async move {
        drop(idle);
    });
    assert_eq!(answer.body, "served");
    assert!(world.metric("connections_total") >= 3.0);
}

/// `ATOLL_HTTP_HEADS=1000000` for a long look; a few minutes in a release build.
#[tokio::test]
async fn random_bytes_do_no_harm() {
    let rounds = std::env::var("ATOLL_HTTP_HEADS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000);
    let world = World::start().await;
    let shop = worker(async |_| text("still here")).await;
    world.set_workers(&[shop.address]);
    let mut random = fastrand::Rng::with_seed(7);
    let seeds: [&[u8]; 4] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ];
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.usize(1..20) {
            if !bytes.is_empty() && random.bool() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            } else {
                bytes.push(random.u8(..));
            }
        }
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        let _ = client.write_all(&bytes).await;
        let _ = client.shutdown().await;
        let mut sink = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut sink)).await.expect("the gateway hangs up");
    }
    assert_eq!(world.get("/", &[]).await.body, "still here");
    until("no connection stays", || world.metric("connections_open") <= 1.0).await;
}
