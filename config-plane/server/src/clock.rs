//! The two clocks that the pure cores are told about.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use decision::Now;

/// Reads both clocks together. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: millis(self.start.elapsed()), wall_ms: unix_ms() }
    }

    /// When the monotonic clock shows this many milliseconds.
    pub(crate) fn at(&self, mono_ms: u64) -> tokio::time::Instant {
        (self.start + std::time::Duration::from_millis(mono_ms)).into()
    }
}

/// Unix milliseconds; 0 for a clock before 1970.
pub(crate) fn unix_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole milliseconds. Saturates after half a billion years.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
