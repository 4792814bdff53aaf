//! Real sockets on port 0, real packets.

#![allow(clippy::unwrap_used)] // in the helpers too: here a panic is a failed test and nothing else

mod clients;
mod locations;
mod logging;
mod manners;
mod publishing;
mod tcp;
mod udp;
mod world;

#[allow(dead_code, reason = "it writes more than is needed here")]
#[path = "../../../steering/src/geo/tests/writer.rs"]
mod writer;
