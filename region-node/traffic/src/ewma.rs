//! Peak-EWMA of one member's time to the first byte (Finagle, tower, Linkerd).
//!
//! ```text
//! read      e · exp(−Δt/τ)                                    towards 0, so whoever is avoided is tried again some day
//! observe   rtt > e ⇒ rtt            else e·d + rtt·(1−d), d = exp(−Δt/τ)
//! average                                  e·d + rtt·(1−d)    whichever is larger: no peak
//! ```
//! A peak is believed at once, since whoever waits for the average to rise sends it more requests meanwhile. One slow request
//! among quick ones is not a slow member, however: one that was overtaken, by a request that was sent later and answered
//! earlier, shows that the member works, and goes into the average. (Neither tower nor Linkerd tells these apart; a long poll
//! makes a member look slow for a minute there.)

use std::time::Duration;

/// A member's estimate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    secs: f64,
    at: Duration,
}

impl Estimate {
    pub(crate) fn new(now: Duration, rtt: Duration) -> Self {
        Self { secs: rtt.as_secs_f64(), at: now }
    }

    /// What it has decayed to, in seconds. `rate` is 1/τ.
    pub(crate) fn read(&self, now: Duration, rate: f64) -> f64 {
        self.secs * self.decay(now, rate)
    }

    /// An answer took `secs`.
    pub(crate) fn observe(&mut self, now: Duration, rate: f64, secs: f64) {
        if secs > self.read(now, rate) {
            self.set(now, secs);
        } else {
            self.average(now, rate, secs);
        }
    }

    /// An answer took `secs`, which says little about others.
    pub(crate) fn average(&mut self, now: Duration, rate: f64, secs: f64) {
        let decay = self.decay(now, rate);
        self.set(now, self.secs * decay + secs * (1.0 - decay));
    }

    /// It is at least `secs`; never less than it was.
    pub(crate) fn at_least(&mut self, now: Duration, rate: f64, secs: f64) {
        self.set(now, self.read(now, rate).max(secs));
    }

    /// Time that goes back is time that stands.
    fn set(&mut self, now: Duration, secs: f64) {
        (self.secs, self.at) = (secs, self.at.max(now));
    }

    fn decay(&self, now: Duration, rate: f64) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64() * rate;
        // Read for each member at each pick. What is young, which most are, needs no exponential: three terms are right to 10^-6.
        if passed < 0.05 { 1.0 - passed * (1.0 - passed * (0.5 - passed / 6.0)) } else { (-passed).exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 0.1;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[track_caller]
    fn check(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-9, "{got}, not {expected}");
    }

    #[test]
    fn peaks_at_once_and_decays_with_tau() {
        let mut rtt = Estimate::new(s(0), s(1));
        check(rtt.read(s(0), RATE), 1.0);
        check(rtt.read(s(10), RATE), (-1.0_f64).exp());
        rtt.observe(s(10), RATE, 2.0);
        check(rtt.read(s(10), RATE), 2.0);
        rtt.observe(s(20), RATE, 0.5);
        let d = (-1.0_f64).exp();
        check(rtt.read(s(20), RATE), 2.0 * d + 0.5 * (1.0 - d));
        rtt.at_least(s(20), RATE, 0.1);
        check(rtt.read(s(20), RATE), 2.0 * d + 0.5 * (1.0 - d));
        rtt.at_least(s(20), RATE, 5.0);
        check(rtt.read(s(20), RATE), 5.0);
    }

    #[test]
    fn the_short_way_is_right() {
        for millis in [0_u32, 1, 10, 100, 499, 500, 501, 5_000] {
            let rtt = Estimate::new(s(0), s(1));
            let exact = (-f64::from(millis) / 10_000.0).exp();
            assert!((rtt.read(Duration::from_millis(millis.into()), RATE) - exact).abs() < 1e-6, "{millis} ms");
        }
    }

    #[test]
    fn what_was_overtaken_only_joins_the_average() {
        let mut rtt = Estimate::new(s(0), Duration::from_millis(10));
        rtt.average(Duration::from_millis(10), RATE, 30.0);
        let now = rtt.read(Duration::from_millis(10), RATE);
        assert!((0.03..0.05).contains(&now), "{now}: 30 s weigh as much as the 10 ms since the last answer");
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_is_no_time_passed() {
        let mut rtt = Estimate::new(s(5), s(1));
        check(rtt.read(s(3), RATE), 1.0);
        rtt.observe(s(3), RATE, 0.5);
        check(rtt.read(s(5), RATE), 1.0);
        rtt.observe(s(4), RATE, 2.0);
        check(rtt.read(s(5), RATE), 2.0);
    }
}
