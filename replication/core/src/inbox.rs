//! Causal delivery within a partition: a delta waits for what its maker had seen.
//!
//! ```text
//! link ──offer──► held, one queue per replica, in its own order ──next_ready──► Partition::merge
//!                 until the context covers what it needs, at most 2 s
//! ```
//!
//! What comes too late to be waited for is applied all the same and reported as late: the state still converges (a removal
//! that overtakes what it removes is remembered), only the order in which clients see it is not the causal one. A *hole in a
//! replica's own sequence* is never waited for nor skipped over: it is reported at once, and the link catches up.

use std::collections::{BTreeMap, VecDeque};

use crate::{Delta, ReplicaId, VersionVector};

/// How long a delta is held for what it needs, in milliseconds.
pub const HOLD_MS: u64 = 2_000;
/// How much one inbox holds, in bytes (estimated). A single delta is taken whatever its size.
pub const HELD_BYTES: usize = 2 * 1024 * 1024;

/// Deltas that came before what they need. One per partition.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    queues: BTreeMap<ReplicaId, VecDeque<Held>>,
    len: usize,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Held {
    delta: Delta,
    bytes: usize,
    until_ms: u64,
}

/// What became of a delta that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It comes out of [`Inbox::next_ready`] when its time has come, which may be at once.
    Taken,
    /// The state, or the inbox, has it already.
    Duplicate,
    /// Changes of the same replica before it are missing: not taken, catch up first.
    Gap {
        /// The replica's last change here or held.
        have: u64,
        /// The first change of the refused delta.
        got: u64,
    },
    /// The inbox holds as much as it may: not taken, catch up later.
    Full,
}

/// A delta to merge now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The delta.
    pub delta: Delta,
    /// What it needs did not come in time; it is applied all the same, and should be counted.
    pub late: bool,
}

impl Inbox {
    /// Takes a delta from a link; `vv` is the partition's context now.
    pub fn offer(&mut self, now_ms: u64, delta: Delta, vv: &VersionVector) -> Offered {
        let held = self.queues.get(&delta.replica).and_then(|queue| queue.back());
        let have = held.map_or(0, |held| held.delta.last_seq()).max(vv.get(delta.replica));
        if delta.last_seq() <= have {
            return Offered::Duplicate;
        }
        if delta.first_seq != have + 1 {
            return Offered::Gap { have, got: delta.first_seq };
        }
        let bytes = size_of::<Delta>() + delta.size_hint();
        if self.len > 0 && self.bytes + bytes > HELD_BYTES {
            return Offered::Full;
        }
        self.len += 1;
        self.bytes += bytes;
        let until_ms = now_ms.saturating_add(HOLD_MS);
        self.queues.entry(delta.replica).or_default().push_back(Held { delta, bytes, until_ms });
        Offered::Taken
    }

    /// The next delta to merge; merge it, then ask again with the raised context until there is none.
    pub fn next_ready(&mut self, now_ms: u64, vv: &VersionVector) -> Option<Ready> {
        self.drop_covered(vv);
        let follows = |held: &Held| held.delta.first_seq == vv.get(held.delta.replica) + 1;
        let heads = || self.queues.values().filter_map(|queue| queue.front()).filter(|held| follows(held));
        let causal = heads().find(|held| vv.dominates(&held.delta.needs));
        let (replica, late) = match causal {
            Some(held) => (held.delta.replica, false),
            None => (heads().find(|held| now_ms >= held.until_ms)?.delta.replica, true),
        };
        self.pop(replica).map(|delta| Ready { delta, late })
    }

    /// When to ask again though nothing came, in the caller's milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        self.queues.values().filter_map(|queue| queue.front()).map(|held| held.until_ms).min()
    }

    /// How much is held, in bytes (estimated): for a bound over all partitions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many deltas are held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops what a catch-up has brought meanwhile.
    fn drop_covered(&mut self, vv: &VersionVector) {
        let covered = |held: &Held| held.delta.last_seq() <= vv.get(held.delta.replica);
        while let Some(replica) = self
            .queues
            .values()
            .filter_map(|queue| queue.front())
            .find(|held| covered(held))
            .map(|held| held.delta.replica)
        {
            self.pop(replica);
        }
    }

    fn pop(&mut self, replica: ReplicaId) -> Option<Delta> {
        let queue = self.queues.get_mut(&replica)?;
        let held = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&replica);
        }
        self.len -= 1;
        self.bytes -= held.bytes;
        Some(held.delta)
    }
}
