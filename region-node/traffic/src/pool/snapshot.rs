//! A pool at one moment, for metrics and people.

use std::time::Duration;

use super::{Pool, seat::Seat};
use crate::{Cause, UpstreamBreaker, UpstreamState, health::Health};

/// How a member is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes requests.
    Available,
    /// It takes requests, with a growing share.
    Ramping,
    /// It is left out.
    Ejected,
    /// It is left out but for one request that tries it.
    Probing,
    /// Its health check does not pass.
    NotReady,
    /// It is about to end.
    Draining,
    /// It is not listed any more, and has requests under way.
    Leaving,
}

/// A pool at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// All members: those listed, by slot, then those that are leaving.
    pub members: Vec<MemberSnapshot>,
    /// Requests under way.
    pub in_flight: u32,
    /// Health is ignored, since too few are healthy.
    pub panic: bool,
    /// How many retries the budget allows right now.
    pub retries_left: u32,
    /// The upstream's breaker, if it has one.
    pub upstream: Option<UpstreamState>,
}

/// A member at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberSnapshot {
    /// Its life.
    pub life: u64,
    /// Its slot.
    pub slot: u16,
    /// How it is doing.
    pub state: State,
    /// Why it is ejected, if it is.
    pub cause: Option<Cause>,
    /// For how long it will not even be tried, if it is ejected.
    pub open: Option<Duration>,
    /// Requests under way.
    pub in_flight: u32,
    /// Those of them that wait for a first byte.
    pub waiting: u32,
    /// What it is expected to need until the first byte, by peak-EWMA.
    pub rtt: Duration,
    /// How long the oldest request waits that no later one overtook.
    pub silent: Duration,
    /// Its success rate in the window, if it had requests.
    pub success_rate: Option<f64>,
    /// Requests that it was picked for.
    pub picks: u64,
    /// How often it was ejected.
    pub ejections: u64,
}

impl Pool {
    /// How the pool is doing.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let listed = self.listed.iter().map(|index| &self.seats[*index]);
        let leaving = self.seats.iter().filter(|seat| !seat.listed && seat.in_flight > 0);
        Snapshot {
            members: listed.chain(leaving).map(|seat| self.member(now, seat)).collect(),
            in_flight: self.requests.count(),
            panic: self.panic,
            retries_left: self.budget.left(now),
            upstream: self.upstream.as_ref().map(UpstreamBreaker::state),
        }
    }

    fn member(&self, now: Duration, seat: &Seat) -> MemberSnapshot {
        let ramping = self.ramp(now).is_some_and(|window| seat.is_ramping(now, window));
        let (state, open) = match seat.health {
            _ if !seat.listed => (State::Leaving, None),
            _ if seat.member.draining => (State::Draining, None),
            _ if !seat.member.ready => (State::NotReady, None),
            Health::Open { until, .. } => (State::Ejected, Some(until.saturating_sub(now))),
            Health::Probing { .. } => (State::Probing, None),
            Health::Closed { .. } if ramping => (State::Ramping, None),
            Health::Closed { .. } => (State::Available, None),
        };
        let [succeeded, failed] = seat.window.sums(now);
        let total = succeeded + failed;
        MemberSnapshot {
            life: seat.member.life,
            slot: seat.member.slot,
            state,
            cause: seat.health.cause(),
            open,
            in_flight: seat.in_flight,
            waiting: seat.waiting.count,
            rtt: duration(seat.rtt.read(now, self.decay_rate())),
            silent: duration(seat.waiting.silent_secs(&self.requests, now)),
            success_rate: (total > 0).then(|| succeeded as f64 / total as f64),
            picks: seat.picks,
            ejections: seat.ejections,
        }
    }
}

fn duration(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
}
