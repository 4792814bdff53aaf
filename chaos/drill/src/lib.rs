//! Drills: experiments on a live world that prove, with figures, that it survives what they do to it.
//!
//! In: a [`Stage`] (how to hurt the world and how to look at it) and the terms of a drill. Out: a [`Report`] with one outcome; of a
//! [`Sweep`] of many drills a [`SweepReport`].
//!
//! ```text
//! preflight ─ baseline ─ fault ─ hold ─ heal ─ converge ─ final reads ─ checks ─ report
//!             └────────── workload: acknowledged writes to every region ──┘
//!             └────────── DNS clients: every server, 20 times a second ───┘
//! ```
//!
//! Three rules from the field. A fault must prove that it bit, or the outcome is VACUOUS, never PASS. A write whose outcome is not
//! known is neither kept nor lost. What the harness could not do says nothing about the world: HARNESS, not FAIL.

mod checks;
mod dns;
mod history;
mod lose_region;
mod outcome;
mod report;
mod spread;
mod stage;
mod sweep;
mod sweep_report;
mod workload;

pub use dns::{Observation, Seen};
pub use history::{History, Write, WriteKind, WriteResult};
pub use lose_region::LoseRegion;
pub use outcome::{Failure, Outcome};
pub use report::{Report, Waterfall, WriteCount};
pub use spread::Spread;
pub use stage::{Access, KillProof, Stage};
pub use sweep::Sweep;
pub use sweep_report::{Phases, SweepReport};
