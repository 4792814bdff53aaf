//! The port on a real socket, as its clients see it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; clippy spares only the test functions themselves"
)]

mod blocking;
mod clients;
mod differential;
mod full;
mod kills;
mod limits;
mod port;
mod server;
mod transactions;
mod transcript;
mod wire;

/// A number that the environment may set.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number: {value}")))
}
