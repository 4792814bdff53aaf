//! What a seed stands for: a world of a certain shape and weather, and a list of things that will happen in it.
//!
//! Everything is drawn before anything runs, as in the state plane's scenarios: what is left after leaving steps out means the
//! same as before. Regions are numbered from 1.

mod draw;
mod words;

use model::Profile;

/// The world before anything happens.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How quick failover is.
    pub profile: Profile,
    /// Each region's settings.
    pub regions: Vec<RegionShape>,
    /// How many of the regions, from the first on, are members of the second pool, which has a check of its own; 0 for no such pool.
    pub second_pool: usize,
    /// One-way delay between two regions by their numbers less one, milliseconds.
    pub delay_ms: Vec<Vec<u64>>,
    /// Uniform extra delay of each packet, milliseconds.
    pub jitter_ms: u64,
    /// Share of packets lost in each direction, per mille.
    pub loss_permille: u64,
    /// When the simulation ends, milliseconds.
    pub end_ms: u64,
}

/// One region's settings.
#[derive(Debug, Clone, Copy)]
pub struct RegionShape {
    /// Whether it has an IPv6 address beside the IPv4 one.
    pub has_v6: bool,
    /// The wall clock's error at the beginning, milliseconds.
    pub clock_offset_ms: i64,
    /// The wall clock's drift, microseconds a second.
    pub clock_drift_ppm: i64,
    /// When its observer begins its rounds, milliseconds.
    pub phase_ms: u64,
}

/// Something that happens at a moment.
#[derive(Debug, Clone)]
pub struct Step {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What can happen. What lasts names for how long, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a region, from and to, an end: the names say it")]
pub enum Action {
    /// A region dies whole; its host refuses connections, or is gone.
    Kill { region: u16, refuses: bool, ms: u64 },
    /// A region's gateway dies; observer and plane member live.
    Gateway { region: u16, ms: u64 },
    /// The region's member of the second pool fails, or serves badly.
    Member { region: u16, is_poor: bool, ms: u64 },
    /// Nothing passes from one region to the other, or between the two.
    Cut { from: u16, to: u16, both: bool, ms: u64 },
    /// A region is cut off from all others.
    Isolate { region: u16, ms: u64 },
    /// Four of five packets are lost on the way from one region to the other.
    Lossy { from: u16, to: u16, ms: u64 },
    /// A region's probes of another one are dropped; everything else passes.
    Firewall { from: u16, to: u16, ms: u64 },
    /// An observer sends no votes.
    Mute { region: u16, ms: u64 },
    /// An observer calls another region Down, or all of them.
    Lie { region: u16, about: Option<u16>, ms: u64 },
    /// A wall clock steps, and is set right after a while.
    ClockStep { region: u16, by_ms: i64, ms: u64 },
    /// The leader hands over.
    HandOver,
    /// Answers to proposals get lost, and requests enter the log twice.
    Fog { ms: u64 },
    /// Somebody drains a region, in stages or at once, or keeps it in.
    Override { region: u16, word: Word, ms: u64 },
    /// Somebody takes the word on a region back.
    Clear { region: u16 },
    /// A proposer gone wrong sends something.
    Rogue(Rogue),
    /// A region's follower is told by another region's member from now on.
    Follow { region: u16, member: u16 },
}

/// A human's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Out at once.
    Drain,
    /// Out in stages.
    Staged,
    /// In, whatever the probes say.
    Keep,
}

/// What a proposer gone wrong sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rogue {
    /// The last decision once more, under a new name.
    Stale,
    /// The last requests once more, under their old names.
    Again,
    /// A region is Down, by the votes of too few.
    TooFew,
    /// All regions are Down, by everybody's votes.
    All,
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

impl Action {
    /// How long it lasts, milliseconds; 0 for what is over as it happens.
    pub fn lasts_ms(&self) -> u64 {
        match self {
            Self::Kill { ms, .. }
            | Self::Gateway { ms, .. }
            | Self::Member { ms, .. }
            | Self::Cut { ms, .. }
            | Self::Isolate { ms, .. }
            | Self::Lossy { ms, .. }
            | Self::Firewall { ms, .. }
            | Self::Mute { ms, .. }
            | Self::Lie { ms, .. }
            | Self::ClockStep { ms, .. }
            | Self::Fog { ms }
            | Self::Override { ms, .. } => *ms,
            Self::HandOver | Self::Clear { .. } | Self::Rogue(_) | Self::Follow { .. } => 0,
        }
    }
}
