//! DNS over UDP and TCP around the one answer core.
//!
//! ```text
//! Plan ───────┐
//! demoted ────┼─ views::publish ─▸ Views (one pointer) ─┬─ udp: a thread, receive → answer → send
//! locations ──┘                                         └─ tcp: a task per connection, bounded in number, in bytes and in time
//! ```
//!
//! Packets in, packets out; what is in them is the `steering` crate's. A query loads the View once and waits for nobody.
//! Before there is a View every name is refused, so that resolvers go on to a server that has one.

mod admission;
mod bind;
mod counters;
mod draw;
pub mod locations;
mod tcp;
mod udp;
pub mod views;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use steering::{Outcome, Transport, View, answer, refuse};
use tokio::task::JoinHandle;

pub use bind::BindError;
pub use counters::DnsCounters;

/// The View in force, shared between who publishes it and the sockets.
pub type Views = Arc<ArcSwapOption<View>>;

/// For how long no quorum of the plane was heard of; none if it was not since the start. Asked for `plan.atoll` alone.
pub type Heard = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Where and within what bounds to serve.
#[derive(Debug, Clone, Copy)]
pub struct DnsConfig {
    /// Address for UDP and TCP. Name one address, not the wildcard: then every answer comes from the address that was asked.
    /// Port 0 picks one port for both.
    pub listen: SocketAddr,
    /// Bounds of TCP.
    pub tcp: TcpLimits,
}

/// Bounds of TCP. Whoever is over them is closed at once, not queued.
#[derive(Debug, Clone, Copy)]
pub struct TcpLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one IPv4 address, or one IPv6 /64.
    pub per_source: usize,
    /// How long a connection may take for its next whole query, and for taking an answer.
    pub idle: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { connections: 512, per_source: 32, idle: Duration::from_secs(10) }
    }
}

impl DnsConfig {
    /// Serves on that address within the usual bounds.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, tcp: TcpLimits::default() }
    }
}

/// A running DNS server. Dropping it stops it.
#[derive(Debug)]
pub struct DnsHandle {
    local_addr: SocketAddr,
    counters: Arc<counters::Shared>,
    udp: udp::Server,
    tcp: JoinHandle<()>,
}

/// Binds both sockets and begins to answer. To be called inside a tokio runtime.
pub fn start(config: DnsConfig, views: Views, heard: Heard) -> Result<DnsHandle, BindError> {
    let sockets = bind::bind(config.listen)?;
    let counters = Arc::new(counters::Shared::default());
    let answerer = Answerer { views, heard, counters: counters.clone() };
    let udp = udp::Server::start(sockets.udp, answerer.clone())
        .map_err(|source| BindError::new(sockets.local_addr, Transport::Udp, source))?;
    let tcp = tokio::spawn(tcp::accept(sockets.tcp, config.tcp, answerer));
    if config.listen.ip().is_unspecified() {
        tracing::warn!(listen = %config.listen, "on a machine with several addresses, answers may come from another one \
             than was asked; name the address to listen on");
    }
    Ok(DnsHandle { local_addr: sockets.local_addr, counters, udp, tcp })
}

impl DnsHandle {
    /// The address that is served, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What was answered since the start.
    pub fn counters(&self) -> DnsCounters {
        self.counters.snapshot()
    }

    /// Stops. Queries that have been read are answered; TCP connections are closed.
    pub async fn shutdown(mut self) {
        self.tcp.abort();
        // A cancelled accept loop takes its connections with it; that it was cancelled is no news.
        let _ = (&mut self.tcp).await;
        self.udp.stop().await;
    }
}

impl Drop for DnsHandle {
    fn drop(&mut self) {
        self.tcp.abort();
    }
}

/// What both transports do with a packet.
#[derive(Clone)]
struct Answerer {
    views: Views,
    heard: Heard,
    counters: Arc<counters::Shared>,
}

impl Answerer {
    /// Answers into `out` and counts; says whether there is anything to send.
    fn answer(&self, query: &[u8], from: SocketAddr, transport: Transport, out: &mut Vec<u8>) -> bool {
        let view = self.views.load();
        let outcome: Outcome<'_> = match view.as_deref() {
            Some(view) => answer(view, query, from.ip(), transport, &*self.heard, draw::next(), out),
            None => refuse(query, transport, out),
        };
        self.counters.count(transport, &outcome);
        outcome.rcode.is_some()
    }
}
