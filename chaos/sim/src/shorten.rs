//! From a failing scenario to the shortest that still breaks the same promise.
//!
//! Steps are left out, first in halves, then in smaller and smaller pieces, for as long as the same rule is broken (delta
//! debugging). What is left is rarely the shortest of all and nearly always short enough to be read.

use crate::{Run, Simulation};

/// A shorter scenario, and its run.
#[derive(Debug)]
pub struct Shortened<S: Simulation> {
    /// What is left of the scenario.
    pub scenario: S::Scenario,
    /// Its run, with every line.
    pub run: Run<S::Rule, S::Met>,
    /// How many runs it took.
    pub tries: u32,
}

/// Leaves steps out of a scenario that breaks `rule`, as long as `may_go_on` says so before each try.
pub fn shorten<S: Simulation>(
    simulation: &S,
    scenario: &S::Scenario,
    rule: S::Rule,
    mut may_go_on: impl FnMut() -> bool,
) -> Shortened<S> {
    let mut steps = simulation.steps(scenario).to_vec();
    let mut tries = 0;
    let mut breaks = |steps: &[S::Step]| {
        tries += 1;
        let shorter = simulation.with_steps(scenario, steps.to_vec());
        simulation.run(&shorter, false).violation.is_some_and(|(_, violation)| violation.rule == rule)
    };
    let mut piece = steps.len().div_ceil(2).max(1);
    loop {
        let mut shrunk = false;
        let mut at = 0;
        while at < steps.len() && may_go_on() {
            let end = (at + piece).min(steps.len());
            let rest: Vec<S::Step> = steps[..at].iter().chain(&steps[end..]).cloned().collect();
            if breaks(&rest) {
                steps = rest;
                shrunk = true;
            } else {
                at = end;
            }
        }
        if !may_go_on() || (piece == 1 && !shrunk) {
            break;
        }
        piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
    }
    let scenario = simulation.with_steps(scenario, steps);
    let run = simulation.run(&scenario, true);
    Shortened { scenario, run, tries }
}
