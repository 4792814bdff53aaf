//! Bodies on their way through, streamed both ways, never kept.
//!
//! A request's body reports its progress to the deadline. An answer's body carries the worker's connection with it: at its end
//! the connection goes back to the pool; dropped before its end, the connection is closed, as HTTP/1.1 offers nothing better.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::{access_log::Note, deadline::Progress, upstream::Link};

/// Why a body ended early; hyper takes any error and closes the connection or resets the stream.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What is sent to a worker.
pub(crate) enum RequestBody {
    Empty,
    Streaming { incoming: Incoming, progress: Arc<Progress>, note: Option<Arc<Note>> },
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, progress: &Arc<Progress>, note: Option<Arc<Note>>) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streaming { incoming, progress: Arc::clone(progress), note }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Self::Streaming { progress, .. } = self {
            progress.finished();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self::Streaming { incoming, progress, note } = self.get_mut() else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            progress.waiting();
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                progress.moved(bytes);
                if let Some(note) = note {
                    note.received(bytes as u64);
                }
            }
            Some(Err(_)) => progress.moved(0),
            None => progress.finished(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// What is sent to a client.
pub(crate) enum ResponseBody {
    /// The gateway's own words.
    Own(Full<Bytes>),
    /// A worker's.
    Worker(WorkerBody),
}

/// A worker's answer and the connection it comes through.
pub(crate) struct WorkerBody {
    incoming: Incoming,
    link: Option<Link>,
    idle_limit: Duration,
    /// Armed at the first pause, so that an answer that arrives whole costs no timer.
    idle: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(crate) fn own(text: impl Into<Bytes>) -> Self {
        Self::Own(Full::new(text.into()))
    }

    pub(crate) fn worker(incoming: Incoming, link: Link, idle_limit: Duration) -> Self {
        let mut body = WorkerBody { incoming, link: Some(link), idle_limit, idle: None };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Self::Worker(body)
    }
}

impl WorkerBody {
    fn finish(&mut self) {
        if let Some(link) = self.link.take() {
            link.keep();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle = None;
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.link = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let limit = self.idle_limit;
                let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(idle.as_mut().poll(cx));
                idle.as_mut().reset(Instant::now() + limit);
                self.link = None;
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
            Self::Worker(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(full) => full.size_hint(),
            Self::Worker(body) => body.incoming.size_hint(),
        }
    }
}
