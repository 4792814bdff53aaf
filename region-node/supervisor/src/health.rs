//! A worker's readiness, from its health checks. Pure: a check's outcome comes in, readiness and the next pause come out.
//!
//! ```text
//!            1 pass                  3 failures in a row
//! starting ────────→ ready ─────────────────────────────→ unhealthy
//!                      ▲                                     │
//!                      └─────────── 2 passes in a row ───────┘
//! ```

use std::time::Duration;

const FALL: u32 = 3;
const RISE: u32 = 2;
/// Between checks of a worker that is ready and fine.
const CALM: Duration = Duration::from_secs(2);
/// Between checks while its readiness may change.
const ALERT: Duration = Duration::from_millis(500);
/// Between the first checks of a new worker; grows by half up to `ALERT`, so that a quick start is noticed quickly.
const EAGER: Duration = Duration::from_millis(50);

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Starting,
    Ready,
    Unhealthy,
}

pub(crate) struct Health {
    pub(crate) readiness: Readiness,
    /// Outcomes in a row that speak against the present readiness.
    against: u32,
    eager: Duration,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { readiness: Readiness::Starting, against: 0, eager: EAGER }
    }

    /// The worker said that it is ready; `true` if that is new.
    pub(crate) fn announce(&mut self) -> bool {
        let new = self.readiness == Readiness::Starting;
        if new {
            (self.readiness, self.against) = (Readiness::Ready, 0);
        }
        new
    }

    /// Takes a check's outcome; `true` when readiness changed.
    pub(crate) fn observe(&mut self, passed: bool) -> bool {
        if passed == (self.readiness == Readiness::Ready) {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let (needed, next) = match self.readiness {
            Readiness::Starting => (1, Readiness::Ready),
            Readiness::Ready => (FALL, Readiness::Unhealthy),
            Readiness::Unhealthy => (RISE, Readiness::Ready),
        };
        if self.against < needed {
            return false;
        }
        (self.readiness, self.against) = (next, 0);
        true
    }

    /// The pause before the next check.
    pub(crate) fn pause(&mut self) -> Duration {
        match self.readiness {
            Readiness::Ready if self.against == 0 => CALM,
            Readiness::Starting => {
                let pause = self.eager;
                self.eager = (pause * 3 / 2).min(ALERT);
                pause
            }
            Readiness::Ready | Readiness::Unhealthy => ALERT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a passed check, `-` a failed one; the outcome is the readiness after each: `s`, `R` or `u`.
    fn check(outcomes: &str, expected: &str) {
        let mut health = Health::new();
        let seen: String = outcomes
            .chars()
            .map(|outcome| {
                health.observe(outcome == '+');
                match health.readiness {
                    Readiness::Starting => 's',
                    Readiness::Ready => 'R',
                    Readiness::Unhealthy => 'u',
                }
            })
            .collect();
        assert_eq!(seen, expected, "{outcomes}");
    }

    #[test]
    fn one_pass_makes_ready_three_failures_unhealthy_two_passes_ready_again() {
        check("-----", "sssss");
        check("--+", "ssR");
        check("+--+--+", "RRRRRRR");
        check("+---", "RRRu");
        check("+---+-++", "RRRuuuuR");
    }

    #[test]
    fn checks_come_quickly_while_something_may_change() {
        let mut health = Health::new();
        let starting: Vec<u128> = (0..8).map(|_| health.pause().as_millis()).collect();
        assert_eq!(starting, [50, 75, 112, 168, 253, 379, 500, 500]);
        health.observe(true);
        assert_eq!(health.pause(), CALM);
        health.observe(false);
        assert_eq!(health.pause(), ALERT);
    }
}
