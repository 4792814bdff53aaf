//! What travels between two members on a connection of raft's own: messages, one after another.
//!
//! ```text
//! bytes   4                    4                       1      as many as said
//!       ┌────────────────────┬───────────────────────┬──────┬──────────────────┐
//!       │ length of the body │ number of the question│ what │ body             │     numbers big-endian
//!       └────────────────────┴───────────────────────┴──────┴──────────────────┘
//! ```
//!
//! The member that dialled asks, the other one answers under the question's number, in any order. With nothing to ask for a while it says so,
//! so that the next write finds a connection: to dial takes three round trips. `what` of a question is what is
//! asked for (`rpc.rs`), of an answer whether it is one. Bodies are `codec.rs`'.
//!
//! Why not HTTP/2, as everybody else on this listener: heartbeats are most of what an idle member does, a write passes four such
//! messages, and none of them needs headers, flow control or priorities. A head of nine bytes and one task at each end take a
//! fraction of the time.
//!
//! Both halves may be dropped between any two polls and go on later: what was read or is to be written stays in them.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The protocol that is offered in the handshake; its number changes with the layout above.
pub(crate) const PROTOCOL: &[u8] = b"atoll-raft/1";

const HEAD: usize = 9;
/// What is read at once while little comes.
const READ: usize = 4 << 10;
/// What is read at once of a long body: a head that lies about its length costs no more than this.
const READ_LONG: usize = 256 << 10;
/// More than this is given back after it was written or read.
const KEPT: usize = 64 << 10;
/// Room for messages that wait to be written; one may be longer.
const WAITING_MOST: usize = 1 << 20;

/// `what` of a question that asks nothing and is not answered: the connection is still wanted.
pub(super) const ALIVE: u8 = 0;

/// `what` of an answer: the body is what was asked for.
pub(super) const DONE: u8 = 0;
/// `what` of an answer: the body says in words why there is none.
pub(super) const REFUSED: u8 = 1;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) number: u32,
    pub(super) what: u8,
    pub(super) body: Bytes,
}

/// Messages that come in.
pub(super) struct Incoming {
    buffer: BytesMut,
    most: usize,
}

impl Incoming {
    /// Bodies are at most so long, bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { buffer: BytesMut::new(), most }
    }

    /// The next message; `None` once the peer has said its last.
    pub(super) async fn next(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the peer stopped in the middle of a message");
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut) };
            }
        }
    }

    /// The message at the front if it is whole; otherwise room for more of it.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some(mut head) = self.buffer.first_chunk::<HEAD>().map(|head| &head[..]) else {
            self.buffer.reserve(READ);
            return Ok(None);
        };
        let (length, number, what) = (head.get_u32() as usize, head.get_u32(), head.get_u8());
        if length > self.most {
            let words = format!("a message of {length} bytes; at most {} are taken", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        let missing = (HEAD + length).saturating_sub(self.buffer.len());
        if missing > 0 {
            self.buffer.reserve(missing.clamp(READ, READ_LONG));
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let body = self.buffer.split_to(length).freeze();
        if length > KEPT && self.buffer.is_empty() {
            // Or the room for a snapshot would be held for as long as the connection is.
            self.buffer = BytesMut::new();
        }
        Ok(Some(Frame { number, what, body }))
    }
}

/// Messages that go out.
#[derive(Default)]
pub(super) struct Outgoing {
    buffer: BytesMut,
    /// The most that was queued since the buffer was made.
    largest: usize,
    is_unflushed: bool,
}

impl Outgoing {
    /// Queues a message. One that cannot be sent, for its length, is the caller's error.
    pub(super) fn push(&mut self, number: u32, what: u8, body: &[u8]) {
        debug_assert!(u32::try_from(body.len()).is_ok(), "limits on what is taken are far below");
        self.buffer.reserve(HEAD + body.len());
        self.buffer.put_u32(body.len() as u32);
        self.buffer.put_u32(number);
        self.buffer.put_u8(what);
        self.buffer.put_slice(body);
        self.largest = self.largest.max(self.buffer.len());
        self.is_unflushed = true;
    }

    /// Whether more should be queued before something is written.
    pub(super) fn has_room(&self) -> bool {
        self.buffer.len() < WAITING_MOST
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_unflushed
    }

    /// Writes what is queued.
    pub(super) async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while self.buffer.has_remaining() {
            if to.write_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        to.flush().await?;
        self.is_unflushed = false;
        if self.largest > KEPT {
            (self.buffer, self.largest) = Default::default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::duplex, time::timeout};

    use super::*;

    fn frame(number: u32, body: &[u8]) -> Frame {
        Frame { number, what: 7, body: Bytes::copy_from_slice(body) }
    }

    fn written(frames: &[Frame]) -> BytesMut {
        let mut out = Outgoing::default();
        frames.iter().for_each(|frame| out.push(frame.number, frame.what, &frame.body));
        out.buffer
    }

    #[test]
    fn the_layout_is_what_the_head_of_this_file_says() {
        assert_eq!(&written(&[frame(0x0102_0304, b"ab")])[..], b"\0\0\0\x02\x01\x02\x03\x04\x07ab");
    }

    #[tokio::test]
    async fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let frames = [frame(1, b""), frame(u32::MAX, b"vote"), frame(3, &[9; 3 * READ])];
        let bytes = written(&frames);
        for piece in [1, 8, 9, 10, 4096, bytes.len()] {
            let (mut from, mut to) = duplex(piece);
            let bytes = bytes.clone();
            let writing = async move {
                from.write_all(&bytes).await.expect("read");
                drop(from);
            };
            let reading = async {
                let (mut incoming, mut got) = (Incoming::new(3 * READ), Vec::new());
                while let Some(frame) = incoming.next(&mut to).await.expect("whole") {
                    got.push(frame);
                }
                got
            };
            assert_eq!(tokio::join!(writing, reading).1, frames, "{piece} bytes at a time");
        }
    }

    #[tokio::test]
    async fn one_cut_short_and_one_too_long_are_errors_and_a_lie_about_the_length_costs_little() {
        let whole = written(&[frame(1, b"vote")]);
        for cut in 1..whole.len() {
            let error = Incoming::new(64).next(&mut &whole[..cut]).await.expect_err("cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut} bytes");
        }
        let error = Incoming::new(3).next(&mut &whole[..]).await.expect_err("too long");
        assert!(error.to_string().contains("4 bytes; at most 3"), "{error}");
        let mut liar = Incoming::new(usize::MAX);
        liar.next(&mut &b"\xff\xff\xff\xff\0\0\0\0\0a few"[..]).await.expect_err("cut");
        assert!(liar.buffer.capacity() <= 2 * READ_LONG, "{}", liar.buffer.capacity());
    }

    #[tokio::test(start_paused = true)]
    async fn both_halves_go_on_where_they_were_dropped() {
        let frames: Vec<Frame> = (0..20).map(|number| frame(number, &[number as u8; 50])).collect();
        let (mut from, mut to) = duplex(7);
        let mut out = Outgoing::default();
        frames.iter().for_each(|frame| out.push(frame.number, frame.what, &frame.body));
        let (mut incoming, mut got) = (Incoming::new(64), Vec::new());
        // Neither is ever waited for to its end: each gets so far until the pipe is full or empty, and is dropped.
        while got.len() < frames.len() {
            let _ = timeout(Duration::from_millis(1), out.send(&mut from)).await;
            if let Ok(frame) = timeout(Duration::from_millis(1), incoming.next(&mut to)).await {
                got.push(frame.expect("whole").expect("more"));
            }
        }
        assert_eq!(got, frames);
        out.send(&mut from).await.expect("nothing is left");
        assert!(out.is_idle() && out.has_room());
    }
}
