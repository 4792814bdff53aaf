//! What a seed stands for: workers, a load, a policy, and what happens to the workers when.

use std::fmt;

use traffic::Policy;

use crate::rng::Rng;

/// What a world is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One worker answers after five seconds.
    SlowOne,
    /// One worker fails half of its requests, at once.
    FailingOne,
    /// One worker takes requests and never answers.
    HangingOne,
    /// One worker's port is closed.
    DeadOne,
    /// A route fails on all workers.
    BuggyRoute,
    /// Every worker's health check fails, and some fail their requests.
    AllSick,
    /// A worker is added.
    Added,
    /// Every worker is replaced, one after the other.
    Reload,
    /// Everything, all the time; in the end all is well.
    Storm,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SlowOne,
        Self::FailingOne,
        Self::HangingOne,
        Self::DeadOne,
        Self::BuggyRoute,
        Self::AllSick,
        Self::Added,
        Self::Reload,
        Self::Storm,
    ];

    /// One worker of several is sick, and the others can carry its share.
    pub(crate) fn is_one_sick(self) -> bool {
        matches!(self, Self::SlowOne | Self::FailingOne | Self::HangingOne | Self::DeadOne)
    }
}

/// How long requests keep a worker busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Exponential: much variety.
    Exponential,
    /// Half of it for all, the rest exponential.
    Shifted,
    /// Nine of ten need half of the mean, one five and a half times as much, both exponential.
    Mixed,
}

/// A world without what happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What it is about.
    pub kind: Kind,
    /// How many workers there are.
    pub workers: u16,
    /// How many requests a worker serves at the same time; others wait.
    pub concurrency: u32,
    /// What a request needs, on average, in microseconds.
    pub service_us: u64,
    /// How that is spread.
    pub service: Service,
    /// Requests per second.
    pub rate: f64,
    /// How they are balanced.
    pub policy: Policy,
    /// How many of a hundred answers take their time after the first byte.
    pub streams_percent: u64,
    /// How many of a hundred clients go away after one to three seconds.
    pub impatient_percent: u64,
    /// How many of a hundred requests may be sent again.
    pub repeatable_percent: u64,
    /// How long a first byte may take, milliseconds.
    pub first_byte_ms: u64,
    /// How long the world lasts, milliseconds.
    pub lasts_ms: u64,
}

/// What a seed stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// What happens to it, in order.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What can happen. Workers are named by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It answers five seconds later than it could.
    Slow(u16),
    /// It fails so many of a hundred requests, at once.
    Fail(u16, u64),
    /// It takes requests and never answers.
    Hang(u16),
    /// Its port is closed, what it had under way is lost.
    Die(u16),
    /// It answers 429 at once.
    Refuse(u16),
    /// It is as it should be, and its health check passes.
    Heal(u16),
    /// Its health check fails.
    Unready(u16),
    /// It drains, and a new life takes its place.
    Replace(u16),
    /// One more worker.
    Add,
    /// A route that so many of a hundred requests take fails on all workers; 0 mends it.
    BreakRoute(u64),
    /// So many requests at once.
    Burst(u32),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {:?}", self.at_ms, self.action)
    }
}

/// When a fault begins, and ends, in the worlds that are about one.
pub(crate) const FAULT_AT_MS: u64 = 8_000;
/// See above.
pub(crate) const FAULT_ENDS_MS: u64 = 24_000;
/// How long a storm lasts.
pub(crate) const STORM_ENDS_MS: u64 = 40_000;

const POLICIES: [Policy; 5] =
    [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous];

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64, kind: Option<Kind>) -> Self {
        let mut rng = Rng::of(seed, "traffic");
        let drawn = *rng.pick(&Kind::ALL);
        let kind = kind.unwrap_or(drawn);
        let shape = Shape::draw(&mut rng, kind);
        let mut steps = draw_steps(&mut rng, &shape);
        steps.sort_by_key(|step| step.at_ms);
        Self { seed, shape, steps }
    }
}

impl Shape {
    fn draw(rng: &mut Rng, kind: Kind) -> Self {
        // A share of those worlds that have one sick worker is what the issue is about; the promise is made for the default.
        let policy = if rng.percent(60) { Policy::Ewma } else { *rng.pick(&POLICIES) };
        let workers = if rng.percent(50) { 4 } else { rng.between(3, 10) as u16 };
        let concurrency = *rng.pick(&[1, 1, 2, 4, 16]);
        let service_us = rng.between(2_000, 40_000);
        // What the others of three can carry when one is gone, without being much slower.
        let load = 0.1 + rng.below(25) as f64 / 100.0;
        let capacity = f64::from(workers) * f64::from(concurrency) * 1e6 / service_us as f64;
        Self {
            kind,
            workers,
            concurrency,
            service_us,
            service: *rng.pick(&[Service::Exponential, Service::Shifted, Service::Mixed]),
            rate: (load * capacity).min(300.0),
            policy,
            streams_percent: *rng.pick(&[0, 0, 5, 50]),
            impatient_percent: *rng.pick(&[0, 0, 5]),
            repeatable_percent: *rng.pick(&[100, 80, 50]),
            first_byte_ms: 10_000,
            lasts_ms: match kind {
                Kind::Storm => STORM_ENDS_MS + 110_000,
                _ => FAULT_ENDS_MS + 2_000,
            },
        }
    }
}

fn draw_steps(rng: &mut Rng, shape: &Shape) -> Vec<Step> {
    let one = rng.below(shape.workers.into()) as u16;
    let at = |at_ms, action| Step { at_ms, action };
    let fault = |action| vec![at(FAULT_AT_MS, action), at(FAULT_ENDS_MS, Action::Heal(one))];
    match shape.kind {
        Kind::SlowOne => fault(Action::Slow(one)),
        Kind::FailingOne => fault(Action::Fail(one, 50)),
        Kind::HangingOne => fault(Action::Hang(one)),
        Kind::DeadOne => fault(Action::Die(one)),
        Kind::BuggyRoute => vec![
            at(FAULT_AT_MS, Action::BreakRoute(*rng.pick(&[1, 10, 30, 60, 100]))),
            at(FAULT_ENDS_MS, Action::BreakRoute(0)),
        ],
        Kind::AllSick => {
            let mut steps: Vec<Step> = (0..shape.workers)
                .map(|worker| at(rng.between(FAULT_AT_MS, FAULT_AT_MS + 3_000), Action::Unready(worker)))
                .collect();
            let sick = (0..shape.workers).filter(|_| rng.percent(50)).collect::<Vec<_>>();
            let fails = rng.between(1, 100);
            steps.extend(sick.into_iter().map(|worker| at(FAULT_AT_MS, Action::Fail(worker, fails))));
            steps
        }
        Kind::Added => vec![at(FAULT_AT_MS, Action::Add)],
        Kind::Reload => {
            let pause = rng.between(200, 2_000);
            (0..shape.workers)
                .map(|worker| at(FAULT_AT_MS + pause * u64::from(worker), Action::Replace(worker)))
                .collect()
        }
        Kind::Storm => {
            let mut steps: Vec<Step> = (0..rng.between(5, 60))
                .map(|_| at(rng.between(2_000, STORM_ENDS_MS), draw_action(rng, shape.workers)))
                .collect();
            steps.extend((0..shape.workers).map(|worker| at(STORM_ENDS_MS, Action::Heal(worker))));
            steps.push(at(STORM_ENDS_MS, Action::BreakRoute(0)));
            steps
        }
    }
}

fn draw_action(rng: &mut Rng, workers: u16) -> Action {
    let worker = rng.below(workers.into()) as u16;
    match rng.below(12) {
        0 => Action::Slow(worker),
        1 => Action::Fail(worker, rng.between(10, 100)),
        2 => Action::Hang(worker),
        3 => Action::Die(worker),
        4 => Action::Refuse(worker),
        5 | 6 => Action::Heal(worker),
        7 | 8 => Action::Unready(worker),
        9 => Action::Replace(worker),
        10 => Action::BreakRoute(*rng.pick(&[0, 0, 5, 30])),
        _ => Action::Burst(rng.between(50, 500) as u32),
    }
}
