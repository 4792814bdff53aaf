//! [`StateStore`]: the face of the engine for the region's own clients. Its face for links is in `remote.rs`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use replication_core::{
    Conflict, ConflictCounts, Explanation, Hlc, Now, Op, PARTITIONS, Refuses, ReplicaId, Reply, Rules, Transaction,
    partition_of,
};
use tokio::time::Instant;

use crate::{
    Hold, OpenError, PartitionDigest, PersistError, RecoveryReport, StateDigest, StoreConfig, StoreStats, WriteMark,
    clock::SharedHlc,
    identity::Identity,
    journal::{Journal, record::Kind},
    keeper::{Bell, Keepers, Upkeep},
    memory::Memory,
    peers::Peers,
    recovery,
    shard::Shards,
    watch::Changes,
    watermarks::Watermarks,
};

/// What a command answered.
#[derive(Debug)]
pub struct Executed {
    /// The answer. If there is a mark, it may be given only after [`StateStore::persist`] of that mark succeeded.
    pub reply: Reply,
    /// What the answer waits for; `None` if nothing was changed.
    pub mark: Option<WriteMark>,
}

/// Counters since the start; see [`StoreStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commands: AtomicU64,
    pub(crate) local: AtomicU64,
    pub(crate) remote: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) ahead: AtomicU64,
    pub(crate) far_ahead: AtomicU64,
    pub(crate) last_sync_ms: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) longest_piece_us: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) incarnation: AtomicU32,
    pub(crate) identity: Mutex<Identity>,
    pub(crate) shards: Shards,
    pub(crate) hlc: SharedHlc,
    pub(crate) last_write: AtomicU64,
    pub(crate) journal: Journal,
    pub(crate) watermarks: Watermarks,
    pub(crate) memory: Memory,
    /// Which partitions' contexts have risen, so that a link finds what it has not confirmed yet.
    pub(crate) changes: Arc<Changes>,
    /// What each peer is known to have, per partition.
    pub(crate) peers: Peers,
    pub(crate) counters: Counters,
    /// Of the rules; apart from them, so that a connection finds it without a lock.
    pub(crate) max_value_bytes: AtomicUsize,
    /// After what absence a peer is detached.
    pub(crate) detach_after_ms: AtomicU64,
    pub(crate) sync_bell: Bell,
    pub(crate) keeper_bell: Bell,
    /// Journal position and size at the last checkpoint, and that checkpoint's own size.
    pub(crate) checkpoint: Mutex<crate::checkpoint::Last>,
    /// When upkeep is due, for a store that has no threads.
    pub(crate) upkeep: Mutex<Upkeep>,
    pub(crate) _hold: Box<dyn Hold>,
}

/// A region's state: in memory, journaled, checkpointed. Clones share it; the last one dropped stops its threads
/// without ceremony, as a kill would (see [`StateStore::shutdown`] for the other way).
#[derive(Clone)]
pub struct StateStore {
    // Declared first, dropped first: the threads must have ended before the directory is let go.
    pub(crate) keepers: Arc<Keepers>,
    pub(crate) inner: Arc<Inner>,
}

impl StateStore {
    /// Opens the state in `config.dir`, or begins an empty one there, and says what was found.
    pub fn open(config: StoreConfig) -> Result<(Self, RecoveryReport), OpenError> {
        let (inner, report) = recovery::open(config)?;
        let inner = Arc::new(inner);
        let keepers = Arc::new(Keepers::start(&inner)?);
        Ok((Self { keepers, inner }, report))
    }

    /// The region's number.
    pub fn region(&self) -> u16 {
        self.inner.config.region
    }

    /// The name under which this store writes now.
    pub fn replica(&self) -> ReplicaId {
        self.inner.replica()
    }

    /// What tells this world from others.
    pub fn world(&self) -> &str {
        &self.inner.config.world
    }

    /// The wall clock that the store goes by, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.inner.config.clock.now_ms()
    }

    /// Runs one command, on this thread, in microseconds. The state is changed when it returns; the change is durable
    /// and may be acknowledged once [`persist`](Self::persist) of the mark returns.
    ///
    /// Refused with an error of the reply: writes while the journal cannot be written ([`replication_core::OpError::Unwritable`]), and what may
    /// add to a state that is as large as it may be ([`replication_core::OpError::OutOfMemory`]).
    pub fn execute(&self, op: &Op) -> Executed {
        let inner = &*self.inner;
        Counters::count(&inner.counters.commands);
        let wall_ms = inner.config.clock.now_ms();
        let id = partition_of(&op.key);
        if !op.is_write() {
            let now = Now { wall_ms, stamp: Hlc::ZERO, luck: inner.config.luck.draw() };
            return Executed { reply: inner.shards.with(id, |slot| slot.partition.execute(op, now)).reply, mark: None };
        }
        if let Some(error) = self.refuses().error(op) {
            return Executed { reply: Reply::Error(error), mark: None };
        }
        inner.shards.with(id, |slot| {
            // Stamped under the lock: in a partition, the order of stamps is the order of sequence numbers.
            let now = Now { wall_ms, stamp: inner.hlc.tick(wall_ms), luck: inner.config.luck.draw() };
            let done = slot.partition.execute(op, now);
            let mark = done.delta.map(|delta| {
                inner.last_write.fetch_max(now.stamp.0, Ordering::AcqRel);
                inner.memory.account(slot);
                inner.mark(slot.partition.rules(), &delta, inner.push_local(id, &delta))
            });
            Executed { reply: done.reply, mark }
        })
    }

    /// Runs `body` on one partition, alone: many commands, one change, atomic for every reader in every region. The mark is
    /// to be persisted before any of the replies leaves. What [`execute`](Self::execute) refuses is refused here, op by op: a
    /// caller who wants all or nothing asks [`refusing_writes`](Self::refusing_writes) and [`is_full`](Self::is_full) first.
    ///
    /// `body` holds the partition's lock: it must not wait, and must not use the store otherwise.
    pub fn transact<R>(&self, partition: u16, body: impl FnOnce(&mut Transaction<'_>) -> R) -> (R, Option<WriteMark>) {
        let inner = &*self.inner;
        Counters::count(&inner.counters.commands);
        let wall_ms = inner.config.clock.now_ms();
        let refuses = self.refuses();
        inner.shards.with(partition, |slot| {
            let now = Now { wall_ms, stamp: inner.hlc.tick(wall_ms), luck: inner.config.luck.draw() };
            let (result, delta) = slot.partition.transact(now, |transaction| {
                transaction.refuse(refuses);
                body(transaction)
            });
            let mark = delta.map(|delta| {
                inner.last_write.fetch_max(now.stamp.0, Ordering::AcqRel);
                inner.memory.account(slot);
                inner.mark(slot.partition.rules(), &delta, inner.push_local(partition, &delta))
            });
            (result, mark)
        })
    }

    /// What clients cannot do now.
    fn refuses(&self) -> Refuses {
        match self.inner.journal.failure() {
            Some(failure) => Refuses::Writes(failure.to_string()),
            None if self.is_full() => Refuses::Growth,
            None => Refuses::Nothing,
        }
    }

    /// A number that changes whenever what clients can see of a key changes: what WATCH compares.
    pub fn fingerprint(&self, key: &[u8]) -> u64 {
        let now_ms = self.now_ms();
        self.inner.shards.with(partition_of(key), |slot| slot.partition.fingerprint(key, now_ms))
    }

    /// Sets what the World says about keys, from now on.
    pub fn set_rules(&self, rules: &Arc<Rules>) {
        self.inner.max_value_bytes.store(rules.max_value_bytes, Ordering::Relaxed);
        self.inner.shards.each(|_, slot| slot.partition.set_rules(rules.clone()));
    }

    /// Sets after what absence a peer is detached, from now on.
    pub fn set_detach_after(&self, absence: Duration) {
        self.inner.detach_after_ms.store(millis(absence), Ordering::Relaxed);
    }

    /// Does whatever upkeep is due by the store's clock, on this thread: syncs the journal, purges and settles, releases
    /// what has waited long enough, makes a checkpoint. Returns when to call again at the latest, in milliseconds since
    /// 1970. Only for a store with [`Threads::None`]; the threads of any other do the same by themselves.
    pub fn tick(&self) -> u64 {
        self.inner.tick()
    }

    /// The next page of keys: about `count` of them, and the cursor to go on with, 0 at the end. As in Redis, a key
    /// that is there from the first page to the last is returned, whatever happens to other keys meanwhile.
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<Bytes>) {
        let (mut id, mut inside) = ((cursor % u64::from(PARTITIONS)) as u16, cursor / u64::from(PARTITIONS));
        let (now_ms, mut keys) = (self.now_ms(), Vec::new());
        while id < PARTITIONS {
            let left = count.saturating_sub(keys.len()).max(1);
            inside = self.inner.shards.with(id, |slot| slot.partition.scan(inside, left, now_ms, &mut keys));
            if inside == 0 {
                id += 1;
            }
            if keys.len() >= count {
                break;
            }
        }
        let next = if id == PARTITIONS { 0 } else { inside * u64::from(PARTITIONS) + u64::from(id) };
        (next, keys)
    }

    /// One of the keys, at random; `None` if there is none.
    pub fn random_key(&self) -> Option<Bytes> {
        let (now_ms, luck) = (self.now_ms(), self.inner.config.luck.draw());
        let start = (luck % u64::from(PARTITIONS)) as u16;
        let inside = luck.rotate_left(32);
        let mut order = (start..PARTITIONS).chain(0..start);
        order.find_map(|id| self.inner.shards.with(id, |slot| slot.partition.random_key(inside, now_ms)))
    }

    /// How many keys are held, those that wait for their purge included.
    pub fn dbsize(&self) -> usize {
        let mut keys = 0;
        self.inner.shards.each(|_, slot| keys += slot.partition.len());
        keys
    }

    /// Everything known of one key; `None` if nothing lives under it.
    pub fn explain(&self, key: &[u8]) -> Option<Explanation> {
        let now_ms = self.now_ms();
        self.inner.shards.with(partition_of(key), |slot| slot.partition.explain(key, now_ms))
    }

    /// The conflicts met last, the newest first, at most `limit`. Each partition remembers a few.
    pub fn conflicts(&self, limit: usize) -> Vec<Conflict> {
        let mut found: Vec<Conflict> = Vec::new();
        self.inner.shards.each(|_, slot| found.extend(slot.partition.conflicts().take(limit).cloned()));
        found.sort_by_key(|conflict| std::cmp::Reverse(conflict.winner.hlc.max(conflict.loser.hlc)));
        found.truncate(limit);
        found
    }

    /// The state in numbers that another region's can be compared with.
    pub fn digest(&self) -> StateDigest {
        let mut partitions = Vec::with_capacity(usize::from(PARTITIONS));
        self.inner.shards.each(|_, slot| {
            partitions.push(PartitionDigest { vv: slot.partition.vv().clone(), sum: slot.partition.digest() });
        });
        StateDigest { partitions }
    }

    /// One partition in two numbers.
    pub fn partition_digest(&self, partition: u16) -> PartitionDigest {
        self.inner
            .shards
            .with(partition, |slot| PartitionDigest { vv: slot.partition.vv().clone(), sum: slot.partition.digest() })
    }

    /// Whether everything that was executed is written.
    pub fn is_all_written(&self) -> bool {
        self.inner.journal.written() >= self.inner.journal.end()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> StoreStats {
        let (counters, journal) = (&self.inner.counters, &self.inner.journal);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let journal_end = journal.end();
        let (mut keys, mut conflicts_by_kind, mut removals) = (0, ConflictCounts::default(), 0);
        self.inner.shards.each(|_, slot| {
            let stats = slot.partition.stats();
            (keys, removals) = (keys + stats.keys, removals + stats.removals);
            conflicts_by_kind.iter_mut().zip(stats.conflicts).for_each(|(sum, more)| *sum += more);
        });
        StoreStats {
            keys,
            conflicts: conflicts_by_kind.iter().sum(),
            conflicts_by_kind,
            removals,
            commands: read(&counters.commands),
            local_deltas: read(&counters.local),
            remote_deltas: read(&counters.remote),
            held_back: self.inner.watermarks.held(),
            applied_late: read(&counters.late),
            stamps_ahead: read(&counters.ahead),
            stamps_far_ahead: read(&counters.far_ahead),
            memory_bytes: self.memory_bytes(),
            max_memory_bytes: self.inner.config.max_memory_bytes,
            journal_bytes: journal.bytes(),
            journal_end,
            unwritten: journal_end.saturating_sub(journal.written()),
            unsynced: journal_end.saturating_sub(journal.synced()),
            last_sync_ms: read(&counters.last_sync_ms),
            checkpoints: read(&counters.checkpoints),
            checkpoint_longest_hold_us: read(&counters.longest_piece_us),
            refusing_writes: journal.failure().is_some(),
        }
    }

    /// Whether writes are refused because the journal cannot be written. A load, for health checks.
    pub fn refusing_writes(&self) -> bool {
        self.inner.journal.failure().is_some()
    }

    /// Longest value, field or member that a command may store, in bytes.
    pub fn max_value_bytes(&self) -> usize {
        self.inner.max_value_bytes.load(Ordering::Relaxed)
    }

    /// Why writes are refused, while they are.
    pub fn unwritable(&self) -> Option<String> {
        self.inner.journal.failure().map(|failure| failure.to_string())
    }

    /// The stamp of the last write made here: with the region's number, the token of whoever made it.
    pub fn last_write_hlc(&self) -> Hlc {
        Hlc(self.inner.last_write.load(Ordering::Acquire))
    }

    /// Up to which stamp everything that `region` acknowledged is visible here.
    pub fn watermark(&self, region: u16) -> Hlc {
        if region == self.region() { self.inner.hlc.last() } else { self.inner.watermarks.of(region) }
    }

    /// Waits until everything that `region` acknowledged up to `hlc` is visible here; false if it is not by the
    /// deadline. What this region wrote itself is visible at once.
    pub async fn wait_for(&self, region: u16, hlc: Hlc, deadline: Instant) -> bool {
        region == self.region() || self.inner.watermarks.wait_for(region, hlc, deadline).await
    }

    /// Makes a checkpoint now; the journal before it is removed. Goes partition by partition beside all other work.
    pub fn checkpoint(&self) -> Result<(), OpenError> {
        crate::checkpoint::make(&self.inner)
    }

    /// Ends the store's threads and syncs everything. The store must not be used for writes afterwards.
    pub fn shutdown(&self) -> Result<(), PersistError> {
        self.keepers.stop();
        self.inner.journal.sync()
    }
}

/// Whole milliseconds, as many as fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Inner {
    pub(crate) fn replica(&self) -> ReplicaId {
        ReplicaId { region: self.config.region, incarnation: self.incarnation.load(Ordering::Acquire) }
    }

    /// Journals a change made here. Called under the lock of its shard.
    pub(crate) fn push_local(&self, id: u16, delta: &replication_core::Delta) -> u64 {
        Counters::count(&self.counters.local);
        self.changes.note(id);
        self.journal.push(Kind::Delta, Some(id), |buf| delta.encode(buf))
    }

    /// One round of upkeep: settles counters, purges what has expired, in small bites.
    pub(crate) fn housekeeping(&self) {
        if self.journal.failure().is_some() {
            return;
        }
        let wall_ms = self.config.clock.now_ms();
        self.shards.each(|id, slot| {
            if slot.partition.is_empty() {
                return;
            }
            let now = Now { wall_ms, stamp: self.hlc.tick(wall_ms), luck: 0 };
            if let Some(delta) = slot.partition.housekeeping(now, HOUSEKEEPING_KEYS) {
                self.push_local(id, &delta);
                self.memory.account(slot);
            }
        });
    }
}

/// Keys looked at per partition and round of upkeep: with a round each second, 20 000 keys a second in all.
const HOUSEKEEPING_KEYS: usize = 20;
/// How often upkeep runs.
pub(crate) const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(1);
