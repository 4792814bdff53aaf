//! Transport and channel: connections are shared, deadlines hold, limits hold, the dead are noticed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::server::{Server, TestWorld};
use crate::{Call, CallError, ChannelOptions, Credentials, Endpoint, Transport};

const LONG: Duration = Duration::from_secs(20);

fn echo() -> Router {
    Router::new().route("/echo", post(async |body: Bytes| body)).route("/hi", get(async || "hi"))
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let world = TestWorld::new();
    let server = world.serve("eu-west", echo()).await;
    let transport = world.transport("us-east");
    let calls = (0..50u8).map(|n| {
        let (transport, endpoint) = (transport.clone(), server.endpoint.clone());
        tokio::spawn(async move {
            let call = Call::post("/echo", "application/octet-stream", vec![n; 100]);
            transport.call(&endpoint, &call, LONG).await.unwrap().body == vec![n; 100]
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap());
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_region_must_prove_its_name_whatever_address_is_dialled() {
    let world = TestWorld::new();
    let server = world.serve("eu-west", echo()).await;
    let transport = world.transport("us-east");
    let call = |endpoint: Endpoint| {
        let transport = transport.clone();
        async move { transport.call(&endpoint, &Call::get("/hi"), LONG).await }
    };
    let addr = server.endpoint.addr;
    call(server.endpoint.clone()).await.unwrap();
    call(Endpoint { name: None, addr }).await.expect("the address is in the certificate");
    let other = call(Endpoint::region("us-west".parse().unwrap(), addr)).await.unwrap_err();
    assert!(matches!(&other, CallError::Unreachable { why, .. } if why.contains("not valid for name")), "{other}");

    let stranger = TestWorld::new().transport("us-east");
    let refused = stranger.call(&server.endpoint, &Call::get("/hi"), LONG).await.unwrap_err();
    assert!(
        matches!(&refused, CallError::Unreachable { why, .. } if why.contains("invalid peer certificate")),
        "{refused}"
    );
}

#[tokio::test]
async fn answers_beyond_the_limit_are_refused_announced_or_not() {
    let world = TestWorld::new();
    let streamed = || async {
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes>::new(4);
        tokio::spawn(async move { while sender.send_data(Bytes::from_static(&[0; 4096])).await.is_ok() {} });
        Body::new(body)
    };
    let router = Router::new().route("/whole", get(async || vec![0u8; 5000])).route("/streamed", get(streamed));
    let server = world.serve("eu-west", router).await;
    let transport = world.transport("us-east");
    for path in ["/whole", "/streamed"] {
        let answer = transport.call(&server.endpoint, &Call::get(path).most(4999), LONG).await;
        assert!(matches!(answer, Err(CallError::TooLarge { most: 4999, .. })), "{path}: {answer:?}");
    }
    transport.call(&server.endpoint, &Call::get("/whole").most(5000), LONG).await.unwrap();
}

#[tokio::test]
async fn a_deadline_holds_and_calls_that_time_out_in_a_row_condemn_the_connection() {
    let world = TestWorld::new();
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let slow = get(async move || waits.acquire().await.map(SemaphorePermit::forget).map_or("closed", |()| "open"));
    let server = world.serve("eu-west", echo().route("/slow", slow)).await;
    let transport = world.transport("us-east");
    let call = |path, within| {
        let (transport, endpoint) = (transport.clone(), server.endpoint.clone());
        async move { transport.call(&endpoint, &Call::get(path), Duration::from_millis(within)).await }
    };
    call("/hi", 20_000).await.unwrap();
    let start = Instant::now();
    let late = call("/slow", 100).await.unwrap_err();
    assert!(late.outcome_unknown() && start.elapsed() < Duration::from_secs(5), "{late}");
    call("/hi", 20_000).await.unwrap();
    call("/slow", 50).await.unwrap_err();
    call("/hi", 20_000).await.unwrap();
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "one slow call at a time proves nothing");
    call("/slow", 50).await.unwrap_err();
    call("/slow", 50).await.unwrap_err();
    call("/hi", 20_000).await.unwrap();
    assert_eq!(server.connections.load(Ordering::Relaxed), 2, "two in a row are enough");
}

#[tokio::test]
async fn a_server_that_was_killed_and_came_back_is_found_again() {
    let world = TestWorld::new();
    let server = world.serve("eu-west", echo()).await;
    let endpoint = server.endpoint.clone();
    let transport = world.transport("us-east");
    let get_hi = Call::get("/hi");
    let hi = || transport.call(&endpoint, &get_hi, LONG);
    hi().await.unwrap();
    let addr = server.kill().await;
    assert!(matches!(hi().await, Err(CallError::Unreachable { .. } | CallError::Broken { .. })));
    assert!(matches!(hi().await, Err(CallError::Unreachable { .. })), "nobody listens");
    let _back = Server::start(world.identity("eu-west"), "eu-west", addr, echo()).await;
    hi().await.unwrap();
}

#[tokio::test]
async fn a_dial_outlives_the_calls_that_cannot_wait_for_it() {
    let world = TestWorld::new();
    let server = world.serve("eu-west", echo()).await;
    let transport = world.transport("us-east");
    let hasty = Duration::from_micros(1);
    let first = transport.call(&server.endpoint, &Call::get("/hi"), hasty).await.unwrap_err();
    assert!(!first.outcome_unknown(), "nothing was sent yet: {first}");
    transport.call(&server.endpoint, &Call::get("/hi"), LONG).await.unwrap();
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "the first call's dial served the second one");
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_in_time() {
    let world = TestWorld::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::region("eu-west".parse().unwrap(), silent.local_addr().unwrap());
    let options = ChannelOptions { dial_within: Duration::from_millis(50), ..ChannelOptions::default() };
    let transport = Transport::new(&Credentials::Identity(world.identity("us-east")), options).unwrap();
    let e = transport.call(&endpoint, &Call::get("/hi"), LONG).await.unwrap_err();
    assert!(matches!(&e, CallError::Unreachable { why, .. } if why.contains("50 ms")), "{e}");
}
