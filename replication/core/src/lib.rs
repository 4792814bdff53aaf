//! Pure active-active state: dots, contexts, HLC, CRDT types, partition machine, catch-up, frame codec.
//!
//! Goes in: commands ([`Op`]), other replicas' [`Delta`]s, time as an argument. Comes out: [`Reply`]s, deltas to persist and
//! to ship, catch-ups for peers that were away. No clock, no randomness, no socket, no lock: the shells own those.
//!
//! ```text
//! Op ──► Partition::execute ──► Reply + Delta ──► journal ──► links ──► Inbox ──► Partition::merge (elsewhere)
//!                                                              peer was away: catch_up_since ──► apply_catch_up
//! ```

mod blob;
mod clock;
mod delta;
mod dots;
mod hash;
mod hll;
mod id;
mod inbox;
mod keyspace;
mod op;
mod ops;
mod partition;
mod plan;
mod reply;
mod rules;
mod track;
mod types;
mod wire;

pub use clock::{AHEAD_MS, FAR_AHEAD_MS, Hlc, HlcClock, RemoteStamp};
pub use delta::{Change, Count, Deadline, Delta, Floor, MAX_DELTA_BYTES, Part, Score, Value};
pub use hash::{PARTITIONS, partition_of};
pub use hll::count_sketches;
pub use id::{Dot, MAX_SEQ, ReplicaId, VersionVector};
pub use inbox::{HELD_BYTES, HOLD_MS, Inbox, Offered, Ready};
pub use op::{
    AddIf, Aggregate, Ask, BitField, BitRange, BitUnit, BitsOp, Bitwise, Combine, ExpireIf, FieldAsk, GetExpiry,
    HashOp, KeyOp, ListEnd, ListOp, NameBound, Op, Overflow, Recipe, ScoreBound, Select, SetExpiry, SetIf, SetOp,
    SketchOp, Span, TextOp, TimeUnit, When, ZsetOp,
};
pub use ops::{combine_scores, combine_sets};
pub use partition::{
    Bucket, BucketSum, CatchUp, CatchUpCursor, CatchUpRefused, CaughtUp, Conflict, ConflictCounts, ConflictKind,
    Contender, Executed, ExplainedPart, Explanation, Gone, KEY_BUCKETS, LEAST_SHIFT, LiveBucket, LiveSums,
    MAX_CATCH_UP_BYTES, MOST_SHIFT, Merged, NotNext, Now, PURGE_GRACE_MS, PURGE_OWN_GRACE_MS, Partition,
    PartitionStats, Put, Refuses, Renamed, SnapshotCursor, Transaction, TypeCount,
};
pub use reply::{OpError, Reply};
pub use rules::{DEFAULT_MAX_VALUE_BYTES, PrefixRule, Rules};
pub use types::mark::REMOVE_WINS_KEEP_MS;
pub use wire::{DecodeError, TooNew, partition_of_frame};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 64 * 1024;
/// Longest value, field or member that a frame may carry, in bytes; what commands may store is [`Rules::max_value_bytes`].
pub const MAX_VALUE_BYTES: usize = 32 * 1024 * 1024;
/// Most that the arguments of one writing command may have together, in bytes.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024 * 1024;
