//! Whether a request that did not work out may be sent again.

/// What is known of a request of which no byte of an answer has gone to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its method promises that twice is as good as once (RFC 9110, 9.2.2): GET, HEAD, OPTIONS, TRACE, PUT, DELETE.
    pub idempotent: bool,
    /// Some of it may have reached the member.
    pub bytes_sent: bool,
    /// It carries an `Idempotency-Key`: the app promises the same.
    pub idempotency_key: bool,
    /// All of it can be sent again: it has no body, or the body is in the replay buffer from its first byte on.
    pub replay_buffered: bool,
    /// How many members some of it reached that then broke without a byte of an answer, the last one included.
    pub unanswered: u32,
}

/// It may be the request that breaks members: what so many took and did not answer is not given to one more. Where a pool has three,
/// three attempts would be all of it.
const UNANSWERED_MAX: u32 = 2;

/// Whether it may be sent again, budget and deadline permitting.
///
/// Of which nothing was sent may go anywhere (the body was not touched). Otherwise it has to be harmless twice, whole, and not what
/// breaks members.
pub fn may_repeat(attempt: Attempt) -> bool {
    let Attempt { idempotent, bytes_sent, idempotency_key, replay_buffered, unanswered } = attempt;
    !bytes_sent || ((idempotent || idempotency_key) && replay_buffered && unanswered < UNANSWERED_MAX)
}
