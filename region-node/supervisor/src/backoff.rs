//! The pause before a restart. Pure: uptime and luck come in, a pause comes out.

use std::time::Duration;

use crate::spec::Timing;

/// Grows by half with each short life of a worker, starts over after a long one.
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    reset: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(timing: &Timing) -> Self {
        let first = timing.backoff_first;
        Self { first, max: timing.backoff_max, reset: timing.backoff_reset, next: first }
    }

    /// The pause after a life of `uptime`, shortened by up to a fifth by `luck` in 0..1, so that workers that fell together do
    /// not all come back in the same instant.
    pub(crate) fn after(&mut self, uptime: Duration, luck: f64) -> Duration {
        if uptime >= self.reset {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (pause * 3 / 2).min(self.max);
        pause.mul_f64(1.0 - 0.2 * luck.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(pause: Duration) -> u128 {
        pause.as_millis()
    }

    #[test]
    fn pauses_grow_by_half_to_the_maximum_and_start_over_after_a_long_life() {
        let mut backoff = Backoff::new(&Timing::default());
        let short = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..5).map(|_| ms(backoff.after(short, 0.0))).collect();
        assert_eq!(pauses, [100, 150, 225, 337, 506]);
        for _ in 0..20 {
            backoff.after(short, 0.0);
        }
        assert_eq!(ms(backoff.after(short, 0.0)), 15_000);
        assert_eq!(ms(backoff.after(short, 1.0)), 12_000);
        assert_eq!(ms(backoff.after(Duration::from_secs(30), 0.0)), 100);
        assert_eq!(ms(backoff.after(short, 0.0)), 150);
    }
}
