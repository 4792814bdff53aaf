//! Many commands as one change: one delta, one stamp, one unit for every reader in every region.
//!
//! ```text
//! transact ──► execute … execute (each sees what those before it did) ──► one Delta
//! ```
//!
//! Law: a transaction is the concatenation of its commands' changes. Its puts take consecutive sequence numbers; the context is
//! raised once, at the end, so no context ever covers half of it. A single command is a transaction of one.

use super::apply::Writer;
use super::{Now, Partition};
use crate::ops::{self, Scene};
use crate::plan::Plan;
use crate::{Change, Delta, Hlc, MAX_SEQ, Op, OpError, Reply, VersionVector};

/// What a transaction does not do, whoever asks for it: each op that would answers with an error and changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Refuses {
    /// It does everything.
    #[default]
    Nothing,
    /// It does not add to the state, which is as large as it may be.
    Growth,
    /// It changes nothing, since changes cannot be made durable now; the text says why.
    Writes(String),
}

impl Refuses {
    /// Why an op is refused, if it is.
    pub fn error(&self, op: &Op) -> Option<OpError> {
        match self {
            Self::Growth if op.grows() => Some(OpError::OutOfMemory),
            Self::Writes(why) if op.is_write() => Some(OpError::Unwritable(why.clone())),
            _ => None,
        }
    }
}

/// Commands under way on one partition. What they did is in the state already; [`Partition::transact`] makes the delta of it.
pub struct Transaction<'p> {
    partition: &'p mut Partition,
    now: Now,
    first_seq: u64,
    next_seq: u64,
    changes: Vec<Change>,
    refuses: Refuses,
}

impl Partition {
    /// Runs `body` with a transaction, and gives its delta, if anything was changed: to persist and ship before the replies leave.
    pub fn transact<R>(&mut self, now: Now, body: impl FnOnce(&mut Transaction<'_>) -> R) -> (R, Option<Delta>) {
        let mut transaction = Transaction::begin(self, now);
        let result = body(&mut transaction);
        (result, transaction.finish())
    }

    /// A number that changes whenever what clients can see of a key changes: what WATCH compares. 0 for a key that is not there.
    pub fn fingerprint(&self, key: &[u8], now_ms: u64) -> u64 {
        let Some(slot) = self.keys.find(key) else { return 0 };
        let body = self.keys.body(slot);
        if body.view(&self.replicas, now_ms).present() == crate::types::Kind::None {
            0
        } else {
            self.sum(slot, body) | 1
        }
    }
}

impl<'p> Transaction<'p> {
    pub(super) fn begin(partition: &'p mut Partition, now: Now) -> Self {
        let first_seq = partition.vv.get(partition.me) + 1;
        Self { partition, now, first_seq, next_seq: first_seq, changes: Vec::new(), refuses: Refuses::Nothing }
    }

    /// Sets what is refused from now on.
    pub fn refuse(&mut self, refuses: Refuses) {
        self.refuses = refuses;
    }

    /// Runs one command. An error changes nothing, and what came before it stays.
    pub fn execute(&mut self, op: &Op) -> Reply {
        if let Some(error) = self.refuses.error(op) {
            return Reply::Error(error);
        }
        let partition = &mut *self.partition;
        if let Err(error) = ops::check_limits(op, &partition.rules) {
            return Reply::Error(error);
        }
        let slot = partition.keys.find(&op.key);
        let plan = Plan::new(&partition.replicas, partition.me, op.key.clone(), self.next_seq);
        let (now_ms, luck) = (self.now.wall_ms, self.now.luck);
        let mut scene = Scene::new(&partition.keys, slot, now_ms, luck, &partition.rules, plan);
        let reply = match ops::run(op, &mut scene) {
            Ok(reply) => reply,
            Err(error) => return Reply::Error(error),
        };
        let (changes, next_seq) = (scene.plan.changes, scene.plan.next_seq);
        // The next command must not choose what this one chose (the increment of splitmix64).
        self.now.luck = luck.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let slot = slot.filter(|_| op.other_keys().is_empty());
        match self.take(changes, next_seq, slot) {
            Ok(()) => reply,
            Err(error) => Reply::Error(error),
        }
    }

    /// See [`Partition::fingerprint`].
    pub fn fingerprint(&self, key: &[u8]) -> u64 {
        self.partition.fingerprint(key, self.now.wall_ms)
    }

    /// Applies planned changes at once, so that the next command sees them.
    pub(super) fn take(&mut self, changes: Vec<Change>, next_seq: u64, slot: Option<u32>) -> Result<(), OpError> {
        if changes.is_empty() {
            return Ok(());
        }
        if next_seq.max(self.first_seq + 1) - 1 > MAX_SEQ {
            return Err(OpError::OutOfDots);
        }
        // Any number of the delta will do as the name of what removes: a context covers all of them or none.
        let writer = self.writer(next_seq);
        self.partition.apply_changes(&changes, writer, self.next_seq, slot);
        self.next_seq = next_seq;
        if self.changes.is_empty() {
            self.changes = changes;
        } else {
            self.changes.extend(changes);
        }
        Ok(())
    }

    fn writer(&self, next_seq: u64) -> Writer {
        let replica = self.partition.me;
        let by = next_seq.max(self.first_seq + 1) - 1;
        Writer { origin: self.partition.replicas.index(replica).unwrap_or_default(), replica, hlc: self.now.stamp, by }
    }

    pub(super) fn finish(self) -> Option<Delta> {
        let Self { partition, now, first_seq, changes, .. } = self;
        if changes.is_empty() {
            return None;
        }
        let needs = partition.take_news();
        let delta = Delta { partition: partition.id, replica: partition.me, first_seq, hlc: now.stamp, needs, changes };
        let origin = partition.intern(delta.replica);
        partition.cover(origin, delta.last_seq());
        Some(delta)
    }
}

impl Partition {
    /// Makes a delta of changes that no command planned. Nothing planned, nothing done.
    pub(super) fn commit(&mut self, changes: Vec<Change>, next_seq: u64, stamp: Hlc) -> Option<Delta> {
        let mut transaction = Transaction::begin(self, Now { wall_ms: 0, stamp, luck: 0 });
        // Out of dots is the one refusal, and clients hear of it; there is nothing to keep clean for any more.
        transaction.take(changes, next_seq, None).ok()?;
        transaction.finish()
    }

    /// What other replicas have told since our last delta: its successor needs them.
    fn take_news(&mut self) -> VersionVector {
        let news = std::mem::take(&mut self.news);
        news.iter().map(|&index| (self.replicas.id(index), self.tracks[usize::from(index)].seen)).collect()
    }
}
