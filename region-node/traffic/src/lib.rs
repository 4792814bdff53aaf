//! Which worker takes a request, which one is left out for a while, and what may be tried again.
//!
//! ```text
//! set_members(now, …) ─▶ ┌──────┐ ◀─ pick(now, Ask) ── Ok(Ticket) ─▶ first_byte(now, &ticket, outcome) ─▶ finish(now, ticket, outcome)
//!                        │ Pool │                     └ Err(NoPick)
//! deposit, may_retry ──▶ └──────┘ ─▶ snapshot(now), next_event(), wake_at()
//! ```
//! In: a list of members, requests, and what became of them. Out: a member for each request, or why there is none. Nothing here
//! has a clock, luck, a socket, a task or a lock: `now` is the time since some moment that the caller chose and never changes, and
//! must not go back; luck is [`Ask::draw`]. A pool is meant to be held behind a short lock; no call waits or allocates once the pool has seen its
//! members and its largest number of requests under way.
//!
//! Each mechanism with its formula, its default and where it comes from: `docs/traffic.md`.

mod budget;
mod config;
pub mod deadline;
mod ewma;
pub mod hash;
mod health;
mod member;
mod pool;
mod repeat;
mod sticky;
mod upstream;
mod window;

pub use budget::RetryBudget;
pub use config::{BoundedLoad, Budget, Ejection, Ewma, InFlight, Policy, PoolConfig, SlowStart, Upstream};
pub use health::Cause;
pub use member::{Ask, Member, NoPick, Outcome, Ticket};
pub use pool::{Event, MemberSnapshot, Pool, Snapshot, State};
pub use repeat::{Attempt, may_repeat};
pub use sticky::StickyKey;
pub use upstream::{Permit, UpstreamBreaker, UpstreamState, Verdict};
