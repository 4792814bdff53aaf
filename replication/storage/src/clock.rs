//! The store's two clocks: the wall clock as a function, and the hybrid logical clock as one atomic word.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use replication_core::{Hlc, RemoteStamp};

/// A source of wall-clock time, in milliseconds since 1970. A test may hand in one that is 90 s off.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl Default for WallClock {
    /// The system's clock. Before 1970 it reads as 1970.
    fn default() -> Self {
        Self::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WallClock({})", self.now_ms())
    }
}

/// [`replication_core::HlcClock`] for many threads: the last stamp issued or adopted.
#[derive(Debug)]
pub(crate) struct SharedHlc(AtomicU64);

impl SharedHlc {
    pub(crate) fn resume_after(last: Hlc) -> Self {
        Self(AtomicU64::new(last.0))
    }

    pub(crate) fn last(&self) -> Hlc {
        Hlc(self.0.load(Ordering::Acquire))
    }

    /// A stamp greater than every stamp before it, on any thread.
    pub(crate) fn tick(&self, wall_ms: u64) -> Hlc {
        let mut last = self.last();
        loop {
            let next = last.next(wall_ms);
            match self.0.compare_exchange_weak(last.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return next,
                Err(seen) => last = Hlc(seen),
            }
        }
    }

    /// Goes on behind a stamp that was made here once.
    pub(crate) fn raise(&self, past: Hlc) {
        self.0.fetch_max(past.0, Ordering::AcqRel);
    }

    /// Adopts a stamp made elsewhere, as far as [`Hlc::adoptable`] says.
    pub(crate) fn observe(&self, remote: Hlc, wall_ms: u64) -> RemoteStamp {
        self.0.fetch_max(remote.adoptable(wall_ms).0, Ordering::AcqRel);
        remote.judge(wall_ms)
    }
}
