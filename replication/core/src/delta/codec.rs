//! How a delta is written as a frame, and read again: bytes from a journal or from another region, which may be anything.
//!
//! ```text
//! frame │ partition │ replica │ first number │ stamp │ needs │ count │ changes …
//! change │ flags │ key, unless it is the one before │ part │ dots removed │ value, if it puts one
//! ```
//! Reading takes nothing that this build would not write: a value stands in a part that can hold it, numbers are in range,
//! lengths are checked before anything is reserved. Golden bytes in `tests/it/codec.rs` keep both versions as they are.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Change, Count, Deadline, Delta, Floor, Part, Score, Value};
use crate::types::decimal::ONE;
use crate::types::position::{self, MAX_POSITION_BYTES};
use crate::wire::{self, Kind, Reader, TooNew, put_bytes, put_varint};
use crate::{DecodeError, Hlc, MAX_KEY_BYTES, MAX_SEQ, MAX_VALUE_BYTES, PARTITIONS};

/// The longest delta frame, in bytes. A command's arguments are bounded far below it ([`crate::MAX_COMMAND_BYTES`]); the rest is
/// for the dots that a DEL of a huge hash names.
pub const MAX_DELTA_BYTES: usize = 256 * 1024 * 1024;

impl Delta {
    /// Appends one frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(wire::VERSION, out);
    }

    /// Appends one frame that a reader of `version` understands.
    ///
    /// # Errors
    /// That version has no words for it; `out` is as it was.
    pub fn encode_version(&self, version: u8, out: &mut Vec<u8>) -> Result<(), TooNew> {
        self.changes.iter().try_for_each(|change| understood(version, &change.part, change.put.as_ref()))?;
        self.encode_as(version, out);
        Ok(())
    }

    fn encode_as(&self, version: u8, out: &mut Vec<u8>) {
        wire::write_frame(version, out, Kind::Delta, |out| {
            put_varint(out, u64::from(self.partition));
            wire::put_replica(out, self.replica);
            put_varint(out, self.first_seq);
            out.extend_from_slice(&self.hlc.0.to_le_bytes());
            wire::put_vv(out, &self.needs);
            put_varint(out, self.changes.len() as u64);
            let mut key: &[u8] = &[];
            for (at, change) in self.changes.iter().enumerate() {
                change.encode(out, (at > 0).then_some(key));
                key = &change.key;
            }
        });
    }

    /// Reads one frame from the head of `bytes` and tells how many bytes it took; `Ok(None)` while it is not all there.
    ///
    /// # Errors
    /// The bytes are not a delta that this build could have written.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((body, taken)) = wire::read_frame(bytes, Kind::Delta, MAX_DELTA_BYTES)? else { return Ok(None) };
        Ok(Some((Self::read_body(Reader::new(body))?, taken)))
    }

    /// As [`decode`](Self::decode), but copies nothing: keys and values are slices of `bytes`, which stays in memory for as long
    /// as the delta does. For whoever reads many and keeps none.
    ///
    /// # Errors
    /// The bytes are not a delta that this build could have written.
    pub fn decode_within(bytes: &Bytes) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((body, taken)) = wire::read_frame(bytes, Kind::Delta, MAX_DELTA_BYTES)? else { return Ok(None) };
        Ok(Some((Self::read_body(Reader::over(bytes.slice_ref(body)))?, taken)))
    }

    fn read_body(mut reader: Reader) -> Result<Self, DecodeError> {
        let delta = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(delta)
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let partition = read_partition(reader)?;
        let replica = reader.replica()?;
        let first_seq = reader.seq()?;
        let hlc = read_hlc(reader)?;
        let needs = reader.vv()?;
        let count = reader.count()?;
        // A change takes at least 4 bytes; a lying count must not reserve 50 times the frame.
        let mut changes: Vec<Change> = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let change = Change::read(reader, changes.last().map(|c| &c.key))?;
            changes.push(change);
        }
        let delta = Self { partition, replica, first_seq, hlc, needs, changes };
        if delta.last_seq() > MAX_SEQ {
            return Err(DecodeError::Malformed("a change number out of range"));
        }
        Ok(delta)
    }
}

/// Whether a reader of `version` knows such a part and such a value.
pub(crate) fn understood(version: u8, part: &Part, value: Option<&Value>) -> Result<(), TooNew> {
    let what = part.new_in_2().or_else(|| value.and_then(Value::new_in_2));
    match what {
        Some(what) if version < 2 => Err(TooNew { what, needs: 2 }),
        _ => Ok(()),
    }
}

pub(crate) fn read_partition(reader: &mut Reader) -> Result<u16, DecodeError> {
    let partition = reader.u16()?;
    if partition < PARTITIONS { Ok(partition) } else { Err(DecodeError::Malformed("no such partition")) }
}

pub(crate) fn read_hlc(reader: &mut Reader) -> Result<Hlc, DecodeError> {
    Ok(Hlc(reader.u64_le()?))
}

/// Sums of integers, nearly all there are, travel as integers: a byte or two instead of nine.
fn unit_of(sums: &[i128]) -> i128 {
    if sums.iter().all(|sum| sum % ONE == 0) { ONE } else { 1 }
}

fn read_sum(reader: &mut Reader, unit: i128) -> Result<i128, DecodeError> {
    reader.i128()?.checked_mul(unit).ok_or(DecodeError::Malformed("a sum out of range"))
}

const SAME_KEY: u8 = 1;
const HAS_PUT: u8 = 2;

impl Change {
    fn encode(&self, out: &mut Vec<u8>, previous: Option<&[u8]>) {
        let same_key = previous == Some(&self.key[..]);
        out.push(if same_key { SAME_KEY } else { 0 } | if self.put.is_some() { HAS_PUT } else { 0 });
        if !same_key {
            put_bytes(out, &self.key);
        }
        self.part.encode(out);
        wire::put_dots(out, &mut self.removes.clone());
        if let Some(value) = &self.put {
            value.encode(out);
        }
    }

    fn read(reader: &mut Reader, previous: Option<&Bytes>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        if flags & !(SAME_KEY | HAS_PUT) != 0 {
            return Err(DecodeError::Malformed("unknown flags of a change"));
        }
        let key = match (flags & SAME_KEY != 0, previous) {
            (true, Some(key)) => key.clone(),
            (true, None) => return Err(DecodeError::Malformed("the first change has no key")),
            (false, _) => reader.bytes(MAX_KEY_BYTES)?,
        };
        let part = Part::read(reader)?;
        let removes = SmallVec::from_vec(reader.dots()?);
        let put = if flags & HAS_PUT == 0 { None } else { Some(Value::read(reader)?) };
        if put.as_ref().is_some_and(|value| !value.fits(&part)) {
            return Err(DecodeError::Malformed("a value in a part that cannot hold it"));
        }
        Ok(Self { key, part, removes, put })
    }
}

impl Part {
    /// What it is, if version 2 brought it.
    fn new_in_2(&self) -> Option<&'static str> {
        match self {
            Self::Any | Self::Cell | Self::Field(_) | Self::Member(_) | Self::Deadline => None,
            Self::FieldDeadline(_) => Some("deadlines of hash fields"),
            Self::Rated(_) => Some("sorted sets"),
            Self::Item(_) => Some("lists"),
            Self::Sketch => Some("HyperLogLogs"),
            Self::Key => Some("removal marks"),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Any => out.push(0),
            Self::Cell => out.push(1),
            Self::Field(field) => {
                out.push(2);
                put_bytes(out, field);
            }
            Self::Member(member) => {
                out.push(3);
                put_bytes(out, member);
            }
            Self::Deadline => out.push(4),
            Self::FieldDeadline(field) => {
                out.push(5);
                put_bytes(out, field);
            }
            Self::Rated(member) => {
                out.push(6);
                put_bytes(out, member);
            }
            Self::Item(position) => {
                out.push(7);
                put_bytes(out, position);
            }
            Self::Sketch => out.push(8),
            Self::Key => out.push(9),
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Any,
            1 => Self::Cell,
            2 => Self::Field(reader.bytes(MAX_VALUE_BYTES)?),
            3 => Self::Member(reader.bytes(MAX_VALUE_BYTES)?),
            4 => Self::Deadline,
            5 => Self::FieldDeadline(reader.bytes(MAX_VALUE_BYTES)?),
            6 => Self::Rated(reader.bytes(MAX_VALUE_BYTES)?),
            7 => {
                let position = reader.bytes(MAX_POSITION_BYTES)?;
                if !position::is_well_formed(&position) {
                    return Err(DecodeError::Malformed("a list position that nobody makes"));
                }
                Self::Item(position)
            }
            8 => Self::Sketch,
            9 => Self::Key,
            _ => return Err(DecodeError::Malformed("unknown part of a key")),
        })
    }
}

impl Value {
    /// What it is, if version 2 brought it.
    fn new_in_2(&self) -> Option<&'static str> {
        let whole = |sums: &[i128]| unit_of(sums) == ONE;
        match self {
            Self::Text(_) | Self::Member | Self::Deadline(_) => None,
            Self::Count(count) => (!whole(&[count.sum, count.base_sum])).then_some("counters with fractions"),
            Self::Floor(floor) => (!whole(&[floor.sum])).then_some("counters with fractions"),
            Self::Score(_) => Some("sorted sets"),
            Self::Revoked => Some("removal marks"),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                out.push(0);
                put_bytes(out, text);
            }
            Self::Count(count) => {
                let unit = unit_of(&[count.sum, count.base_sum]);
                out.push(if unit == ONE { 1 } else { 6 });
                wire::put_i128(out, count.sum / unit);
                put_varint(out, count.last);
                put_varint(out, count.base_seq);
                wire::put_i128(out, count.base_sum / unit);
            }
            Self::Floor(floor) => {
                let unit = unit_of(&[floor.sum]);
                out.push(if unit == ONE { 2 } else { 7 });
                wire::put_replica(out, floor.owner);
                put_varint(out, floor.seq);
                wire::put_i128(out, floor.sum / unit);
            }
            Self::Member => out.push(3),
            Self::Deadline(deadline) => {
                out.push(if deadline.bound.is_some() { 5 } else { 4 });
                put_varint(out, deadline.at_ms);
                if let Some(dot) = deadline.bound {
                    wire::put_dot(out, dot);
                }
            }
            Self::Score(score) => {
                out.push(8);
                out.extend_from_slice(&score.0.to_bits().to_le_bytes());
            }
            Self::Revoked => out.push(9),
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0 => Self::Text(reader.bytes(MAX_VALUE_BYTES)?),
            tag @ (1 | 6) => {
                let unit = if tag == 1 { ONE } else { 1 };
                Self::Count(Box::new(Count {
                    sum: read_sum(reader, unit)?,
                    last: reader.varint()?,
                    base_seq: reader.varint()?,
                    base_sum: read_sum(reader, unit)?,
                }))
            }
            tag @ (2 | 7) => {
                let unit = if tag == 2 { ONE } else { 1 };
                let (owner, seq) = (reader.replica()?, reader.varint()?);
                Self::Floor(Box::new(Floor { owner, seq, sum: read_sum(reader, unit)? }))
            }
            3 => Self::Member,
            4 => Self::Deadline(Deadline { at_ms: reader.varint()?, bound: None }),
            5 => Self::Deadline(Deadline { at_ms: reader.varint()?, bound: Some(reader.dot()?) }),
            8 => {
                let score = f64::from_bits(reader.u64_le()?);
                if score.is_nan() {
                    return Err(DecodeError::Malformed("a score that is not a number"));
                }
                Self::Score(Score(score))
            }
            9 => Self::Revoked,
            _ => return Err(DecodeError::Malformed("unknown kind of value")),
        })
    }
}
