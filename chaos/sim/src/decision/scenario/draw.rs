//! From a seed to a scenario. The weather (loss, jitter, short cuts) is always there; of the rest each seed has only some kinds,
//! so that a few by themselves bring to light what all together would drown.

use model::Profile;

use super::{Action, RegionShape, Rogue, Scenario, Shape, Step, Word};
use crate::rng::Rng;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The kinds of events a seed can have beside the weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Twice,
    Gateway,
    Member,
    OneWay,
    Isolate,
    Lossy,
    Firewall,
    Mute,
    Lie,
    Clock,
    HandOver,
    Coup,
    Fog,
    People,
    Rogue,
    Follow,
}

impl Kind {
    const ALL: [Self; 17] = [
        Self::Kill,
        Self::Twice,
        Self::Gateway,
        Self::Member,
        Self::OneWay,
        Self::Isolate,
        Self::Lossy,
        Self::Firewall,
        Self::Mute,
        Self::Lie,
        Self::Clock,
        Self::HandOver,
        Self::Coup,
        Self::Fog,
        Self::People,
        Self::Rogue,
        Self::Follow,
    ];
}

impl Scenario {
    /// The scenario of a seed that lasts so many hours; `regions` where the seed shall not choose how many.
    pub fn of(seed: u64, regions: Option<u16>, hours: u64) -> Self {
        let mut rng = Rng::of(seed, "decision");
        let count = regions.unwrap_or_else(|| *rng.pick(&[3, 3, 3, 4, 5]));
        let end_ms = hours * HOUR_MS;
        let shape = shape(&mut rng, count, end_ms);
        let mut steps = short_cuts(&mut rng, count, hours);
        // One seed in four is nothing but weather.
        if !rng.percent(25) {
            steps.extend(events(&mut rng, &shape, count, hours));
        }
        // What begins so late that nothing could come of it does not begin.
        steps.retain(|step| step.at_ms + 2 * MINUTE_MS < end_ms);
        steps.sort_by_key(|step| step.at_ms);
        Self { seed, shape, steps }
    }
}

fn shape(rng: &mut Rng, count: u16, end_ms: u64) -> Shape {
    let n = usize::from(count);
    let is_fast = rng.percent(20);
    // `fast` is for regions whose round trip is below a third of its timeout.
    let (delay_ms, jitter_ms, loss_permille) = match is_fast {
        true => ((1, 15), rng.between(0, 15), rng.between(0, 20)),
        false if rng.percent(70) => ((5, 50), 100, 100),
        false => ((5, 50), rng.between(0, 60), rng.between(0, 60)),
    };
    let mut delays = vec![vec![0; n]; n];
    for (a, b) in (0..n).flat_map(|a| (0..a).map(move |b| (a, b))) {
        let ms = rng.between(delay_ms.0, delay_ms.1);
        (delays[a][b], delays[b][a]) = (ms, ms);
    }
    let region = |rng: &mut Rng| RegionShape {
        has_v6: rng.percent(60),
        clock_offset_ms: rng.below(600) as i64 - 300,
        clock_drift_ppm: rng.below(10) as i64 - 5,
        phase_ms: rng.below(500),
    };
    Shape {
        profile: if is_fast { Profile::Fast } else { Profile::Default },
        regions: (0..count).map(|_| region(rng)).collect(),
        second_pool: if rng.percent(50) { rng.between(2, u64::from(count)) as usize } else { 0 },
        delay_ms: delays,
        jitter_ms,
        loss_permille,
        end_ms,
    }
}

/// The part of the weather that lasts: paths that are gone for a moment, a few each hour.
fn short_cuts(rng: &mut Rng, count: u16, hours: u64) -> Vec<Step> {
    let cut = |rng: &mut Rng| {
        let (from, to) = two(rng, count);
        let ms = if rng.percent(90) { rng.between(100, 4_000) } else { rng.between(4_000, 30_000) };
        Action::Cut { from, to, both: rng.percent(60), ms }
    };
    let rate = rng.between(0, 4);
    (0..rate * hours).map(|_| Step { at_ms: rng.below(hours * HOUR_MS), action: cut(rng) }).collect()
}

fn events(rng: &mut Rng, shape: &Shape, count: u16, hours: u64) -> Vec<Step> {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|_| rng.percent(30)).collect();
    let mut steps = Vec::new();
    if kinds.is_empty() {
        return steps;
    }
    for _ in 0..rng.between(hours / 2 + 2, hours + 6) {
        let at_ms = rng.between(MINUTE_MS, hours * HOUR_MS);
        let kind = *rng.pick(&kinds);
        for (after_ms, action) in draw(rng, kind, shape, count) {
            steps.push(Step { at_ms: at_ms + after_ms, action });
        }
    }
    steps
}

/// One event, or some that belong together, each with its distance from the moment in milliseconds.
fn draw(rng: &mut Rng, kind: Kind, shape: &Shape, count: u16) -> Vec<(u64, Action)> {
    let (region, other) = two(rng, count);
    let ms = lasting(rng);
    let one = |action| vec![(0, action)];
    match kind {
        Kind::Kill => one(Action::Kill { region, refuses: rng.percent(60), ms }),
        Kind::Twice => {
            let apart_ms = if rng.percent(60) { 25_000 } else { 400_000 };
            vec![
                (0, Action::Kill { region, refuses: rng.percent(60), ms }),
                (rng.below(apart_ms), Action::Kill { region: other, refuses: true, ms }),
            ]
        }
        Kind::Gateway => one(Action::Gateway { region, ms }),
        Kind::Member if shape.second_pool == 0 => one(Action::Gateway { region, ms }),
        Kind::Member => {
            let region = rng.between(1, shape.second_pool as u64) as u16;
            one(Action::Member { region, is_poor: rng.percent(40), ms })
        }
        Kind::OneWay => one(Action::Cut { from: region, to: other, both: false, ms }),
        Kind::Isolate => one(Action::Isolate { region, ms }),
        Kind::Lossy => one(Action::Lossy { from: region, to: other, ms }),
        Kind::Firewall => one(Action::Firewall { from: region, to: other, ms }),
        Kind::Mute => vec![
            (0, Action::Mute { region, ms }),
            (rng.below(ms), Action::Firewall { from: other, to: third(rng, region, other, count), ms }),
        ],
        Kind::Lie => one(Action::Lie { region, about: rng.percent(60).then_some(other), ms }),
        Kind::Clock => {
            let size = *rng.pick(&[2_000, 60_000, HOUR_MS]);
            let by_ms = rng.between(size / 2, size) as i64;
            let for_ms = if rng.percent(50) { ms } else { rng.between(10, 40) * MINUTE_MS };
            one(Action::ClockStep { region, by_ms: if rng.percent(50) { by_ms } else { -by_ms }, ms: for_ms })
        }
        Kind::HandOver => one(Action::HandOver),
        Kind::Coup => coup(rng, count),
        Kind::Fog => {
            vec![(0, Action::Fog { ms }), (rng.below(20_000), Action::Kill { region, refuses: true, ms: lasting(rng) })]
        }
        Kind::People => people(rng, region, count, ms),
        Kind::Rogue => vec![
            (0, Action::Kill { region, refuses: rng.percent(60), ms }),
            (rng.below(ms + 60_000), Action::Rogue(*rng.pick(&[Rogue::TooFew, Rogue::All]))),
            (ms + rng.between(20_000, 90_000), Action::Rogue(*rng.pick(&[Rogue::Stale, Rogue::Again]))),
        ],
        Kind::Follow => one(Action::Follow { region, member: other }),
    }
}

/// The first leader is cut off while it takes a decision, or has a drain to go on with.
fn coup(rng: &mut Rng, count: u16) -> Vec<(u64, Action)> {
    let region = rng.between(2, u64::from(count)) as u16;
    let cut_off = |ms| Action::Isolate { region: 1, ms };
    if rng.percent(60) {
        let kill = Action::Kill { region, refuses: true, ms: rng.between(20_000, 200_000) };
        return vec![(0, kill), (rng.between(1_500, 3_500), cut_off(rng.between(2_000, 60_000)))];
    }
    let drain = Action::Override { region, word: Word::Staged, ms: 8 * MINUTE_MS };
    vec![(0, drain), (rng.between(5_000, 60_000), cut_off(rng.between(60_000, 200_000)))]
}

fn people(rng: &mut Rng, region: u16, count: u16, ms: u64) -> Vec<(u64, Action)> {
    let word = *rng.pick(&[Word::Drain, Word::Staged, Word::Keep]);
    let lasts_ms = rng.between(1, 20) * MINUTE_MS;
    let mut steps = vec![(0, Action::Override { region, word, ms: lasts_ms })];
    if rng.percent(25) {
        // All of them, one after the other: the last one is refused.
        let drain = |region| (u64::from(region) * 2_000, Action::Override { region, word: Word::Drain, ms: lasts_ms });
        steps.extend((1..=count).map(drain));
    }
    if rng.percent(30) {
        steps.push((rng.below(lasts_ms), Action::Clear { region }));
    }
    if rng.percent(40) {
        steps.push((rng.below(lasts_ms), Action::Kill { region, refuses: true, ms }));
    }
    steps
}

/// Mostly some minutes; now and then shorter than any decision.
fn lasting(rng: &mut Rng) -> u64 {
    match rng.below(10) {
        0 => rng.between(200, 3_000),
        1 => rng.between(3_000, 15_000),
        _ => rng.between(15_000, 12 * MINUTE_MS),
    }
}

fn two(rng: &mut Rng, count: u16) -> (u16, u16) {
    let first = rng.between(1, u64::from(count)) as u16;
    (first, (first + rng.below(u64::from(count) - 1) as u16) % count + 1)
}

/// A region that is neither of two.
fn third(rng: &mut Rng, a: u16, b: u16, count: u16) -> u16 {
    let others: Vec<u16> = (1..=count).filter(|region| *region != a && *region != b).collect();
    *rng.pick(&others)
}
