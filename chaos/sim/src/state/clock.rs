//! Each region's own idea of the time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use replication_storage::WallClock;

/// Wall time at the beginning of every simulation, in milliseconds since 1970: far enough from 0 for any clock to go back.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// A region's wall clock: the world's time, shifted and drifting.
#[derive(Debug, Clone)]
pub(crate) struct RegionClock {
    wall_ms: Arc<AtomicU64>,
    offset_ms: i64,
    drift_ppm: i64,
    went_back: bool,
}

impl RegionClock {
    /// A clock that is `offset_ms` off and gains `drift_ppm` microseconds a second.
    pub(crate) fn new(offset_ms: i64, drift_ppm: i64) -> Self {
        let clock = Self { wall_ms: Arc::default(), offset_ms, drift_ppm, went_back: false };
        clock.set(0);
        clock
    }

    /// Brings the clock to the world's time.
    pub(crate) fn set(&self, world_ms: u64) {
        let drift = world_ms as i64 * self.drift_ppm / 1_000_000;
        let wall = (EPOCH_MS + world_ms) as i64 + self.offset_ms + drift;
        self.wall_ms.store(wall.max(0) as u64, Ordering::Relaxed);
    }

    /// Steps the clock, in milliseconds.
    pub(crate) fn step(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
        self.went_back |= by_ms < 0;
    }

    /// Sets the clock right, as a time daemon does in the end.
    pub(crate) fn correct(&mut self) {
        self.went_back |= self.offset_ms > 0 || self.drift_ppm > 0;
        (self.offset_ms, self.drift_ppm) = (0, 0);
    }

    /// Whether it has ever been set back.
    pub(crate) fn went_back(&self) -> bool {
        self.went_back
    }

    /// The clock as the store is given it.
    pub(crate) fn wall_clock(&self) -> WallClock {
        let wall_ms = self.wall_ms.clone();
        WallClock::new(move || wall_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_shifted_drifts_and_steps() {
        let mut clock = RegionClock::new(-300, 1000);
        let store_clock = clock.wall_clock();
        clock.set(10_000);
        assert_eq!(store_clock.now_ms(), EPOCH_MS + 10_000 - 300 + 10);
        clock.step(5_000);
        clock.set(10_000);
        assert_eq!(store_clock.now_ms(), EPOCH_MS + 10_000 + 4_700 + 10);
    }
}
