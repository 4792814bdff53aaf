//! One member's breaker: whether it is left out, and when it is tried.
//!
//! ```text
//!            broke 3 times in a row, or fails more than 1 in 5 and far more than the others
//!            (asked of the pool first: never below half, never the last)
//!   Closed ─────────────────────────────────────────────────────────────▶ Open until t
//!     ▲                                                                     │ t is over and a request comes
//!     │ the probe was answered                                              ▼
//!     └─────────────────────────────────────────────────────────────────  Probing: one request
//!                                     Open, twice as long ◀── it failed ────┤
//!                                     Open, due at once   ◀── cancelled ────┘
//! ```
//! What a probe must do depends on why the member is out: where connections broke, any answer of the app but "too much
//! to do" will do (the probe may have met a route that is broken everywhere); where the app failed, it has to succeed.
//! A probe brings its member back when its answer begins, since that may be a stream without an end; if it ends badly after
//! all, its member is out again.
//! A member that is ejected again soon after it came back goes on doubling where it was.

use std::time::Duration;

use crate::{Ejection, Outcome};

/// Why a member was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Requests in a row broke before they were answered.
    Broken,
    /// Its success rate fell below the limit, and below that of the others.
    Failing,
}

/// Whether a member is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It takes requests. `before`: how often in a row it had been out, when it came back, and why it was out.
    Closed { before: Option<(u32, Duration, Cause)> },
    /// It is left out.
    Open { since: Duration, until: Duration, times: u32, cause: Cause },
    /// One request tries it.
    Probing { times: u32, cause: Cause, order: u64 },
}

/// What a probe's outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    Back,
    Out,
    Unknown,
}

impl Health {
    pub(crate) const NEW: Self = Self::Closed { before: None };

    pub(crate) fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// Whether it came back so short a time ago.
    pub(crate) fn is_on_probation(self, now: Duration, window: Duration) -> bool {
        matches!(self, Self::Closed { before: Some((_, at, _)) } if now.saturating_sub(at) < window)
    }

    /// Whether a request may try it now. One that cannot be repeated waits for as long again.
    pub(crate) fn probe_due(self, now: Duration, repeatable: bool) -> bool {
        match self {
            Self::Open { until, .. } if repeatable => now >= until,
            Self::Open { since, until, .. } => now >= until + until.saturating_sub(since),
            _ => false,
        }
    }

    /// Leaves it out, or goes on leaving it out; `luck` is in 0..1. Says for how long.
    pub(crate) fn open(&mut self, now: Duration, cause: Cause, config: &Ejection, luck: f64) -> Duration {
        let before = match *self {
            Self::Closed { before: Some((times, at, _)) } if now.saturating_sub(at) < config.window => times,
            Self::Closed { .. } => 0,
            Self::Open { times, .. } | Self::Probing { times, .. } => times,
        };
        let times = before.saturating_add(1);
        let open = backoff(config.open, config.open_max, config.jitter, before, luck);
        *self = Self::Open { since: now, until: now.saturating_add(open), times, cause };
        open
    }

    /// One request is on its way to try it.
    pub(crate) fn probe(&mut self, order: u64) {
        if let Self::Open { times, cause, .. } = *self {
            *self = Self::Probing { times, cause, order };
        }
    }

    /// The probe told nothing: the next request may.
    pub(crate) fn probe_again(&mut self, now: Duration) {
        if let Self::Probing { times, cause, .. } = *self {
            *self = Self::Open { since: now, until: now, times, cause };
        }
    }

    /// It takes requests again.
    pub(crate) fn close(&mut self, now: Duration) {
        match *self {
            Self::Closed { .. } => {}
            Self::Open { times, cause, .. } | Self::Probing { times, cause, .. } => {
                *self = Self::Closed { before: Some((times, now, cause)) };
            }
        }
    }

    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { cause, .. } | Self::Probing { cause, .. } => Some(cause),
        }
    }
}

/// What a probe's outcome means for a member that is out for `cause`.
pub(crate) fn probe_result(cause: Cause, outcome: Outcome) -> ProbeResult {
    match (outcome, cause) {
        (Outcome::Ok, _) | (Outcome::AppError, Cause::Broken) => ProbeResult::Back,
        (Outcome::Cancelled, _) => ProbeResult::Unknown,
        (Outcome::AppError, Cause::Failing) | (Outcome::Refused { .. } | Outcome::Broken, _) => ProbeResult::Out,
    }
}

/// `first` doubled `times` times, at most `max`, and up to `jitter` of that more by luck (in 0..1), still at most
/// `max`.
pub(crate) fn backoff(first: Duration, max: Duration, jitter: f64, times: u32, luck: f64) -> Duration {
    let base = 2_u32.checked_pow(times).map_or(max, |factor| first.saturating_mul(factor)).min(max);
    let more = (jitter * luck).clamp(0.0, 1.0);
    (base + base.mul_f64(if more.is_nan() { 0.0 } else { more })).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn times_out_double_to_their_bound_and_are_spread_by_luck() {
        let open = |times, luck| backoff(s(1), s(60), 0.5, times, luck);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|times| open(times, 0.0).as_secs()), [1, 2, 4, 8, 16, 32]);
        assert_eq!([6, 7, 31, 32, u32::MAX].map(|times| open(times, 0.9)), [s(60); 5]);
        assert_eq!(open(1, 0.5), Duration::from_millis(2500));
        assert_eq!(backoff(s(1), s(60), f64::NAN, 0, 0.5), s(1));
    }

    /// The chart, arrow by arrow.
    #[test]
    fn the_chart() {
        use ProbeResult::{Back, Out, Unknown};
        let refused = Outcome::Refused { retry_after: None };
        for (cause, outcome, expected) in [
            (Cause::Broken, Outcome::Ok, Back),
            (Cause::Broken, Outcome::AppError, Back),
            (Cause::Broken, refused, Out),
            (Cause::Broken, Outcome::Broken, Out),
            (Cause::Broken, Outcome::Cancelled, Unknown),
            (Cause::Failing, Outcome::Ok, Back),
            (Cause::Failing, Outcome::AppError, Out),
            (Cause::Failing, refused, Out),
            (Cause::Failing, Outcome::Broken, Out),
            (Cause::Failing, Outcome::Cancelled, Unknown),
        ] {
            assert_eq!(probe_result(cause, outcome), expected, "{cause:?} {outcome:?}");
        }
        let config = Ejection { jitter: 0.0, ..Ejection::default() };
        let mut health = Health::NEW;
        assert_eq!(health.open(s(10), Cause::Broken, &config, 0.0), s(1));
        assert!(!health.probe_due(s(10), true));
        assert!(health.probe_due(s(11), true));
        assert!(!health.probe_due(s(11), false), "one that cannot be repeated waits as long again");
        assert!(health.probe_due(s(12), false));
        health.probe(7);
        assert_eq!(health, Health::Probing { times: 1, cause: Cause::Broken, order: 7 });
        assert!(!health.probe_due(s(99), true), "one at a time");
        assert_eq!(health.open(s(12), Cause::Broken, &config, 0.0), s(2), "a failed probe doubles");
        health.probe(8);
        health.probe_again(s(20));
        assert!(health.probe_due(s(20), true), "a probe that was cancelled tells nothing");
        health.probe(9);
        health.close(s(21));
        assert!(health.is_closed());
        assert_eq!(health.open(s(25), Cause::Failing, &config, 0.0), s(4), "soon again: goes on where it was");
        health.probe(10);
        health.close(s(30));
        assert_eq!(health.open(s(40), Cause::Broken, &config, 0.0), s(1), "a long time later: from the beginning");
    }
}
