//! Pure active-active state: dots, contexts, HLC, CRDT types, partition machine, catch-up, frame codec.
//!
//! Goes in: commands ([`Op`]), other replicas' [`Delta`]s, time as an argument. Comes out: [`Reply`]s, deltas to persist and
//! to ship, catch-ups for peers that were away. No clock, no randomness, no socket, no lock: the shells own those.
//!
//! ```text
//! Op ──► Partition::execute ──► Reply + Delta ──► journal ──► links ──► Inbox ──► Partition::merge (elsewhere)
//!                                                              peer was away: catch_up_since ──► apply_catch_up
//! ```

mod clock;
mod delta;
mod explain;
mod hash;
mod id;
mod inbox;
mod op;
mod partition;
mod reply;

pub use clock::{AHEAD_MS, FAR_AHEAD_MS, Hlc, HlcClock, RemoteStamp};
pub use delta::{DecodeError, Delta};
pub use explain::{ExplainedPart, Explanation};
pub use hash::{PARTITIONS, partition_of};
pub use id::{Dot, MAX_SEQ, ReplicaId, VersionVector};
pub use inbox::{Inbox, Offered, Ready};
pub use op::{ExpireIf, Op, SetExpiry, SetIf, TimeUnit, When};
pub use partition::{CatchUp, CaughtUp, Executed, Merged, Now, Partition};
pub use reply::{OpError, Reply};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 64 * 1024;
/// Longest string value, hash field, field value or set member, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
