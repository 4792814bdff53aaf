//! The country table: sorted range starts, searched where they lie.
//!
//! ```text
//! magic 8 · countries u16 · code [u8; 2] each, numbered from 2
//! then for IPv4 and for IPv6 (keys of 4 and of 8 bytes; of IPv6 only the upper half counts):
//!   ranges u32 · body length u32
//!   index   per block of 16 ranges: start of its first range (key) · offset of the block in the body (u32)
//!   body    per block: country of the first range, then for each further one the gap from start to start, and the country
//! gap       zeros (6 bits) | small (2 bits); gap = odd << zeros, odd = 2 × (small, or 3 + LEB128 when small is 3) + 1
//! ```
//!
//! Numbers are little-endian. A range ends where the next begins, and the first begins at 0, so the ranges tile the key space.
//! A lookup is a binary search of the index and the decoding of one block. Offsets from the file are checked where they are
//! used: damage makes clients nowhere, it does not make panics.

use std::borrow::Cow;

use super::{Country, NOWHERE};

pub(super) const MAGIC: &[u8; 8] = b"atollcc2";

/// Ranges per block: the price of an index entry is spread over this many, and this many are decoded per lookup.
pub(super) const BLOCK: usize = 16;

/// How many neighbouring ranges a widening may look at, in all. It bounds what one query can cost; in the
/// embedded table four times as many find no wider prefixes.
const WIDENING_STEPS: usize = 256;

/// Why bytes are not a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not this format, or cut short.
    #[error("the country table is not in the format `atollcc2`, or is cut short")]
    Format,
    /// A line of the places is not `CC latitude longitude city`.
    #[error("places, line {line}: expected `CC latitude longitude city`")]
    Place {
        /// Number of the line, from 1.
        line: usize,
    },
}

/// Address family of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

#[derive(Debug)]
pub(super) struct CountryTable {
    bytes: Cow<'static, [u8]>,
    /// How many codes follow the head.
    codes: usize,
    v4: Section,
    v6: Section,
}

/// Where one family's ranges lie in the bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Section {
    key_bytes: usize,
    ranges: usize,
    index_at: usize,
    body_at: usize,
    body_len: usize,
}

impl CountryTable {
    pub(super) fn parse(bytes: Cow<'static, [u8]>) -> Result<Self, TableError> {
        let head = |at: usize| bytes.get(at..at + 2).ok_or(TableError::Format);
        if bytes.get(..8) != Some(MAGIC) {
            return Err(TableError::Format);
        }
        let codes = usize::from(u16::from_le_bytes([head(8)?[0], head(8)?[1]]));
        let v4 = Section::parse(&bytes, 10 + 2 * codes, 4)?;
        let v6 = Section::parse(&bytes, v4.body_at + v4.body_len, 8)?;
        if v6.body_at + v6.body_len != bytes.len() || codes > 254 {
            return Err(TableError::Format);
        }
        Ok(Self { bytes, codes, v4, v6 })
    }

    pub(super) fn empty() -> Self {
        Self { bytes: Cow::Borrowed(&[]), codes: 0, v4: Section::default(), v6: Section::default() }
    }

    /// Countries and the two numbers that mean something else.
    pub(super) fn countries(&self) -> usize {
        self.codes + 2
    }

    pub(super) fn code(&self, country: Country) -> Option<[u8; 2]> {
        let i = usize::from(country).checked_sub(2).filter(|&i| i < self.codes)?;
        self.bytes.get(10 + 2 * i..12 + 2 * i)?.try_into().ok()
    }

    pub(super) fn country_of_code(&self, code: [u8; 2]) -> Option<Country> {
        (2..self.countries()).map(|c| c as Country).find(|&c| self.code(c) == Some(code))
    }

    /// A cursor on the range that holds `key`.
    pub(super) fn cursor(&self, family: Family, key: u64) -> Cursor<'_> {
        let section = match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        };
        let bits = match family {
            Family::V4 => 32,
            Family::V6 => 64,
        };
        Cursor::at(Blocks { bytes: &self.bytes, section, bits }, key)
    }
}

impl Section {
    fn parse(bytes: &[u8], at: usize, key_bytes: usize) -> Result<Self, TableError> {
        let number = |at: usize| -> Result<usize, TableError> {
            let b = bytes.get(at..at + 4).ok_or(TableError::Format)?;
            Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
        };
        let (ranges, body_len) = (number(at)?, number(at + 4)?);
        let index_at = at + 8;
        let body_at = index_at + ranges.div_ceil(BLOCK) * (key_bytes + 4);
        if bytes.len() < body_at + body_len || ranges == 0 {
            return Err(TableError::Format);
        }
        Ok(Self { key_bytes, ranges, index_at, body_at, body_len })
    }
}

/// The blocks of one family.
#[derive(Clone, Copy)]
struct Blocks<'t> {
    bytes: &'t [u8],
    section: Section,
    bits: u32,
}

impl Blocks<'_> {
    fn count(&self) -> usize {
        self.section.ranges.div_ceil(BLOCK)
    }

    fn max_key(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// Start key and body offset of a block; zeros behind the end, which no caller asks for.
    fn entry(&self, block: usize) -> (u64, usize) {
        let key_bytes = self.section.key_bytes;
        let at = self.section.index_at + block * (key_bytes + 4);
        let number = |at: usize, len: usize| match self.bytes.get(at..at + len) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
            Some(bytes) => bytes.try_into().map_or(0, u64::from_le_bytes),
            None => 0,
        };
        (number(at, key_bytes), number(at + key_bytes, 4) as usize)
    }

    /// The last block that begins at or before `key`.
    fn find(&self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.count());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.entry(middle).0 <= key { low = middle } else { high = middle }
        }
        low
    }
}

/// A range of keys, first and last inside, and its country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) country: Country,
}

/// A place in the table, with its block decoded.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    blocks: Blocks<'t>,
    block: usize,
    starts: [(u64, Country); BLOCK],
    len: usize,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn at(blocks: Blocks<'t>, key: u64) -> Self {
        let mut cursor = Self { blocks, block: 0, starts: [(0, NOWHERE); BLOCK], len: 1, at: 0 };
        if blocks.section.ranges > 0 {
            cursor.decode(blocks.find(key));
            cursor.at = cursor.starts[..cursor.len].partition_point(|s| s.0 <= key).saturating_sub(1);
        }
        cursor
    }

    fn decode(&mut self, block: usize) {
        let (mut start, offset) = self.blocks.entry(block);
        let section = self.blocks.section;
        let body = self.blocks.bytes.get(section.body_at..section.body_at + section.body_len).unwrap_or_default();
        let mut body = body.get(offset..).unwrap_or_default().iter().copied();
        self.block = block;
        self.at = 0;
        self.len = (section.ranges - block * BLOCK).min(BLOCK);
        self.starts[0] = (start, body.next().unwrap_or(NOWHERE));
        for i in 1..self.len {
            start = start.saturating_add(take_gap(&mut body));
            self.starts[i] = (start, body.next().unwrap_or(NOWHERE));
        }
    }

    /// The range the cursor is on.
    pub(super) fn range(&self) -> Range {
        let (first, country) = self.starts[self.at];
        let next = if self.at + 1 < self.len {
            Some(self.starts[self.at + 1].0)
        } else if self.block + 1 < self.blocks.count() {
            Some(self.blocks.entry(self.block + 1).0)
        } else {
            None
        };
        Range { first, last: next.map_or(self.blocks.max_key(), |n| n.saturating_sub(1)), country }
    }

    fn forward(&mut self) -> bool {
        if self.at + 1 < self.len {
            self.at += 1;
        } else if self.block + 1 < self.blocks.count() {
            self.decode(self.block + 1);
        } else {
            return false;
        }
        true
    }

    fn back(&mut self) -> bool {
        if self.at > 0 {
            self.at -= 1;
        } else if self.block > 0 {
            self.decode(self.block - 1);
            self.at = self.len - 1;
        } else {
            return false;
        }
        true
    }

    /// Length of the widest prefix around `key`, which lies in the cursor's range, whose countries are all the `same`.
    pub(super) fn widest_prefix(&self, key: u64, same: impl Fn(Country) -> bool) -> u8 {
        let Range { mut first, mut last, .. } = self.range();
        let (mut below, mut above) = (self.clone(), self.clone());
        let mut steps = WIDENING_STEPS;
        let mut length = self.blocks.bits;
        while length > 0 {
            let host = self.blocks.max_key() >> (length - 1);
            let (want_first, want_last) = (key & !host, key | host);
            while first > want_first && steps > 0 && below.back() && same(below.range().country) {
                first = below.range().first;
                steps -= 1;
            }
            while last < want_last && steps > 0 && above.forward() && same(above.range().country) {
                last = above.range().last;
                steps -= 1;
            }
            if first > want_first || last < want_last {
                break;
            }
            length -= 1;
        }
        length as u8
    }
}

/// One gap; never 0 for a table that [`super::encode`] wrote.
fn take_gap(body: &mut impl Iterator<Item = u8>) -> u64 {
    let head = body.next().unwrap_or_default();
    let mut odd = u64::from(head >> 6);
    if odd == 3 {
        let mut shift = 0;
        for byte in body.by_ref() {
            odd = odd.wrapping_add(u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default());
            shift += 7;
            if byte < 0x80 || shift > 63 {
                break;
            }
        }
    }
    (odd << 1 | 1).checked_shl(u32::from(head & 0x3f)).unwrap_or_default()
}
