//! Three members on the loopback interface, with real TLS, real raft and real files.

mod access;
mod failover;
mod follow;
mod trio;
mod verdicts;
