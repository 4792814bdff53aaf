//! One probe: does a member answer, and how well? A new connection each time, because a user's would be new too.
//!
//! | kind | Good | Poor | Failed |
//! |---|---|---|---|
//! | tcp | a connection opens | | anything else |
//! | http, https | 2xx | 2xx, but the gateway tells of too many failed requests; a certificate about to end | anything else |
//! | grpc | SERVING | | anything else |
//! | exec | ends with 0 | ends with 1 | anything else |
//!
//! What a probe asks and what it makes of the answer is in a file each; the deadline is here, one for all.
//!
//! A connection that is silent may have lost a packet of its handshake, which is sent again after a second: too late. So another
//! one is tried after each eighth of the deadline, beside those before it; the first one that is answered or refused decides. The
//! first three that stand are asked, the others wait: a gateway that is slow under its load shall not get eight times the probes.

mod exec;
mod grpc;
mod http;
mod tls;
mod validity;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use decision::{Finding, Timing};
use model::{Check, CheckKind, Subject};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{interval, timeout},
};

/// What probes need of the node that they run on.
#[derive(Debug, Clone, Default)]
pub struct ProbeTools {
    /// TLS for https checks: whom to trust. None: such a check fails.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The directory of the programs of exec checks. None: such a check fails.
    pub programs: Option<PathBuf>,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) finding: Finding,
    /// What the gateway says that it carries, requests per second.
    pub(crate) load_rps: Option<u32>,
}

impl Report {
    fn of(finding: Finding) -> Self {
        Self { finding, load_rps: None }
    }
}

/// Probes once; anything but an answer in time is a failure.
pub(crate) async fn probe(
    tools: &ProbeTools,
    subject: &Subject,
    gateway: SocketAddr,
    check: &Check,
    within: Duration,
) -> Report {
    let at = SocketAddr::new(gateway.ip(), check.port.unwrap_or(gateway.port()));
    match timeout(within, first_answer(tools, subject, at, check, within / Timing::DIALS)).await {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            tracing::debug!(%subject, %at, "a probe failed: {error:#}");
            Report::of(Finding::Failed)
        }
        Err(_) => Report::of(Finding::Failed),
    }
}

/// Tries again and again, until one attempt has come to an end. Whoever stops waiting ends them all.
async fn first_answer(
    tools: &ProbeTools,
    subject: &Subject,
    at: SocketAddr,
    check: &Check,
    redial: Duration,
) -> anyhow::Result<Report> {
    if check.kind == CheckKind::Exec {
        // A program takes the time that it takes.
        return exec::run(tools, subject, at, check).await;
    }
    let asks = Arc::new(Semaphore::new(Timing::ASKS as usize));
    let mut attempts = JoinSet::new();
    let mut dial = interval(redial);
    loop {
        tokio::select! {
            Some(ended) = attempts.join_next() => return ended?,
            _ = dial.tick() => {
                let (tools, check, asks) = (tools.clone(), check.clone(), asks.clone());
                attempts.spawn(async move { attempt(&tools, at, &check, &asks).await });
            }
        }
    }
}

async fn attempt(tools: &ProbeTools, at: SocketAddr, check: &Check, asks: &Semaphore) -> anyhow::Result<Report> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let _ask = asks.acquire().await?;
    match check.kind {
        CheckKind::Tcp | CheckKind::Exec => Ok(Report::of(Finding::Good)),
        CheckKind::Http => http::get(stream, at, check).await,
        CheckKind::Https => {
            let (stream, ends) = tls::handshake(tools, stream, at, check).await?;
            let report = http::get(stream, at, check).await?;
            let finding = report.finding.max(tls::judge(ends, SystemTime::now(), check.certificate_days));
            Ok(Report { finding, ..report })
        }
        CheckKind::Grpc => grpc::ask(stream, at, check).await,
    }
}

/// What the member is called in requests: the check's host, or its address.
fn authority(at: SocketAddr, check: &Check) -> String {
    check.host.clone().unwrap_or_else(|| at.to_string())
}
