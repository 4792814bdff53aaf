//! One worker seen from the gateway: its requests under way and its idle connections.
//!
//! The pool is our own, as a retry needs to know whether a connection was fresh or had been used before, and general clients
//! hide that. Last in, first out, so that surplus connections age and go. An idle connection is used for less than 5 s, because
//! Node.js closes its own then and a request that crosses that close would fail for no reason of the app.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use model::Worker;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{balance::Load, body::RequestBody, config::Limits};

/// How long a worker that refused a connection is used only as a last resort.
const SUSPECT_FOR: Duration = Duration::from_secs(1);
/// A connection whose answer was just read needs one turn of its task to be usable; it does not need longer than this.
const TURN_AROUND: Duration = Duration::from_millis(20);

/// A worker, across changes of its readiness.
pub(crate) struct Upstream {
    pub(crate) id: u16,
    life: u64,
    pub(crate) address: SocketAddr,
    in_flight: AtomicU32,
    idle: Mutex<Vec<Idle>>,
    born: Instant,
    suspect_until_ms: AtomicU64,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// One request's place at a worker; counts in the worker's load while it lives.
pub(crate) struct Seat(Arc<Upstream>);

/// A connection to a worker, held by one request.
pub(crate) struct Link {
    pub(crate) seat: Seat,
    pub(crate) sender: SendRequest<RequestBody>,
    pool_size: usize,
}

/// A worker that could not be reached. Nothing was sent.
#[derive(Debug)]
pub(crate) struct ConnectFailed {
    worker: u16,
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
            id: worker.id,
            life: worker.life,
            address: worker.address,
            in_flight: AtomicU32::new(0),
            idle: Mutex::default(),
            born: Instant::now(),
            suspect_until_ms: AtomicU64::new(0),
        })
    }

    pub(crate) fn is(&self, worker: &Worker) -> bool {
        self.life == worker.life && self.address == worker.address
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn load(&self) -> Load {
        let suspect_until = self.suspect_until_ms.load(Ordering::Relaxed);
        // Almost never set: spare the clock.
        let suspect = suspect_until != 0 && self.now_ms() < suspect_until;
        Load { suspect, in_flight: self.in_flight() }
    }

    pub(crate) fn take_seat(self: &Arc<Self>) -> Seat {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(self))
    }

    /// Closes idle connections that nobody should use any more.
    pub(crate) fn reap(&self, max_idle: Duration) {
        self.idle().retain(|idle| idle.since.elapsed() < max_idle && !idle.sender.is_closed());
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn suspect(&self) {
        let until = self.now_ms() + SUSPECT_FOR.as_millis() as u64;
        self.suspect_until_ms.store(until, Ordering::Relaxed);
    }
}

impl Seat {
    /// A usable connection: a kept one if there is one, else a new one.
    pub(crate) async fn connect(self, limits: &Limits) -> Result<Link, ConnectFailed> {
        let pool_size = limits.pool_size;
        if let Some(sender) = self.kept(limits.pool_idle).await {
            return Ok(Link { seat: self, sender, pool_size });
        }
        match self.dial(limits).await {
            Ok(sender) => Ok(Link { seat: self, sender, pool_size }),
            Err(source) => {
                self.0.suspect();
                Err(ConnectFailed { worker: self.0.id, address: self.0.address, source })
            }
        }
    }

    async fn kept(&self, max_idle: Duration) -> Option<SendRequest<RequestBody>> {
        loop {
            let mut idle = self.0.idle().pop()?;
            if idle.since.elapsed() >= max_idle {
                // The youngest is too old, so all are.
                self.0.idle().clear();
                return None;
            }
            let usable =
                idle.sender.is_ready() || matches!(timeout(TURN_AROUND, idle.sender.ready()).await, Ok(Ok(())));
            if usable {
                return Some(idle.sender);
            }
        }
    }

    async fn dial(&self, limits: &Limits) -> io::Result<SendRequest<RequestBody>> {
        let stream = timeout(limits.connect_timeout, TcpStream::connect(self.0.address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
        // Requests are written whole; waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(limits.max_head_bytes as usize)
            .max_headers(usize::from(limits.max_headers))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // Ends when the sender is dropped or the worker closes; errors reach the request that is under way.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to a worker ended early");
            }
        });
        Ok(sender)
    }

    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.0)
    }

    pub(crate) fn worker(&self) -> u16 {
        self.0.id
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// The answer was read to its end: the connection may serve again.
    pub(crate) fn keep(self) {
        let Self { seat, sender, pool_size } = self;
        if sender.is_closed() {
            return;
        }
        let mut idle = seat.0.idle();
        if idle.len() < pool_size {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }
}
