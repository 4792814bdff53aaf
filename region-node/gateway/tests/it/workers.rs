//! Workers that are missing, slow, dying or streaming.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::support::{World, dead_address, raw_worker, request, text, until, worker, worker_at};

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_worker_whatever_the_method() {
    let world = World::start().await;
    let alive = worker(async |_| text("alive")).await;
    world.set_workers(&[dead_address().await, alive.address]);
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE].iter().cycle().take(40) {
        let answer = world.send(method.clone(), "/", &[], "body").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "alive"));
    }
    assert!(world.metric("connect_failures_total") >= 1.0);
    assert_eq!(world.metric("refusals_total"), 0.0);
}

#[tokio::test]
async fn without_a_ready_worker_a_request_waits_and_then_gets_503() {
    let world = World::with(|limits| limits.worker_wait = Duration::from_millis(200)).await;
    let started = Instant::now();
    let answer = world.get("/", &[]).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("x-atoll-region"), Some("us-east"));
    assert_eq!(answer.body, "no worker of the app is ready; try again in a moment\n");
}

#[tokio::test]
async fn a_worker_that_becomes_ready_in_time_serves_the_waiting_request() {
    let world = World::with(|limits| limits.worker_wait = Duration::from_secs(20)).await;
    let late = worker(async |_| text("just in time")).await;
    let (answer, ()) = tokio::join!(world.get("/", &[]), async {
        until("the request is there", || world.metric("connections_open") > 0.0).await;
        world.set_workers(&[late.address]);
    });
    assert_eq!(answer.body, "just in time");
}

#[tokio::test]
async fn when_no_worker_takes_a_connection_the_answer_is_502() {
    let world = World::with(|limits| limits.worker_wait = Duration::from_millis(100)).await;
    world.set_workers(&[dead_address().await, dead_address().await]);
    let answer = world.get("/", &[("accept", "application/json")]).await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains(r#""error":"the app's workers cannot be reached"#), "{}", answer.body);
}

/// Answers one request on each connection, closes it when the second arrives.
async fn one_answer_then_death(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let _ = stream.read(&mut buffer).await;
}

#[tokio::test]
async fn a_kept_connection_that_dies_before_an_answer_is_noticed_only_where_repeating_is_unsafe() {
    let world = World::start().await;
    let mortal = raw_worker(one_answer_then_death).await;
    world.set_workers(&[mortal.address]);
    for _ in 0..10 {
        assert_eq!(world.get("/", &[]).await.status, 200);
    }
    assert!(world.metric("retries_total") >= 5.0);
    // The first POST may use a fresh connection, the second meets a kept one or again a fresh one.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(world.send(Method::POST, "/", &[], "pay once").await.status.as_u16());
    }
    assert!(statuses.contains(&502), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 502].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn no_request_fails_while_workers_are_killed_and_come_back() {
    let world = World::start().await;
    let mut first = worker(async |_| text("first")).await;
    let second = worker(async |_| text("second")).await;
    let addresses = [first.address, second.address];
    world.set_workers(&addresses);
    let gateway = world.address();
    let done = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                for _ in 0..250 {
                    let answer = request(gateway, Method::GET, "/", &[], "").await.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=5 {
        until("load goes on", || done.load(Ordering::Relaxed) >= round * 150).await;
        let address = first.address;
        // Killed, and the list says so only later.
        drop(first);
        until("load goes on without it", || done.load(Ordering::Relaxed) >= round * 150 + 50).await;
        first = worker_at(address, async |_| text("first")).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    until("nothing is under way", || world.in_flight() == [(0, 0), (1, 0)]).await;
}

#[tokio::test]
async fn a_silent_worker_gets_504_and_a_silent_client_408() {
    let world = World::with(|limits| limits.request_timeout = Duration::from_millis(200)).await;
    let silent = raw_worker(async |mut stream| drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await)).await;
    world.set_workers(&[silent.address]);
    let answer = world.get("/", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (504, "the app did not answer within 200ms\n"));

    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    let mut line = [0; 12];
    client.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 408");
}

#[tokio::test]
async fn the_least_loaded_worker_is_asked() {
    let world = World::start().await;
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = {
        let release = Arc::clone(&release);
        worker(move |_| {
            let release = Arc::clone(&release);
            async move {
                drop(release.acquire().await);
                text("slow")
            }
        })
        .await
    };
    let quick = worker(async |_| text("quick")).await;
    world.set_workers(&[slow.address, quick.address]);
    let gateway = world.address();
    let ask = move || tokio::spawn(async move { request(gateway, Method::GET, "/", &[], "").await.unwrap().body });
    let waiting: Vec<_> = (0..2).map(|_| ask()).collect();
    until("one request is at the slow worker", || world.in_flight() == [(0, 1), (1, 0)]).await;
    for _ in 0..10 {
        assert_eq!(ask().await.unwrap(), "quick");
    }
    release.add_permits(10);
    for answer in waiting {
        answer.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_streams_and_its_pause_is_bounded() {
    let world = World::with(|limits| limits.body_idle = Duration::from_millis(300)).await;
    let streaming = raw_worker(async |mut stream| {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    world.set_workers(&[streaming.address]);
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|window| window == b"first") {
        assert!(client.read_buf(&mut seen).await.unwrap() > 0, "closed before the first piece");
    }
    // Then the worker pauses for ever, and the answer is cut instead of ended.
    while client.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {}
    assert!(!seen.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_closed_before_the_worker_would() {
    let world = World::with(|limits| limits.pool_idle = Duration::from_millis(500)).await;
    let (opened, closed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let keeping = {
        let (opened, closed) = (Arc::clone(&opened), Arc::clone(&closed));
        raw_worker(move |mut stream| {
            opened.fetch_add(1, Ordering::Relaxed);
            let closed = Arc::clone(&closed);
            async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
                closed.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await
    };
    world.set_workers(&[keeping.address]);
    for _ in 0..20 {
        assert_eq!(world.get("/", &[]).await.body, "ok");
    }
    let used = opened.load(Ordering::Relaxed);
    // One, but for a request that came more than half a second after the last on a loaded machine.
    assert!(used < 20, "{used} connections for 20 requests");
    until("idle connections are closed", || closed.load(Ordering::Relaxed) == opened.load(Ordering::Relaxed)).await;
}
