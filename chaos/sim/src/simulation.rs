//! What every simulated world has in common: a seed makes a scenario, a scenario makes a run, a run may break a promise.

use std::fmt;

use crate::{Coverage, Meeting, trace::Trace};

/// A kind of world that seeds decide.
pub trait Simulation: Sync {
    /// What a seed stands for, drawn whole before anything runs.
    type Scenario: Clone;
    /// One thing that happens in it; leaving some out leaves the others what they are.
    type Step: Clone + fmt::Display;
    /// What is promised.
    type Rule: Promise;
    /// What can be met.
    type Met: Meeting;

    /// The scenario of a seed.
    fn scenario(&self, seed: u64) -> Self::Scenario;

    /// What happens in it, in order.
    fn steps<'s>(&self, scenario: &'s Self::Scenario) -> &'s [Self::Step];

    /// The same world with other steps.
    fn with_steps(&self, scenario: &Self::Scenario, steps: Vec<Self::Step>) -> Self::Scenario;

    /// Runs a scenario to its end or to the first broken promise. The lines of the trace are kept if somebody wants to read them.
    fn run(&self, scenario: &Self::Scenario, keep_lines: bool) -> Run<Self::Rule, Self::Met>;
}

/// A promise that a run can break.
pub trait Promise: Copy + Eq + fmt::Debug + Send {
    /// The number that the design gives it; 0 where it has none.
    fn number(self) -> u8;
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<R> {
    /// Which one.
    pub rule: R,
    /// What was seen, and what should have been.
    pub what: String,
}

impl<R> Violation<R> {
    /// A broken promise, described.
    pub fn new(rule: R, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl<R: fmt::Debug> fmt::Display for Violation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Run<R, M> {
    /// The first broken promise, and when it was noticed, in milliseconds.
    pub violation: Option<(u64, Violation<R>)>,
    /// What was met.
    pub coverage: Coverage<M>,
    /// The hash of everything that happened.
    pub hash: u64,
    /// What happened, if it was kept.
    pub lines: Vec<String>,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
}

impl<R: fmt::Debug, M> Run<R, M> {
    /// The end of a run at a time; what it broke is the last thing in its trace.
    pub(crate) fn end(now_ms: u64, driven: Result<(), Violation<R>>, coverage: Coverage<M>, mut trace: Trace) -> Self {
        let violation = driven.err().map(|violation| (now_ms, violation));
        if let Some((_, violation)) = &violation {
            trace.say(now_ms, format_args!("{violation}"));
        }
        let hash = trace.hash();
        Self { violation, coverage, hash, lines: trace.into_lines(), simulated_ms: now_ms }
    }
}

/// The bug of a name, of all that can be planted.
pub(crate) fn plant_named<P: Copy>(all: &[P], name_of: fn(P) -> &'static str, name: &str) -> Result<P, String> {
    let found = all.iter().copied().find(|plant| name_of(*plant) == name);
    let known = || all.iter().copied().map(name_of).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no bug `{name}` to plant; there are {}", known()))
}
