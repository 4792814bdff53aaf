//! Bodies on their way through, streamed both ways.
//!
//! A request's body reports its progress to the deadline, and keeps a bounded beginning of itself so that the request can be sent
//! again. An answer's body carries the worker's connection with it: at its end the connection goes back to the pool; dropped before
//! its end, the connection is closed, as HTTP/1.1 offers nothing better.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use traffic::Outcome;

use crate::{
    access_log::Note,
    deadline::Progress,
    fleet::Seat,
    h1::exchange::{Part, Reading},
    headers::trailers_to_worker,
    outcome,
};

/// Why a body ended early; hyper takes any error and closes the connection or resets the stream.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A client's body, and what is known of it. Shared by all attempts to send it.
pub(crate) struct Upload {
    pub(crate) progress: Progress,
    source: Mutex<Source>,
    /// It was longer than it may be.
    too_large: AtomicBool,
    /// The client's side ended in an error.
    broke: AtomicBool,
    length: Option<u64>,
    note: Option<Arc<Note>>,
}

struct Source {
    incoming: Incoming,
    /// All of it that came so far, while that is little enough to keep; `None` once it is not.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    keep_bytes: usize,
    trailers: Option<HeaderMap>,
    taken: u64,
    max: Option<u64>,
    ended: bool,
}

/// What is sent to a worker: all of it from the beginning, for each attempt.
pub(crate) enum RequestBody {
    Empty,
    Upload { upload: Arc<Upload>, next: usize, trailers_given: bool },
}

impl Upload {
    /// `keep_bytes` of it are kept for another attempt; more than `max` of it is too much.
    pub(crate) fn new(
        incoming: Incoming,
        progress: Progress,
        keep_bytes: usize,
        max: Option<u64>,
        note: Option<Arc<Note>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            progress,
            length: incoming.size_hint().exact(),
            source: Mutex::new(Source {
                incoming,
                kept: (keep_bytes > 0).then(Vec::new),
                kept_bytes: 0,
                keep_bytes,
                trailers: None,
                taken: 0,
                max,
                ended: false,
            }),
            too_large: AtomicBool::new(false),
            broke: AtomicBool::new(false),
            note,
        })
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes it has, if its head said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn was_too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Whether the client's side of it ended in an error.
    pub(crate) fn broke(&self) -> bool {
        self.broke.load(Ordering::Relaxed)
    }

    /// Whether it can be sent from its beginning: nothing of it was read, or all that was read is kept.
    pub(crate) fn can_restart(&self) -> bool {
        let source = self.source();
        source.taken == 0 && !source.ended || source.kept.is_some()
    }

    /// For one attempt.
    pub(crate) fn body(self: &Arc<Self>) -> RequestBody {
        RequestBody::Upload { upload: Arc::clone(self), next: 0, trailers_given: false }
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        next: &mut usize,
        trailers_given: &mut bool,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut source = self.source();
        if let Some(again) = source.kept.as_ref().and_then(|kept| kept.get(*next)) {
            *next += 1;
            return Poll::Ready(Some(Ok(Frame::data(again.clone()))));
        }
        if source.ended {
            let trailers = source.trailers.clone().filter(|_| !std::mem::replace(trailers_given, true));
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Poll::Ready(frame) = Pin::new(&mut source.incoming).poll_frame(cx) else {
            self.progress.waiting();
            return Poll::Pending;
        };
        match &frame {
            None => {
                source.ended = true;
                self.progress.finished();
            }
            Some(Err(_)) => {
                self.broke.store(true, Ordering::Relaxed);
                self.progress.moved(0);
            }
            Some(Ok(frame)) => {
                self.progress.moved(frame.data_ref().map_or(0, Bytes::len));
                if let Some(data) = frame.data_ref() {
                    source.take(data);
                    *next += 1;
                    if let Some(note) = &self.note {
                        note.received(data.len() as u64);
                    }
                    if source.max.is_some_and(|max| source.taken > max) {
                        self.too_large.store(true, Ordering::Relaxed);
                        return Poll::Ready(Some(Err("the request's body is too large".into())));
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    let trailers = trailers_to_worker(trailers);
                    source.trailers = Some(trailers.clone());
                    source.ended = true;
                    *trailers_given = true;
                    self.progress.finished();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                if source.incoming.is_end_stream() {
                    source.ended = true;
                    self.progress.finished();
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}

impl Source {
    fn take(&mut self, data: &Bytes) {
        self.taken += data.len() as u64;
        self.kept_bytes = self.kept_bytes.saturating_add(data.len());
        if self.kept_bytes > self.keep_bytes {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(data.clone());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Upload { upload, next, trailers_given } => upload.poll(cx, next, trailers_given),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload { upload, next, trailers_given } => {
                let source = upload.source();
                source.ended
                    && (source.trailers.is_none() || *trailers_given)
                    && source.kept.as_ref().is_none_or(|kept| *next >= kept.len())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload { upload, .. } => upload.length.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

/// What is sent to a client.
pub(crate) enum ResponseBody {
    /// Words of the gateway, or a worker's answer that is here whole.
    Own(Full<Bytes>),
    /// A worker's, as it comes.
    Worker(Box<WorkerBody>),
}

/// A worker's answer and the connection it comes through.
pub(crate) struct WorkerBody {
    from: From,
    /// Given back at the end.
    seat: Option<Seat>,
    grpc: bool,
    pool_size: usize,
    idle_limit: Duration,
    /// Armed at the first pause, so that an answer that arrives whole costs no timer.
    idle: Option<Pin<Box<Sleep>>>,
    /// Told at the next look, so that what came before it goes out first.
    error: Option<BodyError>,
}

enum From {
    H1(Option<Box<Reading>>),
    H2(Incoming),
}

impl ResponseBody {
    pub(crate) fn own(text: impl Into<Bytes>) -> Self {
        Self::Own(Full::new(text.into()))
    }

    /// An answer whose head was read from HTTP/1.1. What is there whole needs no more of the worker.
    pub(crate) fn h1(
        mut reading: Box<Reading>,
        seat: Seat,
        grpc: bool,
        pool_size: usize,
        idle_limit: Duration,
    ) -> Self {
        if let Some(body) = reading.at_once() {
            if let Some(wire) = reading.into_wire() {
                seat.upstream.keep(wire, pool_size);
            }
            return Self::own(body);
        }
        let from = From::H1(Some(reading));
        Self::Worker(Box::new(WorkerBody {
            from,
            seat: Some(seat),
            grpc,
            pool_size,
            idle_limit,
            idle: None,
            error: None,
        }))
    }

    /// An answer that comes through HTTP/2.
    pub(crate) fn h2(incoming: Incoming, seat: Seat, grpc: bool, idle_limit: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self::own(Bytes::new());
        }
        let from = From::H2(incoming);
        Self::Worker(Box::new(WorkerBody {
            from,
            seat: Some(seat),
            grpc,
            pool_size: 0,
            idle_limit,
            idle: None,
            error: None,
        }))
    }
}

impl From {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, BodyError>> {
        match self {
            Self::H1(None) => Poll::Ready(Ok(Part::End)),
            Self::H1(Some(reading)) => reading.poll_part(cx).map_err(Into::into),
            Self::H2(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(match frame.transpose()?.map(Frame::into_data) {
                    None => Ok(Part::End),
                    Some(Ok(data)) => Ok(Part::Data(data)),
                    Some(Err(frame)) => Ok(frame.into_trailers().map_or(Part::End, Part::Trailers)),
                })
            }
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::H1(reading) => reading.as_ref().is_none_or(|reading| reading.ended()),
            Self::H2(incoming) => incoming.is_end_stream(),
        }
    }
}

impl WorkerBody {
    /// Everything was read: the connection may serve others, the seat is free.
    fn finish(&mut self) {
        let seat = self.seat.take();
        if let From::H1(reading) = &mut self.from
            && let Some(wire) = reading.take().and_then(|reading| reading.into_wire())
            && let Some(seat) = &seat
        {
            seat.upstream.keep(wire, self.pool_size);
        }
    }

    fn fail(&mut self, outcome: Outcome) {
        if let Some(mut seat) = self.seat.take() {
            seat.ends_as(outcome);
        }
        if let From::H1(reading) = &mut self.from {
            *reading = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.from.poll(cx) {
            Poll::Ready(Ok(Part::Data(data))) => {
                self.idle = None;
                if self.from.ended() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Ok(Part::Trailers(trailers))) => {
                if self.grpc
                    && let Some(seat) = &mut self.seat
                {
                    seat.ends_as(outcome::of_grpc(&trailers));
                }
                self.finish();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Poll::Ready(Ok(Part::End)) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => {
                self.fail(Outcome::Broken);
                self.error = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => {
                let limit = self.idle_limit;
                if let From::H1(Some(reading)) = &mut self.from
                    && reading.upload_moved()
                {
                    self.idle = None;
                }
                let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(idle.as_mut().poll(cx));
                idle.as_mut().reset(Instant::now() + limit);
                self.fail(Outcome::Broken);
                Poll::Ready(Some(Err(format!("the worker sent nothing for {limit:?}").into())))
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Worker(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(full) => full.is_end_stream(),
            Self::Worker(body) => body.error.is_none() && body.from.ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(full) => full.size_hint(),
            Self::Worker(body) => match &body.from {
                From::H1(reading) => match reading.as_ref().map(|reading| reading.left()) {
                    Some(Some(left)) => SizeHint::with_exact(left),
                    Some(None) => SizeHint::new(),
                    None => SizeHint::with_exact(0),
                },
                From::H2(incoming) => incoming.size_hint(),
            },
        }
    }
}
