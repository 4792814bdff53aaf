//! Three members on the loopback interface, with real TLS, real raft and real files.

mod access;
mod events;
mod failover;
mod follow;
mod human;
mod objects;
mod trio;
mod verdicts;
