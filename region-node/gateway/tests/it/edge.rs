//! The PROXY protocol and the access log, from outside.

use std::{fs, num::NonZeroU32, path::PathBuf, time::Duration};

use gateway::{AccessLogConfig, AccessLogTo};
use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    frames::{self, Raw},
    support::{PATIENCE, TestWorker, World, text, until, worker},
};

async fn echo(world: &World) -> TestWorker {
    let echo = worker(async |request| {
        text(request.headers().get("x-forwarded-for").map_or("-", |value| value.to_str().unwrap()).to_owned())
    })
    .await;
    world.set_workers(&[echo.address]);
    echo
}

/// Sends bytes in pieces; the body of the answer, or nothing if the gateway hangs up.
async fn ask(world: &World, pieces: &[&[u8]]) -> String {
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in pieces {
        if client.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    let _ = timeout(PATIENCE, client.read_to_string(&mut answer)).await.expect("an answer or the end");
    answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_balancer_says_who_it_speaks_for() {
    let world = World::configured(|config| {
        config.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.header_timeout = Duration::from_secs(2);
        config.limits.max_connections_per_client = 1;
    })
    .await;
    let _echo = echo(&world).await;
    let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
    assert_eq!(ask(&world, &[line, GET]).await, "203.0.113.7");
    let (half, rest) = line.split_at(20);
    assert_eq!(ask(&world, &[half, rest, GET]).await, "203.0.113.7");
    assert_eq!(ask(&world, &[b"PROXY UNKNOWN\r\n", GET]).await, "127.0.0.1");
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f".to_vec();
    binary.extend([203, 0, 113, 9, 192, 0, 2, 1, 1, 1, 1, 187, 4, 0, 0]);
    assert_eq!(ask(&world, &[&binary, GET]).await, "203.0.113.9");
    // HTTP/2 comes behind it as well.
    let mut two = Raw::silent(world.address()).await;
    two.send(
        &[line, frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &frames::setting(1, 0)), &frames::get(1)]
            .concat(),
    )
    .await;
    assert_eq!(two.status(1).await, Some(200));
    // The share of connections is the client's, not the balancer's.
    assert_eq!(ask(&world, &[line, GET]).await, "", "203.0.113.7 has its one connection");
    assert_eq!(ask(&world, &[&binary, GET]).await, "203.0.113.9");
    // No header, a broken one, none in time.
    for malformed in [GET, b"PROXY TCP4 203.0.113.7\r\n", b"PROXY"] {
        assert_eq!(ask(&world, &[malformed]).await, "");
    }
    assert_eq!(world.metric("connections_cut_total{reason=\"proxy_header\"}"), 3.0);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let world = World::configured(|config| config.proxy_protocol_from = vec!["192.0.2.0/24".parse().unwrap()]).await;
    let _echo = echo(&world).await;
    assert_eq!(ask(&world, &[GET]).await, "127.0.0.1");
    let answer = ask(&world, &[b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", GET]).await;
    assert!(!answer.contains("203.0.113.7"), "{answer}");
}

struct Log(PathBuf);

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Log {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("atoll-access-{}-{name}.jsonl", std::process::id())))
    }

    fn config(&self, sample: u32, query: bool) -> AccessLogConfig {
        let to = AccessLogTo::File { path: self.0.clone(), max_bytes: 1 << 20 };
        AccessLogConfig { to, sample: NonZeroU32::new(sample).unwrap(), query }
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[tokio::test]
async fn each_request_has_its_line() {
    let log = Log::new("lines");
    let world = World::configured(|config| config.access_log = Some(log.config(1, false))).await;
    let sized = worker(async |request| {
        use http_body_util::BodyExt;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(format!("{} bytes", body.len()))
    })
    .await;
    world.set_workers(&[sized.address]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = world.send(Method::POST, "/cart?card=4111", &[("traceparent", parent)], "hello").await;
    assert_eq!(answer.body, "5 bytes");
    let _ = world.get("/a/../b", &[]).await;
    let mut two = Raw::connect(world.address()).await;
    two.send(&frames::get(1)).await;
    assert_eq!(two.status(1).await, Some(200));
    drop(two);
    until("three lines are written", || log.lines().len() == 3).await;
    let lines = log.lines();
    let check = |line: usize, fields: &[(&str, serde_json::Value)]| {
        for (field, expected) in fields {
            assert_eq!(&lines[line][*field], expected, "{field} of {}", lines[line]);
        }
    };
    check(
        0,
        &[
            ("method", "POST".into()),
            ("host", "shop.test".into()),
            ("path", "/cart".into()),
            ("protocol", "HTTP/1.1".into()),
            ("status", 200.into()),
            ("bytes_in", 5.into()),
            ("bytes_out", 7.into()),
            ("client", "127.0.0.1".into()),
            ("trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
            ("request_id", answer.header("x-request-id").unwrap().into()),
            ("tls", serde_json::Value::Null),
            ("retries", 0.into()),
            ("app", "shop".into()),
            ("worker", 0.into()),
            ("refused", serde_json::Value::Null),
        ],
    );
    assert!(lines[0]["duration_ms"].as_f64().unwrap() >= lines[0]["first_byte_ms"].as_f64().unwrap());
    check(1, &[("status", 400.into()), ("path", "/a/../b".into()), ("refused", "the path has a .. segment".into())]);
    check(2, &[("protocol", "HTTP/2".into()), ("method", "GET".into())]);
    assert_eq!(world.metric("access_log_dropped_total"), 0.0);
}

#[tokio::test]
async fn a_client_that_leaves_is_in_the_log_and_a_query_if_it_is_wanted() {
    let log = Log::new("left");
    let world = World::configured(|config| config.access_log = Some(log.config(1, true))).await;
    let never = worker(async |_| std::future::pending().await).await;
    world.set_workers(&[never.address]);
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(b"GET /wait?for=ever HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until("it is at the worker", || world.in_flight()[0].1 == 1).await;
    drop(client);
    until("a line is written", || log.lines().len() == 1).await;
    let line = &log.lines()[0];
    assert_eq!((&line["status"], &line["path"]), (&499.into(), &"/wait?for=ever".into()));
    assert!(line["first_byte_ms"].is_null());
}
