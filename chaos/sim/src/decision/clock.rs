//! A region's wall clock: the world's time, shifted, drifting, stepping.

/// Wall time at the beginning of every simulation, in milliseconds since 1970: far enough from 0 for any clock to go back.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// A wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    offset_ms: i64,
    drift_ppm: i64,
}

impl Clock {
    pub(crate) fn new(offset_ms: i64, drift_ppm: i64) -> Self {
        Self { offset_ms, drift_ppm }
    }

    /// What it shows at a time of the world.
    pub(crate) fn wall_ms(self, world_ms: u64) -> u64 {
        let world_ms = world_ms as i64;
        (EPOCH_MS + world_ms + self.offset_ms + world_ms * self.drift_ppm / 1_000_000).max(0) as u64
    }

    pub(crate) fn step(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
    }
}
