//! The world: observers, their votes' way, the plane's members, the log and time, driven event by event on one thread, and the
//! oracle that looks on.
//!
//! ```text
//! scenario ──► queue of events ──► eyes.rs       probes and votes
//!                                  post.rs       the votes' way to the members
//!                                  members.rs    judges; what they propose, what they apply
//!                                  log.rs        who leads, what is committed
//!                                  people.rs     human words, and proposers gone wrong
//!                                  followers.rs  who shows which Plan
//!                                  faults.rs     what breaks and is mended
//!              each new Plan   ─► watching.rs    the oracle compares
//! ```
//! The first broken promise ends a run.

mod eyes;
mod faults;
mod followers;
mod log;
mod members;
mod people;
mod post;
mod watching;

use std::sync::Arc;

use decision::{Finding, Outcome, Timing};
use model::{Plan, Subject};

use super::{
    clock::Clock,
    coverage::{Coverage, Met},
    oracle::{Falls, Ledger, Rule, Truth, Violation},
    paths::Paths,
    plant::Plant,
    scenario::{Action, Scenario},
    shape::{Watched, subjects_of, world_of},
};
use crate::{Run, queue::Queue, rng::Rng, trace::Trace};
use eyes::Eye;
use faults::Life;
use followers::Follower;
use log::Log;
use members::Member;
use post::{Courier, Letter};

/// Something that is going to happen.
enum Event {
    Step(usize),
    End(usize),
    Round { region: usize, life: u64 },
    Result { region: usize, life: u64, subject: usize, started_ms: u64, finding: Finding },
    Turn { region: usize, life: u64, turn: u64 },
    Free { from: usize, to: usize },
    Arrive { from: usize, to: usize, letter: Letter },
    Wake { region: usize, life: u64 },
    Commit { number: u64 },
    Learn { member: usize, upto: usize },
    Answer { region: usize, life: u64, outcome: Option<Outcome> },
    LoseLead { turn: u64 },
    Succeed { turn: u64 },
    Elect { turn: u64 },
    Offer { follower: usize, plan: Arc<Plan> },
    LookAtFall { subject: usize, at_ms: u64 },
    LookAtWord { subject: Subject, set_at_ms: u64 },
    Close,
}

pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    plant: Option<Plant>,
    /// Nothing is skipped.
    eager: bool,
    now_ms: u64,
    queue: Queue<Event>,
    timing: Timing,
    subjects: Vec<Watched>,
    paths: Paths,
    /// The longest round trip, milliseconds.
    round_trip_ms: u64,
    /// Within so long a fall is decided and a command is done, milliseconds.
    bound_ms: u64,
    lives: Vec<Life>,
    clocks: Vec<Clock>,
    eyes: Vec<Option<Eye>>,
    /// By observer, then by member.
    couriers: Vec<Vec<Courier>>,
    members: Vec<Member>,
    followers: Vec<Follower>,
    log: Log,
    luck: Rng,
    follower_luck: Rng,
    /// How many faults lose answers.
    fogs: u32,
    /// The region that falls now is the leader's.
    fell_as_leader: bool,
    truth: Truth,
    falls: Falls,
    ledger: Ledger,
    coverage: Coverage,
    probes: u64,
    failed_probes: u64,
    redials: u64,
    votes: u64,
    trace: Trace,
    finished: bool,
}

/// Runs a scenario to its end or to the first broken promise, with a bug planted or none. `eager` skips nothing, and comes to
/// the same end more slowly.
pub fn run(scenario: &Scenario, plant: Option<Plant>, eager: bool, keep_lines: bool) -> Run<Rule, Met> {
    let mut world = World::new(scenario, plant, eager, keep_lines);
    let driven = world.drive();
    world.coverage.add(Met::Probes, world.probes);
    world.coverage.add(Met::FailedProbes, world.failed_probes);
    world.coverage.add(Met::Redials, world.redials);
    world.coverage.add(Met::Votes, world.votes);
    Run::end(world.now_ms, driven, world.coverage, world.trace)
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, plant: Option<Plant>, eager: bool, keep_lines: bool) -> Self {
        let (shape, seed) = (&scenario.shape, scenario.seed);
        let desired = world_of(shape);
        let subjects = subjects_of(shape, &desired);
        let count = shape.regions.len();
        let paths = Paths::new(seed, &shape.delay_ms, shape.jitter_ms, shape.loss_permille);
        let pairs = (0..count).flat_map(|a| (0..a).map(move |b| (a, b)));
        let round_trip_ms = pairs.map(|(a, b)| paths.round_trip_ms(a, b)).max().unwrap_or(0);
        let timing = Timing::of_world(&desired).over(round_trip_ms);
        let bound_ms = super::bound_ms(&timing, shape.loss_permille > 0);
        let log = Log::new(seed, count, round_trip_ms);
        let falls = Falls::new(subjects.len(), bound_ms, log.longest_election_ms(round_trip_ms));
        let clock = |region: &super::scenario::RegionShape| Clock::new(region.clock_offset_ms, region.clock_drift_ppm);
        Self {
            scenario,
            plant,
            eager: eager || plant.is_some_and(Plant::spoils_votes),
            now_ms: 0,
            queue: Queue::default(),
            truth: Truth::new(count, subjects.iter().map(|watched| watched.region).collect(), super::echo_ms(&timing)),
            timing,
            subjects,
            paths,
            round_trip_ms,
            bound_ms,
            lives: (0..count).map(|_| Life::default()).collect(),
            clocks: shape.regions.iter().map(clock).collect(),
            eyes: (0..count).map(|_| None).collect(),
            couriers: (0..count).map(|_| (0..count).map(|_| Courier::default()).collect()).collect(),
            members: (0..count).map(|_| Member::new(count)).collect(),
            followers: (0..count).map(Follower::of).collect(),
            log,
            luck: Rng::of(seed, "people"),
            follower_luck: Rng::of(seed, "followers"),
            fogs: 0,
            fell_as_leader: false,
            falls,
            ledger: Ledger::new(plant == Some(Plant::HastyClock)),
            coverage: Coverage::default(),
            probes: 0,
            failed_probes: 0,
            redials: 0,
            votes: 0,
            trace: Trace::new(keep_lines),
            finished: false,
        }
    }

    fn drive(&mut self) -> Result<(), Violation> {
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.queue.plan(step.at_ms, Event::Step(index));
        }
        (0..self.lives.len()).try_for_each(|region| self.start(region))?;
        self.found(world_of(&self.scenario.shape))?;
        self.queue.plan(self.scenario.shape.end_ms, Event::Close);
        while !self.finished
            && let Some((at_ms, event)) = self.queue.next()
        {
            self.now_ms = at_ms;
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Step(index) => self.step(index),
            Event::End(index) => self.end(index),
            Event::Round { region, life } => {
                self.round(region, life);
                Ok(())
            }
            Event::Result { region, life, subject, started_ms, finding } => {
                self.result((region, life), subject, started_ms, finding)
            }
            Event::Turn { region, life, turn } => self.planned_turn(region, life, turn),
            Event::Free { from, to } => {
                self.free(from, to);
                Ok(())
            }
            Event::Arrive { from, to, letter } => self.arrive(from, to, &letter),
            Event::Wake { region, life } => self.wake(region, life),
            Event::Commit { number } => self.commit(number),
            Event::Learn { member, upto } => self.learn(member, upto),
            Event::Answer { region, life, outcome } => self.answer(region, life, outcome),
            Event::LoseLead { turn } => self.lose_lead(turn),
            Event::Succeed { turn } => self.succeed(turn),
            Event::Elect { turn } => self.elect(turn),
            Event::Offer { follower, plan } => self.offer(follower, plan),
            Event::LookAtFall { subject, at_ms } => self.look_at_fall(subject, at_ms),
            Event::LookAtWord { subject, set_at_ms } => self.look_at_word(subject, set_at_ms),
            Event::Close => self.close(),
        }
    }

    fn step(&mut self, index: usize) -> Result<(), Violation> {
        let action = self.scenario.steps[index].action;
        self.trace.say(self.now_ms, format_args!("{action}"));
        match action {
            Action::HandOver => self.hand_over(),
            Action::Override { region, word, ms } => {
                self.say_word(region, word, ms);
                Ok(())
            }
            Action::Clear { region } => {
                self.take_back(region);
                Ok(())
            }
            Action::Rogue(rogue) => {
                self.go_wrong(rogue);
                Ok(())
            }
            Action::Follow { region, member } => {
                self.follow(usize::from(region) - 1, usize::from(member) - 1);
                Ok(())
            }
            lasting => {
                let ms = lasting.lasts_ms();
                self.queue.plan(self.now_ms + ms, Event::End(index));
                self.turn_fault(lasting, true)
            }
        }
    }

    fn end(&mut self, index: usize) -> Result<(), Violation> {
        let action = self.scenario.steps[index].action;
        self.trace.say(self.now_ms, format_args!("over: {action}"));
        self.turn_fault(action, false)
    }

    /// Whether the process that an event was planned for is still the one that runs.
    fn is_living(&self, region: usize, life: u64) -> bool {
        self.lives[region].is_alive && self.lives[region].number == life
    }

    /// The number of a region's membership in the second pool as a subject.
    fn member_subject(&self, region: usize) -> Option<usize> {
        self.subjects.iter().position(|watched| watched.is_member && watched.region == region)
    }
}
