//! The stores' own rounds: syncs, purges, settling, checkpoints.

use bytes::Bytes;
use replication_core::{Gone, Part, Value, VersionVector, partition_of};
use replication_storage::StateStore;

use super::{Event, World};
use crate::state::{
    coverage::Met,
    oracle::{self, Increment, Reset, Rule, Scope, Violation},
    scenario::KEYS,
};

/// Between two looks at what is due, in milliseconds.
const EVERY_MS: u64 = 250;

impl World<'_> {
    pub(super) fn upkeep(&mut self, region: u16, life: u64) -> Result<(), Violation> {
        if !self.is_current(region, life) {
            return Ok(());
        }
        let Some(store) = self.region(region).life.as_ref().map(|life| life.store.clone()) else { return Ok(()) };
        // First what others have sent, so that whatever is new after the round is the region's own.
        store.release_held();
        let before: Vec<(u16, VersionVector)> =
            self.partitions.iter().map(|id| (*id, store.version_vector(*id))).collect();
        store.tick();
        for (partition, before) in before {
            let me = store.replica();
            if store.version_vector(partition).get(me) > before.get(me) {
                self.check_own_change(&store, partition, &before)?;
                self.note_made(&store, partition, &before, |world| world.purges(&store, partition, &before))?;
            }
        }
        self.note_all_written(region, &store);
        self.queue.plan(self.now_ms + EVERY_MS, Event::Upkeep { region, life });
        self.tell_sessions(region)?;
        self.after(region)
    }

    fn note_all_written(&mut self, region: u16, store: &StateStore) {
        let partitions = self.partitions.clone();
        if !self.region(region).disk.is_crashed() && store.is_all_written() {
            self.region_mut(region).note_written(&partitions);
        }
    }

    /// A purge is a reset of all of an expired key. A round purges some keys and leaves others for later, so what counts is
    /// what is gone.
    fn purges(&self, store: &StateStore, partition: u16, before: &VersionVector) -> (Vec<Increment>, Vec<Reset>) {
        let Gone::These(gone) = store.catch_up_since(partition, before).gone else { return (Vec::new(), Vec::new()) };
        let purged = |key: &str| {
            let read = || oracle::read(&self.history, partition, before, key.as_bytes(), store.now_ms());
            let held = self.history.elements(partition, before, key.as_bytes());
            held.iter().any(|(dot, _)| gone.contains(dot)) && read().is_expired()
        };
        let keys = KEYS.iter().filter(|key| partition_of(key.as_bytes()) == partition && purged(key));
        let resets = keys.map(|key| Reset { key: Bytes::from_static(key.as_bytes()), scope: Scope::Key });
        (Vec::new(), resets.collect())
    }

    /// Upkeep takes away what has expired by the region's own clock, and nothing else that anybody could see.
    fn check_own_change(
        &mut self,
        store: &StateStore,
        partition: u16,
        before: &VersionVector,
    ) -> Result<(), Violation> {
        let news = store.catch_up_since(partition, before);
        let Gone::These(gone) = &news.gone else { return Ok(()) };
        let mut purged = false;
        for dot in gone {
            let Some(element) = self.history.element(partition, *dot) else { continue };
            let counts = matches!(element.value, Value::Count(_) | Value::Floor(_));
            if counts || matches!(element.part, Part::Deadline | Part::FieldDeadline(_)) {
                continue;
            }
            let reading = oracle::read(&self.history, partition, before, &element.key, store.now_ms());
            let own_time = matches!(&element.part, Part::Field(field) if reading.expired_fields.contains(field));
            purged |= reading.is_expired() || own_time;
            if !reading.is_expired() && !own_time {
                let what = format!(
                    "region {} purged {element:?} of a key that reads as {reading:?} by its clock, {}",
                    store.region(),
                    store.now_ms()
                );
                return Err(Violation::new(Rule::DeadlinesHold, what));
            }
        }
        if purged {
            self.coverage.met(Met::Purged);
        }
        debug_assert!(news.puts.iter().all(|put| partition_of(&put.key) == partition), "a change of another partition");
        Ok(())
    }
}
