//! End to end: real worlds of real processes, real clients, real deaths. The drill is the measure of failover; these tests assert
//! what it found. They run one at a time, since each has a world of its own and two cores are what a laptop may have.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected is to panic")]

mod apply;
mod apps;
mod bad_input;
mod clients;
mod failover;
mod figures;
mod life;
mod locations;
mod stopped;
mod tour;
mod world;
