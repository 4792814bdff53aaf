//! The engine's face for links: what goes out, and what comes in. What each peer is known to have
//! is in `peers.rs`.

use std::sync::atomic::Ordering;

use replication_core::{
    CatchUp, CatchUpRefused, CaughtUp, Delta, Hlc, Merged, Offered, PARTITIONS, Partition, RemoteStamp, ReplicaId,
    VersionVector,
};
use tokio::sync::watch;

use crate::{
    CatchUpError, OpenError, PersistError, StateStore, Tail,
    identity::Identity,
    journal::{lock, record::Kind},
    shard::{self, Slot},
    store::{Counters, Inner},
};

/// What became of a change that a peer sent.
#[derive(Debug, Clone)]
pub enum Offer {
    /// It is visible now.
    Applied,
    /// It waits for what it depends on, two seconds at most.
    Held,
    /// It was here already.
    Duplicate,
    /// Changes before it are missing: the partition must be caught up.
    Gap,
    /// Too much waits already: the partition must be caught up.
    Full,
    /// The journal cannot be written, so nothing more is taken in.
    Refused(PersistError),
}

impl StateStore {
    /// Where the journal stands: everything before this position is written.
    pub fn position(&self) -> u64 {
        self.inner.journal.written()
    }

    /// Wakes when more has been written.
    pub fn watch_position(&self) -> watch::Receiver<u64> {
        self.inner.journal.watch_written()
    }

    /// Writes whatever is pending, on this thread.
    pub fn write_pending(&self) -> Result<u64, PersistError> {
        self.inner.journal.write_pending()
    }

    /// Changes made here and written, from `position` on, at most about `max_bytes` of them.
    pub fn tail(&self, position: u64, max_bytes: usize) -> Tail {
        let written = self.position();
        self.inner.journal.ring().tail(position, max_bytes, written)
    }

    /// A stamp and a journal position, such that every change made here and stamped up to the one lies before the
    /// other: once a link has sent everything before the position, it may say "nothing up to this stamp remains".
    ///
    /// The stamp is our wall clock's or our last change's, never one adopted from another region: a restart forgets those,
    /// and what is written then must not be stamped below what was called complete.
    pub fn tick_watermark(&self) -> (Hlc, u64) {
        let wall_ms = self.now_ms();
        self.inner.hlc.tick(wall_ms);
        let hlc = Hlc::from_ms(wall_ms).max(self.last_write_hlc());
        // Whoever took an earlier stamp did so under one of these locks and pushes its change before letting go.
        self.inner.shards.pass_through();
        (hlc, self.inner.journal.end())
    }

    /// Up to which stamp a region has told us that nothing of it remains: what we tell it when we meet again.
    pub fn heard(&self, region: u16) -> Hlc {
        self.inner.watermarks.heard(region)
    }

    /// A peer tells up to which stamp we once said that nothing of ours remains. We go on behind it, though we may have
    /// forgotten it and our clock may have been set back since: what is written below it would be taken for complete.
    /// Not if it is more than ten seconds in our future: then something else is wrong.
    pub fn resume_after(&self, said: Hlc) {
        match said.judge(self.now_ms()) {
            RemoteStamp::FarAhead { .. } => Counters::count(&self.inner.counters.far_ahead),
            RemoteStamp::Fine | RemoteStamp::Ahead { .. } => self.inner.hlc.raise(said),
        }
    }

    /// A peer says that nothing of `region` up to `hlc` remains to be sent.
    pub fn note_watermark(&self, region: u16, hlc: Hlc) {
        if region != self.region() {
            self.inner.observe(hlc);
            self.inner.watermarks.note(region, hlc);
            self.inner.peers.heard(region, self.now_ms());
        }
    }

    /// Takes in a change of another region. It is durable after the next [`write_pending`](Self::write_pending).
    pub fn offer(&self, delta: Delta) -> Offer {
        let inner = &*self.inner;
        if let Some(failure) = inner.journal.failure() {
            return Offer::Refused(failure);
        }
        inner.observe(delta.hlc);
        let id = delta.partition;
        if id >= PARTITIONS {
            return Offer::Duplicate; // decoding has refused it already; nothing of it can be missing here
        }
        let (replica, seq) = (delta.replica, delta.first_seq);
        inner.shards.with(id, |slot| {
            match slot.inbox.offer(self.now_ms(), delta, slot.partition.vv()) {
                Offered::Taken => {}
                Offered::Duplicate => return Offer::Duplicate,
                Offered::Gap { .. } => return Offer::Gap,
                Offered::Full => return Offer::Full,
            }
            if inner.drain(id, slot, Some((replica, seq))) {
                Offer::Applied
            } else {
                slot.held.push(replica.region);
                inner.watermarks.hold(replica.region);
                Offer::Held
            }
        })
    }

    /// Applies changes that have waited long enough. Costs nothing while none waits.
    pub fn release_held(&self) {
        self.inner.release_held();
    }

    /// What each partition has seen.
    pub fn version_vectors(&self) -> Vec<VersionVector> {
        let mut all = Vec::with_capacity(usize::from(PARTITIONS));
        self.inner.shards.each(|_, slot| all.push(slot.partition.vv().clone()));
        all
    }

    /// What one partition has seen.
    pub fn version_vector(&self, partition: u16) -> VersionVector {
        self.inner.shards.with(partition, |slot| slot.partition.vv().clone())
    }

    /// Looks at one partition, under its lock: briefly.
    pub fn look<R>(&self, partition: u16, look: impl FnOnce(&Partition) -> R) -> R {
        self.inner.shards.with(partition, |slot| look(&slot.partition))
    }

    /// Rises whenever any partition has seen something new.
    pub fn changes(&self) -> u64 {
        self.inner.changes.total()
    }

    /// Partitions that have seen something new since `seen` was last brought up to date, and brings it up to date.
    /// Begin with an empty vector.
    pub fn changed_partitions(&self, seen: &mut Vec<u32>) -> Vec<u16> {
        self.inner.changes.since(seen)
    }

    /// What a peer lacks of one partition. To be sent only after [`persist_pending`](Self::persist_pending): part of
    /// it may just have been made.
    pub fn catch_up_since(&self, partition: u16, peer: &VersionVector) -> CatchUp {
        self.inner.shards.with(partition, |slot| slot.partition.catch_up_since(peer))
    }

    /// Takes in what this region lacked of one partition. Durable after the next [`write_pending`](Self::write_pending).
    pub fn apply_catch_up(&self, catch_up: &CatchUp) -> Result<CaughtUp, CatchUpError> {
        let inner = &*self.inner;
        if let Some(failure) = inner.journal.failure() {
            return Err(failure.into());
        }
        let id = catch_up.partition;
        if id >= PARTITIONS {
            return Err(CatchUpRefused::WrongPartition.into());
        }
        inner.shards.with(id, |slot| {
            let caught_up = slot.partition.apply_catch_up(catch_up)?;
            if !catch_up.is_empty() {
                inner.changes.note(id);
                inner.journal.push(Kind::CatchUp, None, |buf| catch_up.encode(buf));
            }
            inner.drain(id, slot, None);
            Ok(caught_up)
        })
    }

    /// Goes on under a new name, because a peer has seen changes of this replica that this store has not: its past was
    /// lost, for instance to a backup put back. What was lost comes back from peers like any other change.
    pub fn begin_new_incarnation(&self, why: &str) -> Result<ReplicaId, OpenError> {
        let inner = &*self.inner;
        let incarnation = crate::identity::new_incarnation(&inner.config.luck);
        let me = ReplicaId { region: self.region(), incarnation };
        {
            // Durable before the first change is made under the name.
            let mut identity = lock(&inner.identity);
            let mut new = Identity { incarnation, ..identity.clone() };
            new.save(&*inner.config.files, &inner.config.dir)?;
            *identity = new;
        }
        let damaged = |what: String| OpenError::Incomplete { dir: inner.config.dir.clone(), what };
        // All locks: no change may be made under the old name once one has been made under the new.
        let mut shards = inner.shards.all();
        for slot in shards.iter_mut().flat_map(|shard| shard.iter_mut()) {
            slot.partition = shard::rename(&slot.partition, me).map_err(|e| damaged(e.to_string()))?;
            inner.memory.account(slot);
        }
        inner.incarnation.store(incarnation, Ordering::Release);
        tracing::warn!(replica = %me, why, "the state goes on under a new name");
        Ok(me)
    }
}

impl Inner {
    /// Notes a stamp made elsewhere.
    fn observe(&self, hlc: Hlc) {
        match self.hlc.observe(hlc, self.config.clock.now_ms()) {
            RemoteStamp::Fine => {}
            RemoteStamp::Ahead { .. } => Counters::count(&self.counters.ahead),
            RemoteStamp::FarAhead { .. } => Counters::count(&self.counters.far_ahead),
        }
    }

    /// Merges whatever is ready in a partition's inbox; whether `offered`, which came just now, was among it.
    fn drain(&self, id: u16, slot: &mut Slot, offered: Option<(ReplicaId, u64)>) -> bool {
        let now_ms = self.config.clock.now_ms();
        let mut seen = false;
        while let Some(ready) = slot.inbox.next_ready(now_ms, slot.partition.vv()) {
            let delta = &ready.delta;
            if offered == Some((delta.replica, delta.first_seq)) {
                seen = true;
            } else if let Some(at) = slot.held.iter().position(|region| *region == delta.replica.region) {
                slot.held.swap_remove(at);
                self.watermarks.release(delta.replica.region);
            }
            if slot.partition.merge(delta) != Merged::Applied {
                continue; // a catch-up brought it meanwhile, or will: the link asks for one when it sees a gap
            }
            Counters::count(&self.counters.remote);
            if ready.late {
                Counters::count(&self.counters.late);
            }
            self.changes.note(id);
            self.journal.push(Kind::Delta, None, |buf| delta.encode(buf));
        }
        if slot.inbox.is_empty() {
            // An inbox drops what a catch-up has made superfluous without handing it out.
            slot.held.drain(..).for_each(|region| self.watermarks.release(region));
        }
        self.memory.account(slot);
        seen
    }

    pub(crate) fn release_held(&self) {
        if self.watermarks.held() == 0 || self.journal.failure().is_some() {
            return;
        }
        self.shards.each(|id, slot| {
            if !slot.inbox.is_empty() {
                self.drain(id, slot, None);
            }
        });
    }
}
