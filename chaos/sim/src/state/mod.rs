//! The world of the state plane: real stores and real link machines on a simulated disk, network and clock.
//!
//! ```text
//! seed ──► Scenario (drawn whole, before anything runs) ──► World: one thread, one queue of events, no socket, no real time
//!                                                             │ every change    ──► oracle::History
//!                                                             │ every state     ──► compared with it, after each event
//!                                                             ▼
//!                                                           Run ──► shorten() where a promise was broken
//! ```
//! The code under test is what production runs: `replication-storage` with its own clockwork off ([`Threads::None`]) and
//! `replication-link`'s [`Session`]. Only what they stand on is played.
//!
//! [`Threads::None`]: replication_storage::Threads::None
//! [`Session`]: replication_link::Session

mod clock;
mod coverage;
mod disk;
mod net;
mod oracle;
mod plant;
mod region;
mod scenario;
mod world;

pub use coverage::Met;
pub use disk::Crash;
pub use oracle::Rule;
pub use plant::Plant;
pub use scenario::{Action, Fault, Scenario, Shape, Step};
pub use world::run;

use crate::{Run, Simulation};

/// How to play a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct StateSim {
    /// How many regions each world has; the seed chooses where `None`.
    pub regions: Option<u16>,
    /// A bug to plant.
    pub plant: Option<Plant>,
}

impl Simulation for StateSim {
    type Scenario = Scenario;
    type Step = Step;
    type Rule = Rule;
    type Met = Met;

    fn scenario(&self, seed: u64) -> Scenario {
        Scenario::of(seed, self.regions)
    }

    fn steps<'s>(&self, scenario: &'s Scenario) -> &'s [Step] {
        &scenario.steps
    }

    fn with_steps(&self, scenario: &Scenario, steps: Vec<Step>) -> Scenario {
        Scenario { steps, ..scenario.clone() }
    }

    fn run(&self, scenario: &Scenario, keep_lines: bool) -> Run<Rule, Met> {
        run(scenario, self.plant, keep_lines)
    }
}
