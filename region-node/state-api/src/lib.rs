//! The Redis protocol face of the replicated state: what `redis-cli`, ioredis, redis-py and every other client talk to.
//!
//! ```text
//! socket ──→ resp::Decoder ──→ call::dispatch ──→ StateStore::execute ──┐   as often as whole commands have arrived
//!        ←── resp::Writer  ←── StateStore::persist ←────────────────────┘   once: persist, then speak; one write
//! ```
//! Goes in: bytes of clients. Comes out: replies, in the words of Redis. A connection is one task; between the arrival of a
//! command and its execution there is no queue, no hop and no other task. What a client may send, keep waiting and be sent is
//! bounded before it is believed.
//!
//! Invariants: nothing is answered before what it tells of is persisted; the table in `table.rs` is the only list of commands;
//! no command is half there: what is not in the table is an unknown command, as in Redis.
//!
//! | limit | |
//! |---|---|
//! | a key | 64 KiB |
//! | a value, field or member | 8 MiB by default |
//! | arguments of one command | 1 Mi |
//! | a command that has not arrived completely | 64 MiB |
//! | the replies of one command | 256 MiB |
//! | before logging in | 10 arguments of 16 KiB |

mod access;
mod blocking;
mod call;
mod client;
mod commands;
mod config;
mod connection;
mod counters;
mod glob;
mod key_specs;
mod reply;
mod resp;
mod server;
mod table;
mod transaction;
mod wanted;

pub use config::{LagSource, PeerLag, REDIS_VERSION, StateApiConfig, User};
pub use counters::StateApiCounters;
pub use server::{StartError, StateApiHandle, start};
