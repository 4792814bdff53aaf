//! TLS under a probe: the certificate must be one that the node trusts, for the check's host; one that ends soon is told in time.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use decision::Finding;
use model::Check;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{ProbeTools, validity};

/// Shakes hands, and says when the member's certificate ends.
pub(super) async fn handshake(
    tools: &ProbeTools,
    stream: TcpStream,
    at: SocketAddr,
    check: &Check,
) -> anyhow::Result<(TlsStream<TcpStream>, SystemTime)> {
    let config = tools.tls.clone().context("this region trusts nobody: set `trust` in its configuration's [checks]")?;
    let name = match &check.host {
        Some(host) => ServerName::try_from(host.clone()).context("the check's host is not a name")?,
        None => ServerName::from(at.ip()),
    };
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let own = chain.first().context("the member showed no certificate")?;
    let ends = validity::ends(own).context("the end of its certificate cannot be read")?;
    Ok((stream, ends))
}

/// Poor if the certificate ends within so many days; 0 days: never. One that has ended fails the handshake already.
pub(super) fn judge(ends: SystemTime, now: SystemTime, days: u32) -> Finding {
    let warned = Duration::from_secs(u64::from(days) * 86_400);
    if days > 0 && ends < now + warned { Finding::Poor } else { Finding::Good }
}
