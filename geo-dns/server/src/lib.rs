//! DNS over UDP and TCP around the one answer core.
//!
//! ```text
//! Plan ───────┐
//! demoted ────┼─ views::publish ─▸ Views (one pointer) ─┬─ udp: threads, a batch: receive → answer → send
//! locations ──┘                                         └─ tcp: a task per connection, bounded in number, in bytes and in time
//! ```
//!
//! Packets in, packets out; what is in them is the `steering` crate's. A query loads the View once and waits for nobody.
//! Before there is a View every name is refused, so that resolvers go on to a server that has one.

mod admission;
mod answerer;
mod bind;
mod counters;
mod draw;
mod latency;
pub mod locations;
mod log;
mod tcp;
mod udp;
pub mod views;

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use steering::{Transport, View};
use tokio::{task::JoinHandle, time::interval};

use self::answerer::{Answerer, Book};
pub use model::Network;

pub use self::{
    bind::BindError,
    counters::DnsCounters,
    latency::{LATENCY_BOUNDS_US, Latency},
    log::{LogTo, QueryLogConfig},
};

/// How often counts under the numbers of earlier Views are summed up.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// The View in force, shared between who publishes it and the sockets.
pub type Views = Arc<ArcSwapOption<View>>;

/// For how long no quorum of the plane was heard of; none if it was not since the start. Asked for `plan.atoll` alone.
pub type Heard = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Where and within what bounds to serve.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// Address for UDP and TCP. Port 0 picks one port for both.
    pub listen: SocketAddr,
    /// Threads for UDP, each with a socket of its own.
    pub threads: NonZeroUsize,
    /// Bounds of TCP.
    pub tcp: TcpLimits,
    /// Who may ask over DNS why an answer is what it is. UDP sources can be forged: what is listed here is what a forger could have
    /// explanations sent to.
    pub explain_for: Vec<Network>,
    /// The log of queries, if there is to be one.
    pub query_log: Option<QueryLogConfig>,
}

/// Bounds of TCP. Whoever is over them is closed at once, not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Serves on that address within the usual bounds: a thread for each core, explanations for this machine, no query log.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            tcp: TcpLimits::default(),
            explain_for: Network::LOOPBACK.into(),
            query_log: None,
        }
    }
}

/// Why there is no DNS server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be served.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The query log cannot be opened.
    #[error("cannot write the DNS query log to {path}: {source}; make its directory, or leave the query log out", path = path.display())]
    Log {
        /// Where it should go.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A running DNS server. Dropping it stops it.
#[derive(Debug)]
pub struct DnsHandle {
    local_addr: SocketAddr,
    counters: Arc<counters::Shared>,
    udp: udp::Server,
    tcp: JoinHandle<()>,
    tidy: JoinHandle<()>,
    log: Option<log::QueryLog>,
    log_writer: Option<thread::JoinHandle<()>>,
}

/// Binds the sockets and begins to answer. To be called inside a tokio runtime.
pub fn start(config: DnsConfig, views: Views, heard: Heard) -> Result<DnsHandle, StartError> {
    let sockets = bind::bind(config.listen, config.threads.get())?;
    let (log, log_writer) = config.query_log.as_ref().map(open_log).transpose()?.unzip();
    let counters = Arc::new(counters::Shared::default());
    let answerer = Arc::new(Answerer {
        views,
        heard,
        counters: counters.clone(),
        explain_for: config.explain_for,
        idle_100ms: u16::try_from(config.tcp.idle.as_millis() / 100).unwrap_or(u16::MAX),
        log: log.clone(),
    });
    let udp = udp::Server::start(sockets.udp, config.listen.ip().is_unspecified(), &answerer)
        .map_err(|source| BindError::new(sockets.local_addr, Transport::Udp, source))?;
    let tcp = tokio::spawn(tcp::accept(sockets.tcp, config.tcp, answerer));
    let tidy = tokio::spawn(tidy(counters.clone()));
    Ok(DnsHandle { local_addr: sockets.local_addr, counters, udp, tcp, tidy, log, log_writer })
}

fn open_log(config: &QueryLogConfig) -> Result<(log::QueryLog, thread::JoinHandle<()>), StartError> {
    log::QueryLog::start(config).map_err(|source| {
        let path = match &config.to {
            LogTo::File { path, .. } => path.clone(),
            LogTo::Tracing => PathBuf::from("the log"),
        };
        StartError::Log { path, source }
    })
}

async fn tidy(counters: Arc<counters::Shared>) {
    let mut tick = interval(TIDY_EVERY);
    loop {
        tick.tick().await;
        counters.tidy();
    }
}

impl DnsHandle {
    /// The address that is served, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What was answered since the start.
    pub fn counters(&self) -> DnsCounters {
        let stats = self.log.as_ref().map(log::QueryLog::stats);
        DnsCounters {
            log_dropped: stats.map_or(0, |stats| stats.dropped.load(Relaxed)),
            log_errors: stats.map_or(0, |stats| stats.failed.load(Relaxed)),
            ..self.counters.snapshot()
        }
    }

    /// Stops. Queries that have been read are answered; TCP connections are closed; the query log is written to its end.
    pub async fn shutdown(mut self) {
        self.tcp.abort();
        self.tidy.abort();
        // A cancelled accept loop takes its connections with it; that it was cancelled is no news.
        let _ = (&mut self.tcp).await;
        self.udp.stop().await;
        self.log = None;
        if let Some(writer) = self.log_writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

impl Drop for DnsHandle {
    fn drop(&mut self) {
        self.tcp.abort();
        self.tidy.abort();
    }
}
