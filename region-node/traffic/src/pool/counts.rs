//! Successes and failures, and whether two members differ by more than luck.
//!
//! A member is compared with the others over the requests that were sent after its first failure, to it and to them.
//! Over a window of time the comparison would be unfair when something begins to fail everywhere: whoever happens to
//! get most of the requests just then has new failures, while old successes of the others still come in. (Where a
//! simulated route broke, sound members were ejected so.)

use std::time::Duration;

/// How many succeeded and how many failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// A member and the others, compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    /// When it began; it goes on for as long as the window is, longer if the member had few requests.
    pub(crate) since: Duration,
    /// Requests of larger numbers count.
    pub(crate) begins: u64,
    /// The member's own.
    pub(crate) own: Counts,
    /// Those of all others.
    pub(crate) others: Counts,
}

impl Trial {
    /// One that counts what is sent from now on; `newest` is the number of the newest request.
    pub(crate) fn new(now: Duration, newest: u64) -> Self {
        Self { since: now, begins: newest, own: Counts::default(), others: Counts::default() }
    }

    /// Whether the member's success rate is below the others' by so much and by so many standard errors.
    pub(crate) fn is_worse(&self, by: f64, errors: f64) -> bool {
        // One failure more says nothing, and of small numbers the error is not what the formula says.
        self.own.failed >= 2 && self.others.rate() - self.own.rate() >= by.max(errors * self.own.luck(self.others))
    }
}

impl Counts {
    pub(crate) fn add(&mut self, failed: bool) {
        if failed {
            self.failed += 1;
        } else {
            self.succeeded += 1;
        }
    }

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
