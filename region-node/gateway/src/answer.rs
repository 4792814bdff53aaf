//! An answer's body on its way to the client, watched: when it ends, how many bytes it had, and whether anybody takes it.
//!
//! HTTP/2 lets a client leave an answer where it is: it gives no window for it. hyper then never asks for the body, and nobody
//! can ask hyper to stop. So the body of such an answer lies in a cell that its connection can empty: the worker is let go, the
//! stream is reset as soon as the client shows up, and a connection that holds nothing else is cut.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    access_log::Record,
    body::{BodyError, ResponseBody},
    config::Limits,
    connection::Connection,
};

/// A request under way, from its head to the end of its answer. Dropped early, it was given up by its client.
pub(crate) struct Open {
    connection: Arc<Connection>,
    pub(crate) record: Option<Record>,
    bytes: u64,
}

impl Open {
    pub(crate) fn new(connection: &Arc<Connection>, record: Option<Record>) -> Self {
        connection.pace.request_begins();
        Self { connection: Arc::clone(connection), record, bytes: 0 }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.pace.request_ends();
        if let Some(record) = self.record.take() {
            record.end(self.bytes);
        }
    }
}

/// See the module.
pub(crate) struct Answer {
    body: Inner,
    open: Open,
}

enum Inner {
    /// HTTP/1: the connection's own pace says all.
    Direct(ResponseBody),
    Held(Arc<Held>),
}

/// A body that its connection can take away.
pub(crate) struct Held {
    body: Mutex<Option<ResponseBody>>,
    /// Bytes handed out.
    taken: AtomicU64,
    /// Whether the worker is to blame if nothing moves.
    waiting: AtomicBool,
}

/// What a connection knows of one of its bodies.
pub(crate) struct Watched {
    held: std::sync::Weak<Held>,
    since: Instant,
    taken: u64,
    released: bool,
}

impl Watched {
    /// Whether its answer is still under way.
    pub(crate) fn is_alive(&self) -> bool {
        self.held.strong_count() > 0
    }
}

/// What became of a look at all bodies of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Bodies that were taken away now.
    pub(crate) released: u32,
    /// Nobody came for a body for a whole window after it was taken away.
    pub(crate) hopeless: bool,
}

impl Answer {
    /// For HTTP/1.
    pub(crate) fn direct(body: ResponseBody, open: Open) -> Self {
        Self { body: Inner::Direct(body), open }
    }

    /// For HTTP/2, with what its connection needs to watch it.
    pub(crate) fn held(body: ResponseBody, open: Open) -> (Self, Option<Watched>) {
        if body.is_end_stream() {
            return (Self::direct(body, open), None);
        }
        let held =
            Arc::new(Held { body: Mutex::new(Some(body)), taken: AtomicU64::new(0), waiting: AtomicBool::new(false) });
        let watched = Watched { held: Arc::downgrade(&held), since: Instant::now(), taken: 0, released: false };
        (Self { body: Inner::Held(held), open }, Some(watched))
    }
}

impl Held {
    fn body(&self) -> MutexGuard<'_, Option<ResponseBody>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at all bodies of a connection, and forgets those that are gone.
pub(crate) fn look(watched: &mut Vec<Watched>, limits: &Limits) -> Look {
    let mut look = Look::default();
    let now = Instant::now();
    watched.retain_mut(|one| {
        let Some(held) = one.held.upgrade() else { return false };
        if now.duration_since(one.since) < limits.rate_window {
            return true;
        }
        let taken = held.taken.load(Relaxed);
        let moved = taken - one.taken >= limits.min_bytes();
        (one.since, one.taken) = (now, taken);
        if one.released {
            look.hopeless = true;
        } else if !moved && !held.waiting.load(Relaxed) {
            drop(held.body().take());
            one.released = true;
            look.released += 1;
        }
        true
    });
    look
}

fn poll_body(body: &mut ResponseBody, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    Pin::new(body).poll_frame(cx)
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match &mut this.body {
            Inner::Direct(body) => poll_body(body, cx),
            Inner::Held(held) => {
                let frame = match held.body().as_mut() {
                    Some(body) => poll_body(body, cx),
                    None => Poll::Ready(Some(Err("the client did not take the answer in time".into()))),
                };
                held.waiting.store(frame.is_pending(), Relaxed);
                frame
            }
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let count = frame.data_ref().map_or(0, Buf::remaining) as u64;
            this.open.bytes += count;
            if let Inner::Held(held) = &this.body {
                held.taken.fetch_add(count, Relaxed);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Inner::Direct(body) => body.is_end_stream(),
            Inner::Held(held) => held.body().as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Inner::Direct(body) => body.size_hint(),
            Inner::Held(held) => held.body().as_ref().map_or_else(SizeHint::new, Body::size_hint),
        }
    }
}
