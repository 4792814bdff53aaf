//! The request's deadline, which runs from its last sign of life.
//!
//! A fixed limit would cut a large upload over a slow line. So the clock starts again with each piece of the request's body: a
//! request is late when neither the client sent a byte nor the worker began its answer for the whole limit.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Who let the request down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The body never came to its end.
    Client,
    /// The request was whole, the answer did not begin.
    Worker,
}

/// Shared between a request's body, which reports, and its deadline, which reads.
pub(crate) struct Progress {
    started: Instant,
    last_ms: AtomicU64,
    body_done: AtomicBool,
}

impl Progress {
    pub(crate) fn start(has_body: bool) -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0), body_done: AtomicBool::new(!has_body) }
    }

    /// A piece of the body arrived.
    pub(crate) fn moved(&self) {
        let elapsed = self.started.elapsed().as_millis();
        self.last_ms.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The body is complete, or nobody reads it any more.
    pub(crate) fn finished(&self) {
        if !self.body_done.swap(true, Ordering::Relaxed) {
            self.moved();
        }
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// Runs `work` until it is done or `limit` has passed without a sign of life.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::pin!(work);
        loop {
            let deadline = self.last() + limit;
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done),
                () = sleep_until(deadline) => {
                    if self.last() + limit <= deadline {
                        let whole = self.body_done.load(Ordering::Relaxed);
                        return Err(if whole { Late::Worker } else { Late::Client });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_silent_worker_is_late_after_the_limit() {
        let progress = Progress::start(false);
        assert_eq!(progress.within(LIMIT, pending::<()>()).await, Err(Late::Worker));
        assert_eq!(progress.started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_moves_is_not_late_until_it_stops() {
        let progress = Progress::start(true);
        let upload = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(20)).await;
                progress.moved();
            }
            pending::<()>().await;
        };
        assert_eq!(progress.within(LIMIT, upload).await, Err(Late::Client));
        assert_eq!(progress.started.elapsed().as_secs(), 230);
    }
}
