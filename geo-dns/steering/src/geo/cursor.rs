//! A position in sorted ranges, and how far around it the same is true.
//!
//! Two kinds of ranges are walked alike, a block of ranges at a time: the embedded table, whose blocks are decoded, and tilings,
//! whose blocks are copied.

use super::{
    place::PlaceId,
    table::{BLOCK, TableBlocks},
    tiling::Tiling,
};

/// Ranges of one family that cover all its keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tiles<'t> {
    /// Of the embedded table.
    Table(TableBlocks<'t>),
    /// Compiled, IPv4.
    V4(&'t Tiling<u32>),
    /// Compiled, IPv6.
    V6(&'t Tiling<u64>),
}

/// The ranges of a block: starts and places.
type Block = [(u64, PlaceId); BLOCK];

impl Tiles<'_> {
    /// How many blocks of [`BLOCK`] ranges there are; only the last one may have fewer.
    pub(super) fn blocks(self) -> usize {
        match self {
            Self::Table(blocks) => blocks.count(),
            Self::V4(tiling) => tiling.blocks(),
            Self::V6(tiling) => tiling.blocks(),
        }
    }

    /// The last key.
    pub(super) fn last_key(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// How long keys are.
    fn bits(self) -> u32 {
        match self {
            Self::Table(blocks) => blocks.bits(),
            Self::V4(_) => 32,
            Self::V6(_) => 64,
        }
    }

    fn block_start(self, block: usize) -> u64 {
        match self {
            Self::Table(blocks) => blocks.start(block),
            Self::V4(tiling) => tiling.block_start(block),
            Self::V6(tiling) => tiling.block_start(block),
        }
    }

    fn block_of(self, key: u64) -> usize {
        match self {
            Self::Table(blocks) => blocks.find(key),
            Self::V4(tiling) => tiling.block_of(key),
            Self::V6(tiling) => tiling.block_of(key),
        }
    }

    /// Reads a block; says how many ranges it has.
    fn read(self, block: usize, out: &mut Block) -> usize {
        let mut len = 0;
        let put = |(start, number)| {
            if let Some(slot) = out.get_mut(len) {
                *slot = (start, PlaceId(number));
                len += 1;
            }
        };
        match self {
            Self::Table(blocks) => blocks.block(block).for_each(put),
            Self::V4(tiling) => tiling.block(block).for_each(put),
            Self::V6(tiling) => tiling.block(block).for_each(put),
        }
        len
    }

    /// Calls for every block with the places in it.
    pub(super) fn for_each_block(self, mut each: impl FnMut(&[(u64, PlaceId)])) {
        let mut block = [(0, PlaceId::NOWHERE); BLOCK];
        for number in 0..self.blocks() {
            let len = self.read(number, &mut block);
            each(&block[..len]);
        }
    }

    /// The place at a key.
    pub(super) fn get(self, key: u64) -> PlaceId {
        match self {
            Self::Table(blocks) => blocks.get(key),
            Self::V4(tiling) => PlaceId(tiling.get(key)),
            Self::V6(tiling) => PlaceId(tiling.get(key)),
        }
    }
}

/// What is alike, to whoever widens.
pub(super) trait Alike {
    /// Whether a place is like the one that is widened around.
    fn is_alike(&self, place: PlaceId) -> bool;
    /// First and last block of those around `block` of which every place is alike, if that is known.
    fn alike_blocks(&self, block: usize) -> Option<(usize, usize)>;
    /// How many ranges may be looked at.
    fn steps(&self) -> usize;
}

/// Length of the widest prefix around `key` whose places are all alike.
pub(super) fn widest_prefix(tiles: Tiles<'_>, key: u64, alike: &impl Alike) -> u8 {
    let (mut below, mut above, mut steps) = (Cursor::at(tiles, key), Cursor::at(tiles, key), alike.steps());
    let (mut first, mut last) = (below.first(), above.last());
    let mut length = tiles.bits();
    while length > 0 {
        let host = tiles.last_key() >> (length - 1);
        let (want_first, want_last) = (key & !host, key | host);
        while first > want_first && steps > 0 && below.back(alike) {
            first = below.first();
            steps -= 1;
        }
        while last < want_last && steps > 0 && above.forward(alike) {
            last = above.last();
            steps -= 1;
        }
        if first > want_first || last < want_last {
            break;
        }
        length -= 1;
    }
    length as u8
}

/// A position in ranges, with its block at hand.
#[derive(Clone)]
struct Cursor<'t> {
    tiles: Tiles<'t>,
    block: usize,
    ranges: Block,
    /// How many ranges the block has; 0 if it was jumped to and is taken as one.
    len: usize,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn at(tiles: Tiles<'t>, key: u64) -> Self {
        let mut cursor = Self { tiles, block: 0, ranges: [(0, PlaceId::NOWHERE); BLOCK], len: 0, at: 0 };
        cursor.read(tiles.block_of(key));
        cursor.at = cursor.ranges[..cursor.len].partition_point(|range| range.0 <= key).saturating_sub(1);
        cursor
    }

    fn read(&mut self, block: usize) {
        self.block = block;
        self.len = self.tiles.read(block, &mut self.ranges);
        self.at = 0;
    }

    /// First key of the range.
    fn first(&self) -> u64 {
        if self.len == 0 { self.tiles.block_start(self.block) } else { self.ranges[self.at].0 }
    }

    /// Last key of the range.
    fn last(&self) -> u64 {
        let next = if self.at + 1 < self.len {
            Some(self.ranges[self.at + 1].0)
        } else if self.block + 1 < self.tiles.blocks() {
            Some(self.tiles.block_start(self.block + 1))
        } else {
            None
        };
        next.map_or(self.tiles.last_key(), |next| next.saturating_sub(1))
    }

    fn is_alike(&self, alike: &impl Alike) -> bool {
        alike.is_alike(self.ranges[self.at].1)
    }

    /// On to the next range, or over blocks of them; says whether what is there is alike.
    fn forward(&mut self, alike: &impl Alike) -> bool {
        if self.at + 1 < self.len {
            self.at += 1;
            return self.is_alike(alike);
        }
        let next = self.block + 1;
        if next >= self.tiles.blocks() {
            return false;
        }
        if let Some((_, last)) = alike.alike_blocks(next) {
            (self.block, self.len, self.at) = (last, 0, 0);
            return true;
        }
        self.read(next);
        self.is_alike(alike)
    }

    /// Back to the range before, or over blocks of them; says whether what is there is alike.
    fn back(&mut self, alike: &impl Alike) -> bool {
        if self.at > 0 {
            self.at -= 1;
            return self.is_alike(alike);
        }
        let Some(previous) = self.block.checked_sub(1) else { return false };
        if let Some((first, _)) = alike.alike_blocks(previous) {
            (self.block, self.len, self.at) = (first, 0, 0);
            return true;
        }
        self.read(previous);
        self.at = self.len.saturating_sub(1);
        self.is_alike(alike)
    }
}
