//! A share of the partitions behind one lock. More locks than threads, so that two commands rarely meet at one.

use std::sync::{Arc, Mutex, MutexGuard};

use replication_core::{DecodeError, Inbox, PARTITIONS, Partition, ReplicaId, Rules, SnapshotCursor};

use crate::journal::lock;

const SHARDS: u16 = 16;

/// One partition and what waits to be merged into it.
pub(crate) struct Slot {
    pub(crate) partition: Partition,
    pub(crate) inbox: Inbox,
    /// The region of each delta in the inbox, in no order.
    pub(crate) held: Vec<u16>,
    /// What the partition's memory was when it was last added to the sum, in bytes.
    pub(crate) counted_bytes: usize,
}

impl Slot {
    /// Begins to write the partition down; `None` if there is nothing in it and nothing was.
    pub(crate) fn begin_snapshot(&self) -> Option<SnapshotCursor> {
        (!self.partition.vv().is_empty()).then(|| self.partition.begin_snapshot())
    }
}

/// All partitions.
pub(crate) struct Shards {
    shards: Vec<Mutex<Vec<Slot>>>,
}

impl Shards {
    /// Distributes the partitions, which come in order, over the locks.
    pub(crate) fn new(partitions: Vec<Partition>, rules: &Arc<Rules>) -> Self {
        let mut shards: Vec<Vec<Slot>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for (id, mut partition) in partitions.into_iter().enumerate() {
            partition.set_rules(rules.clone());
            shards[id % usize::from(SHARDS)].push(Slot {
                partition,
                inbox: Inbox::default(),
                held: Vec::new(),
                counted_bytes: 0,
            });
        }
        Self { shards: shards.into_iter().map(Mutex::new).collect() }
    }

    /// Runs `f` on one partition, alone.
    pub(crate) fn with<R>(&self, id: u16, f: impl FnOnce(&mut Slot) -> R) -> R {
        let mut shard = lock(&self.shards[usize::from(id % SHARDS)]);
        f(&mut shard[usize::from(id / SHARDS)])
    }

    /// Runs `f` on each partition in order, each alone.
    pub(crate) fn each(&self, mut f: impl FnMut(u16, &mut Slot)) {
        for id in 0..PARTITIONS {
            self.with(id, |slot| f(id, slot));
        }
    }

    /// Passes through every lock once: whatever held one before the call has let go of it after the call.
    pub(crate) fn pass_through(&self) {
        for shard in &self.shards {
            drop(lock(shard));
        }
    }

    /// All locks at once, for what must happen to all partitions at one moment.
    pub(crate) fn all(&self) -> Vec<MutexGuard<'_, Vec<Slot>>> {
        self.shards.iter().map(lock).collect()
    }
}

/// The same state under a new name: what is in it stays, what is written from now on is the new replica's.
pub(crate) fn rename(partition: &Partition, me: ReplicaId) -> Result<Partition, DecodeError> {
    let mut bytes = Vec::new();
    partition.encode_state(&mut bytes);
    let (mut renamed, _) = Partition::decode_state(&bytes, me)?;
    renamed.set_rules(partition.rules().clone());
    Ok(renamed)
}
