//! A worker's readiness, from its health checks. Pure: a check's outcome comes in, readiness and the next pause come out.
//!
//! ```text
//!            1 pass             `probe_failures` in a row, 3
//! starting ────────→ ready ─────────────────────────────────→ unhealthy
//!                      ▲                                         │
//!                      └──────── `probe_successes` in a row, 2 ──┘
//! ```

use std::time::Duration;

use crate::spec::Timing;

/// Longest pause while readiness may change.
const ALERT: Duration = Duration::from_millis(500);
/// What part of the usual pause it is otherwise.
const ALERT_PART: u32 = 4;
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
    against: u16,
    eager: Duration,
    /// Between checks of a worker that is ready and fine.
    calm: Duration,
    fall: u16,
    rise: u16,
}

impl Health {
    pub(crate) fn new(timing: &Timing) -> Self {
        let (calm, fall, rise) = (timing.probe_interval, timing.probe_failures, timing.probe_successes);
        Self { readiness: Readiness::Starting, against: 0, eager: EAGER, calm, fall, rise }
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
            Readiness::Ready => (self.fall, Readiness::Unhealthy),
            Readiness::Unhealthy => (self.rise, Readiness::Ready),
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
            Readiness::Ready if self.against == 0 => self.calm,
            Readiness::Starting => {
                let pause = self.eager;
                self.eager = (pause * 3 / 2).min(ALERT);
                pause
            }
            Readiness::Ready | Readiness::Unhealthy => ALERT.min(self.calm / ALERT_PART),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a passed check, `-` a failed one; the outcome is the readiness after each: `s`, `R` or `u`.
    fn check(outcomes: &str, expected: &str) {
        check_with(3, 2, outcomes, expected);
    }

    fn check_with(probe_failures: u16, probe_successes: u16, outcomes: &str, expected: &str) {
        let mut health = Health::new(&Timing { probe_failures, probe_successes, ..Timing::default() });
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
    fn how_many_it_takes_is_said_by_the_app() {
        check_with(1, 1, "+-+-+", "RuRuR");
        check_with(2, 3, "+-+--+++", "RRRRuuuR");
        check_with(2, 1, "---+-+", "sssRRR");
    }

    #[test]
    fn checks_come_quickly_while_something_may_change() {
        let mut health = Health::new(&Timing::default());
        let starting: Vec<u128> = (0..8).map(|_| health.pause().as_millis()).collect();
        assert_eq!(starting, [50, 75, 112, 168, 253, 379, 500, 500]);
        health.observe(true);
        assert_eq!(health.pause(), Duration::from_secs(2));
        health.observe(false);
        assert_eq!(health.pause(), Duration::from_millis(500));
        for (interval_ms, in_doubt_ms) in [(100, 25), (1000, 250), (60_000, 500)] {
            let probe_interval = Duration::from_millis(interval_ms);
            let mut health = Health::new(&Timing { probe_interval, ..Timing::default() });
            health.observe(true);
            assert_eq!(health.pause(), probe_interval);
            health.observe(false);
            assert_eq!(health.pause(), Duration::from_millis(in_doubt_ms));
        }
    }
}
