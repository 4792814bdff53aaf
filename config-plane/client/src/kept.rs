//! One connection that is kept: dialled on demand, shared by all who use it, given up when it looks dead.
//!
//! ```text
//!            ask                    dialled
//!   Nothing ─────→ Dialling ──────────────────→ Live ──┐ closed by the peer, or
//!      ↑              │ failed, or took too long       │ CONDEMNED_AFTER calls in a row without an answer
//!      └──────────────┴────────────────────────────────┘
//! ```
//!
//! The dial is a task of its own, not a part of the call that asked for it: a call with a deadline shorter than
//! three round trips would otherwise cut every dial short, and never get through at all.
//!
//! A path that was cut and mended leaves a TCP connection behind that may take half a minute to notice. Calls that time out
//! one after another say so earlier, at no cost while idle.
//!
//! What a connection speaks is its user's: HTTP/2 (`channel.rs`), or raft's frames between members.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{CallError, Endpoint};

/// Calls in a row without an answer until the connection is taken for dead.
const CONDEMNED_AFTER: u32 = 2;

/// A handle of a connection. Clones are handles of the same one.
pub trait Connection: Clone + Send + 'static {
    /// Whether nothing more can be sent over it.
    fn is_closed(&self) -> bool;
}

/// What a dial gives, once it is over.
pub type Dialling<C> = Pin<Box<dyn Future<Output = io::Result<C>> + Send>>;

/// What waits for a dial sees `None` until it is over, then how it ended.
type Dialled = watch::Receiver<Option<Result<(), Arc<str>>>>;

/// Keeps one connection.
pub struct Kept<C> {
    dial: Box<dyn Fn() -> Dialling<C> + Send + Sync>,
    within: Duration,
    slot: Arc<Mutex<Slot<C>>>,
}

enum Slot<C> {
    Nothing,
    Dialling(Dialled),
    Live(Live<C>),
}

struct Live<C> {
    connection: C,
    /// Tells this connection from earlier and later ones.
    generation: u64,
    /// Calls in a row without an answer.
    unanswered: u32,
}

/// Remembers on which connection a call went, to report how it fared.
#[derive(Debug, Clone, Copy)]
pub struct Generation(u64);

impl<C: Connection> Kept<C> {
    /// Keeps what `dial` gives. A dial that takes longer than `within` has failed.
    pub fn new(within: Duration, dial: impl Fn() -> Dialling<C> + Send + Sync + 'static) -> Self {
        Self { dial: Box::new(dial), within, slot: Arc::new(Mutex::new(Slot::Nothing)) }
    }

    /// The connection, dialled first where need be; or why there is none. No deadline: the caller has one.
    pub async fn get(&self) -> Result<(C, Generation), String> {
        loop {
            let mut dialled = match self.live_or_dialling() {
                Ok(live) => return Ok(live),
                Err(dialled) => dialled,
            };
            // An error means that the dial task is gone without a word, which only a runtime that is shutting down brings about.
            let outcome = dialled.wait_for(Option::is_some).await.map_err(|_| "the runtime is shutting down")?;
            if let Some(Err(why)) = &*outcome {
                return Err(why.to_string());
            }
        }
    }

    /// A call on this connection was answered.
    pub fn answered(&self, on: Generation) {
        if let Slot::Live(live) = &mut *self.slot()
            && live.generation == on.0
        {
            live.unanswered = 0;
        }
    }

    /// A call on this connection ran into its deadline.
    fn unanswered(&self, on: Generation) {
        let mut slot = self.slot();
        if let Slot::Live(live) = &mut *slot
            && live.generation == on.0
        {
            live.unanswered += 1;
            if live.unanswered >= CONDEMNED_AFTER {
                *slot = Slot::Nothing;
            }
        }
    }

    /// What became of a call that ran into its deadline: nothing left if it never got a connection; otherwise its fate is unknown, and
    /// the connection is under suspicion.
    pub fn gave_up(&self, endpoint: &Endpoint, within: Duration, on: Option<Generation>) -> CallError {
        let endpoint = endpoint.clone();
        match on {
            Some(generation) => {
                self.unanswered(generation);
                CallError::Timeout { endpoint, within }
            }
            None => CallError::Unreachable { endpoint, why: format!("no connection within {} ms", within.as_millis()) },
        }
    }

    /// This connection is of no more use: the next call dials.
    pub fn condemn(&self, on: Generation) {
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Live(live) if live.generation == on.0) {
            *slot = Slot::Nothing;
        }
    }

    fn live_or_dialling(&self) -> Result<(C, Generation), Dialled> {
        let mut slot = self.slot();
        match &*slot {
            Slot::Live(live) if !live.connection.is_closed() => {
                Ok((live.connection.clone(), Generation(live.generation)))
            }
            Slot::Dialling(dialled) if dialled.borrow().is_none() && dialled.has_changed().is_ok() => {
                Err(dialled.clone())
            }
            _ => {
                let dialled = self.start_dialling();
                *slot = Slot::Dialling(dialled.clone());
                Err(dialled)
            }
        }
    }

    fn start_dialling(&self) -> Dialled {
        let (tell, dialled) = watch::channel(None);
        let (dialling, within, slot) = ((self.dial)(), self.within, Arc::clone(&self.slot));
        tokio::spawn(async move {
            let dialled = match timeout(within, dialling).await {
                Ok(dialled) => dialled,
                Err(_) => Err(io::Error::other(format!("no connection within {} ms", within.as_millis()))),
            };
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match dialled {
                Ok(connection) => {
                    *slot = Slot::Live(Live { connection, generation: next_generation(), unanswered: 0 });
                    Ok(())
                }
                Err(e) => {
                    *slot = Slot::Nothing;
                    Err(Arc::from(in_full(&e)))
                }
            };
            tell.send_replace(Some(outcome));
        });
        dialled
    }

    fn slot(&self) -> MutexGuard<'_, Slot<C>> {
        // Nothing that runs under the lock can leave the slot half changed.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A TLS connection to an endpoint that has proved its name and speaks `protocol`, which was offered alone.
pub async fn connect(endpoint: &Endpoint, tls: &TlsConnector, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(endpoint.addr).await?;
    tcp.set_nodelay(true)?;
    let stream = tls.connect(endpoint.server_name(), tcp).await?;
    if stream.get_ref().1.alpn_protocol() != Some(protocol) {
        return Err(io::Error::other(format!("it does not speak {}", String::from_utf8_lossy(protocol))));
    }
    Ok(stream)
}

/// An error with its causes: the outermost of hyper's errors alone says next to nothing.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}
