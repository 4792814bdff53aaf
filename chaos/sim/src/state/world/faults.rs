//! What breaks, and how it comes back.

use replication_storage::{OpenError, RecoveryReport, StateStore};

use super::{Event, Repair, World};
use crate::state::{
    coverage::Met,
    disk::{Crash, DiskFaults},
    net::IDLE_TIMEOUT_MS,
    oracle::{Rule, Violation},
    plant::Plant,
    region::{Fate, Loss},
    scenario::Fault,
};

/// How long a start is put off when the disk refuses it, in milliseconds.
const RETRY_MS: u64 = 300;

impl World<'_> {
    pub(super) fn break_something(&mut self, fault: &Fault) -> Result<(), Violation> {
        match *fault {
            Fault::Crash { region, crash, after_calls: 0, down_ms, again_after } => {
                self.die(region, Fate { crash, down_ms, again_after });
            }
            Fault::Crash { region, crash, after_calls, down_ms, again_after } => {
                let it = self.region_mut(region);
                if it.life.is_some() {
                    it.fate = Some(Fate { crash, down_ms, again_after });
                    it.disk.arm(after_calls);
                }
            }
            Fault::Stop { region, down_ms } => return self.stop(region, down_ms),
            Fault::Cut { from, to, ms } => {
                self.coverage.met(Met::Cuts);
                self.cut(from, to, ms);
            }
            Fault::Away { region, ms, detached } => self.send_away(region, ms, detached),
            Fault::Disconnect { a, b } => {
                if self.net.connection(a, b).is_some() {
                    self.coverage.met(Met::Disconnects);
                    self.break_connection(a, b, "broken");
                }
            }
            Fault::Slow { from, to, rate, ms } => {
                self.coverage.met(Met::SlowPaths);
                self.net.limit(from, to, rate);
                self.queue.plan(self.now_ms + ms, Event::Repair(Repair::Speed { from, to }));
            }
            Fault::ClockStep { region, by_ms } => {
                self.coverage.met(Met::ClockSteps);
                let now_ms = self.now_ms;
                let clock = &mut self.region_mut(region).clock;
                clock.step(by_ms);
                clock.set(now_ms);
            }
            Fault::DiskFull { region, ms } => {
                self.hurt_disk(region, Met::FullDisks, DiskFaults { full: true, ..DiskFaults::default() }, ms);
            }
            Fault::DiskErrors { region, one_in, ms } => {
                let faults = DiskFaults { errors_one_in: one_in, ..DiskFaults::default() };
                self.hurt_disk(region, Met::FailingDisks, faults, ms);
            }
            Fault::SyncLies { region, ms } => {
                self.hurt_disk(region, Met::LyingDisks, DiskFaults { lies: true, ..DiskFaults::default() }, ms);
            }
            Fault::Backup { region } => {
                let it = self.region_mut(region);
                it.backup = Some(it.disk.image());
            }
            Fault::Restore { region, booted, down_ms } => self.restore(region, booted, down_ms),
            Fault::LoseDisk { region, down_ms } => {
                self.coverage.met(Met::LostDisks);
                self.die(region, Fate::kill(down_ms));
                self.give_another_disk(region);
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: u16, to: u16, ms: u64) {
        self.net.cut(from, to);
        if let Some(connection) = self.net.connection(from, to) {
            self.queue.plan(self.now_ms + IDLE_TIMEOUT_MS, Event::CutTimeout { from, to, connection });
        }
        self.queue.plan(self.now_ms + ms, Event::Repair(Repair::Path { from, to }));
    }

    /// Cuts a region off from all others; `detached`: they are told not to wait for it.
    fn send_away(&mut self, region: u16, ms: u64, detached: bool) {
        self.coverage.met(Met::Absences);
        if detached {
            self.coverage.met(Met::Detached);
            self.detached.push(region);
            self.tell_peers();
            self.queue.plan(self.now_ms + ms, Event::Repair(Repair::Return { region }));
        }
        for other in (1..=self.count()).filter(|other| *other != region) {
            self.cut(region, other, ms);
            self.cut(other, region, ms);
        }
    }

    fn hurt_disk(&mut self, region: u16, met: Met, faults: DiskFaults, ms: u64) {
        self.coverage.met(met);
        self.region(region).disk.set_faults(faults);
        self.queue.plan(self.now_ms + ms, Event::Repair(Repair::Disk { region }));
    }

    /// Says to every region which others there are at present.
    pub(super) fn tell_peers(&self) {
        for it in &self.regions {
            let Some(life) = &it.life else { continue };
            let others = (1..=self.count()).filter(|other| *other != it.id && !self.detached.contains(other));
            life.store.set_peers(&others.collect::<Vec<_>>());
        }
    }

    pub(super) fn repair(&mut self, repair: Repair) -> Result<(), Violation> {
        match repair {
            Repair::Speed { from, to } => self.net.limit(from, to, 0),
            Repair::Disk { region } => self.region(region).disk.set_faults(DiskFaults::default()),
            Repair::Return { region } => {
                self.detached.retain(|detached| *detached != region);
                self.tell_peers();
            }
            Repair::Path { from, to } => {
                for packet in self.net.heal(from, to) {
                    self.arrive(packet)?;
                }
            }
        }
        Ok(())
    }

    /// The disk's fuse has burnt, in the middle of a call.
    pub(super) fn die_by_fuse(&mut self, region: u16) {
        let fate = self.region_mut(region).fate.take().unwrap_or(Fate::kill(100));
        self.die(region, fate);
    }

    /// The process or the machine of a region stops.
    pub(super) fn die(&mut self, region: u16, fate: Fate) {
        let now_ms = self.now_ms;
        let it = self.region_mut(region);
        it.fate = None;
        let Some(life) = it.life.take() else { return };
        it.disk.crash(fate.crash);
        if fate.crash == Crash::Power {
            it.may_lose = it.may_lose.max(Loss::Unsynced);
        }
        it.starts_at = Some(now_ms + fate.down_ms);
        it.again = (fate.again_after > 0).then_some(fate);
        self.coverage.met(if fate.crash == Crash::Kill { Met::Kills } else { Met::PowerFailures });
        self.coverage.add(Met::Unacknowledged, life.waiting.len() as u64);
        self.trace.say(now_ms, format_args!("region {region} died: {:?}", fate.crash));
        self.count_life(&life);
        self.plant_after_death(region);
        self.let_go(region, fate.down_ms);
    }

    fn let_go(&mut self, region: u16, down_ms: u64) {
        for peer in (1..=self.count()).filter(|peer| *peer != region) {
            self.break_connection(region, peer, "the process ended");
        }
        self.queue.plan(self.now_ms + down_ms, Event::Start { region });
    }

    fn stop(&mut self, region: u16, down_ms: u64) -> Result<(), Violation> {
        let Some(store) = self.region(region).life.as_ref().map(|life| life.store.clone()) else { return Ok(()) };
        self.flush(region, self.region(region).lives)?;
        if self.region(region).life.is_none() {
            return Ok(());
        }
        let stopped = store.shutdown();
        if self.region(region).disk.is_crashed() {
            self.die_by_fuse(region);
            return Ok(());
        }
        match stopped {
            Ok(()) => self.coverage.met(Met::CleanStops),
            Err(error) => self.trace.say(self.now_ms, format_args!("region {region} stops uncleanly: {error}")),
        }
        let now_ms = self.now_ms;
        let it = self.region_mut(region);
        it.fate = None;
        if let Some(life) = it.life.take() {
            self.count_life(&life);
        }
        let it = self.region_mut(region);
        it.disk.crash(Crash::Kill);
        it.starts_at = Some(now_ms + down_ms);
        self.let_go(region, down_ms);
        Ok(())
    }

    fn restore(&mut self, region: u16, booted: bool, down_ms: u64) {
        let Some(image) = self.region(region).backup.clone() else { return };
        self.coverage.met(Met::Restores);
        self.die(region, Fate::kill(down_ms));
        let unnoticed = self.plant == Some(Plant::ReuseIdentity);
        let it = self.region_mut(region);
        if unnoticed {
            it.disk.restore_unnoticed(&image);
        } else {
            it.disk.restore(&image, booted);
        }
        it.may_lose = Loss::Anything;
    }

    fn give_another_disk(&mut self, region: u16) {
        let it = self.region_mut(region);
        it.disk.wipe();
        it.may_lose = Loss::Anything;
    }

    pub(super) fn start(&mut self, region: u16) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let it = self.region_mut(region);
        if it.life.is_some() || it.starts_at.is_none_or(|at| at > now_ms) {
            return Ok(());
        }
        self.coverage.met(Met::Starts);
        match self.region_mut(region).open() {
            Ok((store, report)) => self.started(region, &store, &report),
            Err(error) => self.not_started(region, &error),
        }
    }

    fn started(&mut self, region: u16, store: &StateStore, report: &RecoveryReport) -> Result<(), Violation> {
        self.trace.say(
            self.now_ms,
            format_args!(
                "region {region} starts as {}, {} records, {} keys{}",
                report.replica,
                report.records,
                report.keys,
                report.in_doubt.as_ref().map(|why| format!(", in doubt: {why}")).unwrap_or_default()
            ),
        );
        if report.torn_tail.is_some() {
            self.coverage.met(Met::TornTails);
        }
        let others = self.regions.iter().filter(|other| other.id != region);
        let together = others.filter(|other| other.life.is_none() || other.is_new(self.now_ms)).count() > 0;
        let (now_ms, regions) = (self.now_ms, self.count());
        let it = self.region_mut(region);
        let (before, again) = (it.name, it.lives > 1);
        (it.starts_at, it.started_ms) = (None, now_ms);
        it.live(store.clone(), regions);
        self.tell_peers();
        if again {
            self.coverage.met(if before == Some(report.replica) { Met::SameName } else { Met::NewNames });
            if together {
                self.coverage.met(Met::Together);
            }
        }
        self.check_recovered(region, store)?;
        let it = self.region_mut(region);
        it.name = Some(store.replica());
        let life = it.lives;
        self.queue.plan(self.now_ms + 1, Event::Upkeep { region, life });
        for peer in (1..=self.count()).filter(|peer| *peer != region) {
            self.dial(region.min(peer), region.max(peer));
        }
        // Everything is looked at once after a start.
        if let Some(life) = &mut self.region_mut(region).life {
            life.seen.clear();
        }
        self.after(region)
    }

    fn not_started(&mut self, region: u16, error: &OpenError) -> Result<(), Violation> {
        self.trace.say(self.now_ms, format_args!("region {region} does not start: {error}"));
        if self.region(region).disk.is_crashed() {
            self.coverage.met(Met::CrashedStarts);
            let fate = self.region_mut(region).fate.take().unwrap_or(Fate::kill(100));
            let it = self.region_mut(region);
            it.disk.crash(fate.crash);
            if fate.crash == Crash::Power {
                it.may_lose = it.may_lose.max(Loss::Unsynced);
            }
        } else if error.is_damage() {
            self.check_damage(region, error)?;
            self.coverage.met(Met::SetAside);
            self.give_another_disk(region);
        }
        let at_ms = self.now_ms + RETRY_MS;
        self.region_mut(region).starts_at = Some(at_ms);
        self.queue.plan(at_ms, Event::Start { region });
        Ok(())
    }

    /// Only a disk that broke its own promises may leave something that no start can read.
    fn check_damage(&self, region: u16, error: &OpenError) -> Result<(), Violation> {
        if self.region(region).disk.has_broken_promises() {
            return Ok(());
        }
        let what = format!("region {region} does not start on what a sound disk held after a crash: {error}");
        Err(Violation::new(Rule::RegionsRecover, what))
    }
}
