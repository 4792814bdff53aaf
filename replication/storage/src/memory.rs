//! How much memory the state takes, and when clients may not add to it.
//!
//! Partitions keep their own account (`core/src/partition/memory.rs`); here is the sum. Clients are refused a little
//! below the limit. What other regions send is merged whatever the sum says, since a region that stopped merging would
//! never agree with the others again: the last twentieth is kept for that.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{StateStore, shard::Slot};

#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    /// Brings the sum up to date with one partition. Called behind whatever changed it.
    pub(crate) fn account(&self, slot: &mut Slot) {
        let bytes = slot.partition.bytes();
        if bytes != slot.counted_bytes {
            // Wrapping, so that one addition serves both directions.
            self.0.fetch_add(bytes.wrapping_sub(slot.counted_bytes), Ordering::Relaxed);
            slot.counted_bytes = bytes;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where clients are refused, of the limit: the numerator and the denominator.
const CLIENTS: (usize, usize) = (19, 20);

impl StateStore {
    /// About how many bytes of memory the state takes.
    pub fn memory_bytes(&self) -> usize {
        self.inner.memory.bytes()
    }

    /// What the state may take, in bytes, as configured; 0 for no limit.
    pub fn max_memory_bytes(&self) -> usize {
        self.inner.config.max_memory_bytes
    }

    /// Whether commands that may add to the state are refused with [`replication_core::OpError::OutOfMemory`]. Deletes, reads
    /// and what other regions send go on. Two loads.
    pub fn is_full(&self) -> bool {
        let limit = self.inner.config.max_memory_bytes;
        limit != 0 && self.memory_bytes() >= limit / CLIENTS.1 * CLIENTS.0
    }
}

#[cfg(test)]
mod tests {
    use replication_core::Delta;

    use crate::{
        Offer, StoreConfig, Tail,
        tests::{TempDir, config, del, open_with, set},
    };

    #[test]
    fn a_full_store_refuses_clients_merges_on_and_has_room_after_deletes() {
        let dirs = [TempDir::new(), TempDir::new()];
        let full = open_with(StoreConfig { max_memory_bytes: 3 << 20, ..config(&dirs[0], 1) }).0;
        let peer = open_with(config(&dirs[1], 2)).0;
        let empty = full.memory_bytes();
        let mut keys = 0;
        while !full.is_full() {
            full.execute(&set(&format!("key:{keys}"), &"x".repeat(500)));
            keys += 1;
        }
        assert!(full.memory_bytes() <= 3 << 20 && keys > 1000, "{keys} keys");
        peer.execute(&set("from elsewhere", "v"));
        peer.write_pending().unwrap();
        let Tail::Deltas { deltas, .. } = peer.tail(0, usize::MAX) else { panic!("nothing was written") };
        let (delta, _) = Delta::decode(&deltas[0].bytes).unwrap().unwrap();
        assert!(matches!(full.offer(delta), Offer::Applied));
        (0..keys).for_each(|n| drop(full.execute(&del(&format!("key:{n}")))));
        assert!(!full.is_full());
        // What is left are the removals, remembered for peers, and what was merged.
        assert!(full.memory_bytes() < empty + keys * 100, "{} bytes", full.memory_bytes() - empty);
        let bytes = full.memory_bytes();
        full.write_pending().unwrap();
        drop(full);
        let reopened = open_with(config(&dirs[0], 1)).0;
        assert!(reopened.memory_bytes() <= bytes, "the account is made anew");
        assert_eq!(reopened.stats().max_memory_bytes, 0);
        assert!(!reopened.is_full(), "without a limit nothing is full");
    }
}
