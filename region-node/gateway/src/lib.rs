//! The data path: HTTP/1.1 and HTTP/2 in, the apps' workers out.
//!
//! In: connections of users, the list of apps and of their workers, the region's last acknowledged write. Out: the apps' answers, with
//! the region's name on them and, when the region acknowledged a write meanwhile, the token cookie.
//!
//! ```text
//! socket ─ accept, connection (bounded, timed, strict) ─ proxy ─┬─ /healthz /readyz              health
//!                                                               ├─ whose request is it           routes, app
//!                                                               ├─ hold until the token is here  token
//!                                                               └─ send ─┬─ which worker         fleet, crate traffic
//!                                                                        ├─ a kept or new wire   upstream, h1, h2c
//!                                                                        └─ again, if harmless
//! head in, head out: headers, ids     bodies are streamed: body     no answer: refusal     WebSocket: tunnel
//! ```
//!
//! A request is repeated only when that cannot be noticed; `send` has the laws.

mod accept;
mod access_log;
mod answer;
mod app;
mod body;
mod config;
mod connection;
mod deadline;
mod edge;
mod fleet;
mod h1;
mod h2c;
mod headers;
mod health;
mod ids;
mod metrics;
mod outcome;
mod pace;
mod proxy;
mod proxy_protocol;
mod refusal;
mod routes;
mod send;
mod strict;
mod tls;
mod token;
mod traffic;
mod tunnel;
mod upstream;
mod websocket;
mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::Worker;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

pub use crate::traffic::Traffic;
pub use access_log::{AccessLogConfig, AccessLogTo};
pub use app::{AppConfig, AppLimits, Fallback, HashOn, Protocol, Route, Sticky};
pub use config::{GatewayConfig, Limits};
pub use health::{HEALTH_PATH, READY_PATH, Readiness};
pub use model::Network;
pub use routes::AppsError;
pub use tls::{CertificateError, CertificateFiles, Reloaded, TlsConfig};
pub use token::{TOKEN_COOKIE, TokenSource, Waited};

use accept::Phase;
use edge::Edge;
use proxy::Proxy;
use tls::Certificates;

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had: taken by another process, not of this machine, or a port below 1024.
    #[error("the gateway cannot listen on {address}: {source}; free the address or configure another one")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Internal names are for apps of this node only.
    #[error(
        "the internal listener at {0} can be reached from outside; give it a loopback address, such as 127.0.0.1:8081"
    )]
    Internal(SocketAddr),
    /// The only app's name or routes are wrong.
    #[error(transparent)]
    Apps(#[from] AppsError),
    /// A certificate or its key is missing or broken.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The access log's file cannot be opened.
    #[error("the access log cannot be opened: {0}; make its directory, or configure another file")]
    AccessLog(std::io::Error),
}

/// A running gateway. Dropping it cuts every connection; `shutdown` lets them finish first.
pub struct GatewayHandle {
    local_addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    internal_addr: Option<SocketAddr>,
    proxy: Arc<Proxy>,
    edge: Arc<Edge>,
    phase: watch::Sender<Phase>,
    slots: Arc<Semaphore>,
    tasks: Vec<JoinHandle<()>>,
}

/// Binds the address and serves from it until the handle is shut down or dropped.
pub async fn start(
    config: GatewayConfig,
    workers: watch::Receiver<Arc<[Worker]>>,
    tokens: Arc<dyn TokenSource>,
    readiness: Arc<dyn Readiness>,
) -> Result<GatewayHandle, StartError> {
    let (listener, local_addr) = listen(config.listen).await?;
    let certificates = config.tls.as_ref().map(Certificates::load).transpose()?.map(Arc::new);
    let mut edge = Edge::new(&config, certificates).map_err(StartError::AccessLog)?;
    let secure = match &config.tls {
        None => None,
        Some(tls) => {
            let (listener, address) = listen(tls.listen).await?;
            edge.redirect_to = tls.redirect.then_some(address.port());
            Some((listener, address))
        }
    };
    let edge = Arc::new(edge);
    let internal = match config.internal {
        None => None,
        Some(address) if !address.ip().is_loopback() => return Err(StartError::Internal(address)),
        Some(address) => Some(listen(address).await?),
    };

    let slots = Arc::new(Semaphore::new(config.limits.max_connections as usize));
    let (phase, phases) = watch::channel(Phase::Serving);
    let only = config
        .app
        .as_ref()
        .map(|name| AppConfig { limits: AppLimits::of(&config.limits), ..AppConfig::new(name, workers) });
    let proxy = Arc::new(Proxy::new(config, tokens, readiness));
    proxy.set_apps(only.into_iter().collect())?;
    let accept = |listener, tls, proxy| {
        let (edge, slots) = (Arc::clone(&edge), Arc::clone(&slots));
        tokio::spawn(accept::run(listener, tls, edge, proxy, slots, phases.clone()))
    };
    let mut tasks = vec![accept(listener, false, Arc::clone(&proxy))];
    let tls_addr = secure.map(|(listener, address)| {
        tasks.push(accept(listener, true, Arc::clone(&proxy)));
        address
    });
    let internal_addr = internal.map(|(listener, address)| {
        tasks.push(accept(listener, false, Arc::new(proxy.internal())));
        address
    });
    if let Some(certificates) = &edge.certificates {
        tasks.push(tokio::spawn(tls::watch(Arc::clone(certificates))));
    }
    Ok(GatewayHandle { local_addr, tls_addr, internal_addr, proxy, edge, phase, slots, tasks })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    Ok((listener, local_addr))
}

impl GatewayHandle {
    /// The address it listens on; tells the port when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of HTTPS, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// Reads all certificates again now; what cannot be read leaves the old one in place and is told.
    pub async fn reload_certificates(&self) -> Reloaded {
        match &self.edge.certificates {
            Some(certificates) => tls::reload(Arc::clone(certificates)).await,
            None => Reloaded::default(),
        }
    }

    /// All counters in the Prometheus text format.
    pub fn metrics_text(&self) -> String {
        self.proxy.metrics.text(&self.proxy.fleets()) + &self.edge.metrics_text()
    }

    /// The address of the internal listener, if there is one.
    pub fn internal_addr(&self) -> Option<SocketAddr> {
        self.internal_addr
    }

    /// Replaces the list of apps, whole: a request sees the old one or the new one. An app that keeps its name keeps its workers,
    /// their connections and all counters.
    ///
    /// # Errors
    /// The list contradicts itself; the old one stays.
    pub fn set_apps(&self, apps: Vec<AppConfig>) -> Result<(), AppsError> {
        self.proxy.set_apps(apps)
    }

    /// Requests under way at the workers of an app, tunnels among them, by life. What a drain waits for. A worker that left the list
    /// is told of while something is under way there.
    pub fn in_flight(&self, app: &str) -> Vec<(u64, u32)> {
        self.proxy.in_flight(app)
    }

    /// Answers `/healthz` and `/readyz` with 503 from now on and serves everything else as before, so that neighbours
    /// take the region out of DNS before it stops.
    pub fn announce_stop(&self) {
        self.proxy.announce_stop();
    }

    /// Stops accepting, lets requests finish for at most `grace`, then cuts what is left. `true` when nothing was cut.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.announce_stop();
        self.phase.send_replace(Phase::Closing);
        let all = self.proxy.limits().max_connections;
        // Every connection and tunnel holds one slot: all slots back means that nobody is left.
        let finished = tokio::time::timeout(grace, self.slots.acquire_many(all)).await.is_ok();
        self.phase.send_replace(Phase::Closed);
        finished
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        for task in &self.tasks {
            task.abort();
        }
    }
}
