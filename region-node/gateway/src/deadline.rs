//! The request's deadline, which runs from its last sign of life.
//!
//! A fixed limit would cut a large upload over a slow line. So the clock starts again with each piece of the request's body: a
//! request is late when neither the client sent a byte nor the worker began its answer for the whole limit.
//!
//! A client that sends a byte now and then would hold a worker for ever. So a body has a rate too: while nothing but the client
//! is waited for, time runs that its bytes must buy.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How often a body's rate is looked at.
const PACE_LOOK: Duration = Duration::from_secs(1);

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
    /// Since when the client is waited for, plus one; 0 for not now.
    waiting_since_ms: AtomicU64,
    waited_ms: AtomicU64,
    bytes: AtomicU64,
    /// Time that every body has, and bytes per second that buy more.
    grace: Duration,
    min_rate: u32,
}

impl Progress {
    pub(crate) fn start(has_body: bool) -> Self {
        Self::since(Instant::now(), has_body)
    }

    /// As if it had been started then.
    pub(crate) fn since(started: Instant, has_body: bool) -> Self {
        Self {
            started,
            last_ms: AtomicU64::new(0),
            body_done: AtomicBool::new(!has_body),
            waiting_since_ms: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            grace: Duration::ZERO,
            min_rate: 0,
        }
    }

    /// Asks for a rate, bytes per second, once a body was waited for as long as `grace`. A rate of 0 asks for none.
    pub(crate) fn at_least(self, min_rate: u32, grace: Duration) -> Self {
        Self { grace, min_rate, ..self }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A piece of the body arrived.
    pub(crate) fn moved(&self, bytes: usize) {
        let now = self.now_ms();
        let since = self.waiting_since_ms.swap(0, Ordering::Relaxed);
        if since != 0 {
            self.waited_ms.fetch_add((now + 1).saturating_sub(since), Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Somebody wants the body to go on, and it does not.
    pub(crate) fn waiting(&self) {
        if self.waiting_since_ms.load(Ordering::Relaxed) == 0 {
            self.waiting_since_ms.store(self.now_ms() + 1, Ordering::Relaxed);
        }
    }

    /// When the client has used up what its bytes bought, if it is waited for.
    fn used_up(&self) -> Option<Instant> {
        let since = self.waiting_since_ms.load(Ordering::Relaxed);
        if self.min_rate == 0 || since == 0 || self.body_done.load(Ordering::Relaxed) {
            return None;
        }
        let bought = self.bytes.load(Ordering::Relaxed).saturating_mul(1000) / u64::from(self.min_rate);
        let left = (self.grace + Duration::from_millis(bought))
            .saturating_sub(Duration::from_millis(self.waited_ms.load(Ordering::Relaxed)));
        self.started.checked_add(Duration::from_millis(since - 1) + left)
    }

    /// The body is complete, or nobody reads it any more.
    pub(crate) fn finished(&self) {
        if !self.body_done.swap(true, Ordering::Relaxed) {
            self.moved(0);
        }
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// Runs `work` until it is done or `limit` has passed without a sign of life.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::pin!(work);
        loop {
            // The rate is looked at often enough to be a second late at most.
            let paced = self.min_rate > 0 && !self.body_done.load(Ordering::Relaxed);
            let deadline =
                if paced { (self.last() + limit).min(Instant::now() + PACE_LOOK) } else { self.last() + limit };
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done),
                () = sleep_until(deadline) => {
                    let now = Instant::now();
                    if self.used_up().is_some_and(|end| end <= now) {
                        return Err(Late::Client);
                    }
                    if self.last() + limit <= now {
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
                progress.moved(1);
            }
            pending::<()>().await;
        };
        assert_eq!(progress.within(LIMIT, upload).await, Err(Late::Client));
        assert_eq!(progress.started.elapsed().as_secs(), 230);
    }

    /// A piece of so many bytes every two seconds; says after how many seconds the client was late.
    async fn trickle(bytes: usize, waits_for_client: bool) -> u64 {
        let progress = Progress::start(true).at_least(100, Duration::from_secs(20));
        let upload = async {
            for _ in 0..100 {
                if waits_for_client {
                    progress.waiting();
                }
                sleep(Duration::from_secs(2)).await;
                progress.moved(bytes);
            }
        };
        let late = progress.within(LIMIT, upload).await;
        assert!(late.is_ok() || late == Err(Late::Client));
        progress.started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_trickles_is_late_although_it_moves() {
        assert_eq!(trickle(300, true).await, 200);
        // 20 s, and the 1 s that each 100 bytes buy, of which there are 10 in each 2 s.
        assert!((20..=22).contains(&trickle(10, true).await));
        assert_eq!(trickle(10, false).await, 200, "the worker does not read, the client is not to blame");
    }
}
