//! One worker seen from the gateway: its idle connections, its counters, whether it is on its way out.
//!
//! The pool of connections is our own, as a retry needs to know whether a connection was fresh or had been used before, and
//! general clients hide that. Last in, first out, so that surplus connections age and go. An idle connection is used for less than
//! 5 s, because Node.js closes its own then and a request that crosses that close would fail for no reason of the app.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http2::SendRequest;
use model::Worker;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};

use crate::{body::RequestBody, h1::exchange::Wire, h2c, metrics::WorkerCells};

/// A worker, across changes of its readiness.
pub(crate) struct Upstream {
    pub(crate) slot: u16,
    pub(crate) life: u64,
    pub(crate) address: SocketAddr,
    pub(crate) cells: WorkerCells,
    idle: Mutex<Vec<Idle>>,
    h2: tokio::sync::Mutex<Option<h2c::Link>>,
    /// True once it drains or is gone from the list: tunnels to it should end.
    leaving: watch::Sender<bool>,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

/// How connections to workers are opened and kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    pub(crate) connect_timeout: Duration,
    pub(crate) max_idle: Duration,
}

/// A worker that could not be reached. Nothing was sent.
#[derive(Debug)]
pub(crate) struct ConnectFailed {
    pub(crate) worker: u16,
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ConnectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} at {} cannot be reached: {}", self.worker, self.address, self.source)
    }
}

impl Upstream {
    pub(crate) fn new(worker: &Worker) -> Arc<Self> {
        Arc::new(Self {
            slot: worker.id,
            life: worker.life,
            address: worker.address,
            cells: WorkerCells::default(),
            idle: Mutex::default(),
            h2: tokio::sync::Mutex::default(),
            leaving: watch::Sender::new(false),
        })
    }

    pub(crate) fn is(&self, worker: &Worker) -> bool {
        self.life == worker.life && self.address == worker.address
    }

    /// Whether it is on its way out.
    pub(crate) fn set_leaving(&self, leaving: bool) {
        self.leaving.send_if_modified(|old| std::mem::replace(old, leaving) != leaving);
    }

    pub(crate) fn leaving(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }

    /// Closes idle connections that nobody should use any more.
    pub(crate) fn reap(&self, max_idle: Duration) {
        self.idle().retain(|idle| idle.since.elapsed() < max_idle && idle.wire.is_idle());
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A usable connection: a kept one if there is one and it may be used, else a new one.
    pub(crate) async fn wire(&self, keeping: Keeping, may_be_used: bool) -> Result<Wire, ConnectFailed> {
        if may_be_used && let Some(wire) = self.kept(keeping.max_idle) {
            return Ok(wire);
        }
        // In a box, as most requests find a connection and should not have room in their tasks for opening one.
        let dialled = Box::pin(self.dial(keeping.connect_timeout)).await;
        dialled.map(Wire::new).map_err(|source| self.failed(source))
    }

    fn kept(&self, max_idle: Duration) -> Option<Wire> {
        let mut all = self.idle();
        loop {
            let idle = all.pop()?;
            if idle.since.elapsed() >= max_idle {
                // The youngest is too old, so all are.
                all.clear();
                return None;
            }
            if idle.wire.is_idle() {
                return Some(idle.wire);
            }
        }
    }

    /// An answer was read to its end: its connection may serve again.
    pub(crate) fn keep(&self, wire: Wire, size: usize) {
        let mut idle = self.idle();
        if idle.len() < size {
            idle.push(Idle { wire, since: Instant::now() });
        }
    }

    /// The connection of all requests of an h2c worker; opened if there is none.
    pub(crate) async fn h2(&self, keeping: Keeping) -> Result<SendRequest<RequestBody>, ConnectFailed> {
        let mut kept = self.h2.lock().await;
        if let Some(sender) = kept.as_ref().map(|link| &link.sender).filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let link = self.open_h2(keeping).await?;
        let sender = link.sender.clone();
        *kept = Some(link);
        Ok(sender)
    }

    /// A connection for one WebSocket to an h2c worker; `None` if the worker takes none. Not the one of its requests: tunnels stay
    /// for hours, and would use up its streams and, where clients are slow, its window.
    pub(crate) async fn h2_for_tunnel(
        &self,
        keeping: Keeping,
    ) -> Result<Option<SendRequest<RequestBody>>, ConnectFailed> {
        // That one knows already, mostly, whether it makes sense to ask.
        self.h2(keeping).await?;
        let known = self.h2.lock().await.as_ref().map(h2c::Link::takes_websocket);
        let Some(known) = known else { return Ok(None) };
        if !known.await {
            return Ok(None);
        }
        let link = self.open_h2(keeping).await?;
        Ok(link.takes_websocket().await.then_some(link.sender))
    }

    async fn open_h2(&self, keeping: Keeping) -> Result<h2c::Link, ConnectFailed> {
        let opened = async { h2c::handshake(self.dial(keeping.connect_timeout).await?).await };
        opened.await.map_err(|source| self.failed(source))
    }

    /// The connection did not take a request: the next one gets another.
    pub(crate) async fn forget_h2(&self) {
        *self.h2.lock().await = None;
    }

    async fn dial(&self, limit: Duration) -> io::Result<TcpStream> {
        let stream = timeout(limit, TcpStream::connect(self.address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
        // Requests are written whole; waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn failed(&self, source: io::Error) -> ConnectFailed {
        ConnectFailed { worker: self.slot, address: self.address, source }
    }
}
