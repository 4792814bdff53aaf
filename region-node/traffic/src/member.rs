//! What a pool is told and what it says: members, requests, outcomes.

use std::time::Duration;

/// One process that takes requests, as the pool is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which start of a process it is: its key; never the same twice.
    pub life: u64,
    /// Its place, the same across restarts and releases: what cookies and hashes stick to.
    pub slot: u16,
    /// Its share beside others', at least 1 (0 counts as 1).
    pub weight: u32,
    /// Its health check passes.
    pub ready: bool,
    /// It is about to end: it gets no new request, not even in panic.
    pub draining: bool,
    /// How much of its event loop's time is used, thousandths; `None` if it does not tell.
    pub busy_permille: Option<u16>,
}

impl Member {
    /// A ready member of weight 1 whose life is its slot.
    pub fn ready(slot: u16) -> Self {
        Self { life: slot.into(), slot, weight: 1, ready: true, draining: false, busy_permille: None }
    }

    /// Whether new requests may go there.
    pub fn takes_requests(&self) -> bool {
        self.ready && !self.draining
    }
}

/// A request that looks for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask<'a> {
    /// What the hash policies go by: `hash::address` of the client, or `hash::bytes` of a key. Others do not look at it.
    pub hash: u64,
    /// The slot that the client's cookie names. Taken if its member is usable, whatever the policy.
    pub sticky_slot: Option<u16>,
    /// Lives of members that this request has been to: not again.
    pub tried: &'a [u64],
    /// Luck: any 64 random bits, new for each pick.
    pub draw: u64,
    /// It could be sent again if it broke. Such a request is the first choice for a probe of an ejected member; another one is
    /// taken only if none came for as long again as the member was out.
    pub repeatable: bool,
}

/// A request under way to a member. Every ticket must come back through [`Pool::finish`](crate::Pool::finish): until then
/// its request counts as under way.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that is never finished counts as under way for ever"]
pub struct Ticket {
    /// The member's life.
    pub life: u64,
    /// The member's slot.
    pub slot: u16,
    /// It is a probe: whether the member comes back depends on this request.
    pub probe: bool,
    pub(crate) request: u32,
    pub(crate) order: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered: any status below 500 but 429; gRPC statuses that are the caller's fault.
    Ok,
    /// The app failed: 5xx but 503; gRPC 2, 4, 13, 15.
    AppError,
    /// The app said that it has too much to do: 429, 503; gRPC 8, 14.
    Refused {
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It broke on this side of the app: refused or lost connection, no first byte in time, nonsense in place of HTTP.
    Broken,
    /// Nothing was learnt but that it took so long: the client went away, or a connection that had been idle closed before
    /// anything was sent.
    Cancelled,
}

/// Why there is no member for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPick {
    /// Nobody takes requests: no member was ever ready, or all are draining. A change of members may help.
    #[error("no worker is ready")]
    NoMember,
    /// Whoever could take it has been tried.
    #[error("every worker that could take the request has been tried")]
    AllTried,
    /// Every member that could take it has as much under way as it may.
    #[error("every worker has as many requests under way as it may have")]
    MembersFull,
    /// The pool has as much under way as it may.
    #[error("the pool has as many requests under way as it may have")]
    PoolFull,
    /// The upstream's breaker is open.
    #[error("the breaker is open for another {} ms", retry_after.as_millis())]
    Open {
        /// When asking again makes sense.
        retry_after: Duration,
    },
}
