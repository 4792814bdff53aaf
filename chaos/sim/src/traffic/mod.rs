//! The world of traffic: the real `Pool` of `traffic`, between clients that come by luck and workers that are queues.
//!
//! ```text
//! seed ──► Scenario (drawn whole, before anything runs) ──► World: one thread, one queue of events, no socket, no real time
//!                                                             │ every pick      ──► oracle: may it go there? is it counted?
//!                                                             │ every request   ──► how long, how well
//!                                                             ▼
//!                    the same world without its faults ──► compared: success, 99th percentile
//! ```
//! A request brings its luck along (what it needs, where it wants to go, how long its client waits), so a world and the
//! same world without faults meet the same requests. What has a closed formula (`reference.rs`) is compared with it.

mod breaker;
mod cookies;
mod coverage;
mod oracle;
mod plant;
pub mod reference;
mod scenario;
mod worker;
mod world;

pub use coverage::Met;
pub use oracle::Rule;
pub use plant::Plant;
pub use scenario::{Action, Kind, Scenario, Service, Shape, Step};
pub use world::{Measured, measure, run};

use crate::{Run, Simulation};

/// How to play a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrafficSim {
    /// What happens in each world; the seed chooses where `None`.
    pub kind: Option<Kind>,
    /// A bug to plant.
    pub plant: Option<Plant>,
}

impl Simulation for TrafficSim {
    type Scenario = Scenario;
    type Step = Step;
    type Rule = Rule;
    type Met = Met;

    fn scenario(&self, seed: u64) -> Scenario {
        Scenario::of(seed, self.kind)
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
