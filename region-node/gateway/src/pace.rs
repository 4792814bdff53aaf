//! How fast a connection moves: what came, what went, since when it waits for its client. Written by `Wire` and by requests as
//! they begin and end, read by `Connection`, which ends the connection when it is due.
//!
//! Times are milliseconds since the connection began, plus one, so that 0 says "no".

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use crate::{config::Limits, edge::Cut, strict::framing::Verdict};

/// For so long an idle connection keeps its buffers, and its place even when others wait for one.
pub(crate) const SETTLE: Duration = Duration::from_millis(250);
/// Preface and the head of a first frame.
const HTTP2_BEGUN_BYTES: u64 = 33;

#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    /// Requests under way.
    open: AtomicU32,
    requests: AtomicU64,
    idle_since: AtomicU64,
    /// Whether what came ends in the middle of a message.
    unfinished: AtomicBool,
    /// Since when a piece of a message lies there that no request under way waits for.
    head_since: AtomicU64,
    /// Since when what is sent waits for the client, and how much was sent then.
    blocked_since: AtomicU64,
    blocked_sent: AtomicU64,
    blocked: AtomicBool,
    verdict: AtomicU8,
    broken: Mutex<Broken>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Broken {
    cut: Option<Cut>,
    malformed: Option<&'static str>,
    in_body: bool,
}

/// What a connection is due for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet; look again then.
    At(Instant),
    /// It may leave if its place is needed; look again then.
    Parked(Instant),
    Cut(Cut),
}

impl Pace {
    pub(crate) fn start() -> Self {
        Self {
            begun: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            open: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            unfinished: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            blocked_sent: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            verdict: AtomicU8::new(0),
            broken: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn at(&self, mark: u64) -> Instant {
        self.begun + Duration::from_millis(mark - 1)
    }

    pub(crate) fn sent_and_now(&self) -> (u64, Duration) {
        (self.sent.load(Relaxed), self.begun.elapsed())
    }

    /// Bytes came; whether they end in the middle of a message.
    pub(crate) fn received(&self, count: usize, unfinished: bool) {
        self.received.fetch_add(count as u64, Relaxed);
        self.unfinished.store(unfinished, Relaxed);
        if !unfinished {
            self.head_since.store(0, Relaxed);
        } else if self.open.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    pub(crate) fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => {
                self.sent.fetch_add(*count as u64, Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.block(),
        }
    }

    pub(crate) fn flushed(&self, done: bool) {
        if done { self.blocked.store(false, Relaxed) } else { self.block() }
    }

    fn block(&self) {
        self.blocked.store(true, Relaxed);
        if self.blocked_since.load(Relaxed) == 0 {
            self.blocked_since.store(self.now(), Relaxed);
            self.blocked_sent.store(self.sent.load(Relaxed), Relaxed);
        }
    }

    pub(crate) fn request_begins(&self) {
        self.open.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        self.verdict.store(0, Relaxed);
    }

    pub(crate) fn request_ends(&self) {
        let now = self.now();
        self.idle_since.store(now, Relaxed);
        if self.unfinished.load(Relaxed) {
            // Its answer came before its body was whole, or the next head has begun.
            self.head_since.store(now, Relaxed);
        }
        self.open.fetch_sub(1, Relaxed);
    }

    /// Counts as idle from now on.
    pub(crate) fn rest(&self) {
        self.idle_since.store(self.now(), Relaxed);
    }

    /// Whether a request for a tunnel got one.
    pub(crate) fn decide(&self, tunnel: bool) {
        self.verdict.store(1 + u8::from(tunnel), Relaxed);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            0 => Verdict::Open,
            1 => Verdict::Http,
            _ => Verdict::Tunnel,
        }
    }

    fn broken(&self) -> std::sync::MutexGuard<'_, Broken> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cut(&self, why: Cut) {
        self.broken().cut.get_or_insert(why);
    }

    pub(crate) fn malformed(&self, why: &'static str, in_body: bool) {
        let mut broken = self.broken();
        broken.malformed = Some(why);
        broken.in_body |= in_body;
    }

    /// Whether the client's bytes were malformed, ever.
    pub(crate) fn is_malformed(&self) -> bool {
        self.broken().malformed.is_some()
    }

    /// Whether they were malformed within a body: a request that failed, failed for that.
    pub(crate) fn has_malformed_body(&self) -> bool {
        self.broken().in_body
    }

    /// Whether nothing is due before the task of an HTTP/1 connection is polled again for another reason: a request is open, its
    /// answer takes its time or goes out well. Costs no look at the clock.
    pub(crate) fn is_answering(&self) -> bool {
        self.open.load(Relaxed) > 0 && self.blocked_since.load(Relaxed) == 0 && self.broken().cut.is_none()
    }

    /// What is to be done now, for an HTTP/2 connection or another.
    pub(crate) fn due(&self, limits: &Limits, http2: bool) -> Due {
        if let Some(why) = self.broken().cut {
            return Due::Cut(why);
        }
        let now = Instant::now();
        let mut next = now + limits.idle_timeout;
        let blocked = self.blocked_since.load(Relaxed);
        if blocked != 0 {
            let end = self.at(blocked) + limits.rate_window;
            if now < end {
                next = next.min(end);
            } else {
                let taken = self.sent.load(Relaxed) - self.blocked_sent.load(Relaxed);
                if self.blocked.load(Relaxed) && taken < limits.min_bytes() {
                    return Due::Cut(Cut::SlowReader);
                }
                self.blocked_since.store(0, Relaxed);
                if self.blocked.load(Relaxed) {
                    self.block();
                    next = next.min(now + limits.rate_window);
                }
            }
        }
        if self.open.load(Relaxed) > 0 {
            return Due::At(next);
        }
        let head = self.head_since.load(Relaxed);
        let unborn = http2 && self.received.load(Relaxed) < HTTP2_BEGUN_BYTES;
        if (!http2 && head != 0) || unborn {
            let end = self.at(head.max(1)) + limits.header_timeout;
            return if now < end { Due::At(next.min(end)) } else { Due::Cut(Cut::Head) };
        }
        let idle = self.at(self.idle_since.load(Relaxed));
        let (settled, end) = (idle + SETTLE, idle + limits.idle_timeout);
        if now >= end {
            Due::Cut(Cut::Idle)
        } else if now < settled {
            Due::At(next.min(settled).min(end))
        } else if self.blocked.load(Relaxed) {
            // Its last answer is still on its way.
            Due::At(next.min(now + SETTLE).min(end))
        } else {
            Due::Parked(next.min(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limits() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            rate_window: Duration::from_secs(30),
            min_rate: 100,
            ..Limits::default()
        }
    }

    async fn pass(seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }

    fn is_cut(pace: &Pace) -> Option<Cut> {
        match pace.due(&limits(), false) {
            Due::Cut(why) => Some(why),
            Due::At(at) | Due::Parked(at) => {
                assert!(at > Instant::now());
                None
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_an_idle_connection_another() {
        let pace = Pace::start();
        pace.received(5, true);
        pass(9).await;
        pace.received(1, true);
        assert_eq!(is_cut(&pace), None);
        pass(1).await;
        assert_eq!(is_cut(&pace), Some(Cut::Head), "a further byte does not buy time");
        pace.received(1, true);
        pace.received(10, false);
        pace.request_begins();
        pass(1000).await;
        assert_eq!(is_cut(&pace), None, "the app may take its time");
        pace.request_ends();
        assert!(matches!(pace.due(&limits(), false), Due::At(_)));
        pass(2).await;
        assert!(matches!(pace.due(&limits(), false), Due::Parked(_)));
        pass(57).await;
        assert_eq!(is_cut(&pace), None);
        pass(1).await;
        assert_eq!(is_cut(&pace), Some(Cut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_waits_for_any_more_has_a_heads_time() {
        let pace = Pace::start();
        pace.received(100, true);
        pace.request_begins();
        pass(100).await;
        pace.request_ends();
        pass(9).await;
        assert_eq!(is_cut(&pace), None);
        pass(1).await;
        assert_eq!(is_cut(&pace), Some(Cut::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_says_something_or_goes() {
        let pace = Pace::start();
        pace.received(24, false);
        pass(10).await;
        assert_eq!(pace.due(&limits(), true), Due::Cut(Cut::Head));
        pace.received(30, false);
        assert!(matches!(pace.due(&limits(), true), Due::Parked(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_cut_and_who_reads_is_not() {
        for (per_second, cut) in [(0, true), (50, true), (150, false)] {
            let pace = Pace::start();
            pace.request_begins();
            let mut end = None;
            for _ in 0..100 {
                pace.wrote(&Poll::Ready(Ok(per_second)));
                pace.wrote(&Poll::Pending);
                pass(1).await;
                end = end.or(is_cut(&pace));
            }
            assert_eq!(end, cut.then_some(Cut::SlowReader), "{per_second} bytes a second");
            // A pause with nothing to send is nobody's fault.
            let pace = Pace::start();
            pace.request_begins();
            pace.wrote(&Poll::Pending);
            pace.wrote(&Poll::Ready(Ok(10)));
            pace.flushed(true);
            pass(100).await;
            assert_eq!(is_cut(&pace), None);
        }
    }
}
