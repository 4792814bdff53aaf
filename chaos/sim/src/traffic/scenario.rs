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
    /// A named upstream with a breaker of its own goes bad, a little or a lot, and recovers.
    Upstream,
    /// Clients with cookies, while slots come, go, restart and are ejected.
    Sticky,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::SlowOne,
        Self::FailingOne,
        Self::HangingOne,
        Self::DeadOne,
        Self::BuggyRoute,
        Self::AllSick,
        Self::Added,
        Self::Reload,
        Self::Storm,
        Self::Upstream,
        Self::Sticky,
    ];

    /// So many of them are drawn first.
    const FIRST: usize = 9;

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
    /// How many of a hundred answers have no end: a WebSocket, an event stream.
    pub endless_percent: u64,
    /// The pool has a breaker as a whole.
    pub breaker: bool,
    /// How many clients there are that keep cookies; 0 for clients that come once.
    pub clients: u64,
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
    /// It drains, and nobody takes its place.
    Leave(u16),
    /// One more worker, in a slot of its own.
    Add,
    /// A route that so many of a hundred requests take fails on all workers; 0 mends it.
    BreakRoute(u64),
    /// The route does not fail but hangs.
    HangRoute(u64),
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
/// From when on an upstream is well for good.
pub(crate) const UPSTREAM_IS_WELL_MS: u64 = 70_000;

const POLICIES: [Policy; 5] =
    [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous];

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64, kind: Option<Kind>) -> Self {
        let mut rng = Rng::of(seed, "traffic");
        let mut drawn = *rng.pick(&Kind::ALL[..Kind::FIRST]);
        // Drawn apart, so that the other seeds stay the worlds that they were before there were these kinds.
        let mut later = Rng::of(seed, "kinds");
        if later.percent(15) {
            drawn = *later.pick(&Kind::ALL[Kind::FIRST..]);
        }
        let kind = kind.unwrap_or(drawn);
        let shape = Shape::draw(&mut rng, kind);
        let mut steps = draw_steps(&mut rng, &shape);
        steps.sort_by_key(|step| step.at_ms);
        Self { seed, shape, steps }
    }
}

impl Shape {
    fn draw(rng: &mut Rng, kind: Kind) -> Self {
        // Most worlds have the default policy: some promises are made for it alone.
        let policy = if rng.percent(60) { Policy::Ewma } else { *rng.pick(&POLICIES) };
        // Where nobody has to carry another one's share there may be few workers with much to do.
        let busy = kind == Kind::BuggyRoute && rng.percent(50);
        let workers = if rng.percent(50) { 4 } else { rng.between(if busy { 2 } else { 3 }, 10) as u16 };
        let concurrency = *rng.pick(&[1, 1, 2, 4, 16]);
        let service_us = rng.between(2_000, 40_000);
        // What the others of three can carry when one is gone, without being much slower.
        let others = f64::from(workers - 1) / f64::from(workers);
        let load =
            if busy { 0.3 + rng.below(25) as f64 / 100.0 } else { others * (0.1 + rng.below(30) as f64 / 100.0) };
        let capacity = f64::from(workers) * f64::from(concurrency) * 1e6 / service_us as f64;
        let shape = Self {
            kind,
            workers,
            concurrency,
            service_us,
            service: *rng.pick(&[Service::Exponential, Service::Shifted, Service::Mixed]),
            rate: (load * capacity).min(300.0),
            policy,
            streams_percent: *rng.pick(&[0, 0, 5, 50]),
            endless_percent: 0,
            breaker: false,
            clients: 0,
            impatient_percent: *rng.pick(&[0, 0, 5]),
            repeatable_percent: *rng.pick(&[100, 80, 50]),
            first_byte_ms: 10_000,
            lasts_ms: match kind {
                Kind::Storm => STORM_ENDS_MS + 140_000,
                Kind::Sticky => STORM_ENDS_MS + 110_000,
                // A hung probe, the longest time open, the ramp, and quiet to look at.
                Kind::Upstream => UPSTREAM_IS_WELL_MS + 10_000 + 60_000 + 10_000 + 20_000,
                _ => FAULT_ENDS_MS + 2_000,
            },
        };
        shape.lasting(rng)
    }

    /// What lasts over two minutes, with fewer requests, some of which do not end.
    fn lasting(mut self, rng: &mut Rng) -> Self {
        if matches!(self.kind, Kind::Upstream | Kind::Sticky) {
            self.rate = self.rate.min(60.0);
            self.endless_percent = *rng.pick(&[0, 0, 10]);
        }
        match self.kind {
            Kind::Upstream => {
                self.breaker = true;
                self.first_byte_ms = *rng.pick(&[3_000, 10_000]);
            }
            Kind::Sticky => self.clients = rng.between(5, 200),
            _ => {}
        }
        self
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
        Kind::BuggyRoute if rng.percent(25) => {
            vec![at(FAULT_AT_MS, Action::HangRoute(rng.between(1, 10))), at(FAULT_ENDS_MS, Action::HangRoute(0))]
        }
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
        Kind::Upstream => draw_upstream(rng, shape),
        Kind::Sticky => {
            let mut steps: Vec<Step> = (0..rng.between(5, 40))
                .map(|_| at(rng.between(2_000, STORM_ENDS_MS), draw_change(rng, shape.workers)))
                .collect();
            // Who came in addition, too.
            steps.extend((0..2 * shape.workers).map(|worker| at(STORM_ENDS_MS, Action::Heal(worker))));
            steps
        }
    }
}

/// One to three bad times, of all workers alike.
fn draw_upstream(rng: &mut Rng, shape: &Shape) -> Vec<Step> {
    let all = |at_ms, action: fn(u16) -> Action| {
        (0..shape.workers).map(move |worker| Step { at_ms, action: action(worker) }).collect::<Vec<_>>()
    };
    let (mut steps, mut now) = (Vec::new(), FAULT_AT_MS);
    for _ in 0..rng.between(1, 3) {
        match rng.below(8) {
            0 => steps.extend(all(now, Action::Die)),
            1 => steps.extend(all(now, Action::Hang)),
            2 => steps.extend(all(now, Action::Refuse)),
            // Too few for it to open, or about as many, or enough.
            percent => {
                let percent = [5, 30, 45, 60, 100][percent as usize - 3];
                steps.push(Step { at_ms: now, action: Action::BreakRoute(percent) });
            }
        }
        now += rng.between(2_000, 15_000);
        steps.extend(all(now, Action::Heal));
        steps.push(Step { at_ms: now, action: Action::BreakRoute(0) });
        now += rng.between(1_000, 10_000);
    }
    steps
}

/// What can become of slots that cookies name.
fn draw_change(rng: &mut Rng, workers: u16) -> Action {
    let worker = rng.below(u64::from(workers) + 1) as u16;
    match rng.below(12) {
        0 => Action::Fail(worker, rng.between(30, 100)),
        1 => Action::Hang(worker),
        2 | 3 => Action::Die(worker),
        4 | 5 => Action::Heal(worker),
        6 => Action::Unready(worker),
        7 | 8 => Action::Replace(worker),
        // The last one stays, or there is nobody to ask.
        9 => Action::Leave(1 + rng.below(u64::from(workers)) as u16),
        _ => Action::Add,
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
