//! The breaker of a whole upstream: it spares those who call it a wait that is in vain, and the upstream what it cannot
//! do.
//!
//! ```text
//!   Closed ── half of at least 20 in 10 s failed ──▶ Open until t ── t is over ──▶ Probing: 3 requests
//!     ▲                                                ▲  (twice as long) ◀── one failed ──┤
//!     │ 10 s passed                                    │                                    │ all succeeded
//!     └──────────────────────── Ramping ───────────────┘ ◀─────────────────────────────────┘
//!                               a share that grows from a tenth
//! ```
//! Hystrix' window and numbers, Resilience4j's several probes, Traefik's gradual return. A named upstream of one's own
//! or of others', or another region: where there is something better to do than to wait. Workers of an app have no such
//! breaker; they are asked even if all of them are sick.

use std::time::Duration;

use crate::{Upstream, health::backoff, window::Window};

const SUCCEEDED: usize = 0;
const FAILED: usize = 1;
/// How soon to ask again while probes are under way: about as long as they take.
const PROBING_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The share that is let through when the ramp begins.
const RAMP_FROM: f64 = 0.1;
/// Times open are longer by up to this part of themselves, so that many callers do not come back at once.
const JITTER: f64 = 0.5;

/// A breaker.
#[derive(Debug, Clone)]
pub struct UpstreamBreaker {
    config: Upstream,
    state: UpstreamState,
    /// Counts changes of state: what was let through in an earlier state says nothing about this one.
    epoch: u64,
    times: u32,
    window: Window,
}

/// What a breaker does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    /// Lets all through.
    Closed,
    /// Lets none through before a moment.
    Open {
        /// The moment.
        until: Duration,
    },
    /// Lets a few through and waits for what becomes of them.
    Probing {
        /// Let through, and not answered.
        under_way: u32,
        /// Answered, and well.
        succeeded: u32,
    },
    /// Lets a share through that has grown since a moment.
    Ramping {
        /// The moment.
        since: Duration,
    },
}

/// Leave to send one request; its outcome is to be told with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    epoch: u64,
    /// A probe that has been answered well: its end says more only if it fails.
    answered: bool,
}

/// What became of a request, as far as a whole upstream is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Succeeded,
    /// It did not: an error of the app, too much to do, a lost connection, too late.
    Failed,
    /// Nothing was learnt.
    Unknown,
}

impl UpstreamBreaker {
    /// A closed breaker.
    pub fn new(config: Upstream) -> Self {
        Self { config, state: UpstreamState::Closed, epoch: 0, times: 0, window: Window::new(config.window) }
    }

    /// What it does with requests. A state that only time ends is told as the last request met it.
    pub fn state(&self) -> UpstreamState {
        self.state
    }

    /// Whether a request may be sent; `draw` is 64 random bits.
    ///
    /// # Errors
    /// The time after which asking again makes sense.
    pub fn admit(&mut self, now: Duration, draw: u64) -> Result<Permit, Duration> {
        match self.state {
            UpstreamState::Open { until } if now < until => return Err(until - now),
            UpstreamState::Open { .. } => self.move_to(UpstreamState::Probing { under_way: 0, succeeded: 0 }),
            UpstreamState::Ramping { since } if now.saturating_sub(since) >= self.config.ramp => {
                self.times = 0;
                // What was counted on the ramp still counts.
                self.state = UpstreamState::Closed;
            }
            _ => {}
        }
        match &mut self.state {
            UpstreamState::Probing { under_way, succeeded } => {
                if *under_way + *succeeded >= self.config.probes.max(1) {
                    return Err(PROBING_RETRY_AFTER);
                }
                *under_way += 1;
            }
            UpstreamState::Ramping { since } => {
                let passed = now.saturating_sub(*since).as_secs_f64() / self.config.ramp.as_secs_f64();
                if unit(draw) >= passed.max(RAMP_FROM) {
                    return Err(PROBING_RETRY_AFTER);
                }
            }
            UpstreamState::Closed | UpstreamState::Open { .. } => {}
        }
        Ok(Permit { epoch: self.epoch, answered: false })
    }

    /// The answer of a request that was let through has begun, well. A probe has succeeded by that: its answer may be a stream
    /// without an end, which must not keep everybody else waiting. Other requests are told by [`record`](Self::record).
    pub fn answered(&mut self, now: Duration, permit: &mut Permit) {
        if let UpstreamState::Probing { .. } = self.state
            && permit.epoch == self.epoch
            && !permit.answered
        {
            self.probe_is_over(now, Verdict::Succeeded);
            permit.answered = true;
        }
    }

    /// A request that was let through is over. `draw` is 64 random bits. Whether this opened the breaker.
    pub fn record(&mut self, now: Duration, permit: Permit, verdict: Verdict, draw: u64) -> bool {
        if permit.epoch != self.epoch {
            return false;
        }
        match (&mut self.state, verdict) {
            (UpstreamState::Probing { .. }, Verdict::Failed) => self.open(now, draw),
            (UpstreamState::Probing { .. }, verdict) => {
                if !permit.answered {
                    self.probe_is_over(now, verdict);
                }
                return false;
            }
            (UpstreamState::Open { .. }, _) | (_, Verdict::Unknown) => return false,
            (_, Verdict::Succeeded) => {
                self.window.add(now, SUCCEEDED, 1);
                return false;
            }
            (_, Verdict::Failed) => {
                self.window.add(now, FAILED, 1);
                let [succeeded, failed] = self.window.sums(now);
                let total = succeeded + failed;
                let enough = total >= u64::from(self.config.min_requests.max(1));
                if !enough || (failed as f64) < self.config.failure_rate * total as f64 {
                    return false;
                }
                self.open(now, draw);
            }
        }
        true
    }

    /// When it may let more through than now although nothing was told.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.state {
            UpstreamState::Open { until } => Some(until),
            _ => None,
        }
    }

    /// A probe did not fail.
    fn probe_is_over(&mut self, now: Duration, verdict: Verdict) {
        if let UpstreamState::Probing { under_way, succeeded } = &mut self.state {
            *under_way = under_way.saturating_sub(1);
            *succeeded += u32::from(verdict == Verdict::Succeeded);
            if *succeeded >= self.config.probes.max(1) {
                self.move_to(UpstreamState::Ramping { since: now });
            }
        }
    }

    fn open(&mut self, now: Duration, draw: u64) {
        let open = backoff(self.config.open, self.config.open_max, JITTER, self.times, unit(draw));
        self.times = self.times.saturating_add(1);
        self.move_to(UpstreamState::Open { until: now.saturating_add(open) });
    }

    fn move_to(&mut self, state: UpstreamState) {
        self.state = state;
        self.epoch += 1;
        self.window.clear();
    }
}

/// Random bits as a number in 0..1.
pub(crate) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Lets one through and says what became of it: `.` refused, else the verdict's letter (`s`, `f`, `u`).
    fn play(breaker: &mut UpstreamBreaker, now: Duration, verdicts: &str) -> String {
        let mut seen = String::new();
        for letter in verdicts.chars() {
            let verdict = match letter {
                's' => Verdict::Succeeded,
                'f' => Verdict::Failed,
                _ => Verdict::Unknown,
            };
            match breaker.admit(now, 0) {
                Ok(permit) => {
                    breaker.record(now, permit, verdict, 0);
                    seen.push(letter);
                }
                Err(_) => seen.push('.'),
            }
        }
        seen
    }

    #[test]
    fn half_of_twenty_opens_it_and_fewer_do_not() {
        let mut breaker = UpstreamBreaker::new(Upstream::default());
        play(&mut breaker, s(1), "fffffffffffffffffff");
        assert_eq!(breaker.state(), UpstreamState::Closed, "19 are too few");
        play(&mut breaker, s(12), "ssssssssssfffffffff");
        assert_eq!(breaker.state(), UpstreamState::Closed, "the 19 are forgotten; 9 of 19 failed");
        play(&mut breaker, s(12), "f");
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(17) }, "10 of 20 failed");
        assert_eq!(breaker.admit(s(13), 0), Err(s(4)));
    }

    #[test]
    fn a_probe_has_succeeded_when_its_answer_begins_and_can_still_fail() {
        let probing = || {
            let mut breaker = UpstreamBreaker::new(Upstream::default());
            play(&mut breaker, s(0), &"f".repeat(20));
            let permits: Vec<Permit> = (0..3).map(|_| breaker.admit(s(5), 0).unwrap()).collect();
            (breaker, permits)
        };
        let (mut breaker, mut permits) = probing();
        for permit in &mut permits {
            breaker.answered(s(6), permit);
            breaker.answered(s(6), permit);
        }
        assert_eq!(breaker.state(), UpstreamState::Ramping { since: s(6) }, "whatever becomes of the streams");

        let (mut breaker, mut permits) = probing();
        breaker.answered(s(6), &mut permits[0]);
        breaker.record(s(7), permits[0], Verdict::Succeeded, 0);
        assert_eq!(breaker.state(), UpstreamState::Probing { under_way: 2, succeeded: 1 }, "counted once");
        breaker.answered(s(7), &mut permits[1]);
        breaker.record(s(8), permits[1], Verdict::Failed, 0);
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(18) }, "it broke in the middle");
    }

    #[test]
    fn the_chart() {
        let mut breaker = UpstreamBreaker::new(Upstream::default());
        play(&mut breaker, s(0), &"f".repeat(20));
        let late = Permit { epoch: 0, answered: false };
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(5) });
        breaker.record(s(1), late, Verdict::Succeeded, 0);
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(5) }, "what was sent before says nothing");
        assert_eq!(play(&mut breaker, s(5), "sf"), "sf");
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(15) }, "twice as long");
        assert_eq!(play(&mut breaker, s(15), "su"), "su");
        let (second, third) = (breaker.admit(s(15), 0), breaker.admit(s(15), 0));
        assert_eq!(breaker.admit(s(15), 0), Err(PROBING_RETRY_AFTER), "three at most");
        for permit in [second, third] {
            breaker.record(s(16), permit.unwrap(), Verdict::Succeeded, 0);
        }
        assert_eq!(breaker.state(), UpstreamState::Ramping { since: s(16) });
        let admitted = |breaker: &mut UpstreamBreaker, now| {
            (0..100).filter(|draw| breaker.admit(now, (u64::MAX / 100) * draw).is_ok()).count()
        };
        assert!((9..=11).contains(&admitted(&mut breaker, s(16))));
        assert!((49..=51).contains(&admitted(&mut breaker, s(21))));
        play(&mut breaker, s(21), &"f".repeat(20));
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(41) }, "failed on the ramp: goes on doubling");
        assert_eq!(play(&mut breaker, s(41), "sss"), "sss");
        assert_eq!(admitted(&mut breaker, s(51)), 100);
        assert_eq!(breaker.state(), UpstreamState::Closed);
        play(&mut breaker, s(51), &"f".repeat(20));
        assert_eq!(breaker.state(), UpstreamState::Open { until: s(56) }, "from the beginning");
    }
}
