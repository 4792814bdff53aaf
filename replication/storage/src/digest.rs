//! What can be said of the whole state in a few numbers: for status, metrics, and for proving that regions agree.

use replication_core::{ConflictCounts, VersionVector};
use xxhash_rust::xxh3::Xxh3;

/// One partition in two numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDigest {
    /// What the partition has seen.
    pub vv: VersionVector,
    /// Sum over what lives in it. Equal contexts have equal sums, always.
    pub sum: u64,
}

/// The state of a region, comparable with another region's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDigest {
    /// One entry per partition, in order.
    pub partitions: Vec<PartitionDigest>,
}

impl StateDigest {
    /// One number for everything: equal in two regions when they have seen the same changes and hold the same state.
    pub fn combined(&self) -> u64 {
        let mut hash = Xxh3::new();
        for partition in &self.partitions {
            for (replica, seq) in partition.vv.iter() {
                hash.update(&replica.region.to_le_bytes());
                hash.update(&replica.incarnation.to_le_bytes());
                hash.update(&seq.to_le_bytes());
            }
            hash.update(&partition.sum.to_le_bytes());
        }
        hash.digest()
    }

    /// Partitions whose contexts agree with `other`'s while their contents do not: must be empty, at every moment.
    pub fn divergent(&self, other: &Self) -> Vec<u16> {
        let pairs = self.partitions.iter().zip(&other.partitions);
        pairs.enumerate().filter(|(_, (a, b))| a.vv == b.vv && a.sum != b.sum).map(|(id, _)| id as u16).collect()
    }
}

/// Counters and sizes of a store, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Keys held, those that wait for their purge included.
    pub keys: usize,
    /// Conflicts met since the start: writes that came to stand beside one that they had not observed.
    pub conflicts: u64,
    /// The same, by kind.
    pub conflicts_by_kind: ConflictCounts,
    /// Removals remembered for peers that have not confirmed them.
    pub removals: usize,
    /// Commands executed since the start.
    pub commands: u64,
    /// Changes made here since the start.
    pub local_deltas: u64,
    /// Changes of other regions applied since the start.
    pub remote_deltas: u64,
    /// Changes of other regions that came before what they depend on and wait for it.
    pub held_back: u64,
    /// Changes of other regions that were applied without what they depend on, since that did not come in time.
    pub applied_late: u64,
    /// Changes stamped more than half a second ahead of our clock.
    pub stamps_ahead: u64,
    /// Changes stamped more than ten seconds ahead: merged, but our clock does not follow.
    pub stamps_far_ahead: u64,
    /// About how many bytes of memory the state takes.
    pub memory_bytes: usize,
    /// How many it may take, 0 for no limit.
    pub max_memory_bytes: usize,
    /// Bytes of all journal files.
    pub journal_bytes: u64,
    /// The journal position behind the last record, counted in records over all files.
    pub journal_end: u64,
    /// How many records are not written yet.
    pub unwritten: u64,
    /// How many records a power failure now would lose.
    pub unsynced: u64,
    /// Milliseconds since 1970 of the last sync that had anything to do.
    pub last_sync_ms: u64,
    /// Checkpoints made since the start.
    pub checkpoints: u64,
    /// The longest that a checkpoint has held up commands of one partition since the start, in microseconds.
    pub checkpoint_longest_hold_us: u64,
    /// Whether writes are refused because the journal cannot be written.
    pub refusing_writes: bool,
}
