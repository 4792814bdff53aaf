//! Bytes in and out: varints, bounded reads, and the frame that every record travels in.
//!
//! ```text
//! u32 length of all that follows │ u8 version │ u8 kind │ body … │ u64 xxh3 of version, kind and body     (little-endian)
//! ```
//!
//! The reader trusts nothing: every length is compared with what is really there before anything is allocated for it.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Dot, MAX_SEQ, ReplicaId, VersionVector};

/// The version this build writes. Version 2 added parts and values to version 1 and changed none, so both are read alike.
pub(crate) const VERSION: u8 = 2;
/// The oldest version this build reads.
const OLDEST: u8 = 1;
const HEAD: usize = 4;
const FIXED: usize = 2 + 8;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Delta = 1,
    CatchUp = 2,
    State = 3,
}

/// Why bytes were not taken for a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A length beyond the limit of its kind; nothing was allocated.
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// The length the frame claims.
        len: u64,
        /// The most its kind may have.
        limit: u64,
    },
    /// The bytes are not those that were written.
    #[error("checksum mismatch in a frame of {len} bytes")]
    Checksum {
        /// The frame's length.
        len: usize,
    },
    /// Written by another version of the format.
    #[error("frame format version {0} is unknown here, this build reads versions {OLDEST} to {VERSION}")]
    Version(u8),
    /// A well-formed frame of another kind.
    #[error("frame kind {0} where another was expected")]
    Kind(u8),
    /// The checksum is right, the content is not: the writer is wrong.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// The bytes end inside the frame.
    #[error("the bytes end inside a frame")]
    Incomplete,
}

/// Something that a reader of an older version would not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} need version {needs} of the format")]
pub struct TooNew {
    /// What it is, in the plural.
    pub what: &'static str,
    /// The first version that has it.
    pub needs: u8,
}

/// Appends one frame whose body `fill` writes. The caller knows that `version` has words for all of it.
pub(crate) fn write_frame(version: u8, out: &mut Vec<u8>, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&[version, kind as u8]);
    fill(out);
    let sum = xxh3_64(&out[start + HEAD..]);
    out.extend_from_slice(&sum.to_le_bytes());
    let len = (out.len() - start - HEAD) as u32;
    out[start..start + HEAD].copy_from_slice(&len.to_le_bytes());
}

/// The body of the frame at the head of `bytes` and the bytes the frame takes; `None` while it is not all there.
pub(crate) fn read_frame(bytes: &[u8], kind: Kind, limit: usize) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let len = u32::from_le_bytes(*head) as usize;
    if len > limit {
        return Err(DecodeError::TooLong { len: len as u64, limit: limit as u64 });
    }
    if len < FIXED {
        return Err(DecodeError::Malformed("shorter than an empty frame"));
    }
    let Some(frame) = rest.get(..len) else { return Ok(None) };
    let (checked, sum) = frame.split_at(len - 8);
    if sum != xxh3_64(checked).to_le_bytes() {
        return Err(DecodeError::Checksum { len: len + HEAD });
    }
    match (checked[0], checked[1]) {
        (version, _) if !(OLDEST..=VERSION).contains(&version) => Err(DecodeError::Version(version)),
        (_, found) if found != kind as u8 => Err(DecodeError::Kind(found)),
        _ => Ok(Some((&checked[2..], len + HEAD))),
    }
}

/// The partition that a delta, a catch-up or a state belongs to, by the head of its frame: for whoever hands frames to others to
/// read. Nothing is checked; of a damaged frame the answer is nothing or anything.
pub fn partition_of_frame(bytes: &[u8]) -> Option<u16> {
    let mut partition = 0;
    for (at, byte) in bytes.get(HEAD + 2..)?.iter().take(3).enumerate() {
        partition |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return u16::try_from(partition).ok();
        }
    }
    None
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn put_i128(out: &mut Vec<u8>, n: i128) {
    let zigzag = ((n << 1) ^ (n >> 127)) as u128;
    put_varint(out, zigzag as u64);
    put_varint(out, (zigzag >> 64) as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_replica(out: &mut Vec<u8>, replica: ReplicaId) {
    put_varint(out, u64::from(replica.region));
    put_varint(out, u64::from(replica.incarnation));
}

pub(crate) fn put_dot(out: &mut Vec<u8>, dot: Dot) {
    put_replica(out, dot.replica);
    put_varint(out, dot.seq);
}

pub(crate) fn put_vv(out: &mut Vec<u8>, vv: &VersionVector) {
    put_varint(out, vv.len() as u64);
    for (replica, seq) in vv.iter() {
        put_dot(out, Dot { replica, seq });
    }
}

/// Writes a set of dots as runs of one replica with gaps between their numbers: one byte a dot where they are dense.
/// Sorts `dots`.
pub(crate) fn put_dots(out: &mut Vec<u8>, dots: &mut [Dot]) {
    dots.sort_unstable();
    put_varint(out, dots.len() as u64);
    for run in dots.chunk_by(|a, b| a.replica == b.replica) {
        put_replica(out, run[0].replica);
        put_varint(out, run.len() as u64);
        let mut last = 0;
        for dot in run {
            put_varint(out, dot.seq - last);
            last = dot.seq;
        }
    }
}

/// Reads what the functions above wrote. Byte strings are slices of the one buffer, never copies of it.
pub(crate) struct Reader {
    bytes: Bytes,
}

type Read<T> = Result<T, DecodeError>;

impl Reader {
    pub(crate) fn new(body: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(body) }
    }

    /// Reads `body` where it lies: what is read are slices of whatever `body` is a slice of.
    pub(crate) fn over(body: Bytes) -> Self {
        Self { bytes: body }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn finish(&self) -> Read<()> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("bytes after the end")) }
    }

    pub(crate) fn u8(&mut self) -> Read<u8> {
        let byte = *self.bytes.first().ok_or(DecodeError::Malformed("ends early"))?;
        bytes::Buf::advance(&mut self.bytes, 1);
        Ok(byte)
    }

    pub(crate) fn varint(&mut self) -> Read<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::Malformed("number over 64 bits"));
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(DecodeError::Malformed("number over 64 bits"))
    }

    pub(crate) fn u64_le(&mut self) -> Read<u64> {
        let mut word = [0; 8];
        for byte in &mut word {
            *byte = self.u8()?;
        }
        Ok(u64::from_le_bytes(word))
    }

    pub(crate) fn i128(&mut self) -> Read<i128> {
        let low = u128::from(self.varint()?);
        let zigzag = low | u128::from(self.varint()?) << 64;
        Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
    }

    pub(crate) fn u16(&mut self) -> Read<u16> {
        u16::try_from(self.varint()?).map_err(|_| DecodeError::Malformed("number over 16 bits"))
    }

    /// A number of things that take at least one byte each: never more than there are bytes left.
    pub(crate) fn count(&mut self) -> Read<usize> {
        let n = self.varint()?;
        if n > self.left() as u64 {
            return Err(DecodeError::Malformed("counts more things than there are bytes"));
        }
        Ok(n as usize)
    }

    pub(crate) fn bytes(&mut self, limit: usize) -> Read<Bytes> {
        let len = self.count()?;
        if len > limit {
            return Err(DecodeError::Malformed("a key or value over its limit"));
        }
        Ok(self.bytes.split_to(len))
    }

    pub(crate) fn replica(&mut self) -> Read<ReplicaId> {
        let region = self.u16()?;
        let incarnation = self.varint()?;
        let incarnation = u32::try_from(incarnation).map_err(|_| DecodeError::Malformed("number over 32 bits"))?;
        Ok(ReplicaId { region, incarnation })
    }

    /// A sequence number of a real change: from 1 to [`MAX_SEQ`].
    pub(crate) fn seq(&mut self) -> Read<u64> {
        checked_seq(self.varint()?)
    }

    pub(crate) fn dot(&mut self) -> Read<Dot> {
        Ok(Dot { replica: self.replica()?, seq: self.seq()? })
    }

    pub(crate) fn vv(&mut self) -> Read<VersionVector> {
        let count = self.count()?;
        let mut vv = VersionVector::new();
        for _ in 0..count {
            let dot = self.dot()?;
            vv.raise(dot.replica, dot.seq);
        }
        Ok(vv)
    }

    pub(crate) fn dots(&mut self) -> Read<Vec<Dot>> {
        let total = self.count()?;
        let mut dots = Vec::with_capacity(total);
        while dots.len() < total {
            let replica = self.replica()?;
            let run = self.count()?;
            if run == 0 || run > total - dots.len() {
                return Err(DecodeError::Malformed("a run of dots of the wrong length"));
            }
            let mut seq = 0u64;
            for _ in 0..run {
                seq = checked_seq(seq.saturating_add(self.varint()?))?;
                dots.push(Dot { replica, seq });
            }
        }
        Ok(dots)
    }
}

fn checked_seq(seq: u64) -> Read<u64> {
    if (1..=MAX_SEQ).contains(&seq) { Ok(seq) } else { Err(DecodeError::Malformed("a change number out of range")) }
}
