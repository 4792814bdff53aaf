//! Ranges of keys that cover all keys of a family without a gap: sorted starts, each with a number, searched in two steps.
//!
//! What the number means is up to the user: a place of a compiled table, or what a source says, where 0 is "nothing".
//! A range ends where the next begins. Neighbours with the same number are one range.

use super::table::BLOCK;

/// A key of one family: an IPv4 address, or the upper half of an IPv6 address.
pub(super) trait Key: Copy + Ord + Into<u64> {
    /// The last key.
    const LAST: u64;
    /// The key of that value, which is no more than [`Self::LAST`].
    fn of(value: u64) -> Self;
}

impl Key for u32 {
    const LAST: u64 = Self::MAX as u64;
    fn of(value: u64) -> Self {
        value as Self
    }
}

impl Key for u64 {
    const LAST: Self = Self::MAX;
    fn of(value: Self) -> Self {
        value
    }
}

/// Ranges that cover all keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tiling<K> {
    starts: Vec<K>,
    numbers: Vec<u32>,
    /// The start of every block of [`BLOCK`] ranges. Searched first: it stays in the cache where the starts do not.
    index: Vec<K>,
}

impl<K: Key> Tiling<K> {
    /// One range of everything.
    pub(super) fn uniform(number: u32) -> Self {
        Self { starts: vec![K::of(0)], numbers: vec![number], index: vec![K::of(0)] }
    }

    /// What `base` and `over` make together: wherever either changes, `combine` is asked for a number. Both begin at key 0.
    pub(super) fn overlaid(
        base: impl Iterator<Item = (u64, u32)>,
        over: &Self,
        mut combine: impl FnMut(u32, u32) -> u32,
    ) -> Self {
        let mut out = Self { starts: Vec::new(), numbers: Vec::new(), index: Vec::new() };
        let (mut base, mut over) = (base.peekable(), over.iter().peekable());
        let (mut below, mut above) = (0, 0);
        while let Some(start) = [base.peek(), over.peek()].into_iter().flatten().map(|(start, _)| *start).min() {
            below = base.next_if(|(at, _)| *at == start).map_or(below, |(_, number)| number);
            above = over.next_if(|(at, _)| *at == start).map_or(above, |(_, number)| number);
            out.push(start, combine(below, above));
        }
        out.starts.shrink_to_fit();
        out.numbers.shrink_to_fit();
        out
    }

    fn push(&mut self, start: u64, number: u32) {
        if self.numbers.last() != Some(&number) {
            if self.starts.len().is_multiple_of(BLOCK) {
                self.index.push(K::of(start));
            }
            self.starts.push(K::of(start));
            self.numbers.push(number);
        }
    }

    /// Start and number of each range.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.starts.iter().map(|&start| start.into()).zip(self.numbers.iter().copied())
    }

    /// The number at a key.
    pub(super) fn get(&self, key: u64) -> u32 {
        let first = self.block_of(key) * BLOCK;
        let block = &self.starts[first..self.starts.len().min(first + BLOCK)];
        let at = first + block.partition_point(|&start| start.into() <= key).saturating_sub(1);
        self.numbers.get(at).copied().unwrap_or_default()
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.index.len()
    }

    /// Where a block begins.
    pub(super) fn block_start(&self, block: usize) -> u64 {
        self.index.get(block).map_or(0, |&start| start.into())
    }

    /// The block that holds a key.
    pub(super) fn block_of(&self, key: u64) -> usize {
        self.index.partition_point(|&start| start.into() <= key).saturating_sub(1)
    }

    /// The ranges of a block.
    pub(super) fn block(&self, block: usize) -> impl Iterator<Item = (u64, u32)> {
        let first = (block * BLOCK).min(self.starts.len());
        let last = self.starts.len().min(first + BLOCK);
        self.starts[first..last].iter().map(|&start| start.into()).zip(self.numbers[first..last].iter().copied())
    }

    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        (self.starts.capacity() + self.index.capacity()) * size_of::<K>() + self.numbers.capacity() * size_of::<u32>()
    }
}

/// Makes a tiling of ranges that come in order; what lies between them is number 0.
#[derive(Debug)]
pub(super) struct Tiler<K> {
    tiling: Tiling<K>,
    /// The first key that no range has had; none behind the last one.
    free: Option<u64>,
}

impl<K: Key> Tiler<K> {
    pub(super) fn new() -> Self {
        let tiling = Tiling { starts: Vec::new(), numbers: Vec::new(), index: Vec::new() };
        Self { tiling, free: Some(0) }
    }

    /// Puts a range, first and last key inside, behind all that were put before. What is covered already stays as it is.
    pub(super) fn put(&mut self, first: u64, last: u64, number: u32) {
        let last = last.min(K::LAST);
        let Some(free) = self.free.filter(|&free| free <= last) else { return };
        let first = first.max(free);
        if first > free {
            self.tiling.push(free, 0);
        }
        self.tiling.push(first, number);
        self.free = last.checked_add(1).filter(|&next| next <= K::LAST);
    }

    pub(super) fn finish(mut self) -> Tiling<K> {
        if let Some(free) = self.free {
            self.tiling.push(free, 0);
        }
        self.tiling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiling(ranges: &[(u64, u64, u32)]) -> Tiling<u32> {
        let mut tiler = Tiler::new();
        ranges.iter().for_each(|&(first, last, number)| tiler.put(first, last, number));
        tiler.finish()
    }

    fn check(tiling: &Tiling<u32>, want: &[(u64, u32)]) {
        assert_eq!(tiling.iter().collect::<Vec<_>>(), want);
        for (i, &(start, number)) in want.iter().enumerate() {
            assert_eq!(tiling.get(start), number);
            let end = want.get(i + 1).map_or(u64::from(u32::MAX), |next| next.0 - 1);
            assert_eq!(tiling.get(end), number);
        }
    }

    #[test]
    fn gaps_are_filled_and_neighbours_merged() {
        check(&tiling(&[]), &[(0, 0)]);
        check(&tiling(&[(0, 9, 1), (10, 19, 1), (30, 39, 2)]), &[(0, 1), (20, 0), (30, 2), (40, 0)]);
        check(&tiling(&[(5, u64::MAX, 3), (7, 8, 1)]), &[(0, 0), (5, 3)]);
        check(&tiling(&[(5, 9, 3), (5, 5, 1), (7, 12, 2)]), &[(0, 0), (5, 3), (10, 2), (13, 0)]);
        check(&Tiling::uniform(4), &[(0, 4)]);
    }

    #[test]
    fn two_tilings_make_one() {
        let (base, over) = (tiling(&[(10, 29, 1), (30, 39, 2)]), tiling(&[(5, 14, 1), (20, 34, 2)]));
        let out = Tiling::overlaid(base.iter(), &over, |below, above| below * 10 + above);
        check(&out, &[(0, 0), (5, 1), (10, 11), (15, 10), (20, 12), (30, 22), (35, 20), (40, 0)]);
        check(&Tiling::overlaid(base.iter(), &over, |_, above| above), &[(0, 0), (5, 1), (15, 0), (20, 2), (35, 0)]);
    }

    #[test]
    fn many_ranges_are_found_through_the_index() {
        let ranges: Vec<_> = (0..1000).map(|i| (i * 10, i * 10 + 4, i as u32 + 1)).collect();
        let tiling = tiling(&ranges);
        assert_eq!((tiling.len(), tiling.blocks()), (2000, 2000_usize.div_ceil(BLOCK)));
        for key in 0..10_000 {
            assert_eq!(tiling.get(key), if key % 10 < 5 { key as u32 / 10 + 1 } else { 0 }, "{key}");
        }
        let all: Vec<_> = (0..tiling.blocks()).flat_map(|block| tiling.block(block)).collect();
        assert_eq!(all, tiling.iter().collect::<Vec<_>>());
    }
}
