//! WebSockets to workers that speak HTTP/2 (RFC 8441), from clients of both versions; and how long a tunnel may do nothing.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use gateway::{AppConfig, Protocol};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Worker;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::support::{PATIENCE, Raw, World, app, raw_worker, until};

/// What a worker saw of a handshake.
struct Seen {
    method: Method,
    protocol: Option<String>,
    uri: String,
    headers: HeaderMap,
}

/// Aborts its worker.
struct Live(SocketAddr, JoinHandle<()>, mpsc::UnboundedReceiver<Seen>);

impl Drop for Live {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// An h2c worker that greets each WebSocket and sends back what it says, or refuses it at `/forbidden`.
async fn live(announces: bool) -> Live {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            connections.spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = greet(request, &tell);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                if announces {
                    server.enable_connect_protocol();
                }
                // As strict as a worker can be: what stays must not be in the way of what comes.
                server.max_concurrent_streams(1);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Live(address, task, told)
}

fn greet(mut request: Request<Incoming>, tell: &mpsc::UnboundedSender<Seen>) -> Response<Empty<Bytes>> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str().to_owned());
    let (method, uri, headers) = (request.method().clone(), request.uri().to_string(), request.headers().clone());
    let mut response = Response::new(Empty::new());
    response.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    // Some frameworks say so of every answer without a body.
    response.headers_mut().insert("content-length", "0".parse().unwrap());
    if request.uri().path() == "/forbidden" {
        *response.status_mut() = StatusCode::FORBIDDEN;
    } else if method == Method::CONNECT {
        let switching = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(switching.await.unwrap());
            // An empty frame, so that a close frame has its place behind what is said.
            stream.write_all(&[0x82, 0]).await.unwrap();
            let (mut from, mut to) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        });
    }
    let _ = tell.send(Seen { method, protocol, uri, headers });
    response
}

fn h2c(addresses: &[SocketAddr]) -> AppConfig {
    AppConfig { protocol: Protocol::H2c, ..app("shop", addresses) }
}

const HANDSHAKE: &str = "host: shop.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-protocol: chat\r\n";

async fn http2(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    // Our SETTINGS have come when the first answer has.
    let mut first = sender.clone();
    first.send_request(Request::get("http://shop.test/healthz").body(Empty::new()).unwrap()).await.unwrap();
    sender
}

fn connect(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::connect(format!("http://shop.test{path}")).header("sec-websocket-version", "13");
    request.extension(hyper::ext::Protocol::from_static("websocket")).body(Empty::new()).unwrap()
}

async fn says(from: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    timeout(PATIENCE, from.read_exact(&mut got)).await.expect("something comes").unwrap();
    assert_eq!(got, expected);
}

/// Bytes both ways, then an end that reaches the worker.
async fn talk(world: &World, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    says(&mut stream, &[0x82, 0]).await;
    assert_eq!(world.in_flight(), [(0, 1)]);
    talk_on(stream).await;
    until("the tunnel is gone", || world.in_flight() == [(0, 0)]).await;
}

/// The same, after the greeting.
async fn talk_on(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let long = vec![7; 300_000];
    let (mut from, mut to) = tokio::io::split(&mut stream);
    tokio::join!(says(&mut from, &long), async {
        to.write_all(&long).await.unwrap();
        to.flush().await.unwrap();
    });
    to.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, from.read_to_end(&mut rest)).await.expect("the worker's end comes");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn an_http1_handshake_reaches_a_worker_of_http2_as_extended_connect() {
    let world = World::start().await;
    let mut live = live(true).await;
    world.gateway.set_apps(vec![h2c(&[live.0])]).unwrap();
    let mut client = Raw::connect(world.address()).await;
    client
        .write(format!("GET /live?a=1 HTTP/1.1\r\n{HANDSHAKE}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
        .await;
    let head = client.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    for line in ["upgrade: websocket", "connection: upgrade", "sec-websocket-protocol: chat", "x-atoll-region: us-east"]
    {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("content-length"), "{head}");
    // RFC 6455, 1.3; the worker has never seen the key.
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    let seen = live.2.recv().await.unwrap();
    assert_eq!((seen.method, seen.protocol.as_deref()), (Method::CONNECT, Some("websocket")));
    assert_eq!(seen.uri, "http://shop.test/live?a=1");
    assert_eq!(seen.headers["sec-websocket-version"], "13");
    assert_eq!(seen.headers["sec-websocket-protocol"], "chat");
    for gone in ["sec-websocket-key", "upgrade", "connection"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    talk(&world, client.rest()).await;
    assert_eq!(world.metric("tunnels_total"), 1.0);
}

#[tokio::test]
async fn an_http2_handshake_reaches_a_worker_of_http2() {
    let world = World::start().await;
    let mut live = live(true).await;
    world.gateway.set_apps(vec![h2c(&[live.0])]).unwrap();
    let mut sender = http2(world.address()).await;
    let mut response = sender.send_request(connect("/live")).await.unwrap();
    assert_eq!(response.status(), 200);
    for gone in ["sec-websocket-accept", "content-length"] {
        assert!(!response.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(live.2.recv().await.unwrap().protocol.as_deref(), Some("websocket"));
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    talk(&world, TokioIo::new(upgraded)).await;
}

/// The worker takes one stream at a time in a connection.
#[tokio::test]
async fn websockets_that_stay_are_not_in_the_way_of_requests() {
    let world = World::start().await;
    let live = live(true).await;
    world.gateway.set_apps(vec![h2c(&[live.0])]).unwrap();
    let mut sender = http2(world.address()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut response = timeout(PATIENCE, sender.send_request(connect("/live"))).await.expect("an answer").unwrap();
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
        says(&mut stream, &[0x82, 0]).await;
        streams.push(stream);
        let plain = Request::get("http://shop.test/plain").body(Empty::new()).unwrap();
        let answer = timeout(PATIENCE, sender.send_request(plain)).await.expect("an answer").unwrap();
        assert_eq!(answer.status(), 200);
    }
    for stream in streams {
        talk_on(stream).await;
    }
    until("the tunnels are gone", || world.in_flight() == [(0, 0)]).await;
}

#[tokio::test]
async fn a_worker_of_http2_may_refuse_and_one_without_rfc_8441_is_named() {
    let world = World::start().await;
    let (willing, old) = (live(true).await, live(false).await);
    world.gateway.set_apps(vec![h2c(&[willing.0])]).unwrap();
    let mut sender = http2(world.address()).await;
    assert_eq!(sender.send_request(connect("/forbidden")).await.unwrap().status(), 403);
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (apps, path, key, expected) in [
        (&willing, "/forbidden", key, "HTTP/1.1 403"),
        (&willing, "/live", "", "HTTP/1.1 400"),
        (&old, "/live", key, "HTTP/1.1 501"),
    ] {
        world.gateway.set_apps(vec![h2c(&[apps.0])]).unwrap();
        // Another worker at another address, under the name that the app keeps.
        let mut client = Raw::connect(world.address()).await;
        client.write(format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}{key}\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with(expected), "{path}: {head}");
        if expected.ends_with("501") {
            assert!(head.contains("x-atoll-refused: no-upgrade"), "{head}");
            let text = client.until("(RFC 8441)").await;
            assert!(text.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{text}");
        }
    }
    let mut response = sender.send_request(connect("/live")).await.unwrap();
    assert_eq!(response.status(), 501);
    let body = response.body_mut().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("RFC 8441"));
    assert_eq!(world.in_flight(), [(0, 0)]);
}

#[tokio::test]
async fn a_worker_of_http2_that_drains_sends_its_websockets_elsewhere() {
    let world = World::start().await;
    let live = live(true).await;
    let workers = tokio::sync::watch::Sender::new([Worker::ready_at(0, live.0)].into());
    let mut shop = AppConfig { protocol: Protocol::H2c, ..AppConfig::new("shop", workers.subscribe()) };
    shop.limits.drain_timeout = Duration::from_millis(100);
    world.gateway.set_apps(vec![shop]).unwrap();
    let mut sender = http2(world.address()).await;
    let mut response = sender.send_request(connect("/live")).await.unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    says(&mut stream, &[0x82, 0]).await;
    workers.send_replace([Worker { draining: true, ..Worker::ready_at(0, live.0) }].into());
    says(&mut stream, &[0x88, 2, 3, 0xf4]).await;
    drop(stream);
    until("it has moved", || world.metric("tunnels_moved_total") == 1.0).await;
}

/// An HTTP/1.1 worker whose WebSockets do what `then` does.
async fn old<A>(then: fn(TcpStream) -> A) -> crate::support::TestWorker
where
    A: Future<Output = ()> + Send + 'static,
{
    raw_worker(move |stream: TcpStream| async move {
        let mut raw = Raw::of(stream);
        raw.head().await;
        raw.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
        then(raw.stream).await;
    })
    .await
}

#[tokio::test]
async fn a_tunnel_without_a_byte_is_told_and_closed_and_one_with_bytes_is_not() {
    let idle = Duration::from_secs(2);
    let world = World::with(|limits| limits.tunnel_idle = Some(idle)).await;
    let echo = old(|mut stream: TcpStream| async move {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    world.set_workers(&[echo.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write(format!("GET / HTTP/1.1\r\n{HANDSHAKE}\r\n")).await;
    client.head().await;
    // It speaks twenty times in what would be too long a silence, and for longer than that.
    let mut pace = tokio::time::interval(idle / 20);
    for _ in 0..25 {
        pace.tick().await;
        client.write([0x82, 0]).await;
        says(&mut client.stream, &[0x82, 0]).await;
    }
    says(&mut client.stream, &[0x88, 2, 3, 0xe9]).await;
    drop(client);
    until("the tunnel is gone", || world.in_flight() == [(0, 0)]).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_tunnel() {
    let world = World::with(|limits| limits.rate_window = Duration::from_millis(300)).await;
    let flood =
        old(|mut stream: TcpStream| async move { while stream.write_all(&[0x82; 65_536]).await.is_ok() {} }).await;
    world.set_workers(&[flood.address]);
    let mut client = Raw::connect(world.address()).await;
    client.write(format!("GET / HTTP/1.1\r\n{HANDSHAKE}\r\n")).await;
    client.head().await;
    until("it was a tunnel", || world.metric("tunnels_total") == 1.0).await;
    until("the tunnel is gone", || world.in_flight() == [(0, 0)]).await;
}
