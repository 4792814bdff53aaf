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

use super::place::PlaceId;

/// A country as the table numbers it: the number of its place.
pub(super) type Country = u8;

/// [`PlaceId::NOWHERE`] and [`PlaceId::FOLDED`] in a table.
pub(super) const NOWHERE: Country = 0;
pub(super) const FOLDED: Country = 1;

pub(super) const MAGIC: &[u8; 8] = b"atollcc2";

/// Ranges per block: the price of an index entry is spread over this many, and this many are decoded per lookup.
pub(super) const BLOCK: usize = 16;

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

#[derive(Debug, Clone)]
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

    pub(super) fn is_empty(&self) -> bool {
        self.v4.ranges == 0
    }

    pub(super) fn code(&self, country: Country) -> Option<[u8; 2]> {
        let i = usize::from(country).checked_sub(2).filter(|&i| i < self.codes)?;
        self.bytes.get(10 + 2 * i..12 + 2 * i)?.try_into().ok()
    }

    /// The ranges of a family.
    pub(super) fn blocks(&self, family: Family) -> TableBlocks<'_> {
        let (section, bits) = match family {
            Family::V4 => (self.v4, 32),
            Family::V6 => (self.v6, 64),
        };
        TableBlocks { bytes: &self.bytes, section, bits }
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
#[derive(Debug, Clone, Copy)]
pub(super) struct TableBlocks<'t> {
    bytes: &'t [u8],
    section: Section,
    bits: u32,
}

impl<'t> TableBlocks<'t> {
    /// How many there are; none in an empty table.
    pub(super) fn count(self) -> usize {
        self.section.ranges.div_ceil(BLOCK)
    }

    /// How many ranges there are.
    pub(super) fn len(self) -> usize {
        self.section.ranges
    }

    /// All ranges.
    pub(super) fn ranges(self) -> impl Iterator<Item = (u64, u32)> + use<'t> {
        (0..self.count()).flat_map(move |block| self.block(block))
    }

    /// How long keys are.
    pub(super) fn bits(self) -> u32 {
        self.bits
    }

    /// Start key of a block; 0 behind the end, which no caller asks for.
    pub(super) fn start(self, block: usize) -> u64 {
        let at = self.entry_at(block);
        if self.bits == 32 { number::<4>(self.bytes, at) } else { number::<8>(self.bytes, at) }
    }

    /// Where a block's entry of the index is.
    fn entry_at(self, block: usize) -> usize {
        self.section.index_at + block * (self.section.key_bytes + 4)
    }

    /// The last block that begins at or before `key`.
    pub(super) fn find(self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.count());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= key { low = middle } else { high = middle }
        }
        low
    }

    /// The ranges of a block, decoded one after the other: starts and numbers of places.
    pub(super) fn block(self, block: usize) -> impl Iterator<Item = (u64, u32)> + use<'t> {
        let section = self.section;
        let mut start = self.start(block);
        let offset = number::<4>(self.bytes, self.entry_at(block) + section.key_bytes) as usize;
        let body = self.bytes.get(section.body_at..section.body_at + section.body_len).unwrap_or_default();
        let mut body = body.get(offset..).unwrap_or_default().iter().copied();
        let len = section.ranges.saturating_sub(block * BLOCK).min(BLOCK);
        (0..len).map(move |i| {
            if i > 0 {
                start = start.saturating_add(take_gap(&mut body));
            }
            (start, body.next().unwrap_or(NOWHERE).into())
        })
    }

    /// The place at a key.
    pub(super) fn get(self, key: u64) -> PlaceId {
        let ranges = self.block(self.find(key)).take_while(|&(start, _)| start <= key);
        ranges.last().map_or(PlaceId::NOWHERE, |(_, place)| PlaceId(place))
    }
}

/// A little-endian number of so many bytes; 0 behind the end.
fn number<const LEN: usize>(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + LEN).unwrap_or(&[0; LEN]);
    let mut wide = [0; 8];
    wide[..LEN].copy_from_slice(found);
    u64::from_le_bytes(wide)
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
