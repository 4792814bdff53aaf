//! Commands on sets.

use bytes::Bytes;

/// What is made of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// What is in all of them.
    Inter,
    /// What is in any of them.
    Union,
    /// What is in the first and in none of the others.
    Diff,
}

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is the Redis command of its name, without the S; the fields are its arguments"
)]
pub enum SetOp {
    Add { members: Vec<Bytes> },
    Rem { members: Vec<Bytes> },
    Members,
    IsMember { member: Bytes },
    Card,
}

impl SetOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Members | Self::IsMember { .. } | Self::Card => false,
            Self::Add { .. } | Self::Rem { .. } => true,
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Add { members } | Self::Rem { members } => members.iter().for_each(visit),
            Self::Members | Self::IsMember { .. } | Self::Card => {}
        }
    }
}
