//! The types that openraft is told to work with: what a log entry proposes, what applying it answers, who a node is.

use std::fmt;

use bytes::Bytes;
use decision::{Outcome, Request};
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};

use super::state_machine::StateMachine;

#[cfg(not(test))]
type Runtime = openraft::TokioRuntime;
/// In simulations openraft's luck is drawn from a seed.
#[cfg(test)]
type Runtime = openraft_rt::deterministic_rng::DeterministicRng<openraft::TokioRuntime>;

openraft::declare_raft_types!(
    /// Node ids are region ids. Leader ids are `(term, node)`, so two candidates of one term do not split the vote.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = RegionNode,
        AsyncRuntime = Runtime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, RegionNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, Bytes>;

/// A member as the log remembers it. Its address is not in here: addresses are each process's own configuration, so that a
/// region can move without a membership change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegionNode {
    /// The region's name.
    pub(crate) name: String,
}

/// What a log entry proposes. A newtype, because openraft wants to print it in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Proposal(pub(crate) Request);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {:?}", self.0.id)
    }
}

/// What applying an entry answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Applied {
    /// The entry was raft's own (blank, membership).
    Nothing,
    /// The entry was a request.
    Outcome(Outcome),
}
