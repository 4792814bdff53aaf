//! A sequence in order that knows its ranks: what sorted sets and lists keep their elements in.
//!
//! Items lie in chunks, in order; how many lie before each chunk is a sum in a Fenwick tree. So finding an item by comparison,
//! finding it by rank, telling its rank, inserting and removing each take O(log n) steps plus one move within a chunk of at most
//! [`Ranked::CHUNK`] items. Splitting a chunk costs O(number of chunks), and comes once in half a chunk of insertions at least.
//!
//! Items lie side by side without a pointer each, three quarters full on average: a node per item, as in a skip list, would cost
//! three words more and a cache miss for every neighbour.
//!
//! The order is the caller's: it locates a [`Place`] with a comparison of its own and inserts there. Laws, for every place that
//! `locate` or `place` gave since the last change: items before it are less, `rank(place(r)) == r`, `range(r..).next() == get(r)`.

use std::cmp::Ordering;
use std::ops::Range;

use smallvec::SmallVec;

#[derive(Clone, Debug)]
pub(crate) struct Ranked<T> {
    /// None of them empty; most sequences are one chunk.
    chunks: SmallVec<[Vec<T>; 1]>,
    /// A Fenwick tree over the chunks' lengths; empty while there is one chunk.
    sums: Vec<u32>,
    len: usize,
}

/// Where an item lies, or would go: good until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    chunk: usize,
    at: usize,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self { chunks: SmallVec::new(), sums: Vec::new(), len: 0 }
    }
}

impl<T> Ranked<T> {
    /// Most items of a chunk: about two kilobytes, so that a move within one is a matter of nanoseconds.
    const CHUNK: usize = {
        let fitting = 2048 / if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        if fitting < 16 {
            16
        } else if fitting > 128 {
            128
        } else {
            fitting
        }
    };

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of the item that `compare` calls equal, or the one where it belongs. `compare` tells how an item stands to
    /// the wanted one, and must follow the order of the sequence.
    pub(crate) fn locate(&self, mut compare: impl FnMut(&T) -> Ordering) -> Result<Place, Place> {
        let place = self.bound(|item| compare(item) == Ordering::Less);
        match self.at(place).map(compare) {
            Some(Ordering::Equal) => Ok(place),
            _ => Err(place),
        }
    }

    /// The place of the first item that is not `before` what is looked for; the end if all are.
    pub(crate) fn bound(&self, mut before: impl FnMut(&T) -> bool) -> Place {
        let chunk = self.chunks.partition_point(|chunk| chunk.first().is_some_and(&mut before)).saturating_sub(1);
        let at = self.chunks.get(chunk).map_or(0, |items| items.partition_point(before));
        self.normal(Place { chunk, at })
    }

    /// The place of the item of that rank; the end if there are not so many.
    pub(crate) fn place(&self, rank: usize) -> Place {
        if rank >= self.len {
            return self.end();
        }
        if self.sums.is_empty() {
            return Place { chunk: 0, at: rank };
        }
        let (mut chunk, mut at) = (0, rank);
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            let next = chunk + step;
            if let Some(&sum) = self.sums.get(next - 1)
                && sum as usize <= at
            {
                (chunk, at) = (next, at - sum as usize);
            }
            step /= 2;
        }
        Place { chunk, at }
    }

    /// How many items lie before a place.
    pub(crate) fn rank(&self, place: Place) -> usize {
        let mut rank = place.at;
        let mut chunks = place.chunk;
        while chunks > 0 {
            rank += self.sums[chunks - 1] as usize;
            chunks &= chunks - 1;
        }
        rank
    }

    /// Behind the last item.
    pub(crate) fn end(&self) -> Place {
        let chunk = self.chunks.len().saturating_sub(1);
        Place { chunk, at: self.chunks.last().map_or(0, Vec::len) }
    }

    pub(crate) fn get(&self, rank: usize) -> Option<&T> {
        self.at(self.place(rank))
    }

    pub(crate) fn at(&self, place: Place) -> Option<&T> {
        self.chunks.get(place.chunk)?.get(place.at)
    }

    /// The item to change; what the order is made of must stay as it is.
    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut T> {
        self.chunks.get_mut(place.chunk)?.get_mut(place.at)
    }

    /// Puts an item before the one at `place`.
    pub(crate) fn insert(&mut self, place: Place, item: T) {
        self.len += 1;
        let Place { mut chunk, mut at } = place;
        if self.chunks.is_empty() {
            self.chunks.push(vec![item]);
            return;
        }
        if at == 0 && chunk > 0 && self.chunks[chunk - 1].len() < Self::CHUNK {
            chunk -= 1;
            at = self.chunks[chunk].len();
        }
        if self.chunks[chunk].len() < Self::CHUNK {
            self.chunks[chunk].insert(at, item);
            self.count(chunk, 1);
            return;
        }
        // At either end a chunk of its own, so that a sequence that grows there stays densely packed.
        if at == Self::CHUNK {
            self.chunks.insert(chunk + 1, vec![item]);
        } else if at == 0 {
            self.chunks.insert(chunk, vec![item]);
        } else {
            let mut upper = self.chunks[chunk].split_off(Self::CHUNK / 2);
            match at.checked_sub(Self::CHUNK / 2) {
                Some(at) => upper.insert(at, item),
                None => self.chunks[chunk].insert(at, item),
            }
            self.chunks.insert(chunk + 1, upper);
        }
        self.recount();
    }

    /// Takes the item at `place` out.
    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        let Place { chunk, at } = place;
        let items = self.chunks.get_mut(chunk).filter(|items| at < items.len())?;
        let item = items.remove(at);
        let left = items.len();
        self.len -= 1;
        if left == 0 {
            self.chunks.remove(chunk);
            self.recount();
        } else if left < Self::CHUNK / 4 && self.join(chunk) {
            self.recount();
        } else {
            self.count(chunk, 1u32.wrapping_neg());
        }
        Some(item)
    }

    /// The items of some ranks, from either side; ranks beyond the end are left out.
    pub(crate) fn range(&self, ranks: Range<usize>) -> Items<'_, T> {
        let end = ranks.end.min(self.len);
        let start = ranks.start.min(end);
        Items { ranked: self, front: self.place(start), back: self.place(end), left: end - start }
    }

    /// All items, from either side.
    pub(crate) fn iter(&self) -> Items<'_, T> {
        self.range(0..self.len)
    }

    /// A place at the end of a chunk is the beginning of the next, if there is one.
    fn normal(&self, place: Place) -> Place {
        let Place { chunk, at } = place;
        let is_end = self.chunks.get(chunk).is_some_and(|items| items.len() == at);
        if is_end && chunk + 1 < self.chunks.len() { Place { chunk: chunk + 1, at: 0 } } else { place }
    }

    /// Empties a chunk that has become small into a neighbour, if the two are small together.
    fn join(&mut self, chunk: usize) -> bool {
        let small = |pair: usize| {
            let pair = self.chunks.get(pair..pair + 2);
            pair.is_some_and(|pair| pair[0].len() + pair[1].len() <= Self::CHUNK / 2)
        };
        let first = match chunk.checked_sub(1).filter(|&before| small(before)) {
            Some(before) => before,
            None if small(chunk) => chunk,
            None => return false,
        };
        let upper = self.chunks.remove(first + 1);
        self.chunks[first].extend(upper);
        true
    }

    /// Notes that a chunk has grown by `by`, wrapping.
    fn count(&mut self, chunk: usize, by: u32) {
        let mut node = chunk + 1;
        while let Some(sum) = self.sums.get_mut(node - 1) {
            *sum = sum.wrapping_add(by);
            node += node & node.wrapping_neg();
        }
    }

    /// Makes the sums anew after chunks came or went.
    fn recount(&mut self) {
        self.sums.clear();
        if self.chunks.len() < 2 {
            self.sums = Vec::new();
            return;
        }
        self.sums.extend(self.chunks.iter().map(|chunk| chunk.len() as u32));
        for node in 1..=self.sums.len() {
            let parent = node + (node & node.wrapping_neg());
            if parent <= self.sums.len() {
                self.sums[parent - 1] += self.sums[node - 1];
            }
        }
    }
}

/// Some items in order.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a, T> {
    ranked: &'a Ranked<T>,
    front: Place,
    /// Behind the last one.
    back: Place,
    left: usize,
}

impl<'a, T> Iterator for Items<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.left = self.left.checked_sub(1)?;
        let item = self.ranked.at(self.front);
        self.front.at += 1;
        if self.ranked.chunks[self.front.chunk].len() == self.front.at {
            self.front = Place { chunk: self.front.chunk + 1, at: 0 };
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> DoubleEndedIterator for Items<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.back.at == 0 {
            self.back.chunk -= 1;
            self.back.at = self.ranked.chunks[self.back.chunk].len();
        }
        self.back.at -= 1;
        self.ranked.at(self.back)
    }
}

impl<T> ExactSizeIterator for Items<'_, T> {}

#[cfg(test)]
mod tests;
