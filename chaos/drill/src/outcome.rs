//! The one word a drill ends with, and its exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a drill ended, from best to loudest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Outcome {
    /// The fault bit and every promise held.
    Pass,
    /// A named promise was broken.
    Fail,
    /// The fault did not bite, or nothing was there for it to bite: no proof of anything.
    Vacuous,
    /// A guard stopped it before or during the fault.
    Aborted,
    /// The harness failed: says nothing about the world.
    Harness,
    /// The fault could not be taken back. The loudest of all.
    RollbackIncomplete,
}

impl Outcome {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Vacuous => 2,
            Self::Aborted => 3,
            Self::Harness => 4,
            Self::RollbackIncomplete => 5,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Vacuous => "VACUOUS",
            Self::Aborted => "ABORTED",
            Self::Harness => "HARNESS",
            Self::RollbackIncomplete => "ROLLBACK-INCOMPLETE",
        })
    }
}

/// A reason against PASS, with the outcome it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it makes of the drill.
    pub outcome: Outcome,
    /// Which promise or precondition, and by how much.
    pub what: String,
}

impl Failure {
    pub(crate) fn new(outcome: Outcome, what: impl Into<String>) -> Self {
        Self { outcome, what: what.into() }
    }
}

/// The loudest of the failures, or PASS.
pub(crate) fn verdict(failures: &[Failure]) -> Outcome {
    failures.iter().map(|failure| failure.outcome).max_by_key(|outcome| loudness(*outcome)).unwrap_or(Outcome::Pass)
}

/// A broken promise outweighs a fault that did not bite; a fault that is still there outweighs everything.
fn loudness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Pass => 0,
        Outcome::Vacuous => 1,
        Outcome::Harness => 2,
        Outcome::Aborted => 3,
        Outcome::Fail => 4,
        Outcome::RollbackIncomplete => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_failure_decides() {
        let failures = |outcomes: &[Outcome]| outcomes.iter().map(|o| Failure::new(*o, "")).collect::<Vec<_>>();
        assert_eq!(verdict(&[]), Outcome::Pass);
        assert_eq!(verdict(&failures(&[Outcome::Vacuous, Outcome::Fail])), Outcome::Fail);
        assert_eq!(verdict(&failures(&[Outcome::Fail, Outcome::RollbackIncomplete])), Outcome::RollbackIncomplete);
    }
}
