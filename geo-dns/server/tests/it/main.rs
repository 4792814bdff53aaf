//! Real sockets on port 0, real packets.

#![allow(clippy::unwrap_used)] // in the helpers too: here a panic is a failed test and nothing else

mod clients;
mod logging;
mod manners;
mod publishing;
mod tcp;
mod udp;
mod world;
