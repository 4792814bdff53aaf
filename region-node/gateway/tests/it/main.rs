//! The gateway from outside: real sockets, small workers that behave and misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod attacks;
mod clients;
mod conformance;
mod edge;
mod frames;
mod programs;
mod state;
mod support;
mod tls;
mod token;
mod workers;
