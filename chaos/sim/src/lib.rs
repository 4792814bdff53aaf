//! The deterministic world of the state plane: real stores and real link machines on a simulated disk, network and clock.
//!
//! In: a seed. Out: a [`Run`]: the first broken promise, if any; what was met on the way; the hash of everything that happened.
//!
//! ```text
//! seed ──► Scenario (drawn whole, before anything runs) ──► World: one thread, one queue of events, no socket, no real time
//!                                                             │ every change    ──► oracle::History
//!                                                             │ every state     ──► compared with it, after each event
//!                                                             ▼
//!                                                           Run ──► shorten() where a promise was broken
//! ```
//! The code under test is what production runs: `replication-storage` with its own clockwork off ([`Threads::None`]) and
//! `replication-link`'s [`Session`]. Only what they stand on is played. A seed replays exactly, on every machine.
//!
//! [`Threads::None`]: replication_storage::Threads::None
//! [`Session`]: replication_link::Session

mod clock;
mod coverage;
mod disk;
mod net;
mod oracle;
mod plant;
mod queue;
mod region;
mod rng;
mod scenario;
mod shorten;
mod survey;
mod trace;
mod world;

pub use coverage::{Coverage, Met};
pub use disk::Crash;
pub use oracle::{Rule, Violation};
pub use plant::Plant;
pub use scenario::{Action, Fault, Scenario, Step};
pub use shorten::{Shortened, shorten};
pub use survey::{Failure, Plan, Survey, survey};
pub use world::{Options, Run, run};
