//! The receiving end of `network.rs`: bytes of a peer in, openraft's answer in bytes out.

use bytes::Bytes;
use decision::{Outcome, Request};
use openraft::{
    EntryPayload,
    errors::RaftError,
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    codec::{self, CodecError},
    consensus::{Consensus, Declined},
    network::split_snapshot,
    snapshot::{Image, SnapshotError},
    types::{Entry, Snapshot, TypeConfig},
    wire::{
        WireAppend, WireAppendReply, WireSnapshotReply, WireTransfer, WireTransferReply, WireVoteReply, WireVoteRequest,
    },
};

/// Where a member forwards a proposal to the leader. Between members only, like everything under `/raft/`.
pub(crate) const PROPOSE: &str = "/raft/propose";

/// Where a member asks the leader which place in the log a read has to wait for.
pub(crate) const READ_INDEX: &str = "/raft/read-index";

/// Where a member measures the way to another one, and asks how it does.
pub(crate) const PULSE: &str = "/raft/pulse";

/// Why an RPC has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcFault {
    #[error("not a message of raft's: {0}")]
    Malformed(#[from] CodecError),
    #[error("not a snapshot of the plane: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("this member began with an empty disk, and must first learn what it may have forgotten: {needs}")]
    Newcomer { needs: &'static str },
    #[error("this member has stopped taking part: {0}")]
    Stopped(String),
}

type Answer = Result<Vec<u8>, RpcFault>;

fn answer<T: Serialize>(value: &T) -> Answer {
    Ok(codec::encode(value)?)
}

fn stopped(error: &RaftError<TypeConfig>) -> RpcFault {
    RpcFault::Stopped(error.to_string())
}

/// Whether the leader knows of nothing committed and sends nothing that was asked for: it is just making the group.
fn makes_the_group(rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
    let asked_for = |entry: &Entry| matches!(entry.payload, EntryPayload::Normal(_));
    rpc.leader_commit.is_none_or(|id| id.index == 0) && !rpc.entries.iter().any(asked_for)
}

impl Consensus {
    /// Entries or a heartbeat of the leader.
    pub(crate) async fn on_append(&self, body: &[u8]) -> Answer {
        let rpc = AppendEntriesRequest::try_from(codec::decode::<WireAppend>(body)?)?;
        let making = makes_the_group(&rpc);
        self.check_leader(&rpc.vote, making)?;
        if making && rpc.entries.first().is_some_and(|entry| entry.log_id.index == 0) {
            self.settle_from_the_start().await;
        }
        let reply = self.raft.append_entries(rpc).await.map_err(|e| stopped(&e))?;
        if !matches!(reply, AppendEntriesResponse::HigherVote(_)) {
            self.heard.note();
        }
        answer(&WireAppendReply::from(reply))
    }

    /// A candidate's request.
    pub(crate) async fn on_vote(&self, body: &[u8]) -> Answer {
        let rpc = self.vote_request(body)?;
        let reply = self.raft.vote(rpc).await.map_err(|e| stopped(&e))?;
        answer(&WireVoteReply::from(reply))
    }

    /// A member's question before it becomes a candidate.
    pub(crate) async fn on_pre_vote(&self, body: &[u8]) -> Answer {
        let rpc = self.vote_request(body)?;
        let reply = self.raft.pre_vote(rpc).await.map_err(|e| stopped(&e))?;
        answer(&WireVoteReply::from(reply))
    }

    fn vote_request(&self, body: &[u8]) -> Result<VoteRequest<TypeConfig>, RpcFault> {
        let rpc = VoteRequest::from(codec::decode::<WireVoteRequest>(body)?);
        self.check_candidate(rpc.last_log_id)?;
        Ok(rpc)
    }

    /// A snapshot of the leader. Verified before openraft sees it, since it trusts its description.
    pub(crate) async fn on_snapshot(&self, body: Bytes) -> Answer {
        let (vote, blob) = split_snapshot(body)?;
        let meta = Image::decode(&blob)?.meta();
        self.check_leader(&vote, false)?;
        let reply = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot: blob }).await;
        let reply = reply.map_err(|e| RpcFault::Stopped(e.to_string()))?;
        answer(&WireSnapshotReply::from(reply))
    }

    /// The leader hands over.
    pub(crate) async fn on_transfer(&self, body: &[u8]) -> Answer {
        let rpc = codec::decode::<WireTransfer>(body)?.into();
        self.check_settled()?;
        let reply = self.raft.handle_transfer_leader(rpc).await.map_err(|e| RpcFault::Stopped(e.to_string()))?;
        answer(&WireTransferReply::from(reply))
    }

    /// A proposal that another member forwards. Never forwarded again.
    pub(crate) async fn on_propose(&self, body: &[u8], deadline: Instant) -> Answer {
        let request: Request = codec::decode(body)?;
        let reply: Result<Outcome, Declined> = self.propose_here(request, deadline).await;
        answer(&reply)
    }

    /// Another member wants to answer a read. The question has no content.
    pub(crate) async fn on_read_index(&self, deadline: Instant) -> Answer {
        answer(&self.read_index(deadline).await)
    }
}
