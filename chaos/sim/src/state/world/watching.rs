//! The oracle looks at a region: after every event, at whatever has changed.

use bytes::Bytes;
use replication_core::{Hlc, VersionVector, partition_of};
use replication_storage::StateStore;

use super::World;
use crate::state::{
    coverage::Met,
    oracle::{Rule, StateSeen, Violation},
    region::{Loss, Token},
    scenario::PAIRS,
};

impl World<'_> {
    pub(super) fn watch(&mut self, region: u16) -> Result<(), Violation> {
        let it = &mut self.regions[usize::from(region) - 1];
        let Some(life) = &mut it.life else { return Ok(()) };
        let store = life.store.clone();
        if it.name.is_some_and(|name| name != store.replica()) {
            it.name = Some(store.replica());
        }
        for partition in store.changed_partitions(&mut life.seen) {
            self.watch_partition(region, &store, partition)?;
        }
        self.watch_tokens(region, &store)
    }

    fn watch_partition(&mut self, region: u16, store: &StateStore, partition: u16) -> Result<(), Violation> {
        let seen = store.partition_digest(partition);
        self.check_grows(region, partition, &seen.vv)?;
        let everything = store.catch_up_since(partition, &VersionVector::new());
        let state = StateSeen { region, vv: &seen.vv, digest: seen.sum, elements: &everything.puts };
        self.history.check(partition, &state)?;
        for (replica, seq) in seen.vv.iter().filter(|(replica, _)| replica.region != region) {
            let shipped = self.shipped.entry((partition, replica)).or_default();
            *shipped = seq.max(*shipped);
        }
        self.check_pairs(region, store, partition)?;
        if let Some(life) = &mut self.region_mut(region).life {
            life.contexts.insert(partition, seen.vv);
        }
        Ok(())
    }

    fn check_grows(&self, region: u16, partition: u16, vv: &VersionVector) -> Result<(), Violation> {
        let life = self.region(region).life.as_ref();
        let Some(before) = life.and_then(|life| life.contexts.get(&partition)) else { return Ok(()) };
        if vv.dominates(before) {
            return Ok(());
        }
        let what = format!("partition {partition} of region {region} went from [{before}] to [{vv}]");
        Err(Violation::new(Rule::ContextsAreTrue, what))
    }

    /// Both keys of a pair are only ever written by one transaction, so they are equal in every region at every moment.
    fn check_pairs(&self, region: u16, store: &StateStore, partition: u16) -> Result<(), Violation> {
        for (left, right) in PAIRS.iter().filter(|(left, _)| partition_of(left.as_bytes()) == partition) {
            let read = |key: &'static str| super::clients::shown(store, &Bytes::from_static(key.as_bytes()));
            let (a, b) = (read(left), read(right));
            if a != b {
                let what = format!("region {region} shows {left} as {a:?} and {right} as {b:?}");
                return Err(Violation::new(Rule::TransactionsAreAtomic, what));
            }
        }
        Ok(())
    }

    /// Whoever comes from another region with a token that is reached here finds what the token stands for.
    fn watch_tokens(&mut self, region: u16, store: &StateStore) -> Result<(), Violation> {
        for other in (1..=self.count()).filter(|other| *other != region) {
            let reached = store.watermark(other);
            let Some(life) = &mut self.region_mut(region).life else { return Ok(()) };
            let before = life.watermarks.insert(other, reached).unwrap_or(Hlc::ZERO);
            if reached <= before {
                continue;
            }
            let marked = &mut self.region_mut(other).marked;
            *marked = reached.max(*marked);
            let tokens = self.region(other).tokens.iter().filter(|token| token.hlc > before && token.hlc <= reached);
            let mut followed = 0;
            for token in tokens {
                followed += 1;
                let vv = store.version_vector(token.partition);
                if !vv.covers(token.dot) {
                    let what = format!(
                        "region {region} says that everything of region {other} up to {reached} is visible, but {} of {} in partition {} is not in [{vv}]",
                        token.dot, token.hlc, token.partition
                    );
                    return Err(Violation::new(Rule::SessionsSeeTheirWrites, what));
                }
            }
            self.coverage.add(Met::TokensFollowed, followed);
        }
        Ok(())
    }

    /// What a region writes now is stamped later than whatever it has called complete, also after it has lost all memory of
    /// that. Only a region whose clock was set back may fall behind, until a peer tells it what it once said.
    pub(super) fn check_stamp(&self, region: u16, token: Token) -> Result<(), Violation> {
        let it = self.region(region);
        let told = it.life.as_ref().map_or(Hlc::ZERO, |life| life.told);
        if token.hlc > it.marked || it.clock.went_back() && token.hlc > told {
            return Ok(());
        }
        let what =
            format!("region {region} stamps {} with {}, it had called {} complete", token.dot, token.hlc, it.marked);
        Err(Violation::new(Rule::SessionsSeeTheirWrites, what))
    }

    /// A region has started again: is everything there that must be?
    pub(super) fn check_recovered(&mut self, region: u16, store: &StateStore) -> Result<(), Violation> {
        let it = self.region(region);
        let (owed, same_name) = (it.owed(), it.name == Some(store.replica()));
        for (partition, owed) in &owed {
            let vv = store.version_vector(*partition);
            if !vv.dominates(owed) {
                let what = format!(
                    "region {region} came back with [{vv}] in partition {partition}, it had made sure of [{owed}]"
                );
                return Err(Violation::new(Rule::NoLostUpdate, what));
            }
        }
        if same_name {
            self.forget_unwritten(region, store);
        }
        self.settle_losses(region, store);
        Ok(())
    }

    /// Under the same name, numbers of changes that nobody but the dead process had seen are free again.
    fn forget_unwritten(&mut self, region: u16, store: &StateStore) {
        let me = store.replica();
        for partition in self.partitions.clone() {
            let shipped = self.shipped.get(&(partition, me)).copied().unwrap_or_default();
            let kept = store.version_vector(partition).get(me).max(shipped);
            if self.history.made(partition, me) > kept {
                self.trace.say(self.now_ms, format_args!("region {region}: {me} is free again after {kept}"));
                self.history.forget(partition, me, kept);
            }
        }
    }

    /// What a region lost within the rules is no longer expected of it; of the others it still is.
    fn settle_losses(&mut self, region: u16, store: &StateStore) {
        let partitions = self.partitions.clone();
        let it = &mut self.regions[usize::from(region) - 1];
        if it.may_lose > Loss::Nothing {
            let lost: u64 = it.written.iter().map(|(id, owed)| lost(owed, &store.version_vector(*id))).sum();
            self.coverage.add(Met::Losses, lost);
        }
        for (partition, owed) in &mut it.written {
            *owed = owed.meet(&store.version_vector(*partition));
        }
        it.synced.clear();
        it.may_lose = Loss::Nothing;
        it.note_written(&partitions);
        // A region that has lost a change cannot vouch for it any more, though another region may still bring it back.
        it.tokens.retain(|token| store.version_vector(token.partition).covers(token.dot));
    }
}

fn lost(owed: &VersionVector, left: &VersionVector) -> u64 {
    owed.iter().map(|(replica, seq)| seq.saturating_sub(left.get(replica))).sum()
}
