//! The port on a real socket, as its clients see it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; clippy spares only the test functions themselves"
)]

mod blocking;
mod clients;
mod differential;
mod kills;
mod limits;
mod port;
mod server;
mod transactions;
mod transcript;
mod wire;
