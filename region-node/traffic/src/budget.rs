//! The budget of retries: a share of the requests, and a few on top (tower's `TpsBudget`; Finagle's before it).
//!
//! In the last `ttl` (in ten buckets, so between nine and ten tenths of it):
//!
//! ```text
//! retries ≤ ratio × requests + min_per_sec × ttl
//! ```
//! A share of what is under way, as Envoy has it, collapses when failures are fast and little is under way.

use std::time::Duration;

use crate::{Budget, window::Window};

/// A retry, in thousandths: ratios are reckoned without fractions.
const RETRY: u64 = 1000;
const DEPOSITS: usize = 0;
const WITHDRAWALS: usize = 1;

/// How much may be tried again.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    deposit: u64,
    reserve: u64,
    window: Window,
}

impl RetryBudget {
    /// A budget of which nothing was used.
    pub fn new(config: &Budget) -> Self {
        let ratio = if config.ratio.is_finite() { config.ratio.clamp(0.0, 1000.0) } else { 0.0 };
        let per_ttl = config.ttl.as_secs_f64() * f64::from(config.min_per_sec);
        Self {
            deposit: (ratio * RETRY as f64).round() as u64,
            reserve: (per_ttl * RETRY as f64) as u64,
            window: Window::new(config.ttl),
        }
    }

    /// A request came in.
    pub fn deposit(&mut self, now: Duration) {
        self.window.add(now, DEPOSITS, self.deposit);
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        let allowed = self.left(now) > 0;
        if allowed {
            self.window.add(now, WITHDRAWALS, RETRY);
        }
        allowed
    }

    /// How many there are.
    pub fn left(&self, now: Duration) -> u32 {
        let [deposits, withdrawals] = self.window.sums(now);
        let left = deposits.saturating_add(self.reserve).saturating_sub(withdrawals) / RETRY;
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn withdrawn(budget: &mut RetryBudget, now: Duration) -> u32 {
        (0..).take_while(|_| budget.withdraw(now)).count() as u32
    }

    #[test]
    fn a_quiet_pool_has_the_floor_and_a_busy_one_a_share_on_top() {
        let mut budget = RetryBudget::new(&Budget::default());
        assert_eq!(withdrawn(&mut budget, ms(0)), 100, "10 a second for 10 s");
        (0..500).for_each(|_| budget.deposit(ms(100)));
        assert_eq!(withdrawn(&mut budget, ms(100)), 100, "a fifth of 500");
        assert_eq!(withdrawn(&mut budget, ms(9_999)), 0);
        assert_eq!(withdrawn(&mut budget, ms(10_000)), 100, "what was used has expired, as has what was deposited");
    }

    #[test]
    fn odd_settings_do_no_harm() {
        for ratio in [f64::NAN, -1.0, f64::INFINITY] {
            let mut budget = RetryBudget::new(&Budget { ratio, min_per_sec: 0, ttl: Duration::ZERO });
            (0..10).for_each(|_| budget.deposit(ms(1)));
            assert!(!budget.withdraw(ms(1)));
        }
    }

    proptest! {
        /// The formula, told by a log: no more than it allows, and no fewer.
        #[test]
        fn it_allows_exactly_what_the_formula_says(
            ratio in prop_oneof![Just(0.0), Just(0.1), Just(0.2), Just(1.5)],
            floor in 0_u32..3,
            steps in proptest::collection::vec((0_u64..1_500, any::<bool>()), 1..300),
        ) {
            let mut budget = RetryBudget::new(&Budget { ratio, min_per_sec: floor, ttl: ms(10_000) });
            let (mut now, mut requests, mut retries) = (0, Vec::new(), Vec::new());
            for (wait, is_request) in steps {
                now += wait;
                let within = |log: &[u64]| log.iter().filter(|at| *at / 1000 + 10 > now / 1000).count() as f64;
                if is_request {
                    budget.deposit(ms(now));
                    requests.push(now);
                } else {
                    let room = ratio * within(&requests) + f64::from(floor * 10) - within(&retries);
                    let expected = room >= 1.0 - 1e-9;
                    prop_assert_eq!(budget.withdraw(ms(now)), expected, "room for {} at {} ms", room, now);
                    if expected {
                        retries.push(now);
                    }
                }
            }
        }
    }
}
