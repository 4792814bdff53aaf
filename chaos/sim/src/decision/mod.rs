//! The world of the decision: the real probe machines, votes, judges and guards of `decision`, in regions that live, die and are
//! cut off, with a plane that elects and commits in simulated time.
//!
//! ```text
//! seed ──► Scenario (drawn whole, before anything runs) ──► World: one thread, one queue of events, no socket, no real time
//!                                                             │ every fault     ──► oracle::Truth: who has cause to say what
//!                                                             │ every new Plan  ──► compared with it, and with the rules
//!                                                             ▼
//!                                                           Run ──► shorten() where a promise was broken
//! ```
//! A day of a world is millions of probes of which next to none tells anything new. What provably changes nothing is skipped
//! (`world/eyes.rs`, `world/members.rs`), so that a day costs a fraction of a second and is the same day.

mod clock;
mod coverage;
mod oracle;
mod paths;
mod plant;
mod scenario;
mod shape;
mod world;

use decision::Timing;

pub use coverage::Met;
pub use oracle::Rule;
pub use plant::Plant;
pub use scenario::{Action, RegionShape, Rogue, Scenario, Shape, Step, Word};
pub use world::run;

use crate::{Run, Simulation};

/// How to play a seed.
#[derive(Debug, Clone, Copy)]
pub struct DecisionSim {
    /// How many regions each world has, 3 or more; the seed chooses where `None`.
    pub regions: Option<u16>,
    /// How many hours each world lasts.
    pub hours: u64,
    /// A bug to plant.
    pub plant: Option<Plant>,
    /// Skip nothing.
    pub eager: bool,
}

impl DecisionSim {
    /// How many hours a world lasts if nobody says otherwise.
    pub const HOURS: u64 = 24;
}

impl Default for DecisionSim {
    fn default() -> Self {
        Self { regions: None, hours: Self::HOURS, plant: None, eager: false }
    }
}

impl Simulation for DecisionSim {
    type Scenario = Scenario;
    type Step = Step;
    type Rule = Rule;
    type Met = Met;

    fn scenario(&self, seed: u64) -> Scenario {
        Scenario::of(seed, self.regions, self.hours)
    }

    fn steps<'s>(&self, scenario: &'s Scenario) -> &'s [Step] {
        &scenario.steps
    }

    fn with_steps(&self, scenario: &Scenario, steps: Vec<Step>) -> Scenario {
        Scenario { steps, ..scenario.clone() }
    }

    fn run(&self, scenario: &Scenario, keep_lines: bool) -> Run<Rule, Met> {
        run(scenario, self.plant, self.eager, keep_lines)
    }
}

/// Within how long a fall is decided, milliseconds: the sum of the terms, one more hold for what brews beside it, and what loss
/// may cost on the way, which is a vote's life (a courier gives up, and brings the newest letter) and the retransmissions of a
/// commit.
fn bound_ms(timing: &Timing, is_lossy: bool) -> u64 {
    let lost_ms = if is_lossy { 2 * timing.vote_life_ms + 2_000 } else { 0 };
    timing.out_ms() + timing.hold_ms + lost_ms
}

/// For how long a cause that is over explains votes, milliseconds: until a machine has its successes in a row, three times over
/// since loss may break a row, until the last vote has arrived and has outlived itself.
fn echo_ms(timing: &Timing) -> u64 {
    let row_ms = u64::from(timing.up_after) * timing.interval_ms;
    timing.interval_ms + timing.timeout_ms + 3 * row_ms + 2 * timing.vote_life_ms + 2_000
}
