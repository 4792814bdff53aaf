//! The keys of one partition: slots that never move, and a table of slot numbers beside them.
//!
//! Slots keep their number for as long as the key lives, so the dot index, SCAN cursors and sweeps can name keys by four bytes.
//! They lie in chunks: growing copies nothing, leaves no holes in the heap and wastes at most a chunk.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use crate::blob::Blob;
use crate::partition::memory::blob_bytes;
use crate::types::Body;

#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    slots: Slots,
    free: Vec<u32>,
    /// What the names take beside their slots, in bytes.
    names: usize,
}

const CHUNK: usize = 64;

#[derive(Clone, Debug, Default)]
struct Slots {
    /// Where there are few, finding a slot spares the way to a list of chunks.
    chunks: SmallVec<[Vec<Slot>; 2]>,
}

#[derive(Clone, Debug)]
struct Slot {
    key: Blob,
    body: Body,
}

impl Slots {
    fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn at(&self, slot: u32) -> &Slot {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn at_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn push(&mut self, new: Slot) -> u32 {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(new),
            // The first chunk grows as it is used: most partitions of a small world hold a key or two.
            None => self.chunks.push(vec![new]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(new);
                self.chunks.push(chunk);
            }
        }
        (self.len() - 1) as u32
    }
}

impl Keyspace {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What the names take beside their slots, in bytes.
    pub(crate) fn name_bytes(&self) -> usize {
        self.names
    }

    /// One more than the greatest slot number in use.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&slot| self.slots.at(slot).key.as_slice() == key).copied()
    }

    pub(crate) fn find_or_insert(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        if let Some(&slot) = self.table.find(hash, |&slot| self.slots.at(slot).key.as_slice() == key) {
            return slot;
        }
        self.names += blob_bytes(key.len());
        let new = Slot { key: Blob::new(key), body: Body::Empty };
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.slots.at_mut(slot) = new;
                slot
            }
            None => self.slots.push(new),
        };
        let Self { hasher, table, slots, .. } = self;
        table.insert_unique(hash, slot, |&other| hasher.hash_one(slots.at(other).key.as_slice()));
        slot
    }

    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.slots.at(slot).key.as_slice()
    }

    pub(crate) fn body(&self, slot: u32) -> &Body {
        &self.slots.at(slot).body
    }

    pub(crate) fn body_mut(&mut self, slot: u32) -> &mut Body {
        &mut self.slots.at_mut(slot).body
    }

    /// Forgets a key; its slot may hold another one later.
    pub(crate) fn remove(&mut self, slot: u32) {
        let hash = self.hasher.hash_one(self.key(slot));
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == slot) {
            entry.remove();
            self.names -= blob_bytes(self.key(slot).len());
            *self.slots.at_mut(slot) = Slot { key: Blob::new(&[]), body: Body::Empty };
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_one_register_costs_72_bytes_of_slot() {
        assert_eq!(size_of::<Slot>(), 72);
    }

    #[test]
    fn slots_are_found_reused_and_never_moved() {
        let mut keys = Keyspace::default();
        let slots: Vec<u32> = (0..100u32).map(|i| keys.find_or_insert(&i.to_le_bytes())).collect();
        assert_eq!(keys.find(&42u32.to_le_bytes()), Some(slots[42]));
        keys.remove(slots[42]);
        assert_eq!((keys.find(&42u32.to_le_bytes()), keys.len()), (None, 99));
        assert_eq!(keys.find_or_insert(b"another"), slots[42]);
        assert_eq!(keys.find(&99u32.to_le_bytes()), Some(slots[99]));
    }
}
