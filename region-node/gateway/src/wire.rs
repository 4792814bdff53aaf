//! A client's bytes, in and out, looked at on their way to hyper.
//!
//! In: a socket, plain or TLS. Out: the same bytes, until something is wrong with them: then hyper is given what no parser
//! takes, so that it answers 400 (HTTP/2: says GOAWAY) where it still can and closes. What passes is counted for `Connection`, which judges pace.
//! When hyper closes in the middle of a message, the rest of it is read and thrown away for a moment: closing a socket with
//! unread bytes resets it, and the client would lose the answer that says why.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

use crate::{
    connection::Connection,
    edge::Cut,
    strict::{
        frames::{self, Excess, Frames},
        framing::Framing,
    },
};

/// No parser of a request line, a header or a chunk takes a NUL; the empty line makes hyper look at once.
const POISON: &[u8] = b"\0\r\n\r\n";
/// How long, and how much of, a message is thrown away after its answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

/// A client's socket.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Who looks at what comes in.
pub(crate) enum Guard {
    Http1(Framing),
    /// Heads may have so many bytes.
    Http2(Frames, u32),
}

/// See the module.
pub(crate) struct Wire {
    socket: Socket,
    connection: Arc<Connection>,
    guard: Guard,
    /// Read before the protocol was known.
    sniffed: Bytes,
    /// Looked at already, and not used.
    unread: Bytes,
    /// What hyper reads from now on, then nothing more.
    poison: Option<Bytes>,
    closing: Closing,
}

enum Closing {
    Not,
    Lingering { until: Pin<Box<Sleep>>, left: usize },
    Done,
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Wire {
    pub(crate) fn new(socket: Socket, sniffed: Bytes, guard: Guard, connection: Arc<Connection>) -> Self {
        Self { socket, connection, guard, sniffed, unread: Bytes::new(), poison: None, closing: Closing::Not }
    }

    /// Gives back what hyper read and did not use. It was looked at already.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Waits for bytes, and keeps them for the next reader; `false` if there will be none.
    pub(crate) async fn wake(&mut self) -> bool {
        if !self.unread.is_empty() || self.poison.is_some() {
            return true;
        }
        if !matches!(self.closing, Closing::Not) {
            return false;
        }
        poll_fn(|cx| {
            let mut first = [0; 512];
            let mut buf = ReadBuf::new(&mut first);
            let read = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf));
            self.sniffed = Bytes::copy_from_slice(buf.filled());
            Poll::Ready(read.is_ok() && !self.sniffed.is_empty())
        })
        .await
    }

    /// Looks at what was put behind the first `before` bytes of `buf`.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() {
            if let Guard::Http1(framing) = &self.guard
                && framing.in_body()
            {
                self.connection.pace.malformed("the client left in the middle of a body", true);
            }
            return Ok(());
        }
        match &mut self.guard {
            Guard::Http2(frames, max_head_bytes) => {
                let (sent, now) = self.connection.pace.sent_and_now();
                self.connection.pace.received(bytes.len(), false);
                let Err(lost) = frames.feed(bytes, sent, now) else { return Ok(()) };
                tracing::debug!(client = %self.connection.peer, excess = ?lost.excess, "an HTTP/2 client lost measure");
                self.connection.pace.cut(Cut::Flood);
                if lost.excess == Excess::Preface {
                    // Whoever this is does not speak HTTP/2.
                    return Err(io::Error::other("something else than SETTINGS behind the preface"));
                }
                buf.set_filled(before + lost.whole);
                let mut poison = Bytes::from(frames::calm(lost.missing, *max_head_bytes));
                give(&mut poison, buf);
                self.poison = Some(poison);
                Ok(())
            }
            Guard::Http1(framing) => {
                let fault = match framing.feed(bytes, self.connection.pace.verdict()) {
                    Ok(()) => {
                        self.connection.pace.received(bytes.len(), !framing.between_messages());
                        return Ok(());
                    }
                    Err(fault) => fault,
                };
                tracing::debug!(client = %self.connection.peer, why = fault.why, "malformed HTTP/1");
                self.connection.pace.received(fault.at, true);
                self.connection.pace.malformed(fault.why, fault.in_body);
                if framing.asks() {
                    // Its request may become a tunnel any moment; nothing may be sent into that.
                    self.connection.pace.cut(Cut::Malformed);
                }
                buf.set_filled(before + fault.at);
                let mut poison = Bytes::from_static(POISON);
                give(&mut poison, buf);
                self.poison = Some(poison);
                Ok(())
            }
        }
    }
}

fn give(from: &mut Bytes, buf: &mut ReadBuf<'_>) {
    let count = from.len().min(buf.remaining());
    buf.put_slice(&from[..count]);
    from.advance(count);
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if !this.unread.is_empty() {
            give(&mut this.unread, buf);
            return Poll::Ready(Ok(()));
        }
        if let Some(poison) = &mut this.poison {
            give(poison, buf);
            return Poll::Ready(Ok(()));
        }
        if this.sniffed.is_empty() {
            ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        } else {
            give(&mut this.sniffed, buf);
            if this.sniffed.is_empty() {
                // Nothing of it is left, but its memory is.
                this.sniffed = Bytes::new();
            }
        }
        Poll::Ready(this.inspect(buf, before))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.connection.pace.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.connection.pace.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.connection.pace.flushed(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::Not => {
                    ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
                    let unfinished = matches!(&this.guard, Guard::Http1(framing) if !framing.between_messages());
                    this.closing = if unfinished || this.poison.is_some() {
                        Closing::Lingering { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES }
                    } else {
                        Closing::Done
                    };
                }
                Closing::Lingering { until, left } => {
                    let mut scratch = [std::mem::MaybeUninit::uninit(); 4096];
                    let mut buf = ReadBuf::uninit(&mut scratch);
                    if until.as_mut().poll(cx).is_ready() {
                        this.closing = Closing::Done;
                        continue;
                    }
                    let read = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf));
                    let count = buf.filled().len();
                    if read.is_err() || count == 0 || count > *left {
                        this.closing = Closing::Done;
                    } else {
                        *left -= count;
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
