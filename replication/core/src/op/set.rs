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
    Add {
        members: Vec<Bytes>,
    },
    Rem {
        members: Vec<Bytes>,
    },
    Members,
    IsMember {
        member: Bytes,
    },
    MIsMember {
        members: Vec<Bytes>,
    },
    Card,
    /// Without a count one member or nothing, with one a list.
    Pop {
        count: Option<u64>,
    },
    /// A negative count may name a member twice.
    RandMember {
        count: Option<i64>,
    },
    Move {
        to: Bytes,
        member: Bytes,
    },
    /// SINTER, SUNION, SDIFF of this set and others.
    Combine {
        how: Combine,
        others: Vec<Bytes>,
    },
    /// SINTERCARD; a limit of 0 is none.
    InterCard {
        others: Vec<Bytes>,
        limit: u64,
    },
    /// SINTERSTORE, SUNIONSTORE, SDIFFSTORE into this key.
    Store {
        how: Combine,
        sources: Vec<Bytes>,
    },
    /// A page of members: answers the next cursor (0 ends) and the members.
    Scan {
        cursor: u64,
        count: usize,
    },
}

impl SetOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Members | Self::IsMember { .. } | Self::MIsMember { .. } | Self::Card | Self::Scan { .. } => false,
            Self::RandMember { .. } | Self::Combine { .. } | Self::InterCard { .. } => false,
            Self::Add { .. } | Self::Rem { .. } | Self::Pop { .. } | Self::Move { .. } | Self::Store { .. } => true,
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        match self {
            Self::Move { to, .. } => std::slice::from_ref(to),
            Self::Combine { others, .. } | Self::InterCard { others, .. } => others,
            Self::Store { sources, .. } => sources,
            _ => &[],
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Add { members } | Self::Rem { members } => members.iter().for_each(visit),
            Self::Move { member, .. } => visit(member),
            _ => {}
        }
    }
}
