//! Region links: each pair of regions has one QUIC connection with mutual TLS, and over it each sends the other what it
//! changed.
//!
//! ```text
//! this region                                                      the other region
//! ring of written deltas ── live lane: batches, marks ─────────────→ inbox → merge → journal → ack
//! state, by version vector ── catch-up lane: what a partition lacks ─→ merge → journal → ack
//!                  hello, acks, wants ── control lane
//! ```
//! Both directions are alike and independent. Only own changes go out live; what third regions did travels by
//! catch-up, which also heals whatever a lost connection, a full ring or a dead third region left behind. Nothing is
//! sent before it is written here, and nothing is confirmed before it is written there. A peer that is slow, gone or
//! out of its mind has its own task, its own bounded buffers, and nobody waits for it.
//!
//! All of that is decided by a machine without a clock or a socket, [`Session`]; the rest moves bytes.

mod columns;
mod config;
mod congestion;
mod endpoint;
mod frame;
mod peer;
mod session;
mod shell;
mod start;
mod status;
mod vectors;

pub use config::{LinkConfig, Peer};
pub use frame::{NEWEST, OLDEST};
pub use session::{Fault, Input, Output, Session, lanes::Lane};
pub use start::{LinkHandle, LinkView, StartError, start};
pub use status::{Divergence, LAG_CLASSES_MS, LagHistogram, PeerStatus};
