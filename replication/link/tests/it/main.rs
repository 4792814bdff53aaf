//! Links between real stores, over real QUIC on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod absence;
mod guards;
mod healing;
mod incarnations;
mod ladder;
mod net;
mod schedules;
mod strangers;
mod together;
mod versions;
mod world;
