//! The gateway from outside: real sockets, small workers that behave and misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod apps;
mod bodies;
mod clients;
mod drain;
mod grpc;
mod repeat;
mod state;
mod support;
mod token;
mod workers;
