//! A map from fields or members to what is held of them: a plain list while it is short (in order of insertion, as Redis
//! shows small hashes), with an index beside it from 16 entries on.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::blob::Blob;

const INDEXED: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct SubMap<V> {
    entries: Vec<(Blob, V)>,
    index: Option<Box<Index>>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    hasher: DefaultHashBuilder,
    places: HashTable<u32>,
}

impl<V> Default for SubMap<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: None }
    }
}

impl<V: Default> SubMap<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&V> {
        self.find(name).map(|at| &self.entries[at].1)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        self.find(name).map(|at| &mut self.entries[at].1)
    }

    pub(super) fn get_or_insert(&mut self, name: &[u8]) -> &mut V {
        let at = self.place_or_insert(name);
        &mut self.entries[at].1
    }

    /// Where an entry lies: good until the next removal.
    pub(super) fn place(&self, name: &[u8]) -> Option<usize> {
        self.find(name)
    }

    pub(super) fn place_or_insert(&mut self, name: &[u8]) -> usize {
        self.find(name).unwrap_or_else(|| self.push(name))
    }

    /// The entry at a place.
    pub(super) fn at(&self, place: usize) -> Option<(&[u8], &V)> {
        self.entries.get(place).map(|(name, value)| (name.as_slice(), value))
    }

    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut V> {
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// About `count` entries of a walk through all, and the cursor to go on with: 0 begins, a returned 0 ends.
    ///
    /// The walk goes from the last place to the first, and the cursor says how many are left. Removing an entry moves only entries
    /// from behind it forwards, and new ones come last: so whatever is there from the first page to the last is shown.
    pub(super) fn page(&self, cursor: u64, count: usize) -> (u64, impl Iterator<Item = (&[u8], &V)>) {
        let len = self.entries.len();
        let end = if cursor == 0 { len } else { usize::try_from(cursor).unwrap_or(len).min(len) };
        let start = end.saturating_sub(count.max(1));
        (start as u64, self.entries[start..end].iter().rev().map(|(name, value)| (name.as_slice(), value)))
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        match self.find(name) {
            Some(at) if self.index.is_none() => drop(self.entries.remove(at)), // keeps the order of insertion
            Some(at) => self.swap_remove(at),
            None => {}
        }
    }

    /// Removes the entry at a place; the last entry takes the place.
    pub(super) fn swap_remove(&mut self, at: usize) {
        let last = self.entries.len() - 1;
        if let Some(index) = self.index.as_mut() {
            let hash = index.hasher.hash_one(self.entries[at].0.as_slice());
            if let Ok(entry) = index.places.find_entry(hash, |&place| place as usize == at) {
                entry.remove();
            }
            let moved = index.hasher.hash_one(self.entries[last].0.as_slice());
            if let Some(place) = index.places.find_mut(moved, |&place| place as usize == last) {
                *place = at as u32;
            }
        }
        self.entries.swap_remove(at);
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|(known, _)| known.as_slice() == name),
            Some(index) => {
                let hash = index.hasher.hash_one(name);
                let is_it = |&place: &u32| self.entries[place as usize].0.as_slice() == name;
                index.places.find(hash, is_it).map(|&place| place as usize)
            }
        }
    }

    fn push(&mut self, name: &[u8]) -> usize {
        let at = self.entries.len();
        self.entries.push((Blob::new(name), V::default()));
        if self.index.is_none() && self.entries.len() > INDEXED {
            self.index = Some(Box::default());
            (0..at).for_each(|earlier| self.note(earlier));
        }
        self.note(at);
        at
    }

    fn note(&mut self, at: usize) {
        let Some(index) = self.index.as_mut() else { return };
        let Index { hasher, places } = &mut **index;
        let entries = &self.entries;
        let hash = |place: usize| hasher.hash_one(entries[place].0.as_slice());
        places.insert_unique(hash(at), at as u32, |&place| hash(place as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_map_on_both_sides_of_the_index() {
        for size in [3u32, 16, 17, 200] {
            let mut map = SubMap::<u32>::default();
            let name = |i: u32| format!("field {i}").into_bytes();
            (0..size).for_each(|i| *map.get_or_insert(&name(i)) = i);
            (0..size).step_by(2).for_each(|i| map.remove(&name(i)));
            map.remove(b"never there");
            for i in 0..size {
                assert_eq!(map.get(&name(i)).copied(), (i % 2 == 1).then_some(i), "{i} of {size}");
            }
            assert_eq!(map.len(), map.iter().count());
            assert_eq!(map.is_empty(), size < 2);
        }
    }

    #[test]
    fn a_walk_shows_whatever_is_there_all_the_while() {
        for size in [5u32, 16, 40, 300] {
            let mut map = SubMap::<u32>::default();
            let name = |i: u32| format!("field {i}").into_bytes();
            (0..size).for_each(|i| *map.get_or_insert(&name(i)) = i);
            let (mut cursor, mut seen, mut round) = (0, std::collections::HashSet::new(), 0);
            loop {
                let (next, page) = map.page(cursor, 3);
                seen.extend(page.map(|(_, value)| *value));
                cursor = next;
                // Between two pages some of the multiples of four go, and others come.
                map.remove(&name(round * 4 % size));
                *map.get_or_insert(&name(1000 + round)) = 1000 + round;
                round += 1;
                if cursor == 0 {
                    break;
                }
            }
            assert!((0..size).filter(|i| i % 4 != 0).all(|i| seen.contains(&i)), "{size}: {seen:?}");
        }
    }
}
