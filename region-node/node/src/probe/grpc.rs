//! `grpc.health.v1.Health/Check` over cleartext HTTP/2: the protocol that gRPC servers answer about themselves.
//!
//! The two messages are a field each, so they are written and read here by hand: `HealthCheckRequest { string service = 1 }` and
//! `HealthCheckResponse { enum status = 1 }` with SERVING = 1 (grpc/grpc, doc/health-checking.md). In front of a message stand one
//! byte (0: not compressed) and its length in four.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use decision::Finding;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Check;
use tokio::net::TcpStream;

use super::{Report, authority};

/// The longest answer that is read, bytes. A real one has seven.
const ANSWER_MOST: usize = 1024;

/// Asks once.
pub(super) async fn ask(stream: TcpStream, at: SocketAddr, check: &Check) -> anyhow::Result<Report> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = http::Request::post(format!("http://{}/grpc.health.v1.Health/Check", authority(at, check)))
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .header(http::header::TE, "trailers")
        .header(http::header::USER_AGENT, "atoll-probe")
        .body(Full::new(request(&check.service)))
        .context("the check's host cannot be asked for")?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        ensure!(answer.status().is_success(), "HTTP {}", answer.status());
        let refused = grpc_fault(answer.headers());
        let body = Limited::new(answer.into_body(), ANSWER_MOST).collect().await.map_err(|e| anyhow::anyhow!(e))?;
        let refused = refused.or_else(|| body.trailers().and_then(grpc_fault));
        if let Some(status) = refused {
            anyhow::bail!("grpc-status {status}");
        }
        Ok(is_serving(&body.to_bytes()))
    };
    // The connection is driven here and nowhere else, so that it ends with the probe.
    let serving = tokio::select! {
        serving = exchange => serving?,
        ended = connection => {
            ended?;
            anyhow::bail!("the connection ended before the answer");
        }
    };
    Ok(Report::of(if serving { Finding::Good } else { Finding::Failed }))
}

/// The status of a call that went wrong.
fn grpc_fault(headers: &http::HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?.to_str().unwrap_or("unreadable");
    (status != "0").then(|| status.to_owned())
}

/// The request's frame. A service's name is shorter than 128 bytes or cut there, so that its length is one byte.
fn request(service: &str) -> Bytes {
    let service = &service.as_bytes()[..service.len().min(127)];
    let length = if service.is_empty() { 0 } else { service.len() + 2 };
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    if !service.is_empty() {
        frame.put_u8(0x0a);
        frame.put_u8(service.len() as u8);
        frame.put_slice(service);
    }
    frame.freeze()
}

/// Whether the answer's frame says SERVING. Unknown fields in front of the status are not expected and count as No.
fn is_serving(frame: &[u8]) -> bool {
    matches!(frame, [0, 0, 0, 0, length, 0x08, 1, rest @ ..] if usize::from(*length) == rest.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_are_those_of_the_protocol() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert!(is_serving(&[0, 0, 0, 0, 2, 8, 1]));
        for wrong in [&[][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 8, 2], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1]]
        {
            assert!(!is_serving(wrong), "{wrong:?}");
        }
    }
}
