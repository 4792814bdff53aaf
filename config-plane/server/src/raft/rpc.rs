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
use crate::plane::Plane;

/// What one member asks of another. The numbers are on the wire: they never change, and none is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    /// Entries and heartbeats.
    Append = 1,
    /// A candidate asks for a vote.
    Vote = 2,
    /// Would a vote be given?
    PreVote = 3,
    /// Take a whole snapshot.
    Snapshot = 4,
    /// Take over as leader.
    Transfer = 5,
    /// A command for the leader.
    Propose = 6,
    /// Which place in the log does a read have to wait for?
    ReadIndex = 7,
    /// How far away are you, and how do you do?
    Pulse = 8,
}

impl Ask {
    const ALL: [Self; 8] = [
        Self::Append,
        Self::Vote,
        Self::PreVote,
        Self::Snapshot,
        Self::Transfer,
        Self::Propose,
        Self::ReadIndex,
        Self::Pulse,
    ];

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| *ask as u8 == number)
    }
}

/// Why an RPC has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcFault {
    #[error("this member knows of no question {0}: the other one is newer")]
    Unknown(u8),
    #[error("not a message of raft's: {0}")]
    Malformed(#[from] CodecError),
    #[error("not a snapshot of the plane: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("this member began with an empty disk, and must first learn what it may have forgotten: {needs}")]
    Newcomer { needs: &'static str },
    #[error("this member has stopped taking part: {0}")]
    Stopped(String),
}

pub(crate) type Answer = Result<Vec<u8>, RpcFault>;

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

impl Plane {
    /// Answers another member, within the time that a write may take.
    pub(crate) async fn answer(&self, what: u8, body: Bytes) -> Answer {
        let deadline = Instant::now() + self.timing.write_deadline();
        let consensus = &self.consensus;
        match Ask::numbered(what).ok_or(RpcFault::Unknown(what))? {
            Ask::Append => consensus.on_append(&body).await,
            Ask::Vote => consensus.on_vote(&body).await,
            Ask::PreVote => consensus.on_pre_vote(&body).await,
            Ask::Snapshot => consensus.on_snapshot(body).await,
            Ask::Transfer => consensus.on_transfer(&body).await,
            Ask::Propose => consensus.on_propose(&body, deadline).await,
            Ask::ReadIndex => consensus.on_read_index(deadline).await,
            Ask::Pulse => self.on_pulse(),
        }
    }
}

impl Consensus {
    /// Entries or a heartbeat of the leader.
    async fn on_append(&self, body: &[u8]) -> Answer {
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
    async fn on_vote(&self, body: &[u8]) -> Answer {
        let rpc = self.vote_request(body)?;
        let reply = match self.refusal(&rpc) {
            Some(refusal) => refusal,
            None => self.raft.vote(rpc).await.map_err(|e| stopped(&e))?,
        };
        answer(&WireVoteReply::from(reply))
    }

    /// A member's question before it becomes a candidate.
    async fn on_pre_vote(&self, body: &[u8]) -> Answer {
        let rpc = self.vote_request(body)?;
        let reply = match self.refusal(&rpc) {
            Some(refusal) => refusal,
            None => self.raft.pre_vote(rpc).await.map_err(|e| stopped(&e))?,
        };
        answer(&WireVoteReply::from(reply))
    }

    fn vote_request(&self, body: &[u8]) -> Result<VoteRequest<TypeConfig>, RpcFault> {
        let rpc = VoteRequest::from(codec::decode::<WireVoteRequest>(body)?);
        self.check_candidate(rpc.last_log_id)?;
        Ok(rpc)
    }

    /// A snapshot of the leader. Verified before openraft sees it, since it trusts its description.
    async fn on_snapshot(&self, body: Bytes) -> Answer {
        let (vote, blob) = split_snapshot(body)?;
        let meta = Image::decode(&blob)?.meta();
        self.check_leader(&vote, false)?;
        let reply = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot: blob }).await;
        let reply = reply.map_err(|e| RpcFault::Stopped(e.to_string()))?;
        answer(&WireSnapshotReply::from(reply))
    }

    /// The leader hands over.
    async fn on_transfer(&self, body: &[u8]) -> Answer {
        let rpc = codec::decode::<WireTransfer>(body)?.into();
        self.check_settled()?;
        let reply = self.raft.handle_transfer_leader(rpc).await.map_err(|e| RpcFault::Stopped(e.to_string()))?;
        answer(&WireTransferReply::from(reply))
    }

    /// A proposal that another member forwards. Never forwarded again.
    async fn on_propose(&self, body: &[u8], deadline: Instant) -> Answer {
        let request: Request = codec::decode(body)?;
        let reply: Result<Outcome, Declined> = self.propose_here(request, deadline).await;
        answer(&reply)
    }

    /// Another member wants to answer a read. The question has no content.
    async fn on_read_index(&self, deadline: Instant) -> Answer {
        answer(&self.read_index(deadline).await)
    }
}
