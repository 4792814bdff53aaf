//! Our own shape of everything of raft's that is stored or sent, and its translation to and from openraft's types.
//!
//! Law: `openraft → wire → bytes → wire → openraft` is the identity, and the bytes of a given version never change
//! (`tests` below hold them as golden text).

use std::collections::{BTreeMap, BTreeSet};

use decision::Request;
use openraft::{
    EntryPayload,
    impls::leader_id_adv::LeaderId,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    codec::CodecError,
    types::{Entry, LogId, Membership, Proposal, RegionNode, StoredMembership, TypeConfig, Vote},
};

/// Which entry: the leader that proposed it and its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WireLogId {
    term: u64,
    node: u64,
    index: u64,
}

impl From<LogId> for WireLogId {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<WireLogId> for LogId {
    fn from(id: WireLogId) -> Self {
        Self { leader_id: LeaderId { term: id.term, node_id: id.node }, index: id.index }
    }
}

/// A vote in raft's sense: for whom, and whether a quorum granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVote {
    term: u64,
    node: u64,
    committed: bool,
}

impl From<Vote> for WireVote {
    fn from(vote: Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<WireVote> for Vote {
    fn from(vote: WireVote) -> Self {
        Self { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed }
    }
}

/// Who votes and who is known. Two sets of voters while a membership change is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireMembership {
    voters: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, RegionNode>,
}

impl From<&Membership> for WireMembership {
    fn from(membership: &Membership) -> Self {
        let nodes = membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
        Self { voters: membership.get_joint_config().clone(), nodes }
    }
}

impl TryFrom<WireMembership> for Membership {
    type Error = CodecError;

    fn try_from(wire: WireMembership) -> Result<Self, CodecError> {
        if wire.voters.is_empty() {
            return Ok(Self::default());
        }
        Self::new(wire.voters, wire.nodes)
            .map_err(|e| CodecError::Json(serde::de::Error::custom(format!("membership: {e}"))))
    }
}

/// A membership and the entry that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireStoredMembership {
    made_by: Option<WireLogId>,
    membership: WireMembership,
}

impl From<&StoredMembership> for WireStoredMembership {
    fn from(stored: &StoredMembership) -> Self {
        Self { made_by: stored.log_id().map(Into::into), membership: stored.membership().into() }
    }
}

impl TryFrom<WireStoredMembership> for StoredMembership {
    type Error = CodecError;

    fn try_from(wire: WireStoredMembership) -> Result<Self, CodecError> {
        Ok(Self::new(wire.made_by.map(Into::into), wire.membership.try_into()?))
    }
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    id: WireLogId,
    body: WireBody,
}

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireBody {
    /// A new leader's first entry.
    Blank,
    Request(Box<Request>),
    Membership(WireMembership),
}

impl From<&Entry> for WireEntry {
    fn from(entry: &Entry) -> Self {
        let body = match &entry.payload {
            EntryPayload::Blank => WireBody::Blank,
            EntryPayload::Normal(Proposal(request)) => WireBody::Request(Box::new(request.clone())),
            EntryPayload::Membership(membership) => WireBody::Membership(membership.into()),
        };
        Self { id: entry.log_id.into(), body }
    }
}

impl WireEntry {
    /// Back to openraft's type. Not `TryFrom`: openraft's entry is generic in a way that makes such an impl ambiguous.
    pub(crate) fn into_entry(self) -> Result<Entry, CodecError> {
        let payload = match self.body {
            WireBody::Blank => EntryPayload::Blank,
            WireBody::Request(request) => EntryPayload::Normal(Proposal(*request)),
            WireBody::Membership(membership) => EntryPayload::Membership(membership.try_into()?),
        };
        Ok(Entry { log_id: self.id.into(), payload })
    }
}

/// Replicate these entries; with none of them, a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireAppend {
    vote: WireVote,
    prev: Option<WireLogId>,
    entries: Vec<WireEntry>,
    commit: Option<WireLogId>,
}

impl From<&AppendEntriesRequest<TypeConfig>> for WireAppend {
    fn from(rpc: &AppendEntriesRequest<TypeConfig>) -> Self {
        Self {
            vote: rpc.vote.into(),
            prev: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.iter().map(Into::into).collect(),
            commit: rpc.leader_commit.map(Into::into),
        }
    }
}

impl TryFrom<WireAppend> for AppendEntriesRequest<TypeConfig> {
    type Error = CodecError;

    fn try_from(wire: WireAppend) -> Result<Self, CodecError> {
        Ok(Self {
            vote: wire.vote.into(),
            prev_log_id: wire.prev.map(Into::into),
            entries: wire.entries.into_iter().map(WireEntry::into_entry).collect::<Result<_, _>>()?,
            leader_commit: wire.commit.map(Into::into),
        })
    }
}

/// The answer to [`WireAppend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireAppendReply {
    Success,
    Partial(Option<WireLogId>),
    Conflict,
    HigherVote(WireVote),
}

impl From<AppendEntriesResponse<TypeConfig>> for WireAppendReply {
    fn from(reply: AppendEntriesResponse<TypeConfig>) -> Self {
        match reply {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(upto) => Self::Partial(upto.map(Into::into)),
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote(vote.into()),
        }
    }
}

impl From<WireAppendReply> for AppendEntriesResponse<TypeConfig> {
    fn from(reply: WireAppendReply) -> Self {
        match reply {
            WireAppendReply::Success => Self::Success,
            WireAppendReply::Partial(upto) => Self::PartialSuccess(upto.map(Into::into)),
            WireAppendReply::Conflict => Self::Conflict,
            WireAppendReply::HigherVote(vote) => Self::HigherVote(vote.into()),
        }
    }
}

/// Vote for me, or: would you? (pre-vote).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVoteRequest {
    vote: WireVote,
    last: Option<WireLogId>,
    transfer: bool,
}

impl From<VoteRequest<TypeConfig>> for WireVoteRequest {
    fn from(rpc: VoteRequest<TypeConfig>) -> Self {
        Self { vote: rpc.vote.into(), last: rpc.last_log_id.map(Into::into), transfer: rpc.leadership_transfer }
    }
}

impl From<WireVoteRequest> for VoteRequest<TypeConfig> {
    fn from(wire: WireVoteRequest) -> Self {
        let mut request = Self::new(wire.vote.into(), wire.last.map(Into::into));
        request.leadership_transfer = wire.transfer;
        request
    }
}

/// The answer to [`WireVoteRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVoteReply {
    vote: WireVote,
    granted: bool,
    last: Option<WireLogId>,
}

impl From<VoteResponse<TypeConfig>> for WireVoteReply {
    fn from(reply: VoteResponse<TypeConfig>) -> Self {
        Self { vote: reply.vote.into(), granted: reply.vote_granted, last: reply.last_log_id.map(Into::into) }
    }
}

impl From<WireVoteReply> for VoteResponse<TypeConfig> {
    fn from(wire: WireVoteReply) -> Self {
        Self::new(Vote::from(wire.vote), wire.last.map(Into::into), wire.granted)
    }
}

/// Take over as leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireTransfer {
    from: WireVote,
    to: u64,
    last: Option<WireLogId>,
}

impl From<&TransferLeaderRequest<TypeConfig>> for WireTransfer {
    fn from(rpc: &TransferLeaderRequest<TypeConfig>) -> Self {
        Self {
            from: (*rpc.from_leader()).into(),
            to: *rpc.to_node_id(),
            last: rpc.last_log_id().map(|id| (*id).into()),
        }
    }
}

impl From<WireTransfer> for TransferLeaderRequest<TypeConfig> {
    fn from(wire: WireTransfer) -> Self {
        Self::new(wire.from.into(), wire.to, wire.last.map(Into::into))
    }
}

/// The answer to [`WireTransfer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireTransferReply {
    Accepted,
    VoteChanged { expected: WireVote, actual: WireVote },
    LogNotFlushed { expected: Option<WireLogId>, actual: Option<WireLogId> },
}

impl From<TransferLeaderResponse<TypeConfig>> for WireTransferReply {
    fn from(reply: TransferLeaderResponse<TypeConfig>) -> Self {
        match reply {
            Ok(()) => Self::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                Self::VoteChanged { expected: expected.into(), actual: actual.into() }
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                Self::LogNotFlushed { expected: expected.map(Into::into), actual: actual.map(Into::into) }
            }
        }
    }
}

impl From<WireTransferReply> for TransferLeaderResponse<TypeConfig> {
    fn from(wire: WireTransferReply) -> Self {
        match wire {
            WireTransferReply::Accepted => Ok(()),
            WireTransferReply::VoteChanged { expected, actual } => {
                Err(TransferLeaderError::VoteChanged { expected: expected.into(), actual: actual.into() })
            }
            WireTransferReply::LogNotFlushed { expected, actual } => Err(TransferLeaderError::LogNotFlushed {
                expected: expected.map(Into::into),
                actual: actual.map(Into::into),
            }),
        }
    }
}

/// What goes before a snapshot's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireSnapshotHead {
    pub(crate) vote: WireVote,
}

/// The answer to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireSnapshotReply {
    vote: WireVote,
}

impl From<SnapshotResponse<TypeConfig>> for WireSnapshotReply {
    fn from(reply: SnapshotResponse<TypeConfig>) -> Self {
        Self { vote: reply.vote.into() }
    }
}

impl From<WireSnapshotReply> for SnapshotResponse<TypeConfig> {
    fn from(wire: WireSnapshotReply) -> Self {
        Self::new(wire.vote.into())
    }
}
