//! What a pool knows of one member.

use std::time::Duration;

use super::{
    counts::{Counts, Trial},
    under_way::{UnderWay, Waiting},
};
use crate::{Member, PoolConfig, ewma::Estimate, health::Health, window::Window};

/// The first kind in a seat's window.
pub(crate) const SUCCEEDED: usize = 0;
/// The second one.
pub(crate) const FAILED: usize = 1;

/// Below this all members are equally quick: after a silence estimates are next to nothing, and what is under way decides.
const FLOOR_SECS: f64 = 0.001;
/// A share of an event loop's time that counts as all of it: more than twenty times the cost says nothing.
const BUSY_MAX: f64 = 0.95;
/// The share that a ramp begins with (Envoy's `min_weight_percent`).
const RAMP_FROM: f64 = 0.1;

/// A member, or what is left of one while requests are under way.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) member: Member,
    pub(crate) listed: bool,
    /// The seat is taken, not free.
    pub(crate) kept: bool,
    /// It was ready once: in panic it is used although its health check fails.
    pub(crate) was_ready: bool,
    pub(crate) in_flight: u32,
    pub(crate) waiting: Waiting,
    pub(crate) rtt: Estimate,
    pub(crate) window: Window,
    pub(crate) counts: Counts,
    pub(crate) trial: Option<Trial>,
    /// Requests in a row that broke.
    pub(crate) broken: u32,
    pub(crate) health: Health,
    /// When its ramp began; it may be over.
    pub(crate) ramp_from: Option<Duration>,
    /// Smooth weighted round robin's credit.
    pub(crate) credit: f64,
    pub(crate) picks: u64,
    pub(crate) ejections: u64,
}

impl Seat {
    pub(crate) fn new(now: Duration, member: Member, config: &PoolConfig) -> Self {
        Self {
            member,
            listed: true,
            kept: true,
            was_ready: member.ready,
            in_flight: 0,
            waiting: Waiting::default(),
            rtt: Estimate::new(now, config.ewma.default_rtt),
            window: Window::new(config.ejection.window),
            counts: Counts::default(),
            trial: None,
            broken: 0,
            health: Health::NEW,
            ramp_from: None,
            credit: 0.0,
            picks: 0,
            ejections: 0,
        }
    }

    /// Whether it is listed, healthy and not ejected.
    pub(crate) fn is_available(&self) -> bool {
        self.listed && self.member.takes_requests() && self.health.is_closed()
    }

    /// Whether it may be used at all: in panic, health does not count.
    pub(crate) fn is_usable(&self, panic: bool) -> bool {
        if panic { self.counts() } else { self.is_available() }
    }

    /// Whether it is one of those of which a part must be available.
    pub(crate) fn counts(&self) -> bool {
        self.listed && self.was_ready && !self.member.draining
    }

    /// Its weight, and what of it the ramp leaves.
    pub(crate) fn weight(&self, now: Duration, ramp: Option<Duration>) -> f64 {
        f64::from(self.member.weight.max(1)) * ramp.map_or(1.0, |window| self.ramp(now, window))
    }

    /// What the ramp leaves of its share.
    pub(crate) fn ramp(&self, now: Duration, window: Duration) -> f64 {
        let Some(from) = self.ramp_from else { return 1.0 };
        (now.saturating_sub(from).as_secs_f64() / window.as_secs_f64()).clamp(RAMP_FROM, 1.0)
    }

    pub(crate) fn is_ramping(&self, now: Duration, window: Duration) -> bool {
        self.ramp_from.is_some_and(|from| now.saturating_sub(from) < window)
    }

    /// What it would cost to wait for one more request there: expected time × requests that wait, dearer for a busy event loop, cheaper by weight.
    pub(crate) fn cost(&self, now: Duration, rate: f64, ramp: Option<Duration>, requests: &UnderWay) -> f64 {
        let rtt = self.rtt.read(now, rate).max(self.waiting.silent_secs(requests, now)).max(FLOOR_SECS);
        let busy = match self.member.busy_permille {
            Some(permille) => 1.0 / (1.0 - (f64::from(permille) / 1000.0).min(BUSY_MAX)),
            None => 1.0,
        };
        rtt * f64::from(self.waiting.count + 1) * busy / self.weight(now, ramp)
    }
}
