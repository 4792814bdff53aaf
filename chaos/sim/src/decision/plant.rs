//! Bugs on purpose: what a checker that has never caught anything must catch.

use std::str::FromStr;

use crate::simulation::plant_named;

/// A planted bug. It lies in what the simulation plays (the votes' way, the log, the followers) or in what goes into and comes out
/// of the code under test, which itself stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// On the way to the members, no opinion becomes a Down, and silence too.
    UnknownIsDown,
    /// On the way to the members, one observer's Down becomes everybody's.
    QuorumOfOne,
    /// A decision's fence is made to fit before it is applied.
    NoFence,
    /// What was refused to keep the last member is published all the same.
    TakeTheLast,
    /// A follower shows whatever comes.
    FollowerGoesBack,
    /// A member that starts has forgotten which words ended.
    ForgetExpiry,
    /// All clocks run three times too fast.
    HastyClock,
    /// Votes that changed are held back for ten seconds.
    SlowVotes,
    /// One member applies a decision that the others refuse.
    OwnOpinion,
    /// A probe tries one connection only.
    OneConnection,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::UnknownIsDown,
        Self::QuorumOfOne,
        Self::NoFence,
        Self::TakeTheLast,
        Self::FollowerGoesBack,
        Self::ForgetExpiry,
        Self::HastyClock,
        Self::SlowVotes,
        Self::OwnOpinion,
        Self::OneConnection,
    ];

    /// Whether it lies in the votes' way or in the clocks: then nothing may be skipped, since what is skipped changes nothing only
    /// if they are as they should be.
    pub(crate) fn spoils_votes(self) -> bool {
        matches!(self, Self::UnknownIsDown | Self::QuorumOfOne | Self::HastyClock)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownIsDown => "unknown-is-down",
            Self::QuorumOfOne => "quorum-of-one",
            Self::NoFence => "no-fence",
            Self::TakeTheLast => "take-the-last",
            Self::FollowerGoesBack => "follower-goes-back",
            Self::ForgetExpiry => "forget-expiry",
            Self::HastyClock => "hasty-clock",
            Self::SlowVotes => "slow-votes",
            Self::OwnOpinion => "own-opinion",
            Self::OneConnection => "one-connection",
        }
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        plant_named(&Self::ALL, Self::name, name)
    }
}
