//! `GET path`: 2xx is good. A gateway adds what it makes of its own traffic, so that a region which answers probes and fails its
//! users is seen too: the fault that only traffic knows of (gray failure).

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use decision::Finding;
use gateway::Traffic;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use model::Check;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Report, authority};

/// Asks once over a connection that nothing was sent on yet.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    at: SocketAddr,
    check: &Check,
) -> anyhow::Result<Report> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(&check.path)
        .header(http::header::HOST, authority(at, check))
        .header(http::header::USER_AGENT, "atoll-probe")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .context("the check's path or host cannot be asked for")?;
    // The connection is driven here and nowhere else, so that it ends with the probe.
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer?,
        ended = &mut connection => {
            ended?;
            answer.await?
        }
    };
    let traffic = Traffic::of_headers(answer.headers());
    Ok(Report { finding: judge(answer.status(), traffic, check.errors_percent), load_rps: traffic.map(|t| t.rps) })
}

/// A status, and what the gateway tells of its traffic. Few requests tell nothing: one failure of two is no ratio.
fn judge(status: http::StatusCode, traffic: Option<Traffic>, errors_percent: u32) -> Finding {
    let sick = |traffic: Traffic| errors_percent > 0 && traffic.rps > 0 && traffic.errors_percent >= errors_percent;
    if !status.is_success() {
        Finding::Failed
    } else if traffic.is_some_and(sick) {
        Finding::Poor
    } else {
        Finding::Good
    }
}
