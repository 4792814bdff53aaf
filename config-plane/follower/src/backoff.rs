//! Pauses between attempts: growing, bounded, and scattered so that followers do not come back all at once. Pure.
//!
//! A short cut is over after a few short pauses. In a long one they grow to `most`, and a thousand followers that come back from
//! it are spread over that time (the test `stampede` reckons what it costs the leader).

use std::time::Duration;

/// The next pause is drawn between `least` and a limit that doubles with each failure, up to `most`.
#[derive(Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    limit: Duration,
}

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, limit: least }
    }

    /// An attempt worked: the next failure is the first one.
    pub(crate) fn reset(&mut self) {
        self.limit = self.least;
    }

    /// An attempt failed. `luck` is in 0..1.
    pub(crate) fn next(&mut self, luck: f64) -> Duration {
        self.limit = (self.limit * 2).min(self.most).max(self.least);
        self.least + (self.limit - self.least).mul_f64(luck.clamp(0.0, 1.0))
    }
}
