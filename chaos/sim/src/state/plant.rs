//! Bugs on purpose. A checker that has never caught anything may be unable to; these are what each must catch.

use std::str::FromStr;

use crate::simulation::plant_named;

/// A planted bug. It lies in the simulation's own parts (the disk, the client's side, what stands between two regions), so the
/// code under test stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A disk forgets the last write before a kill.
    DropAcknowledgedWrite,
    /// A catch-up does not say what is gone.
    ResurrectDelete,
    /// Changes reach one region with another stamp.
    WrongTieBreak,
    /// Clients are answered before anything is written.
    AcknowledgeBeforePersist,
    /// A copy of the disk is put back, and nothing tells it from the original.
    ReuseIdentity,
    /// A catch-up leaves one element out.
    SkipDotInCatchUp,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DropAcknowledgedWrite,
        Self::ResurrectDelete,
        Self::WrongTieBreak,
        Self::AcknowledgeBeforePersist,
        Self::ReuseIdentity,
        Self::SkipDotInCatchUp,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::DropAcknowledgedWrite => "drop-acknowledged-write",
            Self::ResurrectDelete => "resurrect-delete",
            Self::WrongTieBreak => "wrong-tie-break",
            Self::AcknowledgeBeforePersist => "acknowledge-before-persist",
            Self::ReuseIdentity => "reuse-identity",
            Self::SkipDotInCatchUp => "skip-dot-in-catch-up",
        }
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        plant_named(&Self::ALL, Self::name, name)
    }
}
