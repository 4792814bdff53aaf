//! The shop while its Redis port is missing, silent or talking nonsense: an apology at once, never a hang.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{api, routes, shop::Shop, store::Store};

/// Longer than every bound of the store together, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shop over HTTP, with its state at `redis`.
async fn open(redis: &str) -> TcpStream {
    let store = Store::new(redis).unwrap();
    let shop = Arc::new(Shop { store, region: "eu-west".to_owned(), worker: "0".to_owned() });
    let app: Router = routes::pages().merge(api::routes()).with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    TcpStream::connect(address).await.unwrap()
}

async fn check(redis: &str, request: &str, expected: StatusCode, words: &str) {
    let mut client = open(redis).await;
    client.write_all(format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the shop answers in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", expected.as_u16())), "{answer}");
    assert!(answer.contains(words), "{answer}");
}

/// A Redis port that greets everybody with `words` and reads what comes.
async fn redis_that_says(words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(words.as_bytes()).await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_missing_silent_or_babbling_redis_port_gets_an_apology() {
    let missing = format!("redis://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let silent = redis_that_says("").await;
    let babbling = redis_that_says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    for redis in [&missing, &silent, &babbling] {
        check(redis, "GET /", StatusCode::SERVICE_UNAVAILABLE, "<p>The shop cannot reach its shelves").await;
        check(redis, "GET /api/state", StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"The shop cannot"#).await;
    }
    check(&missing, "GET /healthz", StatusCode::OK, "ok").await;
}
