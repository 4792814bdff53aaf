//! The breaker of a whole upstream, in a second writing: what it has to let through, and when it has to open.
//!
//! In: each pick, and each thing that is told of what was let through. Out: the first broken promise. It keeps every result
//! with its time and counts them when it has to, where the breaker keeps sums.

use std::{collections::VecDeque, time::Duration};

use traffic::{NoPick, UpstreamState, Verdict};

use super::oracle::{Checked, Rule, broken};

/// What `docs/traffic.md` promises.
const ENOUGH: usize = 20;
const PROBES: u32 = 3;
const FIRST_OPEN: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_secs(60);
const RAMP: Duration = Duration::from_secs(10);
const RAMP_FROM: f64 = 0.1;
/// The window is ten buckets, so it reaches back between nine and ten seconds.
const WINDOW_AT_LEAST: Duration = Duration::from_secs(9);
const WINDOW_AT_MOST: Duration = Duration::from_secs(10);

/// What the breaker has to be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    LettingAll,
    LettingNone { until: Duration },
    Trying { under_way: u32, succeeded: u32 },
    LettingMore { since: Duration },
}

/// Watches a breaker.
#[derive(Debug)]
pub(crate) struct Watch {
    doing: Doing,
    /// Counts what it was doing: what was sent before says nothing of now.
    period: u64,
    /// How often it has opened since it let all through.
    opened: u32,
    /// When results came in this period, and whether they were failures.
    results: VecDeque<(Duration, bool)>,
    /// What was let through on the ramp, what should have been, and the variance of that.
    ramp: (f64, f64, f64),
    ramps: u64,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            doing: Doing::LettingAll,
            period: 0,
            opened: 0,
            results: VecDeque::new(),
            ramp: (0.0, 0.0, 0.0),
            ramps: 0,
        }
    }

    /// To be told with what is sent now.
    pub(crate) fn period(&self) -> u64 {
        self.period
    }

    /// Whether it waits for what becomes of probes. A probe is over when its answer has begun.
    pub(crate) fn is_trying(&self) -> bool {
        matches!(self.doing, Doing::Trying { .. })
    }

    /// How often it came back by a whole ramp.
    pub(crate) fn ramps(&self) -> u64 {
        self.ramps
    }

    /// A request asked for a member.
    pub(crate) fn asked(&mut self, now: Duration, picked: Result<(), NoPick>, state: UpstreamState) -> Checked {
        let told = match picked {
            Ok(()) => None,
            Err(NoPick::Open { retry_after }) => Some(retry_after),
            // It did not come as far as the breaker.
            Err(_) => return Ok(()),
        };
        match self.doing {
            Doing::LettingNone { until } if now < until => match told {
                None => broken(Rule::OpenLetsNobodyThrough, format!("let through {:?} too early", until - now))?,
                Some(told) if told != until - now => {
                    broken(Rule::RetryAfterIsTrue, format!("told {told:?}, it is {:?}", until - now))?;
                }
                Some(_) => {}
            },
            Doing::LettingNone { .. } => {
                if let Some(told) = told {
                    broken(Rule::RetryAfterIsTrue, format!("refused when the time was over, for another {told:?}"))?;
                }
                self.go_on(Doing::Trying { under_way: 1, succeeded: 0 });
            }
            Doing::Trying { ref mut under_way, succeeded } => {
                let (tried, through) = (*under_way + succeeded, told.is_none());
                if through != (tried < PROBES) {
                    let what = format!("{tried} of {PROBES} probes are on their way, another let through: {through}");
                    broken(Rule::ProbesAreFew, what)?;
                }
                *under_way += u32::from(through);
            }
            Doing::LettingMore { since } if now - since < RAMP => {
                let share = ((now - since).as_secs_f64() / RAMP.as_secs_f64()).max(RAMP_FROM);
                self.ramp.0 += f64::from(u8::from(told.is_none()));
                self.ramp.1 += share;
                self.ramp.2 += share * (1.0 - share);
            }
            Doing::LettingMore { .. } => {
                self.ramp_is_kept()?;
                self.ramps += 1;
                (self.doing, self.opened) = (Doing::LettingAll, 0);
            }
            Doing::LettingAll => {}
        }
        if self.doing == Doing::LettingAll && told.is_some() {
            broken(Rule::OpensForACause, "refused although it is closed".to_owned())?;
        }
        self.agrees(state)
    }

    /// Something is known of a request of a period.
    pub(crate) fn told(&mut self, now: Duration, period: u64, verdict: Verdict, state: UpstreamState) -> Checked {
        if period != self.period {
            return self.agrees(state);
        }
        match self.doing {
            Doing::LettingAll | Doing::LettingMore { .. } => {
                if verdict != Verdict::Unknown {
                    self.results.push_back((now, verdict == Verdict::Failed));
                }
                if verdict == Verdict::Failed {
                    self.failed(now, state)?;
                }
            }
            Doing::Trying { ref mut under_way, ref mut succeeded } => {
                *under_way -= 1;
                *succeeded += u32::from(verdict == Verdict::Succeeded);
                let enough = *succeeded >= PROBES;
                if verdict == Verdict::Failed {
                    self.opens(now, state)?;
                } else if enough {
                    self.ramp = (0.0, 0.0, 0.0);
                    self.go_on(Doing::LettingMore { since: now });
                }
            }
            Doing::LettingNone { .. } => {}
        }
        self.agrees(state)
    }

    /// A failure while requests are let through: it opens if half of at least twenty failed, and only then.
    fn failed(&mut self, now: Duration, state: UpstreamState) -> Checked {
        while self.results.front().is_some_and(|(at, _)| now - *at > WINDOW_AT_MOST) {
            self.results.pop_front();
        }
        let (mut all, mut failures, mut may, mut must) = (0, 0, false, true);
        let mut results = self.results.iter().rev().peekable();
        while let Some((_, failure)) = results.next() {
            all += 1;
            failures += usize::from(*failure);
            // Wherever its window begins, between the shortest and the longest.
            if results.peek().is_none_or(|(at, _)| now - *at >= WINDOW_AT_LEAST) {
                let enough = all >= ENOUGH && 2 * failures >= all;
                (may, must) = (may | enough, must & enough);
            }
        }
        let opened = matches!(state, UpstreamState::Open { .. });
        if must && !opened {
            return broken(Rule::OpensInTime, format!("{failures} of {all} failed"));
        }
        if opened && !may {
            return broken(Rule::OpensForACause, format!("{failures} of {all} failed"));
        }
        if opened { self.opens(now, state) } else { Ok(()) }
    }

    /// It opens, twice as long as before, and half of that more by luck.
    fn opens(&mut self, now: Duration, state: UpstreamState) -> Checked {
        let UpstreamState::Open { until } = state else {
            return broken(Rule::OpensInTime, format!("a probe failed, and it is {state:?}"));
        };
        let least = (FIRST_OPEN * 2_u32.pow(self.opened.min(8))).min(LONGEST_OPEN);
        let most = (least + least / 2).min(LONGEST_OPEN);
        if !(least..=most).contains(&(until - now)) {
            return broken(Rule::ComesBack, format!("open for {:?}, not for {least:?} to {most:?}", until - now));
        }
        self.opened += 1;
        self.go_on(Doing::LettingNone { until });
        Ok(())
    }

    fn go_on(&mut self, doing: Doing) {
        self.doing = doing;
        self.period += 1;
        self.results.clear();
    }

    /// What was let through on the ramp is what should have been, give or take five standard deviations.
    fn ramp_is_kept(&self) -> Checked {
        let (through, expected, variance) = self.ramp;
        if (through - expected).abs() > 5.0 * variance.sqrt() + 3.0 {
            return broken(Rule::ComesBack, format!("the ramp let {through} through, not {expected:.0}"));
        }
        Ok(())
    }

    fn agrees(&self, state: UpstreamState) -> Checked {
        let same = match (self.doing, state) {
            (Doing::LettingAll, UpstreamState::Closed) => true,
            (Doing::LettingNone { until }, UpstreamState::Open { until: other }) => until == other,
            (Doing::Trying { under_way, succeeded }, UpstreamState::Probing { under_way: also, succeeded: too }) => {
                (under_way, succeeded) == (also, too)
            }
            (Doing::LettingMore { since }, UpstreamState::Ramping { since: other }) => since == other,
            _ => false,
        };
        if same { Ok(()) } else { broken(Rule::ComesBack, format!("it is {state:?}, not {:?}", self.doing)) }
    }
}
