//! Everything of openraft, and nothing of it outside.
//!
//! ```text
//! consensus ─→ openraft ─→ log_store ──┐
//!                  │  └──→ state_machine ┴─→ disk (one thread, a journal before redb)      codec, wire, snapshot: our own bytes
//!                  └─────→ network ─→ carrier ─→ caller ── frames, mTLS ─→ another member's answerer ─→ rpc
//! ```

pub(crate) mod answerer;
mod appends;
mod caller;
pub(crate) mod carrier;
pub(crate) mod codec;
pub(crate) mod consensus;
mod disk;
mod file;
pub(crate) mod frames;
mod journal;
mod lead;
mod log_store;
pub(crate) mod network;
mod newcomer;
pub(crate) mod placement;
pub(crate) mod reach;
pub(crate) mod rpc;
mod settling;
pub(crate) mod snapshot;
mod state_machine;
pub(crate) mod succession;
mod ticks;
pub(crate) mod types;
pub(crate) mod watchdog;
mod wire;

#[cfg(test)]
mod tests;
