//! What two regions say to each other, as bytes.
//!
//! ```text
//! version 1   u32 length of what follows (little-endian) │ u8 tag │ body
//! version 2   u32 length of what follows (little-endian) │ u8 tag │ u8 flags │ body      flags & 1: packed, see pack.rs
//! version 3   as 2; the hello ends with columns (see columns.rs) and a stamp
//! ```
//! The connection protects the bytes in flight; the deltas and catch-ups inside carry their own checksums and version.
//! Which version is spoken is settled before the first frame, by ALPN: the newest that both know. A version is read and
//! written for as long as one release speaks it: see the golden files.

mod audit;
mod pack;
mod reconcile;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use replication_core::{Hlc, ReplicaId, VersionVector};

use self::pack::Unpacker;
use crate::{
    columns::Column,
    vectors::{self, Malformed, Reader, put_varint},
};

pub(crate) use audit::{AskKeys, BucketSums, Digest, KeySums, MOST_KEY_BYTES, MOST_KEYS};
pub(crate) use pack::Packer;
pub(crate) use reconcile::{Differing, Live, MOST_NUMBERS, Sums};

/// The newest version of the protocol that this build speaks.
pub const NEWEST: u16 = 3;
/// The oldest one.
pub const OLDEST: u16 = 1;
/// The longest frame that is taken: a delta of the greatest length and what goes around it.
pub(crate) const MAX_FRAME: usize = 256 << 20;
const MAX_WORLD: usize = 1024;

/// Who speaks, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The newest version that the speaker knows.
    pub(crate) version: u16,
    pub(crate) world: String,
    pub(crate) replica: ReplicaId,
    pub(crate) now_ms: u64,
    pub(crate) vectors: Vec<(u16, VersionVector)>,
    /// From version 3: what the speaker has of closed replicas, which are not in the vectors then.
    pub(crate) closed: Vec<Column>,
    /// From version 3: up to here the speaker has heard that nothing of the hearer's region is missing.
    pub(crate) heard: Hlc,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first thing said.
    Hello(Hello),
    /// Deltas, one encoded after the other.
    Batch(Bytes),
    /// Everything made here up to this stamp has been sent, on one lane or the other.
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
    /// From version 2: part of what was lacking of one partition; a [`Frame::CatchUp`] ends it.
    Piece(Bytes),
    /// From version 2: what lives here of what you have, in sums.
    Sums(Sums),
    /// From version 2: where those sums are not ours.
    Differing(Differing),
    /// From version 2: what lives there; what else you have there is gone.
    Live(Live),
    /// From version 2: the sums of some partitions.
    Digests(Vec<Digest>),
    /// From version 2: the speaker wants the sums of a partition's key buckets.
    AskBuckets(u16),
    /// From version 2: those sums.
    Buckets(BucketSums),
    /// From version 2: the speaker wants the sums of a bucket's keys.
    AskKeys(AskKeys),
    /// From version 2: those sums.
    Keys(KeySums),
    /// From version 3: the speaker cannot tell what the columns of the hello stand for, and wants it acknowledged in full.
    AskAll,
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
const PIECE: u8 = 9;
const SUMS: u8 = 10;
const DIFFERING: u8 = 11;
const LIVE: u8 = 12;
const DIGESTS: u8 = 13;
const ASK_BUCKETS: u8 = 14;
const BUCKETS: u8 = 15;
const ASK_KEYS: u8 = 16;
const KEYS: u8 = 17;
const ASK_ALL: u8 = 18;
/// The body is packed, see `pack.rs`.
const FLAG_ZSTD: u8 = 1;
/// The last kind of frame that version 1 has.
const LAST_OF_1: u8 = DONE;
/// The last one that version 2 has.
const LAST_OF_2: u8 = KEYS;

impl Frame {
    fn tag(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Batch(_) => BATCH,
            Self::Mark(_) => MARK,
            Self::Ack(_) => ACK,
            Self::Want(_) => WANT,
            Self::Begin(_) => BEGIN,
            Self::CatchUp(_) => CATCH_UP,
            Self::Done(_) => DONE,
            Self::Piece(_) => PIECE,
            Self::Sums(_) => SUMS,
            Self::Differing(_) => DIFFERING,
            Self::Live(_) => LIVE,
            Self::Digests(_) => DIGESTS,
            Self::AskBuckets(_) => ASK_BUCKETS,
            Self::Buckets(_) => BUCKETS,
            Self::AskKeys(_) => ASK_KEYS,
            Self::Keys(_) => KEYS,
            Self::AskAll => ASK_ALL,
        }
    }

    /// The frame as a peer of `version` reads it, not packed.
    fn encode(&self, version: u16) -> Bytes {
        let mut out = vec![0, 0, 0, 0, self.tag()];
        if version >= 2 {
            out.push(0);
        }
        self.encode_body(&mut out);
        let length = (out.len() - 4) as u32; // bounded by what a partition may hold, see MAX_FRAME
        out[..4].copy_from_slice(&length.to_le_bytes());
        out.into()
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::Batch(body) | Self::CatchUp(body) | Self::Piece(body) => out.extend_from_slice(body),
            Self::Mark(mark) => {
                out.extend_from_slice(&mark.hlc.0.to_le_bytes());
                put_varint(out, mark.age_ms);
                put_varint(out, mark.next_ms);
            }
            Self::Ack(vectors) | Self::Want(vectors) => vectors::encode(out, vectors),
            Self::Begin(round) | Self::Done(round) => put_varint(out, *round),
            Self::Sums(sums) => sums.encode(out),
            Self::Differing(differing) => differing.encode(out),
            Self::Live(live) => live.encode(out),
            Self::Digests(digests) => audit::encode_digests(out, digests),
            Self::AskBuckets(partition) => put_varint(out, u64::from(*partition)),
            Self::Buckets(sums) => sums.encode(out),
            Self::AskKeys(ask) => ask.encode(out),
            Self::Keys(keys) => keys.encode(out),
            Self::AskAll => {}
        }
    }

    fn decode(version: u16, mut body: Bytes, unpacker: &mut Unpacker) -> Result<Self, Malformed> {
        if body.len() < if version >= 2 { 2 } else { 1 } {
            return Err(Malformed("a frame has an impossible length"));
        }
        let tag = body.get_u8();
        match if version >= 2 { body.get_u8() } else { 0 } {
            0 => {}
            FLAG_ZSTD => body = unpacker.unpack(&body)?,
            _ => return Err(Malformed("a frame with unknown flags")),
        }
        if version == 1 && tag > LAST_OF_1 || version == 2 && tag > LAST_OF_2 {
            return Err(Malformed("a frame of a kind that the version agreed on does not have"));
        }
        let mut reader = Reader(&body);
        let frame = match tag {
            HELLO => return Hello::decode(version, &mut reader).map(Self::Hello),
            BATCH => return Ok(Self::Batch(body.clone())),
            CATCH_UP => return Ok(Self::CatchUp(body.clone())),
            PIECE => return Ok(Self::Piece(body.clone())),
            MARK => Self::Mark(Mark {
                hlc: Hlc(u64::from_le_bytes(reader.array()?)),
                age_ms: reader.varint()?,
                next_ms: reader.varint()?,
            }),
            ACK => Self::Ack(vectors::decode(&mut reader)?),
            WANT => Self::Want(vectors::decode(&mut reader)?),
            BEGIN => Self::Begin(reader.varint()?),
            DONE => Self::Done(reader.varint()?),
            SUMS => Self::Sums(Sums::decode(&mut reader)?),
            DIFFERING => Self::Differing(Differing::decode(&mut reader)?),
            LIVE => Self::Live(Live::decode(&mut reader)?),
            DIGESTS => Self::Digests(audit::decode_digests(&mut reader)?),
            ASK_BUCKETS => Self::AskBuckets(reader.partition()?),
            BUCKETS => Self::Buckets(BucketSums::decode(&mut reader)?),
            ASK_KEYS => Self::AskKeys(AskKeys::decode(&mut reader)?),
            KEYS => Self::Keys(KeySums::decode(&mut reader)?),
            ASK_ALL => Self::AskAll,
            _ => return Err(Malformed("a frame of an unknown kind")),
        };
        reader.end()?;
        Ok(frame)
    }
}

impl Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        put_varint(out, self.world.len() as u64);
        out.extend_from_slice(self.world.as_bytes());
        out.extend_from_slice(&self.replica.region.to_le_bytes());
        out.extend_from_slice(&self.replica.incarnation.to_le_bytes());
        put_varint(out, self.now_ms);
        vectors::encode(out, &self.vectors);
        if self.version >= 3 {
            put_varint(out, self.closed.len() as u64);
            for column in &self.closed {
                out.extend_from_slice(&column.replica.region.to_le_bytes());
                out.extend_from_slice(&column.replica.incarnation.to_le_bytes());
                out.extend_from_slice(&column.sum.to_le_bytes());
            }
            out.extend_from_slice(&self.heard.0.to_le_bytes());
        }
    }

    /// Version 1 knows no other version. From version 2 on a newer hello may say more than we can read.
    fn decode(spoken: u16, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let version = u16::from_le_bytes(reader.array()?);
        if version < spoken || (spoken == 1 && version != 1) {
            return Err(Malformed("it speaks another version of the protocol than was agreed"));
        }
        let length = reader.varint()? as usize;
        if length > MAX_WORLD {
            return Err(Malformed("the world's name is too long"));
        }
        let world =
            String::from_utf8(reader.bytes(length)?.to_vec()).map_err(|_| Malformed("the world's name is no text"))?;
        let region = u16::from_le_bytes(reader.array()?);
        let replica = ReplicaId { region, incarnation: u32::from_le_bytes(reader.array()?) };
        let (now_ms, vectors) = (reader.varint()?, vectors::decode(reader)?);
        let mut hello = Self { version, world, replica, now_ms, vectors, closed: Vec::new(), heard: Hlc::ZERO };
        if version >= 3 {
            for _ in 0..reader.count(22)? {
                let region = u16::from_le_bytes(reader.array()?);
                let replica = ReplicaId { region, incarnation: u32::from_le_bytes(reader.array()?) };
                hello.closed.push(Column { replica, sum: u128::from_le_bytes(reader.array()?) });
            }
            hello.heard = Hlc(u64::from_le_bytes(reader.array()?));
        }
        if version <= NEWEST {
            reader.end()?;
        }
        Ok(hello)
    }
}

/// Puts the frames of one lane together from bytes as they come.
#[derive(Default)]
pub(crate) struct FrameBuffer {
    bytes: BytesMut,
    unpacker: Unpacker,
}

impl FrameBuffer {
    /// Takes in what came. What a peer merely announces is never allocated.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that came and are in no frame handed out.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The next whole frame, if it is here.
    pub(crate) fn next(&mut self, version: u16) -> Result<Option<Frame>, Malformed> {
        let Some(head) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if !(1..=MAX_FRAME).contains(&length) {
            return Err(Malformed("a frame has an impossible length"));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        self.bytes.advance(4);
        Frame::decode(version, self.bytes.split_to(length).freeze(), &mut self.unpacker).map(Some)
    }
}
