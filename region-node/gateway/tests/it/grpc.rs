//! HTTP/2 in, HTTP/2 out: gRPC with its trailers, many calls on one connection.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use gateway::{AppConfig, Protocol};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{Raw, World, app, dead_address};

/// A gRPC server in the small: sends the message back, its own trailers after it, and the caller's trailers in a header.
async fn grpc_worker() -> (SocketAddr, Arc<AtomicU32>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let opened = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&opened);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            connections.spawn(async move {
                let service = service_fn(|request: Request<Incoming>| async {
                    assert_eq!(request.version(), Version::HTTP_2);
                    assert_eq!(request.headers()["te"], "trailers");
                    assert_eq!(request.uri().authority().unwrap(), "shop.test");
                    let status = request.headers().get("x-status").cloned().unwrap_or(HeaderValue::from_static("0"));
                    let whole = request.into_body().collect().await.unwrap();
                    let sum = whole.trailers().and_then(|fields| fields.get("x-sum")).cloned();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", status);
                    let body = Full::new(whole.to_bytes()).with_trailers(async move { Some(Ok(trailers)) });
                    let mut response = Response::new(body);
                    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
                    response.headers_mut().insert("x-got-sum", sum.unwrap_or(HeaderValue::from_static("none")));
                    Ok::<_, Infallible>(response)
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, opened, task)
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn client(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn call(message: &'static str, status: &'static str) -> Request<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let body = Full::from(message).with_trailers(async move { Some(Ok(trailers)) }).boxed();
    Request::post("http://shop.test/a.B/C")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-status", status)
        .body(body)
        .unwrap()
}

fn h2c(addresses: &[SocketAddr]) -> AppConfig {
    AppConfig { protocol: Protocol::H2c, ..app("shop", addresses) }
}

#[tokio::test]
async fn calls_pass_with_trailers_both_ways_on_one_connection() {
    let world = World::start().await;
    let (address, opened, _worker) = grpc_worker().await;
    world.gateway.set_apps(vec![h2c(&[address])]).unwrap();
    let sender = client(world.address()).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let response = sender.send_request(call("hello", "5")).await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(response.headers()["x-got-sum"], "7");
                let whole = response.into_body().collect().await.unwrap();
                assert_eq!(whole.trailers().unwrap()["grpc-status"], "5");
                assert_eq!(whole.to_bytes(), "hello");
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    // NOT_FOUND is the caller's fault, INTERNAL is not.
    assert_eq!(world.metric(r#"worker_failures_total{app="shop",worker="0"}"#), 0.0);
}

#[tokio::test]
async fn a_call_without_a_server_gets_a_status_of_its_own_kind() {
    let world = World::start().await;
    let mut shop = h2c(&[dead_address().await]);
    shop.limits.worker_wait = std::time::Duration::from_millis(50);
    world.gateway.set_apps(vec![shop]).unwrap();
    let response = client(world.address()).await.send_request(call("hello", "0")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["x-atoll-refused"], "unreachable");
}

#[tokio::test]
async fn a_call_to_an_http1_worker_keeps_te_and_gets_its_trailers() {
    let world = World::start().await;
    let old = crate::support::raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        let head = raw.head().await.to_lowercase();
        assert!(head.contains("te: trailers\r\nconnection: te\r\n"), "{head}");
        raw.until("x-sum: 7\r\n\r\n").await;
        raw.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n").await;
    })
    .await;
    world.set_workers(&[old.address]);
    let response = client(world.address()).await.send_request(call("hello", "0")).await.unwrap();
    let whole = response.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn an_h2c_worker_that_restarts_is_found_again() {
    let world = World::start().await;
    let (first, _, task) = grpc_worker().await;
    world.gateway.set_apps(vec![h2c(&[first])]).unwrap();
    let mut sender = client(world.address()).await;
    assert_eq!(sender.send_request(call("one", "0")).await.unwrap().status(), 200);
    task.abort();
    let _ = task.await;
    let (second, _, _task) = grpc_worker().await;
    let list = Arc::from([model::Worker { life: 9, ..model::Worker::ready_at(0, second) }]);
    let next = AppConfig { protocol: Protocol::H2c, ..AppConfig::new("shop", tokio::sync::watch::channel(list).1) };
    world.gateway.set_apps(vec![next]).unwrap();
    let response = sender.send_request(call("two", "0")).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("grpc-status")), (200, None));
}

/// What a head must say is not believed from behind a body; h2 lets it pass.
#[tokio::test]
async fn trailers_that_belong_into_a_head_do_not_reach_a_worker() {
    let world = World::start().await;
    let old = crate::support::raw_worker(async |stream: TcpStream| {
        let mut raw = Raw::of(stream);
        raw.head().await;
        let rest = raw.until("x-sum: 7\r\n\r\n").await.to_lowercase();
        let status = if rest.contains("0\r\nx-sum: 7\r\n\r\n") { 0 } else { 13 };
        raw.write(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: {status}\r\n\r\n"))
            .await;
    })
    .await;
    world.set_workers(&[old.address]);
    let mut trailers = HeaderMap::new();
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6"),
        ("authorization", "Basic YWRtaW46"),
        ("content-length", "5"),
        ("x-request-id", "forged"),
        ("x_real_ip", "6.6.6.6"),
        ("x-sum", "7"),
    ] {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    let body = Full::from("hello").with_trailers(async move { Some(Ok(trailers)) }).boxed();
    let request =
        Request::post("http://shop.test/a.B/C").header("content-type", "application/grpc").body(body).unwrap();
    let response = client(world.address()).await.send_request(request).await.unwrap();
    let whole = response.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
}
