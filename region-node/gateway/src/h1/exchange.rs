//! One request and its answer on one connection to a worker, both directions at once, in the task of whoever polls.
//!
//! Law: bytes go out while an answer is awaited *and* while it is read, so that a worker may answer before it has read everything
//! and neither side waits for the other. A connection that cannot be written to any more may still hold an answer: it is read.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use hyper::body::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{
    decode::{Decoder, Piece},
    encode::{self, Framing},
    head::{self, Bounds, Head, Malformed},
};
use crate::body::RequestBody;

/// What a connection keeps for reading: an answer of ordinary size fits with its head.
const READ_BYTES: usize = 8 * 1024;
/// A body that does not end with its first portion is read in larger ones.
const BULK_BYTES: usize = 64 * 1024;
/// Idle connections give back what they needed beyond this.
const KEPT_BYTES: usize = 16 * 1024;
/// Smaller pieces of a body are copied behind what is written anyway, larger ones are written from where they are.
const COPY_BELOW: usize = 8 * 1024;
/// Answers of 1xx before the real one.
const INTERIM_MAX: u32 = 32;
/// A worker that does not know `Expect` answers nothing: the body is sent after this time (RFC 9110, 10.1.1).
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// A connection to a worker, between requests.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    read: BytesMut,
    out: Vec<u8>,
    used: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, read: BytesMut::new(), out: Vec::new(), used: false }
    }

    /// Nothing speaks against a request on it: it is open and silent, as far as the runtime has heard. Costs no system call.
    pub(crate) fn is_idle(&self) -> bool {
        let mut byte = [0];
        self.read.is_empty()
            && self.stream.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The bare connection after a switch of protocols, and what the worker has already said in the new one.
    pub(crate) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.read.freeze())
    }

    fn rest(&mut self) {
        self.used = true;
        self.out.clear();
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        if self.read.capacity() > KEPT_BYTES {
            self.read = BytesMut::new();
        }
    }
}

/// Why there is no answer, or no end of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer.
    #[error("the answer cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// The client's side of the body broke, so the request cannot be completed.
    #[error("the request's body ended early")]
    Client,
}

/// How far the request is out.
enum Upload {
    /// The worker is asked first whether it wants the body.
    Held { until: Option<Pin<Box<Sleep>>> },
    /// The body is on its way; with a length, so much of it is missing.
    Open { body: RequestBody, left: Option<u64> },
    /// All of it is out, or in the buffer.
    Complete,
    /// The worker takes no more.
    Broken(io::Error),
}

/// One request on one connection.
pub(crate) struct Exchange {
    wire: Wire,
    /// So much of `wire.out` is written.
    written: usize,
    /// Written after `wire.out`, before anything else.
    chunk: Bytes,
    upload: Upload,
    held: Option<(RequestBody, Option<u64>)>,
    bounds: Bounds,
    to_head: bool,
    interim: u32,
    /// Some of it went out, so the worker may know of it.
    sent: bool,
    /// Some of an answer came.
    received: bool,
    upload_moved: bool,
}

/// How a request goes out.
pub(crate) struct Sending {
    pub(crate) framing: Framing,
    /// Ask for `100 Continue` before the body.
    pub(crate) expect: bool,
    /// The answer will have no body whatever it says.
    pub(crate) to_head: bool,
    pub(crate) bounds: Bounds,
}

impl Exchange {
    /// Prepares a request. `write_head` writes the head, its blank line included. Nothing is sent yet.
    pub(crate) fn new(
        mut wire: Wire,
        sending: &Sending,
        body: RequestBody,
        write_head: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        wire.out.clear();
        write_head(&mut wire.out);
        let left = match sending.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::None => None,
        };
        let (upload, held) = match sending.framing {
            Framing::None | Framing::Length(0) => (Upload::Complete, None),
            _ if sending.expect => (Upload::Held { until: None }, Some((body, left))),
            _ => (Upload::Open { body, left }, None),
        };
        Self {
            wire,
            written: 0,
            chunk: Bytes::new(),
            upload,
            held,
            bounds: sending.bounds,
            to_head: sending.to_head,
            interim: 0,
            sent: false,
            received: false,
            upload_moved: false,
        }
    }

    /// Whether the connection had served before.
    pub(crate) fn on_used_wire(&self) -> bool {
        self.wire.used
    }

    /// Whether some of the request went out.
    pub(crate) fn sent(&self) -> bool {
        self.sent
    }

    /// Whether some of an answer came.
    pub(crate) fn received(&self) -> bool {
        self.received
    }

    /// The connection, after a switch of protocols.
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// The answer's head. An interim answer is not one, but for the switch of protocols.
    pub(crate) async fn head(&mut self) -> Result<Head, Failed> {
        std::future::poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failed>> {
        loop {
            self.drive_upload(cx)?;
            if !self.wire.read.is_empty() {
                while let Some(head) = head::parse(&mut self.wire.read, self.to_head, self.bounds)? {
                    if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Poll::Ready(Ok(head));
                    }
                    self.interim += 1;
                    if self.interim > INTERIM_MAX {
                        return Poll::Ready(Err(Malformed("it never comes to its final status").into()));
                    }
                    if head.status == StatusCode::CONTINUE {
                        self.release_body();
                    }
                }
                self.drive_upload(cx)?;
            }
            let read = ready!(self.poll_read(cx, READ_BYTES));
            if read? == 0 {
                let error = match std::mem::replace(&mut self.upload, Upload::Complete) {
                    Upload::Broken(error) => error,
                    _ => io::Error::new(io::ErrorKind::UnexpectedEof, "closed before an answer"),
                };
                return Poll::Ready(Err(error.into()));
            }
            self.received = true;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let buffer = &mut self.wire.read;
        if buffer.capacity() - buffer.len() < room / 4 {
            buffer.reserve(room);
        }
        pin!(self.wire.stream.read_buf(buffer)).poll(cx)
    }

    fn release_body(&mut self) {
        if let Some((body, left)) = self.held.take() {
            self.upload = Upload::Open { body, left };
        }
    }

    /// Writes as much as goes. An error means that the client's side broke; the worker's is kept for later.
    fn drive_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        loop {
            // Before the first write, what is there of the body goes along with the head.
            let filled = self.fill(cx)?;
            match self.poll_flush(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if filled => {}
                Poll::Ready(Ok(())) => return Ok(()),
                Poll::Ready(Err(error)) => {
                    self.wire.out.clear();
                    (self.written, self.chunk) = (0, Bytes::new());
                    self.upload = Upload::Broken(error);
                    return Ok(());
                }
            }
        }
    }

    /// Puts the next piece of the body behind what waits to be written, unless a large piece waits already. `true` if there was one.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, Failed> {
        if let Upload::Held { until } = &mut self.upload {
            let until = until.get_or_insert_with(|| Box::pin(sleep(CONTINUE_WITHIN)));
            if until.as_mut().poll(cx).is_pending() {
                return Ok(false);
            }
            self.release_body();
        }
        let Upload::Open { body, left } = &mut self.upload else { return Ok(false) };
        if !self.chunk.is_empty() || self.wire.out.len() - self.written > BULK_BYTES {
            return Ok(false);
        }
        let out = &mut self.wire.out;
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(frame) => frame.transpose().map_err(|_| Failed::Client)?,
        };
        self.upload_moved = true;
        let frame = frame.map(hyper::body::Frame::into_data);
        match (frame, left) {
            (Some(Ok(data)), Some(left)) => {
                // More than was promised would be the next request in the worker's eyes.
                *left = left.checked_sub(data.len() as u64).ok_or(Failed::Client)?;
                let done = *left == 0;
                self.put(data);
                if done {
                    self.upload = Upload::Complete;
                }
            }
            (Some(Ok(data)), None) if data.is_empty() => {}
            (Some(Ok(data)), None) => {
                encode::chunk_size(out, &data);
                if data.len() < COPY_BELOW {
                    self.put(data);
                    self.wire.out.extend_from_slice(b"\r\n");
                } else {
                    self.put(data);
                }
            }
            (Some(Err(trailers)), None) => {
                let trailers: Option<HeaderMap> = trailers.into_trailers().ok();
                self.end_chunks(trailers.as_ref());
            }
            // Trailers after a body of known length have no place.
            (Some(Err(_)), Some(_)) => {}
            (None, None) => self.end_chunks(None),
            (None, Some(_)) => return Err(Failed::Client),
        }
        Ok(true)
    }

    fn put(&mut self, data: Bytes) {
        if data.len() < COPY_BELOW {
            self.wire.out.extend_from_slice(&data);
        } else {
            self.chunk = data;
        }
    }

    fn end_chunks(&mut self, trailers: Option<&HeaderMap>) {
        encode::end_of_chunks(&mut self.wire.out, trailers);
        self.upload = Upload::Complete;
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.wire.out.len() || !self.chunk.is_empty() {
            let pending = &self.wire.out[self.written..];
            let stream = Pin::new(&mut self.wire.stream);
            let count = if self.chunk.is_empty() {
                ready!(stream.poll_write(cx, pending))?
            } else {
                ready!(stream.poll_write_vectored(cx, &[IoSlice::new(pending), IoSlice::new(&self.chunk)]))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = true;
            let of_out = count.min(pending.len());
            self.written += of_out;
            if count > of_out {
                self.chunk.advance(count - of_out);
            }
            if self.written == self.wire.out.len() {
                self.wire.out.clear();
                self.written = 0;
                // A large chunk is followed by its CRLF.
                if count > of_out && self.chunk.is_empty() && self.chunked() {
                    self.wire.out.extend_from_slice(b"\r\n");
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn chunked(&self) -> bool {
        matches!(self.upload, Upload::Open { left: None, .. })
    }

    /// Goes on to the answer's body.
    pub(crate) fn into_reading(self, head: &Head) -> Reading {
        let decoder = Decoder::new(head.framing, self.bounds);
        Reading { exchange: self, decoder, keep: head.keep }
    }
}

/// An answer whose head was read.
pub(crate) struct Reading {
    exchange: Exchange,
    decoder: Decoder,
    keep: bool,
}

/// Some of an answer.
pub(crate) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Reading {
    /// Everything was read.
    pub(crate) fn ended(&self) -> bool {
        self.decoder.ended()
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// Whether the request's body moved since it was asked last.
    pub(crate) fn upload_moved(&mut self) -> bool {
        std::mem::take(&mut self.exchange.upload_moved)
    }

    /// The whole body, if it came along with the head and the request is out: most answers of most apps.
    pub(crate) fn at_once(&mut self) -> Option<Bytes> {
        let whole = self.decoder.left().is_some_and(|left| left <= self.exchange.wire.read.len() as u64);
        if !(whole && matches!(self.exchange.upload, Upload::Complete)) {
            return None;
        }
        match self.decoder.next(&mut self.exchange.wire.read) {
            Ok(Piece::Data(data)) => Some(data),
            _ => Some(Bytes::new()),
        }
    }

    /// The next part of the body.
    pub(crate) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Failed>> {
        // A client that stops sending does not take the answer away that it is already getting.
        if self.exchange.drive_upload(cx).is_err() {
            self.keep = false;
            self.exchange.upload = Upload::Complete;
        }
        loop {
            match self.decoder.next(&mut self.exchange.wire.read)? {
                Piece::Data(data) => return Poll::Ready(Ok(Part::Data(data))),
                Piece::Trailers(trailers) => return Poll::Ready(Ok(Part::Trailers(trailers))),
                Piece::End => return Poll::Ready(Ok(Part::End)),
                Piece::More => {}
            }
            if ready!(self.exchange.poll_read(cx, BULK_BYTES))? == 0 {
                self.keep = false;
                self.decoder.close()?;
            }
        }
    }

    /// The connection, if it may serve again: both directions are complete and the worker said nothing more.
    pub(crate) fn into_wire(self) -> Option<Wire> {
        let Self { exchange, decoder, keep } = self;
        let complete =
            matches!(exchange.upload, Upload::Complete) && exchange.wire.out.is_empty() && exchange.chunk.is_empty();
        let mut wire = exchange.wire;
        (keep && complete && decoder.ended() && wire.read.is_empty()).then(|| {
            wire.rest();
            wire
        })
    }
}
