//! The data path: HTTP/1.1 and HTTP/2 in, the app's workers out.
//!
//! In: connections of users, the list of workers, the region's last acknowledged write. Out: the app's answers, with the
//! region's name on them and, when the region acknowledged a write meanwhile, the token cookie.
//!
//! ```text
//! socket ─ accept (bounded, timed) ─ proxy ─┬─ /healthz /readyz            health
//!                                           ├─ hold until the token is here token
//!                                           ├─ pick the least loaded worker fleet, balance
//!                                           ├─ a kept or a new connection   upstream
//!                                           └─ head in, head out            headers; bodies are streamed, body
//! ```
//!
//! A request is repeated only when that cannot be noticed: nothing was sent yet (any method), or a safe method without a
//! body met a connection that died before it answered (once).

mod accept;
mod balance;
mod body;
mod config;
mod deadline;
mod fleet;
mod headers;
mod health;
mod metrics;
mod proxy;
mod refusal;
mod token;
mod traffic;
mod tunnel;
mod upstream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::Worker;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

pub use config::{GatewayConfig, Limits};
pub use health::{HEALTH_PATH, READY_PATH, Readiness};
pub use token::{TOKEN_COOKIE, TokenSource, Waited};
pub use traffic::Traffic;

use accept::Phase;
use proxy::Proxy;

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
}

/// A running gateway. Dropping it cuts every connection; `shutdown` lets them finish first.
pub struct GatewayHandle {
    local_addr: SocketAddr,
    proxy: Arc<Proxy>,
    phase: watch::Sender<Phase>,
    slots: Arc<Semaphore>,
    tasks: [JoinHandle<()>; 2],
}

/// Binds the address and serves from it until the handle is shut down or dropped.
pub async fn start(
    config: GatewayConfig,
    workers: watch::Receiver<Arc<[Worker]>>,
    tokens: Arc<dyn TokenSource>,
    readiness: Arc<dyn Readiness>,
) -> Result<GatewayHandle, StartError> {
    let address = config.listen;
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let local_addr = listener.local_addr().map_err(listen)?;

    let slots = Arc::new(Semaphore::new(config.limits.max_connections as usize));
    let (phase, phases) = watch::channel(Phase::Serving);
    let proxy = Arc::new(Proxy::new(config, tokens, readiness));
    let pool_idle = proxy.limits().pool_idle;
    let roster = tokio::spawn(fleet::follow(Arc::clone(&proxy.fleet), workers, pool_idle));
    let accept = tokio::spawn(accept::run(listener, Arc::clone(&proxy), Arc::clone(&slots), phases));
    Ok(GatewayHandle { local_addr, proxy, phase, slots, tasks: [roster, accept] })
}

impl GatewayHandle {
    /// The address it listens on; tells the port when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// All counters in the Prometheus text format.
    pub fn metrics_text(&self) -> String {
        self.proxy.metrics.text(&self.in_flight())
    }

    /// Requests under way, per worker id. What a drain waits for.
    pub fn in_flight(&self) -> Vec<(u16, u32)> {
        self.proxy.fleet.in_flight()
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
