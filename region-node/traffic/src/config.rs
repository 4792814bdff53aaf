//! How a pool balances and protects. Every default is what a pool does when nothing is said; `docs/traffic.md` has their sources.

use std::time::Duration;

/// Which member takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The least expected wait: peak-EWMA of the time to the first byte, times requests that wait there. For almost everything.
    #[default]
    Ewma,
    /// In turn, by weight, smoothly (as nginx does).
    RoundRobin,
    /// The fewest requests under way by weight. For long ones, such as WebSockets.
    LeastConnections,
    /// By [`Ask::hash`](crate::Ask::hash), which should be of the client's whole address: the same client to the same slot.
    IpHash,
    /// By [`Ask::hash`](crate::Ask::hash), and to the next best where a member carries more than its bound.
    Rendezvous,
}

/// Everything about a pool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoolConfig {
    /// Which member takes a request.
    pub policy: Policy,
    /// What peak-EWMA reckons with.
    pub ewma: Ewma,
    /// How a member that has just become ready is led in.
    pub slow_start: SlowStart,
    /// Which members are left out.
    pub ejection: Ejection,
    /// How much may be tried again.
    pub budget: Budget,
    /// How much may be under way.
    pub in_flight: InFlight,
    /// [`Policy::Rendezvous`]: how much of its fair share a member may carry, at least 1.
    pub bounded_load: BoundedLoad,
    /// A breaker for the pool as a whole. `None` for workers of one's own, which are asked even when all of them are sick; `Some`
    /// for named upstreams, whose callers have something better to do than to wait.
    pub upstream: Option<Upstream>,
}

/// How much of its fair share of what is under way a member may carry, before a hash sends on to the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundedLoad {
    /// 1.25: a quarter more than its share. Values below 1 count as 1.
    pub factor: f64,
}

impl Default for BoundedLoad {
    fn default() -> Self {
        Self { factor: 1.25 }
    }
}

/// What peak-EWMA reckons with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ewma {
    /// 10 s: after this time an old observation weighs 1/e.
    pub tau: Duration,
    /// 30 ms: what a member without a past is taken to need.
    pub default_rtt: Duration,
    /// 5 s: what a failure counts as, at least; a fast failure must not look like a fast member.
    pub penalty: Duration,
    /// 300 s: the longest `Retry-After` that counts in place of the penalty.
    pub retry_after_max: Duration,
    /// 8: up to so many members all are compared; of more, two that are drawn.
    pub full_scan: usize,
}

impl Default for Ewma {
    fn default() -> Self {
        Self {
            tau: Duration::from_secs(10),
            default_rtt: Duration::from_millis(30),
            penalty: Duration::from_secs(5),
            retry_after_max: Duration::from_secs(300),
            full_scan: 8,
        }
    }
}

/// How a member that becomes ready while others are is led in: its share grows from a tenth to the whole, linearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    /// 10 s; zero switches it off.
    pub window: Duration,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { window: Duration::from_secs(10) }
    }
}

/// Which members are left out, for how long, and when nobody is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ejection {
    /// On by default. Off: nobody is ejected; panic remains.
    pub enabled: bool,
    /// 3: so many requests in a row that broke before an answer eject a member. 0 switches this off.
    pub consecutive_broken: u32,
    /// 0.8: a member whose success rate is below may be ejected …
    pub success_rate: f64,
    /// 0.2: … if it is also so far below that of all others together.
    pub below_others: f64,
    /// 20: … and if it had so many requests in the window.
    pub min_requests: u32,
    /// 10 s: the window in which success is counted, in ten buckets.
    pub window: Duration,
    /// 1 s: the first time out.
    pub open: Duration,
    /// 60 s: the longest time out; each failed probe doubles it.
    pub open_max: Duration,
    /// 0.5: each time out is longer by up to so much of itself, by luck.
    pub jitter: f64,
    /// 0.5: if fewer than so many of those that were ready once are usable, all of them are used. 0 switches this off.
    pub panic: f64,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_broken: 3,
            success_rate: 0.8,
            below_others: 0.2,
            min_requests: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(60),
            jitter: 0.5,
            panic: 0.5,
        }
    }
}

/// How much may be tried again: within `ttl`, at most `ratio` of the requests plus `min_per_sec` for each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// 0.2: retries per request.
    pub ratio: f64,
    /// 10: retries per second on top, so that a quiet pool can retry at all.
    pub min_per_sec: u32,
    /// 10 s: how long a request counts.
    pub ttl: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_sec: 10, ttl: Duration::from_secs(10) }
    }
}

/// How much may be under way, requests and tunnels (WebSockets) alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Per member; no limit by default.
    pub per_member: Option<u32>,
    /// In the pool; 100 000 by default.
    pub total: Option<u32>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { per_member: None, total: Some(100_000) }
    }
}

/// A breaker for a whole upstream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upstream {
    /// 0.5: opens when so many of the requests in the window failed …
    pub failure_rate: f64,
    /// 20: … of at least so many.
    pub min_requests: u32,
    /// 10 s, in ten buckets.
    pub window: Duration,
    /// 5 s: the first time open.
    pub open: Duration,
    /// 60 s: the longest time open; each failed probe doubles it.
    pub open_max: Duration,
    /// 3: so many requests must succeed in a row before more are let through.
    pub probes: u32,
    /// 10 s: then their share grows from a tenth to the whole, linearly.
    pub ramp: Duration,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            failure_rate: 0.5,
            min_requests: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probes: 3,
            ramp: Duration::from_secs(10),
        }
    }
}
