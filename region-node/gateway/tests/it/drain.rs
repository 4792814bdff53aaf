//! WebSockets of a worker that is about to end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway::AppConfig;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Worker;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::support::{Raw, TestWorker, World, raw_worker, until};

/// Shakes hands, says one whole frame, and then the bytes given.
async fn live(then: &'static [u8]) -> TestWorker {
    raw_worker(move |stream: TcpStream| async move {
        let mut raw = Raw::of(stream);
        raw.head().await;
        raw.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
        raw.write(b"\x82\x05hello").await;
        raw.write(then).await;
        let _ = tokio::io::copy(&mut raw.stream, &mut tokio::io::sink()).await;
    })
    .await
}

async fn open(world: &World, then: &[u8]) -> Raw {
    let mut client = Raw::connect(world.address()).await;
    client.write("GET /live HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    client.until("hello").await;
    if !then.is_empty() {
        client.until(std::str::from_utf8(then).unwrap()).await;
    }
    client
}

fn shop(world: &World, address: SocketAddr) -> watch::Sender<Arc<[Worker]>> {
    let (workers, list) = watch::channel(Arc::from([Worker::ready_at(0, address)]));
    let mut shop = AppConfig::new("shop", list);
    shop.limits.drain_timeout = Duration::from_millis(200);
    world.gateway.set_apps(vec![shop]).unwrap();
    workers
}

#[tokio::test]
async fn its_clients_are_told_to_come_back_elsewhere() {
    let world = World::start().await;
    let worker = live(b"").await;
    let workers = shop(&world, worker.address);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(open(&world, b"").await);
    }
    assert_eq!(world.in_flight(), [(0, 5)]);
    workers.send_replace(Arc::from([Worker { draining: true, ..Worker::ready_at(0, worker.address) }]));
    for client in &mut clients {
        let mut close = [0; 4];
        client.stream.read_exact(&mut close).await.unwrap();
        assert_eq!(close, [0x88, 2, 0x03, 0xf4], "close, two bytes, 1012");
    }
    drop(clients);
    until("nothing is under way", || world.in_flight() == [(0, 0)]).await;
    assert_eq!(world.metric("tunnels_moved_total"), 5.0);
}

#[tokio::test]
async fn a_frame_is_never_broken_by_it() {
    let world = World::start().await;
    // Seven bytes are promised, three come.
    let worker = live(b"\x01\x07abc").await;
    let workers = shop(&world, worker.address);
    let mut client = open(&world, b"\x01\x07abc").await;
    workers.send_replace(Arc::from([Worker { draining: true, ..Worker::ready_at(0, worker.address) }]));
    // Until the worker ends, and nothing after what it said.
    let mut more = [0; 1];
    let silence = tokio::time::timeout(Duration::from_millis(500), client.stream.read(&mut more)).await;
    assert!(silence.is_err(), "{silence:?}");
    drop(worker);
    until("nothing is under way", || world.in_flight() == [(0, 0)]).await;
    assert_eq!(world.metric("tunnels_moved_total"), 0.0);
}

#[tokio::test]
async fn a_websocket_on_a_stream_of_http2_is_one_to_the_worker_too() {
    let world = World::start().await;
    let echo = raw_worker(|stream: TcpStream| async move {
        let mut raw = Raw::of(stream);
        let head = raw.head().await.to_lowercase();
        assert!(head.starts_with("get /live http/1.1\r\nhost: shop.test\r\n"), "{head}");
        assert!(head.contains("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "), "{head}");
        raw.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome").await;
        let (mut from, mut to) = raw.stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    world.set_workers(&[echo.address]);
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = || {
        let request = http::Request::builder().method("CONNECT").uri("http://shop.test/live");
        let request = request.header("sec-websocket-version", "13");
        request.extension(hyper::ext::Protocol::from_static("websocket")).body(Empty::<Bytes>::new()).unwrap()
    };
    // The client must have heard first that this is on offer.
    let mut answer = sender.send_request(ask()).await;
    for _ in 0..100 {
        if answer.is_ok() {
            break;
        }
        sender.ready().await.unwrap();
        answer = sender.send_request(ask()).await;
    }
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let mut seen = [0; 7];
    tunnel.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"welcome");
    tunnel.write_all(b"ping").await.unwrap();
    tunnel.read_exact(&mut seen[..4]).await.unwrap();
    assert_eq!(&seen[..4], b"ping");
    assert_eq!(world.in_flight(), [(0, 1)]);
    drop(tunnel);
    until("nothing is under way", || world.in_flight() == [(0, 0)]).await;
}
