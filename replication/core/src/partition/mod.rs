//! The machine over one partition's state: commands and other replicas' deltas go in, replies and deltas come out.
//!
//! ```text
//! execute ──► read the key ──► plan ──► Delta ──┐
//!                                               ├──► apply (the only code that changes state)
//! merge ──────────── Delta of another replica ──┘
//! catch_up_since ──► CatchUp ──► apply_catch_up            housekeeping ──► plan ──► Delta ──► apply
//! ```
//!
//! Laws (checked over three replicas in `tests/`):
//! - live elements are a function of the context: puts of the deltas in it, minus what those deltas remove;
//! - a context only grows, and has no holes: a delta whose predecessors are missing is refused, never skipped over;
//! - a removal that comes before what it removes is remembered ([`Partition::early`]) until the removed change is covered.
//!
//! The caller persists a delta before it answers or ships, holds back deltas that came before what they need
//! ([`crate::Inbox`]), and takes a new [`ReplicaId`] whenever it may have lost the end of its own history.

mod apply;
mod catch_up;
mod census;
mod codec;
mod conflicts;
mod digest;
mod explain;
mod housekeeping;
pub(crate) mod memory;
mod pieces;
mod reconcile;
mod snapshot;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

pub use catch_up::{CatchUp, CatchUpRefused, CaughtUp, Gone, MAX_CATCH_UP_BYTES, Put};
pub use census::TypeCount;
pub use conflicts::{Conflict, ConflictCounts, ConflictKind, Contender};
pub use digest::KEY_BUCKETS;
pub use explain::{ExplainedPart, Explanation};
pub use housekeeping::{PURGE_GRACE_MS, PURGE_OWN_GRACE_MS};
pub use pieces::{CatchUpCursor, NotNext, Renamed};
pub use reconcile::{Bucket, BucketSum, LEAST_SHIFT, LiveBucket, LiveSums, MOST_SHIFT};
pub use snapshot::SnapshotCursor;
pub use transaction::{Refuses, Transaction};

use conflicts::ConflictLog;

use crate::dots::Replicas;
use crate::keyspace::Keyspace;
use crate::track::Track;
use crate::types::Kind;
use crate::{Delta, Dot, Hlc, Op, ReplicaId, Reply, Rules, VersionVector};

/// The caller's time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock, milliseconds since 1970: what deadlines are compared with.
    pub wall_ms: u64,
    /// The stamp for what is written now; ignored by reads ([`Op::is_write`]).
    pub stamp: Hlc,
    /// A random word, for commands that choose at random (SPOP, SRANDMEMBER …); the others ignore it.
    pub luck: u64,
}

/// What an op did.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The answer, to be sent only once `delta` is persisted.
    pub reply: Reply,
    /// The change to persist and ship, if there was one. It is part of the state already.
    pub delta: Option<Delta>,
}

/// What became of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is part of the state now.
    Applied,
    /// The state already covered it.
    Duplicate,
    /// Changes of the same replica before it are missing: nothing was done, catch up first.
    Gap {
        /// The replica's last change here.
        have: u64,
        /// The first change of the refused delta.
        got: u64,
    },
    /// It belongs to another partition: nothing was done.
    WrongPartition,
}

/// Figures of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionStats {
    /// Keys held, also those past their deadline and not purged yet.
    pub keys: usize,
    /// Conflicts met since the start, by kind: writes that came to stand beside one they had not observed.
    pub conflicts: ConflictCounts,
    /// Removals remembered for peers that have not confirmed them.
    pub removals: usize,
    /// Removals that came before what they remove.
    pub early: usize,
}

/// All state of one partition.
#[derive(Clone, Debug)]
pub struct Partition {
    id: u16,
    me: ReplicaId,
    replicas: Replicas,
    vv: VersionVector,
    /// One per entry of `replicas`.
    tracks: Vec<Track>,
    /// Dots removed by a delta in the context but not covered by it yet: they will not be let in. Empty unless deltas were
    /// applied before what they need.
    early: HashSet<Dot>,
    keys: Keyspace,
    digest: u64,
    /// Conflicts met; made with the first.
    conflicts: Option<Box<ConflictLog>>,
    /// Replicas whose changes were merged since our last delta: its successor needs them.
    news: SmallVec<[u16; 4]>,
    /// Keys where somebody left a floor for us to fold away.
    unsettled: Vec<u32>,
    /// Keys with a deadline.
    timed: usize,
    /// Where the search for expired keys goes on.
    sweep: u32,
    /// Index entries after the last compaction.
    compacted: usize,
    /// What all bodies take beside their slots, in bytes.
    heap: usize,
    rules: Arc<Rules>,
}

impl Partition {
    /// An empty partition, written by `me`.
    pub fn new(id: u16, me: ReplicaId) -> Self {
        let mut partition = Self {
            id,
            me,
            replicas: Replicas::default(),
            vv: VersionVector::new(),
            tracks: Vec::new(),
            early: HashSet::new(),
            keys: Keyspace::default(),
            digest: 0,
            conflicts: None,
            news: SmallVec::new(),
            unsettled: Vec::new(),
            timed: 0,
            sweep: 0,
            compacted: 0,
            heap: 0,
            rules: Arc::default(),
        };
        partition.intern(me);
        partition
    }

    /// Sets the rules that commands follow from now on.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// The rules that commands follow.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Its number.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The replica that writes here.
    pub fn me(&self) -> ReplicaId {
        self.me
    }

    /// What the state covers.
    pub fn vv(&self) -> &VersionVector {
        &self.vv
    }

    /// Wrapping sum of a hash of every live element: equal contexts have equal digests, or something is broken.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Keys held, also those past their deadline and not purged yet.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }

    /// Figures for metrics.
    pub fn stats(&self) -> PartitionStats {
        PartitionStats {
            keys: self.keys.len(),
            conflicts: self.conflict_counts(),
            removals: self.tracks.iter().map(Track::removals_len).sum(),
            early: self.early.len(),
        }
    }

    /// Runs one command of a client of this region. The caller routes keys: `op.key` and the other keys belong here.
    pub fn execute(&mut self, op: &Op, now: Now) -> Executed {
        let mut transaction = Transaction::begin(self, now);
        let reply = transaction.execute(op);
        Executed { reply, delta: transaction.finish() }
    }

    /// Takes a delta of another replica, or one of our own when the journal is read back.
    pub fn merge(&mut self, delta: &Delta) -> Merged {
        if delta.partition != self.id {
            return Merged::WrongPartition;
        }
        let have = self.vv.get(delta.replica);
        if delta.last_seq() <= have {
            return Merged::Duplicate;
        }
        if delta.first_seq != have + 1 {
            return Merged::Gap { have, got: delta.first_seq };
        }
        self.apply(delta);
        Merged::Applied
    }

    /// Next page of visible keys: looks at about `count` keys and appends the visible ones to `out`. Cursor 0 starts, a returned 0
    /// ends. A key that is there all the while is shown at least once.
    pub fn scan(&self, cursor: u64, count: usize, now_ms: u64, out: &mut Vec<Bytes>) -> u64 {
        let end = cursor.saturating_add(count.max(1) as u64).min(u64::from(self.keys.slots()));
        for slot in cursor..end {
            let slot = slot as u32;
            if self.keys.body(slot).view(&self.replicas, now_ms).present() != Kind::None {
                out.push(Bytes::copy_from_slice(self.keys.key(slot)));
            }
        }
        if end >= u64::from(self.keys.slots()) { 0 } else { end }
    }

    /// One of the visible keys, chosen by a random word; `None` if there is none. Keys that follow on hidden ones are likelier.
    pub fn random_key(&self, luck: u64, now_ms: u64) -> Option<Bytes> {
        let slots = self.keys.slots();
        let start = ((u128::from(luck) * u128::from(slots)) >> 64) as u32;
        let is_visible = |&slot: &u32| self.keys.body(slot).view(&self.replicas, now_ms).present() != Kind::None;
        let slot = (start..slots).chain(0..start).find(is_visible)?;
        Some(Bytes::copy_from_slice(self.keys.key(slot)))
    }

    /// Forgets removals up to `acked`, which every attached peer has confirmed: none of them will ask from before it.
    pub fn prune_removals(&mut self, acked: &VersionVector) {
        for (replica, seq) in acked.iter() {
            if let Some(index) = self.replicas.index(replica) {
                self.tracks[usize::from(index)].forget_removals(seq);
            }
        }
    }

    fn next_seq(&self) -> u64 {
        self.vv.get(self.me) + 1
    }

    /// The local number of a replica.
    fn intern(&mut self, id: ReplicaId) -> u16 {
        self.replicas.index(id).unwrap_or_else(|| {
            self.tracks.push(Track::default());
            self.replicas.push(id)
        })
    }
}
