//! Two sums over the last moments, in ten buckets.
//!
//! Buckets are aligned to multiples of a tenth of the window, so a sum covers between nine and ten tenths of it. A moment that
//! lies before the newest bucket counts into the newest.

use std::time::Duration;

/// How many buckets a window has.
pub(crate) const BUCKETS: usize = 10;

/// Two kinds of things counted over a window.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    bucket_nanos: u64,
    newest: u64,
    cells: [[u64; 2]; BUCKETS],
}

impl Window {
    pub(crate) fn new(span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self { bucket_nanos: (nanos / BUCKETS as u64).max(1), newest: 0, cells: [[0; 2]; BUCKETS] }
    }

    /// Counts `amount` of the first or the second kind.
    pub(crate) fn add(&mut self, now: Duration, kind: usize, amount: u64) {
        let bucket = self.bucket(now);
        let passed = bucket.saturating_sub(self.newest);
        if passed > 0 {
            // Only what lies between the newest and now has to be emptied, all of it after a long silence.
            for step in 1..=passed.min(BUCKETS as u64) {
                self.cells[((self.newest + step) % BUCKETS as u64) as usize] = [0; 2];
            }
            self.newest = bucket;
        }
        let cell = &mut self.cells[(self.newest % BUCKETS as u64) as usize][kind];
        *cell = cell.saturating_add(amount);
    }

    /// Both sums.
    pub(crate) fn sums(&self, now: Duration) -> [u64; 2] {
        let expired = self.bucket(now).saturating_sub(self.newest).min(BUCKETS as u64);
        let mut sums = [0_u64; 2];
        // The oldest buckets lie right after the newest.
        for step in 1 + expired..=BUCKETS as u64 {
            let [first, second] = self.cells[((self.newest + step) % BUCKETS as u64) as usize];
            sums = [sums[0].saturating_add(first), sums[1].saturating_add(second)];
        }
        sums
    }

    pub(crate) fn clear(&mut self) {
        self.cells = [[0; 2]; BUCKETS];
    }

    fn bucket(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX) / self.bucket_nanos
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_older_than_ten_buckets_is_gone() {
        let mut window = Window::new(ms(10_000));
        window.add(ms(500), 0, 3);
        window.add(ms(9_999), 1, 4);
        assert_eq!(window.sums(ms(9_999)), [3, 4]);
        assert_eq!(window.sums(ms(10_000)), [0, 4], "the first bucket has left");
        assert_eq!(window.sums(ms(18_999)), [0, 4]);
        assert_eq!(window.sums(ms(19_000)), [0, 0]);
        window.add(ms(500_000), 0, 1);
        assert_eq!(window.sums(ms(500_000)), [1, 0]);
    }

    proptest! {
        /// Against a log of everything.
        #[test]
        fn sums_are_what_a_log_says(steps in proptest::collection::vec((0_u64..3_000, 0_usize..2, 0_u64..5), 1..200)) {
            let mut window = Window::new(ms(10_000));
            let (mut now, mut log) = (0, Vec::new());
            for (wait, kind, amount) in steps {
                now += wait;
                window.add(ms(now), kind, amount);
                log.push((now / 1000, kind, amount));
                let sum = |kind| {
                    log.iter().filter(|(second, of, _)| *of == kind && second + 10 > now / 1000).map(|(_, _, a)| a).sum()
                };
                prop_assert_eq!(window.sums(ms(now)), [sum(0), sum(1)]);
            }
        }
    }
}
