//! What two regions say to each other, as bytes.
//!
//! ```text
//! u32 length of what follows (little-endian) │ u8 tag │ body
//! ```
//! The connection protects the bytes in flight; the deltas and catch-ups inside carry their own checksums and version.

use bytes::{Buf, Bytes, BytesMut};
use quinn::RecvStream;
use replication_core::{Hlc, ReplicaId, VersionVector};

use crate::{
    session::SessionError,
    vectors::{self, Malformed, Reader, put_varint},
};

/// The version of the protocol. The TLS handshake negotiates it too (`atoll-link/1`).
pub(crate) const VERSION: u16 = 1;
/// The longest frame that is taken; a partition's catch-up is one frame.
pub(crate) const MAX_FRAME: usize = 256 << 20;
const MAX_WORLD: usize = 1024;
const CHUNK: usize = 64 << 10;

/// Who speaks, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) world: String,
    pub(crate) replica: ReplicaId,
    pub(crate) now_ms: u64,
    pub(crate) vectors: Vec<(u16, VersionVector)>,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first thing on the live stream.
    Hello(Hello),
    /// Deltas, one encoded after the other.
    Batch(Bytes),
    /// Everything made here up to this stamp has been sent, on one stream or the other.
    Mark(Mark),
    /// What the speaker has, durably, of these partitions.
    Ack(Vec<(u16, VersionVector)>),
    /// The speaker lacks something of these partitions.
    Want(Vec<(u16, VersionVector)>),
    /// What follows makes sense only after the catch-up round of this number.
    Begin(u64),
    /// What was lacking of one partition, encoded.
    CatchUp(Bytes),
    /// The catch-up round of this number is complete.
    Done(u64),
}

/// A watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) hlc: Hlc,
    /// How long ago the stamp was taken when the mark was sent, in milliseconds.
    pub(crate) age_ms: u64,
    /// How soon the next mark comes at the latest, in milliseconds.
    pub(crate) next_ms: u64,
}

const HELLO: u8 = 1;
const BATCH: u8 = 2;
const MARK: u8 = 3;
const ACK: u8 = 4;
const WANT: u8 = 5;
const BEGIN: u8 = 6;
const CATCH_UP: u8 = 7;
const DONE: u8 = 8;

/// Appends one frame whose body `write` appends.
fn framed(tag: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, tag];
    write(&mut out);
    let length = (out.len() - 4) as u32; // bounded by what a partition may hold, see MAX_FRAME
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

pub(crate) fn hello(hello: &Hello) -> Vec<u8> {
    framed(HELLO, |out| {
        out.extend_from_slice(&hello.version.to_le_bytes());
        put_varint(out, hello.world.len() as u64);
        out.extend_from_slice(hello.world.as_bytes());
        out.extend_from_slice(&hello.replica.region.to_le_bytes());
        out.extend_from_slice(&hello.replica.incarnation.to_le_bytes());
        put_varint(out, hello.now_ms);
        vectors::encode(out, &hello.vectors);
    })
}

pub(crate) fn batch(deltas: impl Iterator<Item = Bytes>) -> Vec<u8> {
    framed(BATCH, |out| deltas.for_each(|delta| out.extend_from_slice(&delta)))
}

pub(crate) fn mark(mark: Mark) -> Vec<u8> {
    framed(MARK, |out| {
        out.extend_from_slice(&mark.hlc.0.to_le_bytes());
        put_varint(out, mark.age_ms);
        put_varint(out, mark.next_ms);
    })
}

pub(crate) fn ack(vectors: &[(u16, VersionVector)]) -> Vec<u8> {
    framed(ACK, |out| vectors::encode(out, vectors))
}

pub(crate) fn want(vectors: &[(u16, VersionVector)]) -> Vec<u8> {
    framed(WANT, |out| vectors::encode(out, vectors))
}

pub(crate) fn begin(round: u64) -> Vec<u8> {
    framed(BEGIN, |out| put_varint(out, round))
}

pub(crate) fn catch_up(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    framed(CATCH_UP, write)
}

pub(crate) fn done(round: u64) -> Vec<u8> {
    framed(DONE, |out| put_varint(out, round))
}

fn decode(tag: u8, body: &Bytes) -> Result<Frame, Malformed> {
    let mut reader = Reader(body);
    let frame = match tag {
        HELLO => Frame::Hello(decode_hello(&mut reader)?),
        BATCH => return Ok(Frame::Batch(body.clone())),
        CATCH_UP => return Ok(Frame::CatchUp(body.clone())),
        MARK => Frame::Mark(Mark {
            hlc: Hlc(u64::from_le_bytes(reader.array()?)),
            age_ms: reader.varint()?,
            next_ms: reader.varint()?,
        }),
        ACK => Frame::Ack(vectors::decode(&mut reader)?),
        WANT => Frame::Want(vectors::decode(&mut reader)?),
        BEGIN => Frame::Begin(reader.varint()?),
        DONE => Frame::Done(reader.varint()?),
        _ => return Err(Malformed("a frame of an unknown kind")),
    };
    reader.end()?;
    Ok(frame)
}

fn decode_hello(reader: &mut Reader<'_>) -> Result<Hello, Malformed> {
    let version = u16::from_le_bytes(reader.array()?);
    if version != VERSION {
        return Err(Malformed("it speaks another version of the protocol"));
    }
    let length = reader.varint()? as usize;
    if length > MAX_WORLD {
        return Err(Malformed("the world's name is too long"));
    }
    let world =
        String::from_utf8(reader.bytes(length)?.to_vec()).map_err(|_| Malformed("the world's name is no text"))?;
    let replica =
        ReplicaId { region: u16::from_le_bytes(reader.array()?), incarnation: u32::from_le_bytes(reader.array()?) };
    Ok(Hello { version, world, replica, now_ms: reader.varint()?, vectors: vectors::decode(reader)? })
}

/// Takes the first whole frame out of `buf`, if there is one.
fn take(buf: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let Some(head) = buf.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if !(1..=MAX_FRAME).contains(&length) {
        return Err(Malformed("a frame has an impossible length"));
    }
    if buf.len() < 4 + length {
        return Ok(None);
    }
    buf.advance(4);
    let mut body = buf.split_to(length).freeze();
    let tag = body.get_u8();
    decode(tag, &body).map(Some)
}

/// Frames off a stream. What a peer announces is allocated only as it arrives.
pub(crate) struct FrameReader {
    stream: RecvStream,
    buf: BytesMut,
    received: usize,
}

impl FrameReader {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, buf: BytesMut::new(), received: 0 }
    }

    /// The next frame. Nothing is lost if the future is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Frame, SessionError> {
        loop {
            if let Some(frame) = take(&mut self.buf)? {
                return Ok(frame);
            }
            match self.stream.read_chunk(CHUNK, true).await? {
                Some(chunk) => {
                    self.received += chunk.bytes.len();
                    self.buf.extend_from_slice(&chunk.bytes);
                }
                None => return Err(SessionError::Malformed("a stream ended")),
            }
        }
    }

    /// Bytes received since this was last asked.
    pub(crate) fn take_received(&mut self) -> usize {
        std::mem::take(&mut self.received)
    }

    /// Whether the next frame is here already.
    pub(crate) fn has_whole_frame(&self) -> bool {
        self.buf.first_chunk::<4>().is_some_and(|head| self.buf.len() >= 4 + u32::from_le_bytes(*head) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Frame>, Malformed> {
        take(&mut BytesMut::from(bytes))
    }

    fn some_vectors() -> Vec<(u16, VersionVector)> {
        let replica = ReplicaId { region: 2, incarnation: 77 };
        vec![(5, [(replica, 300)].into_iter().collect())]
    }

    #[test]
    fn frames_come_back_as_they_went() {
        let replica = ReplicaId { region: 2, incarnation: 77 };
        let hi = Hello { version: VERSION, world: "shop".into(), replica, now_ms: 12345, vectors: some_vectors() };
        let mark_ = Mark { hlc: Hlc(99), age_ms: 3, next_ms: 500 };
        let (one, two) = (Bytes::from_static(b"on"), Bytes::from_static(b"e"));
        let check = |bytes: Vec<u8>, frame: Frame| assert_eq!(read(&bytes), Ok(Some(frame)));
        check(hello(&hi), Frame::Hello(hi.clone()));
        check(batch([one, two].into_iter()), Frame::Batch(Bytes::from_static(b"one")));
        check(mark(mark_), Frame::Mark(mark_));
        check(ack(&some_vectors()), Frame::Ack(some_vectors()));
        check(want(&some_vectors()), Frame::Want(some_vectors()));
        check(begin(3), Frame::Begin(3));
        check(catch_up(|out| out.extend_from_slice(b"state")), Frame::CatchUp(Bytes::from_static(b"state")));
        check(done(3), Frame::Done(3));
    }

    #[test]
    fn what_is_cut_is_waited_for_and_what_is_impossible_is_refused() {
        let whole = ack(&some_vectors());
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Ok(None), "cut at {cut}");
        }
        assert!(read(&[0; 8]).is_err());
        assert!(read(&[255; 8]).is_err());
        assert!(read(&[1, 0, 0, 0, 200]).is_err());
        assert!(read(&[3, 0, 0, 0, DONE, 1, 1]).is_err(), "bytes behind the body");
    }
}
