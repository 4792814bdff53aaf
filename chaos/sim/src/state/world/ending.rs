//! The end: everything is repaired, and within a bounded time all regions must be up, write, agree, and hold what was promised.

use bytes::Bytes;
use replication_core::{SetExpiry, SetIf, TextOp, VersionVector};

use super::{Event, Repair, World};
use crate::state::{
    coverage::Met,
    disk::DiskFaults,
    oracle::{Rule, Violation},
    region::Life,
    scenario::KEYS,
};

/// How long after the last fault regions may take to agree, in milliseconds: a reconnection's longest pause, two looks at what
/// peers lack, and room.
const AGREE_WITHIN_MS: u64 = 40_000;
const LOOK_EVERY_MS: u64 = 500;
/// How long after the last fault every region must write again, in milliseconds, and how often it tries.
const WRITE_WITHIN_MS: u64 = 5_000;
const TRY_EVERY_MS: u64 = 1_000;

impl World<'_> {
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.trace.say(self.now_ms, format_args!("everything is repaired"));
        for from in 1..=self.count() {
            for to in (1..=self.count()).filter(|to| *to != from) {
                self.net.limit(from, to, 0);
                while !self.net.is_open(from, to) {
                    self.repair(Repair::Path { from, to })?;
                }
            }
        }
        self.detached.clear();
        self.tell_peers();
        let now_ms = self.now_ms;
        for it in &mut self.regions {
            it.disk.set_faults(DiskFaults::default());
            it.disk.disarm();
            it.fate = None;
            it.clock.correct();
            it.clock.set(now_ms);
            if it.life.is_none() {
                it.starts_at = Some(now_ms);
                self.queue.plan(now_ms, Event::Start { region: it.id });
            }
        }
        self.queue.plan(now_ms + TRY_EVERY_MS, Event::LastWrite { region: 1 });
        Ok(())
    }

    /// Each region writes once more, one after the other: whatever its disk went through, it must be able to again.
    pub(super) fn last_write(&mut self, region: u16) -> Result<(), Violation> {
        if region > self.count() {
            self.agree_by_ms = self.now_ms + AGREE_WITHIN_MS;
            return self.look();
        }
        let before = self.coverage.of(Met::Acknowledged);
        if self.region(region).life.is_some() {
            let value = Bytes::from(format!("last of {region}"));
            let set = TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Always, get: false };
            self.write(region, &[set.on("text{a}")], 0)?;
            self.flush(region, self.region(region).lives)?;
        }
        if self.coverage.of(Met::Acknowledged) > before {
            return self.last_write(region + 1);
        }
        if self.now_ms > self.scenario.shape.end_ms + WRITE_WITHIN_MS {
            let what = format!("region {region} does not write {WRITE_WITHIN_MS} ms after everything was repaired");
            return Err(Violation::new(Rule::RegionsRecover, what));
        }
        self.queue.plan(self.now_ms + TRY_EVERY_MS, Event::LastWrite { region });
        Ok(())
    }

    pub(super) fn look(&mut self) -> Result<(), Violation> {
        let difference = self.difference();
        let Some(difference) = difference else { return self.check_end() };
        if self.now_ms > self.agree_by_ms {
            let what = format!("{AGREE_WITHIN_MS} ms after everything was repaired {difference}");
            return Err(Violation::new(Rule::RegionsConverge, what));
        }
        self.queue.plan(self.now_ms + LOOK_EVERY_MS, Event::Look);
        Ok(())
    }

    /// What two regions do not agree on, if anything.
    fn difference(&self) -> Option<String> {
        if let Some(down) = self.regions.iter().find(|it| it.life.is_none()) {
            return Some(format!("region {} is down", down.id));
        }
        let mut stores = self.regions.iter().filter_map(|it| it.life.as_ref()).map(|life| &life.store);
        let first = stores.next()?;
        for other in stores {
            for partition in &self.partitions {
                let (here, there) = (first.version_vector(*partition), other.version_vector(*partition));
                if here != there {
                    return Some(format!(
                        "partition {partition} is at [{here}] in region {} and at [{there}] in region {}",
                        first.region(),
                        other.region()
                    ));
                }
            }
        }
        None
    }

    /// All regions have seen the same. Then they hold the same, show the same, and hold everything that any of them had made sure of.
    fn check_end(&mut self) -> Result<(), Violation> {
        self.trace.say(self.now_ms, format_args!("all regions agree"));
        for region in 1..=self.count() {
            let Some(life) = &mut self.region_mut(region).life else { continue };
            life.seen.clear();
            let store = life.store.clone();
            self.watch(region)?;
            self.check_owed(region)?;
            for key in KEYS {
                self.check_reading(&store, region, key.as_bytes())?;
            }
        }
        self.check_divergence()?;
        self.finished = true;
        Ok(())
    }

    fn check_owed(&self, region: u16) -> Result<(), Violation> {
        let Some(life) = &self.region(region).life else { return Ok(()) };
        for holder in &self.regions {
            for (partition, owed) in &holder.written {
                let vv: VersionVector = life.store.version_vector(*partition);
                if !vv.dominates(owed) {
                    let what = format!(
                        "region {region} ends with [{vv}] in partition {partition}, region {} had made sure of [{owed}]",
                        holder.id
                    );
                    return Err(Violation::new(Rule::NoLostUpdate, what));
                }
            }
        }
        Ok(())
    }

    fn check_divergence(&self) -> Result<(), Violation> {
        for life in self.regions.iter().filter_map(|it| it.life.as_ref()) {
            for session in life.sessions.values() {
                let status = session.status(self.now_ms);
                if status.divergent_buckets > 0 {
                    let what =
                        format!("region {} counts divergent buckets: {:?}", life.store.region(), status.divergent);
                    return Err(Violation::new(Rule::RegionsConverge, what));
                }
            }
        }
        let stores: Vec<_> = self.regions.iter().filter_map(|it| it.life.as_ref()).map(|life| &life.store).collect();
        let Some((first, others)) = stores.split_first() else { return Ok(()) };
        let digest = first.digest();
        for other in others {
            let divergent = digest.divergent(&other.digest());
            if !divergent.is_empty() {
                let what =
                    format!("regions {} and {} differ in partitions {divergent:?}", first.region(), other.region());
                return Err(Violation::new(Rule::EqualContextsEqualStates, what));
            }
        }
        Ok(())
    }

    /// Takes the figures of a process that has ended into the coverage.
    pub(super) fn count_life(&mut self, life: &Life) {
        let stats = life.store.stats();
        self.coverage.add(Met::Conflicts, stats.conflicts);
        self.coverage.add(Met::LiveDeltas, stats.remote_deltas);
        self.coverage.add(Met::Late, stats.applied_late);
        self.coverage.add(Met::StampsAhead, stats.stamps_ahead);
        self.coverage.add(Met::Checkpoints, stats.checkpoints);
        let now_ms = self.now_ms;
        for session in life.sessions.values() {
            let status = session.status(now_ms);
            self.coverage.add(Met::CatchUps, status.catch_ups_received);
            self.coverage.add(Met::PutOff, status.put_off);
            self.coverage.add(Met::FellOff, status.fell_off);
            self.coverage.add(Met::Scanned, status.catch_ups_scanned);
            self.coverage.add(Met::Listed, status.catch_ups_listed);
            self.coverage.add(Met::Compared, status.catch_ups_compared);
        }
    }

    /// Takes the figures of everything that still runs into the coverage.
    pub(super) fn count_at_end(&mut self) {
        let lives: Vec<Life> = self.regions.iter_mut().filter_map(|region| region.life.take()).collect();
        lives.iter().for_each(|life| self.count_life(life));
        let torn = self.regions.iter().map(|region| region.disk.torn_writes()).sum();
        self.coverage.add(Met::TornWrites, torn);
    }
}
