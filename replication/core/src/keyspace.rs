//! The keys of one partition: slots that never move, and a table of slot numbers beside them.
//!
//! Slots keep their number for as long as the key lives, so the dot index, SCAN cursors and sweeps can name keys by four bytes.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::blob::Blob;
use crate::types::Body;

#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Slot {
    key: Blob,
    body: Body,
}

impl Keyspace {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// One more than the greatest slot number in use.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&slot| self.slots[slot as usize].key.as_slice() == key).copied()
    }

    pub(crate) fn find_or_insert(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        if let Some(&slot) = self.table.find(hash, |&slot| self.slots[slot as usize].key.as_slice() == key) {
            return slot;
        }
        let new = Slot { key: Blob::new(key), body: Body::Empty };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // Doubling would leave a quarter of the memory empty on average.
                    self.slots.reserve_exact((self.slots.len() / 4).max(4));
                }
                self.slots.push(new);
                (self.slots.len() - 1) as u32
            }
        };
        let Self { hasher, table, slots, .. } = self;
        table.insert_unique(hash, slot, |&other| hasher.hash_one(slots[other as usize].key.as_slice()));
        slot
    }

    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.slots[slot as usize].key.as_slice()
    }

    pub(crate) fn body(&self, slot: u32) -> &Body {
        &self.slots[slot as usize].body
    }

    pub(crate) fn body_mut(&mut self, slot: u32) -> &mut Body {
        &mut self.slots[slot as usize].body
    }

    /// Forgets a key; its slot may hold another one later.
    pub(crate) fn remove(&mut self, slot: u32) {
        let hash = self.hasher.hash_one(self.key(slot));
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == slot) {
            entry.remove();
            self.slots[slot as usize] = Slot { key: Blob::new(&[]), body: Body::Empty };
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
