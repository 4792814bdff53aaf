//! How fresh the plane's word is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When a member last reported a leader with a fresh quorum. Shared; reading it costs an uncontended lock.
///
/// Local demotion hangs on this. A stream that is open is not enough, and neither is a Plan: a member cut off from the others
/// can send both.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// A quorum whose age is more than this is no quorum, as far as a follower is concerned.
    pub const FRESH_WITHIN: Duration = Duration::from_secs(3);

    /// When it was; `None` if never since start.
    pub fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long nothing was heard, or since `start` if nothing ever was: how stale the Plan in force may be.
    pub fn stale_for(&self, start: Instant, now: Instant) -> Duration {
        now.saturating_duration_since(self.last().unwrap_or(start))
    }

    /// For how long nothing was heard; `None` if nothing was ever heard.
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.last().map(|last| now.saturating_duration_since(last))
    }

    pub(crate) fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}
