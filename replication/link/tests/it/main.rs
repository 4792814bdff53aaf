//! Links between real stores, over real QUIC on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod healing;
mod strangers;
mod together;
mod world;
