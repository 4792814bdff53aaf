//! Deterministic worlds. In: a seed. Out: a [`Run`]: the first broken promise, if any; what was met on the way; the hash of
//! everything that happened.
//!
//! | world | what is real | what is played |
//! |---|---|---|
//! | [`decision`] | `decision`: probe machines, votes, judges, guards, Plans | paths, lives, raft in the small, clocks, people |
//! | [`state`] | `replication-storage`, `replication-link`, `replication-core` | clients, disks, network, clocks |
//! | [`traffic`] | `traffic`: policies, breaker, panic, slow start, budget of retries | clients, the gateway's loop, workers as queues |
//!
//! What they share is here: luck (`rng.rs`), what happens next (`queue.rs`), the record (`trace.rs`), what was met
//! (`coverage.rs`), many seeds (`survey.rs`), and the shortest way into a failure (`shorten.rs`); a world joins in by the trait
//! [`Simulation`]. A seed replays exactly, on every machine.

mod coverage;
pub mod decision;
mod queue;
mod rng;
mod shorten;
mod simulation;
pub mod state;
mod survey;
mod trace;
pub mod traffic;

pub use coverage::{Coverage, Meeting};
pub use shorten::{Shortened, shorten};
pub use simulation::{Promise, Run, Simulation, Violation};
pub use survey::{Failure, Plan, Survey, survey};
