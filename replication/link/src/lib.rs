//! Region links: each pair of regions has one QUIC connection with mutual TLS, and over it each sends the other what it
//! changed.
//!
//! ```text
//! this region                                                      the other region
//! ring of written deltas ── live stream: hello, batches, marks, acks ──→ inbox → merge → journal → ack
//! state, by version vector ── catch-up stream: what a partition lacks ──→ merge → journal → ack
//! ```
//! Both directions are alike and independent. Only own changes go out live; what third regions did travels by
//! catch-up, which also heals whatever a lost connection, a full ring or a dead third region left behind. Nothing is
//! sent before it is written here, and nothing is confirmed before it is written there. A peer that is slow or gone
//! has its own task, its own bounded buffers, and nobody waits for it.

mod audit;
mod catch_up;
mod config;
mod endpoint;
mod frame;
mod intake;
mod live;
mod peer;
mod receive;
mod session;
mod start;
mod status;
mod vectors;

pub use config::{LinkConfig, Peer};
pub use start::{LinkHandle, LinkView, StartError, start};
pub use status::PeerStatus;
