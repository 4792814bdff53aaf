//! One endpoint's connection: HTTP/2 over TLS, dialled on demand, shared by all calls, given up when it looks dead.
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

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::TlsConnector;

use crate::Endpoint;

/// Calls in a row without an answer until the connection is taken for dead.
const CONDEMNED_AFTER: u32 = 2;
/// Long enough for a snapshot over a slow path, short enough that a peer cannot make us hold much.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How a connection behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOptions {
    /// A dial that takes longer has failed.
    pub dial_within: Duration,
    /// A ping is sent after this long without a byte from the peer while a call or stream is open; nothing is sent while idle.
    pub ping_after: Duration,
    /// A ping without an answer after this long ends the connection, and with it every call and stream on it.
    pub ping_within: Duration,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            dial_within: Duration::from_secs(2),
            ping_after: Duration::from_secs(1),
            ping_within: Duration::from_secs(2),
        }
    }
}

type Sender = http2::SendRequest<Full<Bytes>>;
/// What waits for a dial sees `None` until it is over, then how it ended.
type Dialled = watch::Receiver<Option<Result<(), Arc<str>>>>;

pub(crate) struct Channel {
    endpoint: Endpoint,
    tls: TlsConnector,
    options: ChannelOptions,
    slot: Arc<Mutex<Slot>>,
}

enum Slot {
    Nothing,
    Dialling(Dialled),
    Live(Live),
}

struct Live {
    sender: Sender,
    /// Tells this connection from earlier and later ones.
    generation: u64,
    /// Calls in a row without an answer.
    unanswered: u32,
}

/// Why a request was not answered.
pub(crate) enum SendError {
    /// It did not leave.
    NotSent(String),
    /// It may have been carried out.
    Broken(String),
}

/// Remembers on which connection a request went, to report how it fared.
#[derive(Clone, Copy)]
pub(crate) struct Generation(u64);

impl Channel {
    pub(crate) fn new(endpoint: Endpoint, tls: TlsConnector, options: ChannelOptions) -> Self {
        Self { endpoint, tls, options, slot: Arc::new(Mutex::new(Slot::Nothing)) }
    }

    /// Sends a request, dialling first where need be. No deadline: the caller has one, and calls [`Channel::unanswered`] at
    /// its end. A request that met a connection just closed is sent once more over a new one.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        on: &mut Option<Generation>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut again = true;
        loop {
            let (mut sender, generation) = self.sender().await?;
            *on = Some(generation);
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.answered(generation);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if again => {
                        self.condemn(generation);
                        again = false;
                        request = unsent;
                    }
                    Some(_) => return Err(SendError::NotSent(in_full(&failed.into_error()))),
                    None => {
                        self.condemn_if_closed(&sender, generation);
                        return Err(SendError::Broken(in_full(&failed.into_error())));
                    }
                },
            }
        }
    }

    /// A call on this connection ran into its deadline.
    pub(crate) fn unanswered(&self, on: Generation) {
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

    fn answered(&self, on: Generation) {
        if let Slot::Live(live) = &mut *self.slot()
            && live.generation == on.0
        {
            live.unanswered = 0;
        }
    }

    fn condemn(&self, on: Generation) {
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Live(live) if live.generation == on.0) {
            *slot = Slot::Nothing;
        }
    }

    /// A stream that was reset is no reason to give up the connection under it.
    fn condemn_if_closed(&self, sender: &Sender, on: Generation) {
        if sender.is_closed() {
            self.condemn(on);
        }
    }

    async fn sender(&self) -> Result<(Sender, Generation), SendError> {
        let unreachable = |why: &str| SendError::NotSent(why.to_owned());
        loop {
            let mut dialled = match self.live_or_dialling() {
                Ok(live) => return Ok(live),
                Err(dialled) => dialled,
            };
            // An error means that the dial task is gone without a word, which only a runtime that is shutting down brings about.
            let outcome =
                dialled.wait_for(Option::is_some).await.map_err(|_| unreachable("the runtime is shutting down"))?;
            if let Some(Err(why)) = &*outcome {
                return Err(unreachable(why));
            }
        }
    }

    fn live_or_dialling(&self) -> Result<(Sender, Generation), Dialled> {
        let mut slot = self.slot();
        match &*slot {
            Slot::Live(live) if !live.sender.is_closed() => Ok((live.sender.clone(), Generation(live.generation))),
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
        let (endpoint, tls, options) = (self.endpoint.clone(), self.tls.clone(), self.options);
        let slot = Arc::clone(&self.slot);
        tokio::spawn(async move {
            let dialled = match timeout(options.dial_within, dial(&endpoint, tls, options)).await {
                Ok(dialled) => dialled,
                Err(_) => Err(io::Error::other(format!("no connection within {} ms", options.dial_within.as_millis()))),
            };
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match dialled {
                Ok(sender) => {
                    *slot = Slot::Live(Live { sender, generation: next_generation(), unanswered: 0 });
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

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing that runs under the lock can leave the slot half changed.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next_generation() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn dial(endpoint: &Endpoint, tls: TlsConnector, options: ChannelOptions) -> io::Result<Sender> {
    let tcp = TcpStream::connect(endpoint.addr).await?;
    tcp.set_nodelay(true)?;
    let stream = tls.connect(endpoint.server_name(), tcp).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("it does not speak HTTP/2"));
    }
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(options.ping_after)
        .keep_alive_timeout(options.ping_within)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its calls learn how it ended; nobody else needs to. It ends when the last sender and the last stream are gone.
    tokio::spawn(connection);
    Ok(sender)
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
