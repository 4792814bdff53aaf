//! One probe: does a member's gateway answer? A new connection each time, because a user's would be new too.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use model::{Check, CheckKind};
use tokio::{net::TcpStream, time::timeout};

/// Probes once; anything but a good answer in time is a failure.
pub(crate) async fn probe(at: SocketAddr, check: &Check, within: Duration) -> bool {
    matches!(timeout(within, attempt(at, check)).await, Ok(Ok(true)))
}

async fn attempt(at: SocketAddr, check: &Check) -> anyhow::Result<bool> {
    let stream = TcpStream::connect(at).await?;
    match check.kind {
        CheckKind::Tcp => Ok(true),
        CheckKind::Http => get(stream, at, &check.path).await,
        CheckKind::Https | CheckKind::Grpc | CheckKind::Exec => anyhow::bail!("this node has no such probe"),
    }
}

async fn get(stream: TcpStream, at: SocketAddr, path: &str) -> anyhow::Result<bool> {
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(path)
        .header(http::header::HOST, at.to_string())
        .header(http::header::USER_AGENT, "atoll-probe")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    // The connection is driven here and nowhere else, so that it ends with the probe.
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => Ok(answer?.status().is_success()),
        ended = &mut connection => {
            ended?;
            Ok(answer.await?.status().is_success())
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A gateway that answers one request with these bytes.
    async fn answering(bytes: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
            // Held open, so that only the deadline ends a probe that waits for more.
            std::future::pending::<()>().await;
        });
        at
    }

    #[tokio::test]
    async fn only_a_2xx_in_time_is_good() {
        let check = Check::default();
        let within = Duration::from_millis(300);
        assert!(probe(answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, &check, within).await);
        assert!(!probe(answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await, &check, within).await);
        assert!(!probe(answering("").await, &check, within).await, "silence");
        assert!(!probe(answering("nonsense\r\n\r\n").await, &check, within).await);
        let tcp = Check { kind: CheckKind::Tcp, ..Check::default() };
        assert!(probe(answering("").await, &tcp, within).await, "an open port is enough for a TCP check");
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(!probe(closed, &tcp, within).await);
    }
}
