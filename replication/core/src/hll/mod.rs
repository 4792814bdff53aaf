//! HyperLogLog as Redis 7 stores and counts it: bytes copied from a Redis are understood, and ours by a Redis.
//!
//! ```text
//! "HYLL" │ u8 encoding (0 dense, 1 sparse) │ 3 × 0 │ u64 cached count, its top bit set when it is stale (little-endian) │ registers
//! ```
//!
//! 16384 registers hold how many zero bits, and one, the hashes that fall to them have ended with at most. Registers only grow,
//! so the union of two is the greater of each register: commutative, associative, idempotent.
//!
//! Dense registers are 6 bits each; sparse ones are runs (`sparse.rs`), given up where they take more than 3000 bytes or a register
//! passes 32, as Redis does by default.

mod estimate;
mod murmur;
mod sparse;

use bytes::Bytes;

use crate::OpError;

/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are left to count zeros in.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
const REGISTERS: usize = 1 << INDEX_BITS;
const MAGIC: &[u8; 4] = b"HYLL";
const HEADER: usize = 16;
const ENCODING: usize = 4;
const CACHED: std::ops::Range<usize> = 8..16;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;
/// Longest sparse form, header included.
const SPARSE_BYTES: usize = 3000;

/// Where an element falls, and how far it raises that register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    index: usize,
    count: u8,
}

impl Mark {
    /// Of an element.
    pub(crate) fn of(element: &[u8]) -> Self {
        let hash = murmur::hash(element);
        let counted = (hash >> INDEX_BITS) | 1 << COUNTED_BITS;
        Self { index: hash as usize & (REGISTERS - 1), count: counted.trailing_zeros() as u8 + 1 }
    }
}

/// All registers, a byte each.
pub(crate) struct Registers(Box<[u8; REGISTERS]>);

impl Registers {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    /// Raises each register to that of `sketch`.
    pub(crate) fn merge(&mut self, sketch: Sketch<'_>) -> Result<(), OpError> {
        let mut at = 0;
        sketch.each_run(&mut |value, len| {
            for register in &mut self.0[at..at + len] {
                *register = value.max(*register);
            }
            at += len;
        })
    }

    /// How many different elements were added, about.
    pub(crate) fn count(&self) -> u64 {
        let mut histogram = [0; 64];
        self.0.iter().for_each(|register| histogram[usize::from(register & 63)] += 1);
        estimate::count(&histogram)
    }

    /// The registers that are not zero.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> {
        let set = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        set.map(|(index, &count)| Mark { index, count })
    }
}

/// A HyperLogLog in its stored form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sketch<'a> {
    bytes: &'a [u8],
}

impl<'a> Sketch<'a> {
    /// Takes bytes for a HyperLogLog if their header and length are those of one; sparse runs are checked when they are read.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, OpError> {
        let sound = match bytes.get(ENCODING) {
            Some(&DENSE) => bytes.len() == DENSE_BYTES,
            Some(&SPARSE) => bytes.len() >= HEADER,
            _ => false,
        };
        if sound && bytes.starts_with(MAGIC) { Ok(Self { bytes }) } else { Err(OpError::NotASketch) }
    }

    pub(crate) fn is_dense(self) -> bool {
        self.bytes[ENCODING] == DENSE
    }

    /// The count that a Redis has left in the header, unless it is marked as stale.
    pub(crate) fn cached(self) -> Option<u64> {
        let cached = u64::from_le_bytes(self.bytes[CACHED].try_into().unwrap_or_default());
        (self.bytes[CACHED.end - 1] & STALE == 0).then_some(cached)
    }

    /// Whether adding the element would change nothing.
    pub(crate) fn covers(self, mark: Mark) -> Result<bool, OpError> {
        let value = match self.is_dense() {
            true => dense_get(&self.bytes[HEADER..], mark.index),
            false => sparse::find(&self.bytes[HEADER..], mark.index).ok_or(OpError::CorruptSketch)?.value,
        };
        Ok(value >= mark.count)
    }

    /// Shows all registers in order, as runs of equal ones.
    fn each_run(self, visit: &mut dyn FnMut(u8, usize)) -> Result<(), OpError> {
        let registers = &self.bytes[HEADER..];
        if self.is_dense() {
            (0..REGISTERS).for_each(|at| visit(dense_get(registers, at), 1));
            return Ok(());
        }
        if !sparse::is_whole(registers) {
            return Err(OpError::CorruptSketch);
        }
        sparse::runs(registers).for_each(|run| visit(run.value, run.len));
        Ok(())
    }
}

/// A HyperLogLog being written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
}

impl Draft {
    /// One that has counted nothing: what PFADD without elements leaves.
    pub(crate) fn empty() -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING] = SPARSE;
        sparse::push_zeros(&mut bytes, REGISTERS);
        Self { bytes }
    }

    /// Goes on from a stored one; its runs are checked.
    pub(crate) fn from(sketch: Sketch<'_>) -> Result<Self, OpError> {
        if !sketch.is_dense() && !sparse::is_whole(&sketch.bytes[HEADER..]) {
            return Err(OpError::CorruptSketch);
        }
        Ok(Self { bytes: sketch.bytes.to_vec() })
    }

    /// Raises one register.
    pub(crate) fn add(&mut self, mark: Mark) {
        if self.bytes[ENCODING] == SPARSE {
            let registers = &self.bytes[HEADER..];
            let Some(run) = sparse::find(registers, mark.index).filter(|run| run.value < mark.count) else { return };
            let room = SPARSE_BYTES.saturating_sub(self.bytes.len());
            if mark.count <= sparse::MAX_VALUE && sparse::raise(&mut self.bytes, HEADER, run, mark, room) {
                return;
            }
            self.make_dense();
        }
        let registers = &mut self.bytes[HEADER..];
        if dense_get(registers, mark.index) < mark.count {
            dense_set(registers, mark.index, mark.count);
        }
    }

    /// Gives up the sparse form.
    pub(crate) fn make_dense(&mut self) {
        if self.bytes[ENCODING] == DENSE {
            return;
        }
        let mut dense = vec![0; DENSE_BYTES];
        dense[..HEADER].copy_from_slice(&self.bytes[..HEADER]);
        dense[ENCODING] = DENSE;
        let mut at = 0;
        for run in sparse::runs(&self.bytes[HEADER..]) {
            if run.value > 0 {
                (at..at + run.len).for_each(|index| dense_set(&mut dense[HEADER..], index, run.value));
            }
            at += run.len;
        }
        self.bytes = dense;
    }

    /// The stored form.
    pub(crate) fn finish(mut self) -> Bytes {
        // A Redis would keep the old count under the mark; nothing at all depends only on the registers.
        self.bytes[CACHED].fill(0);
        self.bytes[CACHED.end - 1] = STALE;
        Bytes::from(self.bytes)
    }
}

/// How many different elements several stored HyperLogLogs have counted together, about: what PFCOUNT answers for keys of several
/// partitions.
///
/// # Errors
/// One of them is none.
pub fn count_sketches<'a>(sketches: impl IntoIterator<Item = &'a [u8]>) -> Result<u64, OpError> {
    let mut registers = Registers::new();
    for bytes in sketches {
        registers.merge(Sketch::parse(bytes)?)?;
    }
    Ok(registers.count())
}

/// Registers are 6 bits, the first in the low bits of the first byte.
fn dense_get(registers: &[u8], index: usize) -> u8 {
    let (byte, bit) = (index * 6 / 8, index * 6 % 8);
    let high = registers.get(byte + 1).copied().unwrap_or_default();
    (u16::from_le_bytes([registers[byte], high]) >> bit) as u8 & 63
}

fn dense_set(registers: &mut [u8], index: usize, value: u8) {
    let (byte, bit) = (index * 6 / 8, index * 6 % 8);
    let high = registers.get(byte + 1).copied().unwrap_or_default();
    let word = u16::from_le_bytes([registers[byte], high]) & !(63 << bit) | u16::from(value) << bit;
    let [low, high] = word.to_le_bytes();
    registers[byte] = low;
    if let Some(next) = registers.get_mut(byte + 1) {
        *next = high;
    }
}

#[cfg(test)]
mod tests;
