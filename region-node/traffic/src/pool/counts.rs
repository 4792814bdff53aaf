//! Successes and failures, and whether two members differ by more than luck.
//!
//! Two members are compared over the same time, and that begins with a failure of the one that is judged. Over a window of fixed
//! length the comparison would be unfair when something begins to fail everywhere: whoever happens to get most of the requests
//! just then has new failures, and the others have old successes. (A simulated route that broke did eject sound members so.)

use std::{ops::Sub, time::Duration};

/// How many succeeded and how many failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// The time over which a member is compared with the others.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub(crate) since: Duration,
    /// The member's own counts when it began.
    pub(crate) own: Counts,
    /// Everybody's.
    pub(crate) all: Counts,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.succeeded + self.failed
    }

    /// The share that succeeded; all of nothing.
    pub(crate) fn rate(self) -> f64 {
        if self.total() == 0 { 1.0 } else { self.succeeded as f64 / self.total() as f64 }
    }

    /// The standard error of the difference between two rates that are the same in truth.
    pub(crate) fn luck(self, other: Self) -> f64 {
        let total = (self.total() + other.total()).max(1) as f64;
        let both = (self.succeeded + other.succeeded) as f64 / total;
        let samples = 1.0 / self.total().max(1) as f64 + 1.0 / other.total().max(1) as f64;
        (both * (1.0 - both) * samples).sqrt()
    }
}

impl From<[u64; 2]> for Counts {
    fn from([succeeded, failed]: [u64; 2]) -> Self {
        Self { succeeded, failed }
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_sub(other.succeeded),
            failed: self.failed.saturating_sub(other.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_shrinks_with_the_samples() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-12;
        let counts = |succeeded, failed| Counts { succeeded, failed };
        assert!(near(counts(50, 50).luck(counts(50, 50)), (0.25_f64 * 0.02).sqrt()));
        assert!(near(counts(5000, 5000).luck(counts(5000, 5000)), (0.25_f64 * 0.0002).sqrt()));
        assert!(near(counts(100, 0).luck(counts(100, 0)), 0.0));
        assert!(near(counts(0, 0).rate(), 1.0));
    }
}
