//! What a seed stands for: a world of a certain shape, and a list of things that will happen in it.
//!
//! Everything is drawn before anything runs. So a scenario can be printed, replayed, and made shorter by leaving steps out, and
//! what is left means the same as before.

mod commands;
mod draw;
mod words;

use replication_core::Op;

use crate::state::disk::Crash;
pub(crate) use commands::{KEYS, PAIRS, REMOVES_WIN};
pub(crate) use words::say;

/// The world before anything happens.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Each region's settings; region `n` is the `n`th, from 1.
    pub regions: Vec<RegionShape>,
    /// When the last step is over and everything is repaired, in milliseconds.
    pub end_ms: u64,
}

/// One region's settings.
#[derive(Debug, Clone, Copy)]
pub struct RegionShape {
    /// Sync before each reply.
    pub always: bool,
    /// Journal files are closed at this size, in bytes.
    pub segment_bytes: u64,
    /// Recent changes kept for links, in bytes.
    pub ring_bytes: usize,
    /// The journal grows to this size before a checkpoint, in bytes.
    pub checkpoint_bytes: u64,
    /// Catch-ups compare sums also where little lives, as regions with much in them do.
    pub compares_at_once: bool,
    /// The clock's error at the beginning, in milliseconds.
    pub clock_offset_ms: i64,
    /// The clock's drift, in microseconds a second.
    pub clock_drift_ppm: i64,
}

/// Something that happens at a moment.
#[derive(Debug, Clone)]
pub struct Step {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum Action {
    /// A client writes: one command, or several as one transaction.
    Write {
        /// Where.
        region: u16,
        /// What; all of one partition.
        ops: Vec<Op>,
        /// How long the write waits for others to be persisted with, in milliseconds.
        gather_ms: u64,
    },
    /// A client reads a key.
    Read {
        /// Where.
        region: u16,
        /// Which.
        key: &'static str,
    },
    /// Something breaks.
    Fault(Fault),
}

/// What can break.
#[derive(Debug, Clone)]
pub enum Fault {
    /// A process or a machine stops, in the middle of the `after_calls`th call to its disk from now.
    Crash {
        /// Whose.
        region: u16,
        /// How.
        crash: Crash,
        /// 0 for at once.
        after_calls: u64,
        /// How long it stays down, in milliseconds.
        down_ms: u64,
        /// The next process dies in this call to its disk, while it starts; 0 if it does not.
        again_after: u64,
    },
    /// A region is stopped as an operator would.
    Stop {
        /// Which.
        region: u16,
        /// How long it stays down, in milliseconds.
        down_ms: u64,
    },
    /// One direction between two regions is cut.
    Cut {
        /// From here …
        from: u16,
        /// … to there.
        to: u16,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// A connection breaks.
    Disconnect {
        /// One end.
        a: u16,
        /// The other.
        b: u16,
    },
    /// One direction becomes slow.
    Slow {
        /// From here …
        from: u16,
        /// … to there.
        to: u16,
        /// Bytes a millisecond.
        rate: u64,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// A region is cut off from all others.
    Away {
        /// Which.
        region: u16,
        /// For so long, in milliseconds.
        ms: u64,
        /// The others go on without it: they keep nothing for it any more.
        detached: bool,
    },
    /// A clock steps.
    ClockStep {
        /// Whose.
        region: u16,
        /// By so much, in milliseconds.
        by_ms: i64,
    },
    /// A disk has no room.
    DiskFull {
        /// Whose.
        region: u16,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// A disk fails now and then.
    DiskErrors {
        /// Whose.
        region: u16,
        /// One call in so many.
        one_in: u64,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// A disk says that it has synced and has not.
    SyncLies {
        /// Whose.
        region: u16,
        /// For so long, in milliseconds.
        ms: u64,
    },
    /// An operator copies a region's disk.
    Backup {
        /// Whose.
        region: u16,
    },
    /// A region dies and comes back with the copy.
    Restore {
        /// Which.
        region: u16,
        /// Its machine is booted anew.
        booted: bool,
        /// How long it stays down, in milliseconds.
        down_ms: u64,
    },
    /// A region dies and comes back with an empty disk.
    LoseDisk {
        /// Which.
        region: u16,
        /// How long it stays down, in milliseconds.
        down_ms: u64,
    },
}

/// A shape and its steps, in order.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Where all luck comes from.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// What happens.
    pub steps: Vec<Step>,
}
