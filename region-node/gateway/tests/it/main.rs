//! The gateway from outside: real sockets, small workers that behave and misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod apps;
mod attacks;
mod bodies;
mod clients;
mod conformance;
mod drain;
mod edge;
mod frames;
mod grpc;
mod programs;
mod repeat;
mod state;
mod support;
mod tls;
mod token;
mod websocket;
mod workers;
