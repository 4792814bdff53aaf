//! The embedded engine: a region's state in memory, a journal of deltas on disk, checkpoints, recovery.
//!
//! ```text
//! client ── execute ──→ shard lock: stamp, change, push delta ──→ journal buffer
//!        ←─ reply ───── persist: one write(2) for everybody ←──────────┘  ──→ ring ──→ links ──→ other regions
//! peer ──── offer ────→ inbox (waits for what it depends on) ──→ merge ──→ journal
//! start ─── open ─────→ checkpoint + journal ──→ the same state, or a clear refusal
//! ```
//! Invariants: nothing is acknowledged, shipped or confirmed to a peer before it is written; the journal's order is
//! the order of sequence numbers; a replica's identity is never used again once continuity is in doubt. There is no
//! task between a command and its reply: commands run on the caller's thread, under one of a few locks, for
//! microseconds. The disk, the clock and luck come in through [`StoreConfig`], so that a simulation can play them.

mod checkpoint;
mod clock;
mod config;
mod digest;
mod error;
mod files;
mod identity;
mod journal;
mod keeper;
mod lanes;
mod luck;
mod mark;
mod memory;
mod peers;
mod reading;
mod recovery;
mod remote;
mod ring;
mod shard;
mod store;
mod verify;
mod watch;
mod watermarks;

pub use clock::WallClock;
pub use config::{Durability, StoreConfig, Threads};
pub use digest::{PartitionDigest, StateDigest, StoreStats};
pub use error::{CatchUpError, OpenError, PersistError};
pub use files::{Access, Files, Hold, Locked, OpenFile, RealFiles};
pub use journal::TornTail;
pub use luck::Luck;
pub use mark::WriteMark;
pub use recovery::{RecoveryReport, set_aside};
pub use remote::Offer;
pub use ring::{LocalDelta, Tail};
pub use store::{Executed, StateStore};
pub use verify::{TypeCount, Verified, verify};
pub use watch::PartitionWatch;

#[cfg(test)]
mod tests;
