//! The other regions: what each is known to have, and which of them count.
//!
//! A removal is remembered until every *attached* region has confirmed it. A region that was not heard of for
//! [`crate::StoreConfig::detach_after`] is detached: nobody waits for it any more, so its absence costs no memory and no
//! disk. When it is heard of again it is attached again. What it wrote meanwhile is taken like any other change, and what
//! it missed it gets by comparing what lives, since the removals may be forgotten: dearer, never wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, atomic::Ordering},
};

use replication_core::{PARTITIONS, ReplicaId, VersionVector};

use crate::{StateStore, journal::lock, store::Inner};

/// So many names that a region has left are remembered; far more than disks die in its life.
const MOST_CLOSED: usize = 4096;

#[derive(Debug)]
struct Peer {
    /// What it is known to have, per partition; empty before it was heard of.
    acked: Vec<VersionVector>,
    /// When it was last heard of, or when waiting for it began, in milliseconds since 1970.
    heard_ms: u64,
    detached: bool,
    /// Names that the region says it has left.
    closed: BTreeSet<ReplicaId>,
}

#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<u16, Peer>>);

impl Peers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u16, Peer>> {
        lock(&self.0)
    }

    /// A region has given a sign of life.
    pub(crate) fn heard(&self, region: u16, now_ms: u64) {
        if let Some(peer) = self.all().get_mut(&region) {
            peer.hear(region, now_ms);
        }
    }

    /// Detaches whoever was not heard of for `patience_ms`; true if anybody was.
    fn detach(&self, now_ms: u64, patience_ms: u64) -> bool {
        let mut any = false;
        for (region, peer) in self.all().iter_mut().filter(|(_, peer)| !peer.detached) {
            // A clock that was set back must not keep a region attached for ever.
            peer.heard_ms = peer.heard_ms.min(now_ms);
            peer.detached = now_ms - peer.heard_ms >= patience_ms;
            if peer.detached {
                tracing::warn!(region, "not heard of for so long that nobody waits for it any more");
            }
            any |= peer.detached;
        }
        any
    }

    /// What all attached peers are known to have of a partition; `None` if there is no such peer.
    fn shared(&self, partition: u16) -> Option<VersionVector> {
        let all = self.all();
        let mut known = all.values().filter(|peer| !peer.detached).map(|peer| peer.of(partition));
        let first = known.next()?;
        Some(known.fold(first, |shared, peer| shared.meet(&peer)))
    }
}

impl Peer {
    fn hear(&mut self, region: u16, now_ms: u64) {
        self.heard_ms = now_ms;
        if std::mem::take(&mut self.detached) {
            tracing::info!(region, "heard of again");
        }
    }

    fn of(&self, partition: u16) -> VersionVector {
        self.acked.get(usize::from(partition)).cloned().unwrap_or_default()
    }
}

impl Inner {
    /// Detaches whoever is away for too long, and forgets what only they had not confirmed.
    pub(crate) fn detach_absent(&self) {
        let patience_ms = self.detach_after_ms.load(Ordering::Relaxed);
        if self.peers.detach(self.config.clock.now_ms(), patience_ms) {
            self.shards.each(|id, slot| {
                // Nobody left to wait for has confirmed everything.
                let shared = self.peers.shared(id).unwrap_or_else(|| slot.partition.vv().clone());
                slot.partition.prune_removals(&shared);
                self.memory.account(slot);
            });
        }
    }
}

impl StateStore {
    /// Says which other regions there are. Removals are remembered until all of them have confirmed them.
    pub fn set_peers(&self, regions: &[u16]) {
        let now_ms = self.now_ms();
        let mut all = self.inner.peers.all();
        let mut known = std::mem::take(&mut *all);
        let fresh = || Peer { acked: Vec::new(), heard_ms: now_ms, detached: false, closed: BTreeSet::new() };
        *all = regions.iter().map(|region| (*region, known.remove(region).unwrap_or_else(fresh))).collect();
    }

    /// What a peer says it has, of all partitions, when a connection begins. It may be less than it once confirmed, if
    /// it has lost its state since.
    pub fn set_acked(&self, region: u16, vectors: &[(u16, VersionVector)]) {
        let now_ms = self.now_ms();
        let mut all = self.inner.peers.all();
        let Some(peer) = all.get_mut(&region) else { return };
        peer.hear(region, now_ms);
        peer.acked.clear();
        peer.acked.resize(usize::from(PARTITIONS), VersionVector::new());
        for (partition, vv) in vectors {
            if let Some(known) = peer.acked.get_mut(usize::from(*partition)) {
                known.clone_from(vv);
            }
        }
    }

    /// A peer confirmed, durably, what it has seen of one partition.
    pub fn note_acked(&self, region: u16, partition: u16, vv: &VersionVector) {
        let now_ms = self.now_ms();
        {
            let mut all = self.inner.peers.all();
            let Some(peer) = all.get_mut(&region) else { return };
            peer.hear(region, now_ms);
            peer.acked.resize(usize::from(PARTITIONS), VersionVector::new());
            let Some(known) = peer.acked.get_mut(usize::from(partition)) else { return };
            known.join(vv);
        }
        if let Some(shared) = self.inner.peers.shared(partition).filter(|shared| !shared.is_empty()) {
            self.inner.shards.with(partition, |slot| {
                slot.partition.prune_removals(&shared);
                self.inner.memory.account(slot);
            });
        }
    }

    /// What a peer is known to have of one partition.
    pub fn acked(&self, region: u16, partition: u16) -> VersionVector {
        self.inner.peers.all().get(&region).map(|peer| peer.of(partition)).unwrap_or_default()
    }

    /// A peer says which names its region has left, for good.
    pub fn note_closed(&self, region: u16, left: impl Iterator<Item = ReplicaId>) {
        if let Some(peer) = self.inner.peers.all().get_mut(&region) {
            peer.closed.extend(left.take(MOST_CLOSED.saturating_sub(peer.closed.len())));
        }
    }

    /// Names in the contexts here that nobody writes under any more: those that this region has left, and those of which
    /// their own regions have said so. What is not known to be closed is merely told at greater length.
    pub fn closed(&self) -> BTreeSet<ReplicaId> {
        let (me, mut named) = (self.replica(), BTreeSet::new());
        self.inner.shards.each(|_, slot| named.extend(slot.partition.vv().iter().map(|(replica, _)| replica)));
        let all = self.inner.peers.all();
        let left = |replica: &ReplicaId| match all.get(&replica.region) {
            Some(peer) => peer.closed.contains(replica),
            None => replica.region == me.region && *replica != me,
        };
        named.retain(left);
        named
    }

    /// How many changes made here a peer has not confirmed.
    pub fn unconfirmed(&self, region: u16) -> u64 {
        let me = self.replica();
        let mine: Vec<u64> = self.version_vectors().iter().map(|vv| vv.get(me)).collect();
        let all = self.inner.peers.all();
        let Some(peer) = all.get(&region) else { return 0 };
        let confirmed = |id: usize| peer.acked.get(id).map_or(0, |vv| vv.get(me));
        mine.iter().enumerate().map(|(id, seq)| seq.saturating_sub(confirmed(id))).sum()
    }

    /// Regions that were away for so long that nobody waits for them.
    pub fn detached(&self) -> Vec<u16> {
        self.inner.peers.all().iter().filter(|(_, peer)| peer.detached).map(|(region, _)| *region).collect()
    }
}
