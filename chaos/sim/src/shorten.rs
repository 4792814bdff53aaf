//! From a failing scenario to the shortest that still breaks the same promise.
//!
//! Steps are left out, first in halves, then in smaller and smaller pieces, for as long as the same rule is broken (delta
//! debugging). What is left is rarely the shortest of all and nearly always short enough to be read.

use crate::{
    oracle::Rule,
    scenario::{Scenario, Step},
    world::{Options, Run, run},
};

/// A shorter scenario, and its run.
#[derive(Debug)]
pub struct Shortened {
    /// What is left of the scenario.
    pub scenario: Scenario,
    /// Its run, with every line.
    pub run: Run,
    /// How many runs it took.
    pub tries: u32,
}

/// Leaves steps out of a scenario that breaks `rule`, as long as `may_go_on` says so before each try.
pub fn shorten(scenario: &Scenario, rule: Rule, options: Options, mut may_go_on: impl FnMut() -> bool) -> Shortened {
    let mut steps = scenario.steps.clone();
    let mut tries = 0;
    let mut breaks = |steps: &[Step]| {
        tries += 1;
        let shorter = Scenario { steps: steps.to_vec(), ..scenario.clone() };
        run(&shorter, options).violation.is_some_and(|(_, violation)| violation.rule == rule)
    };
    let mut piece = steps.len().div_ceil(2).max(1);
    loop {
        let mut shrunk = false;
        let mut at = 0;
        while at < steps.len() && may_go_on() {
            let end = (at + piece).min(steps.len());
            let rest: Vec<Step> = steps[..at].iter().chain(&steps[end..]).cloned().collect();
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
    let scenario = Scenario { steps, ..scenario.clone() };
    let run = run(&scenario, Options { keep_lines: true, ..options });
    Shortened { scenario, run, tries }
}
