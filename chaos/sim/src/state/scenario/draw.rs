//! From a seed to a scenario. Each seed has only some of the faults and some of the traffic: what everything together would
//! drown, a few kinds by themselves bring to light.

use super::{
    Action, Fault, RegionShape, Scenario, Shape, Step,
    commands::{Clients, Family},
};
use crate::{rng::Rng, state::disk::Crash};

/// The kinds of faults a seed can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Power,
    Stop,
    Together,
    Cut,
    Disconnect,
    Slow,
    Away,
    ClockStep,
    DiskFull,
    DiskErrors,
    SyncLies,
    Restore,
    LoseDisk,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Kill,
        Self::Power,
        Self::Stop,
        Self::Together,
        Self::Cut,
        Self::Disconnect,
        Self::Slow,
        Self::Away,
        Self::ClockStep,
        Self::DiskFull,
        Self::DiskErrors,
        Self::SyncLies,
        Self::Restore,
        Self::LoseDisk,
    ];
}

impl Scenario {
    /// The scenario of a seed; `regions` where the seed shall not choose how many.
    pub fn of(seed: u64, regions: Option<u16>) -> Self {
        let mut rng = Rng::of(seed, "scenario");
        let count = regions.unwrap_or_else(|| *rng.pick(&[2, 3, 3, 3, 3, 4, 5]));
        let end_ms = rng.between(1_500, 6_000);
        let shape = Shape { regions: (0..count).map(|_| region(&mut rng)).collect(), end_ms };
        let mut steps = traffic(&mut rng, count, end_ms);
        steps.extend(faults(&mut rng, count, end_ms));
        // Some faults come in two parts; what would come after everything is repaired does not come.
        steps.retain(|step| step.at_ms < end_ms);
        steps.sort_by_key(|step| step.at_ms);
        Self { seed, shape, steps }
    }
}

fn region(rng: &mut Rng) -> RegionShape {
    let skewed = rng.percent(40);
    RegionShape {
        always: rng.percent(40),
        segment_bytes: *rng.pick(&[300, 2_000, 1 << 20]),
        ring_bytes: *rng.pick(&[400, 4_000, 1 << 20]),
        checkpoint_bytes: *rng.pick(&[1_000, 6_000, 1 << 20]),
        compares_at_once: rng.percent(40),
        clock_offset_ms: if skewed { rng.between(0, 4_000) as i64 - 2_000 } else { 0 },
        clock_drift_ppm: if skewed { rng.between(0, 20_000) as i64 - 10_000 } else { 0 },
    }
}

fn traffic(rng: &mut Rng, regions: u16, end_ms: u64) -> Vec<Step> {
    let count = rng.between(25, 110);
    let families: Vec<Family> = Family::ALL.into_iter().filter(|_| rng.percent(55)).collect();
    let families = if families.is_empty() { Family::ALL.to_vec() } else { families };
    let mut moments: Vec<u64> = (0..count).map(|_| rng.below(end_ms)).collect();
    moments.sort_unstable();
    let mut clients = Clients { rng, regions, families, written: 0 };
    moments.into_iter().map(|at_ms| Step { at_ms, action: clients.action() }).collect()
}

fn faults(rng: &mut Rng, regions: u16, end_ms: u64) -> Vec<Step> {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|_| rng.percent(30)).collect();
    let mut steps = Vec::new();
    if kinds.is_empty() {
        return steps;
    }
    for _ in 0..rng.between(1, 8) {
        let at_ms = rng.between(50, end_ms);
        let kind = *rng.pick(&kinds);
        for (after_ms, fault) in draw(rng, kind, regions, end_ms) {
            steps.push(Step { at_ms: at_ms.saturating_add_signed(after_ms), action: Action::Fault(fault) });
        }
    }
    steps
}

/// One fault, or some that belong together, each with its distance from the moment in milliseconds.
fn draw(rng: &mut Rng, kind: Kind, regions: u16, end_ms: u64) -> Vec<(i64, Fault)> {
    let region = rng.between(1, u64::from(regions)) as u16;
    let other = (region + rng.below(u64::from(regions) - 1) as u16) % regions + 1;
    let ms = rng.between(100, end_ms / 2);
    let down_ms = rng.between(20, 1_500);
    let after_calls = if rng.percent(70) { rng.between(1, 40) } else { 0 };
    let again_after = if rng.percent(30) { rng.between(1, 20) } else { 0 };
    let crash = |region, crash| Fault::Crash { region, crash, after_calls, down_ms, again_after };
    let one = |fault| vec![(0, fault)];
    match kind {
        Kind::Kill => one(crash(region, Crash::Kill)),
        Kind::Power => one(crash(region, Crash::Power)),
        Kind::Together => vec![(0, crash(region, Crash::Power)), (0, crash(other, Crash::Power))],
        Kind::Stop => one(Fault::Stop { region, down_ms }),
        Kind::Cut => one(Fault::Cut { from: region, to: other, ms }),
        Kind::Disconnect => one(Fault::Disconnect { a: region, b: other }),
        Kind::Slow => one(Fault::Slow { from: region, to: other, rate: rng.between(1, 50), ms }),
        Kind::Away => one(Fault::Away { region, ms: ms + 1_000, detached: rng.percent(50) }),
        Kind::ClockStep => one(Fault::ClockStep { region, by_ms: clock_step(rng) }),
        Kind::DiskFull => one(Fault::DiskFull { region, ms }),
        Kind::DiskErrors => one(Fault::DiskErrors { region, one_in: rng.between(2, 20), ms }),
        Kind::SyncLies => vec![
            (0, Fault::SyncLies { region, ms }),
            (
                rng.between(1, ms) as i64,
                Fault::Crash { region, crash: Crash::Power, after_calls: 0, down_ms, again_after },
            ),
        ],
        Kind::Restore => vec![
            (-(rng.between(50, 1_500) as i64), Fault::Backup { region }),
            (0, Fault::Restore { region, booted: rng.percent(50), down_ms }),
        ],
        Kind::LoseDisk => one(Fault::LoseDisk { region, down_ms }),
    }
}

fn clock_step(rng: &mut Rng) -> i64 {
    let size = *rng.pick(&[100, 800, 2_000, 15_000]) as i64;
    let by_ms = rng.between(1, size as u64) as i64;
    if rng.percent(50) { by_ms } else { -by_ms }
}
