//! Bodies in all their ways: framed, chunked, with trailers, held back, both ways at once, and far larger than memory should be.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{PATIENCE, Raw, TestWorker, World, raw_worker, until};

/// A worker that answers each request with these bytes, whatever it was, and then stays.
async fn answering(answer: &'static str) -> TestWorker {
    raw_worker(move |stream: TcpStream| async move {
        let mut raw = Raw::of(stream);
        while !raw.head().await.is_empty() {
            raw.write(answer).await;
        }
    })
    .await
}

/// What a client of HTTP/1.1 sees of an answer: head and all that follows, until `end`.
async fn seen(request: &str, answer: &'static str, end: &str) -> String {
    let world = World::start().await;
    let worker = answering(answer).await;
    world.set_workers(&[worker.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write(format!("{request} HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")).await;
    let head = client.head().await.to_lowercase();
    let head: Vec<&str> = head
        .lines()
        .filter(|line| !["date", "x-atoll", "x-request"].iter().any(|own| line.starts_with(own)) && !line.is_empty())
        .collect();
    let body = if end.is_empty() { String::new() } else { client.until(end).await };
    // The connection serves the next request, whatever the last answer was like.
    client.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"), "after {request}");
    format!("{}|{body}", head.join("|")).replace("\r\n", "|")
}

#[tokio::test]
async fn an_answer_keeps_its_frame() {
    for (request, answer, end, expected) in [
        (
            "GET /",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "hello",
            "http/1.1 200 ok|content-length: 5|hello",
        ),
        ("GET /", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", "http/1.1 200 ok|content-length: 0|"),
        ("HEAD /", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "", "http/1.1 200 ok|content-length: 5|"),
        ("GET /", "HTTP/1.1 204 No Content\r\n\r\n", "", "http/1.1 204 no content|"),
        ("GET /", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", "", "http/1.1 304 not modified|"),
        (
            "GET /",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "0\r\n\r\n",
            "http/1.1 200 ok|transfer-encoding: chunked|5|hello|0||",
        ),
        (
            "GET /",
            "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n",
            "x-sum: 7\r\n\r\n",
            "http/1.1 200 ok|trailer: x-sum|transfer-encoding: chunked|5|hello|0|x-sum: 7||",
        ),
        (
            "GET /",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            "x",
            "http/1.1 200 ok|content-length: 1|x",
        ),
    ] {
        assert_eq!(seen(request, answer, end).await, expected, "{request} {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_comes_whole_and_one_cut_short_is_not_taken_for_whole() {
    let world = World::start().await;
    let closing = raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        let head = raw.head().await;
        if head.starts_with("GET /short") {
            raw.write("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf").await;
        } else {
            raw.write("HTTP/1.0 200 OK\r\n\r\nall of it").await;
        }
    })
    .await;
    world.set_workers(&[closing.address]);
    assert_eq!(world.get("/", &[]).await.body, "all of it");
    let mut client = Raw::connect(world.address()).await;
    client.write("GET /short HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.head().await.to_lowercase().contains("content-length: 50"));
    assert_eq!(client.until("never").await, "half", "and then the connection is closed");
}

#[tokio::test]
async fn the_worker_decides_whether_a_body_is_sent_at_all() {
    let world = World::start().await;
    let picky = raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        let head = raw.head().await.to_lowercase();
        assert!(head.contains("expect: 100-continue"), "{head}");
        if head.starts_with("post /no") {
            raw.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno\n").await;
        } else {
            raw.write("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(raw.until("body").await, "body");
            raw.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
        }
    })
    .await;
    world.set_workers(&[picky.address]);
    for (path, expected) in [("/yes", "HTTP/1.1 100"), ("/no", "HTTP/1.1 413")] {
        let mut client = Raw::connect(world.address()).await;
        client
            .write(format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert!(head.starts_with(expected), "{head}");
        if path == "/yes" {
            client.write("body").await;
            assert!(client.until("yes").await.starts_with("HTTP/1.1 200"));
        }
    }
}

#[tokio::test]
async fn a_worker_that_does_not_know_expect_gets_the_body_after_a_while() {
    let world = World::start().await;
    let old = raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        raw.until("body").await;
        raw.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    world.set_workers(&[old.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\nbody").await;
    assert!(client.until("ok").await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_chunked_request_arrives_with_its_trailers() {
    let world = World::start().await;
    let telling = raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        let head = raw.head().await.to_lowercase();
        assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
        let body = raw.until("x-sum: 7\r\n\r\n").await;
        let body = body.replace("\r\n", "|");
        raw.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    })
    .await;
    world.set_workers(&[telling.address]);
    let mut client = Raw::connect(world.address()).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(format!("{request}5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    client.head().await;
    assert_eq!(client.until("x-sum: 7||").await, "5|hello|0|x-sum: 7||");
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let world = World::start().await;
    let (next, more) = tokio::sync::watch::channel(0);
    let events = raw_worker(move |stream: TcpStream| {
        let mut more = more.clone();
        async move {
            let mut raw = Raw::of(stream);
            raw.head().await;
            raw.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
            for n in 1..=3 {
                let _ = more.wait_for(|count| *count >= n).await;
                raw.write(format!("9\r\ndata: {n}\n\n\r\n")).await;
            }
            raw.write("0\r\n\r\n").await;
        }
    })
    .await;
    world.set_workers(&[events.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    for n in 1..=3 {
        next.send_replace(n);
        client.until(&format!("data: {n}\n\n")).await;
    }
    client.until("0\r\n\r\n").await;
    until("it is over", || world.in_flight() == [(0, 0)]).await;
}

const LARGE: usize = 64 * 1024 * 1024;

/// A worker that sends back what it gets, as it gets it.
async fn echo() -> TestWorker {
    raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        raw.head().await;
        raw.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")).await;
        let mut stream = raw.stream;
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await
}

#[tokio::test]
async fn a_large_body_streams_both_ways_at_once() {
    let world = World::start().await;
    let echo = echo().await;
    world.set_workers(&[echo.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n")).await;
    client.head().await;
    let (mut from, mut to) = client.stream.into_split();
    let sending = tokio::spawn(async move {
        let portion = vec![b'x'; 256 * 1024];
        for _ in 0..LARGE / portion.len() {
            to.write_all(&portion).await.unwrap();
        }
        to
    });
    let (mut buffer, mut left) = (vec![0; 256 * 1024], LARGE);
    while left > 0 {
        let read = tokio::time::timeout(PATIENCE, from.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "{left} bytes are missing");
        assert!(buffer[..read].iter().all(|byte| *byte == b'x'));
        left -= read;
    }
    drop(sending.await.unwrap());
    until("it is over", || world.in_flight() == [(0, 0)]).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_worker_instead_of_filling_memory() {
    let world = World::start().await;
    let (sent, mut told) = tokio::sync::watch::channel(0usize);
    let fast = raw_worker(move |stream: TcpStream| {
        let sent = sent.clone();
        async move {
            let mut raw = Raw::of(stream);
            raw.head().await;
            raw.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")).await;
            let portion = vec![0; 64 * 1024];
            while raw.stream.write_all(&portion).await.is_ok() {
                sent.send_modify(|sent| *sent += portion.len());
            }
        }
    })
    .await;
    world.set_workers(&[fast.address]);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut client = Raw::of(socket.connect(world.address()).await.unwrap());
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    // It goes on until every buffer on the way is full, and then no more.
    while tokio::time::timeout(Duration::from_millis(700), told.changed()).await.is_ok() {}
    let held = *told.borrow();
    assert!(held < LARGE / 2, "{held} bytes are on the way");
}
