//! The world of traffic.

mod plants;
mod queueing;
mod seeds;
