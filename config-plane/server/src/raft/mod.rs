//! Everything of openraft, and nothing of it outside.
//!
//! ```text
//! consensus ─→ openraft ─→ log_store ──┐
//!                  │  └──→ state_machine ┴─→ disk (one thread, redb)      codec, wire, snapshot: our own bytes
//!                  └─────→ network (HTTP/2, mTLS) ─→ another member's rpc
//! ```

pub(crate) mod codec;
pub(crate) mod consensus;
mod disk;
mod log_store;
pub(crate) mod network;
pub(crate) mod rpc;
pub(crate) mod snapshot;
mod state_machine;
pub(crate) mod types;
mod wire;

#[cfg(test)]
mod tests;
