//! How a member calls another: one POST per RPC over HTTP/2 and mutual TLS, each within openraft's own time for it.
//!
//! Three transports, so three connections to a peer: one for the log and for votes, one for heartbeats alone, one for
//! snapshots. Whatever fills one of them, heartbeats go through.
//!
//! What openraft is told: a request that never left is `Unreachable` (it backs off before it tries again); one without an
//! answer in time is `Timeout`, a broken one is `Network` (it tries again at once). No failure ever counts as a granted vote.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use openraft::{
    OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
};
use plane_client::{Call, CallError, ChannelOptions, Credentials, Endpoint, Transport, api::path};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec,
    types::{RegionNode, Snapshot, TypeConfig, Vote},
    wire::{
        WireAppend, WireAppendReply, WireSnapshotHead, WireSnapshotReply, WireTransfer, WireTransferReply,
        WireVoteReply, WireVoteRequest,
    },
};

/// Media type of everything under `/raft/`.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.atoll.raft";

/// The longest answer to a raft RPC, bytes: a vote and two log ids.
const ANSWER_MOST: usize = 64 << 10;

/// The transports of one member, and where its peers are.
#[derive(Clone)]
pub(crate) struct Network {
    own: u64,
    peers: Arc<BTreeMap<u64, Endpoint>>,
    log: Transport,
    heartbeats: Transport,
    snapshots: Transport,
}

impl Network {
    pub(crate) fn new(
        own: u64,
        peers: BTreeMap<u64, Endpoint>,
        credentials: &Credentials,
    ) -> Result<Self, pki::PkiError> {
        let transport = || Transport::new(credentials, ChannelOptions::default());
        Ok(Self { own, peers: Arc::new(peers), log: transport()?, heartbeats: transport()?, snapshots: transport()? })
    }

    /// One call outside of raft's own, to forward a proposal.
    pub(crate) async fn call(
        &self,
        target: u64,
        path: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Bytes, CallFailure> {
        let endpoint = self.peers.get(&target).ok_or_else(|| CallFailure::unknown(target))?;
        post(&self.log, endpoint, path, body.into(), within).await
    }

    fn peer(&self, target: u64, transport: &Transport) -> Peer {
        let endpoint = self.peers.get(&target).cloned();
        Peer { own: self.own, target, endpoint, transport: transport.clone() }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, &self.log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, &self.heartbeats)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, &self.snapshots)
    }
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("member {target} is not in this region's configuration")]
    UnknownMember { target: u64 },
    #[error("{endpoint} answered {status}: {body}")]
    Status { endpoint: Endpoint, status: http::StatusCode, body: String },
    #[error("the answer of {endpoint} is not understood: {why}")]
    Answer { endpoint: Endpoint, why: codec::CodecError },
}

impl CallFailure {
    fn unknown(target: u64) -> Self {
        Self::UnknownMember { target }
    }

    /// Whether what was asked for may have been done all the same.
    pub(crate) fn outcome_unknown(&self) -> bool {
        match self {
            Self::Call(e) => e.outcome_unknown(),
            Self::UnknownMember { .. } | Self::Status { .. } => false,
            Self::Answer { .. } => true,
        }
    }

    fn into_rpc(self, action: RPCTypes, from: u64, to: u64) -> RPCError<TypeConfig> {
        match &self {
            Self::Call(CallError::Timeout { within, .. }) => {
                Timeout { action, id: from, target: to, timeout: *within }.into()
            }
            Self::Call(CallError::Broken { .. } | CallError::TooLarge { .. }) => NetworkError::new(&self).into(),
            // A peer that is not there, or that says no, says it again: back off.
            Self::Call(CallError::Unreachable { .. })
            | Self::UnknownMember { .. }
            | Self::Status { .. }
            | Self::Answer { .. } => Unreachable::new(&self).into(),
        }
    }
}

async fn post(
    transport: &Transport,
    endpoint: &Endpoint,
    path: &str,
    body: Bytes,
    within: Duration,
) -> Result<Bytes, CallFailure> {
    let call = Call::post(path, MEDIA_TYPE, body).most(ANSWER_MOST);
    let answer = transport.call(endpoint, &call, within).await?;
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let body = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    Err(CallFailure::Status { endpoint: endpoint.clone(), status: answer.status, body })
}

/// One peer over one transport.
pub(crate) struct Peer {
    own: u64,
    target: u64,
    endpoint: Option<Endpoint>,
    transport: Transport,
}

impl Peer {
    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        action: RPCTypes,
        path: &str,
        question: &Q,
        option: &RPCOption,
    ) -> Result<A, RPCError<TypeConfig>> {
        let body = codec::encode(question).map_err(|e| NetworkError::new(&e))?;
        self.send(path, body.into(), option).await.map_err(|e| e.into_rpc(action, self.own, self.target))
    }

    async fn send<A: DeserializeOwned>(&self, path: &str, body: Bytes, option: &RPCOption) -> Result<A, CallFailure> {
        let endpoint = self.endpoint.as_ref().ok_or_else(|| CallFailure::unknown(self.target))?;
        let answer = post(&self.transport, endpoint, path, body, option.soft_ttl()).await?;
        codec::decode(&answer).map_err(|why| CallFailure::Answer { endpoint: endpoint.clone(), why })
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = WireAppend::from(&rpc);
        let answer: WireAppendReply = self.ask(RPCTypes::AppendEntries, path::RAFT_APPEND, &question, &option).await?;
        Ok(answer.into())
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = WireVoteRequest::from(rpc);
        let answer: WireVoteReply = self.ask(RPCTypes::Vote, path::RAFT_VOTE, &question, &option).await?;
        Ok(answer.into())
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = WireVoteRequest::from(rpc);
        let answer: WireVoteReply = self.ask(RPCTypes::Vote, path::RAFT_PRE_VOTE, &question, &option).await?;
        Ok(answer.into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let body = snapshot_body(vote, &snapshot.snapshot).map_err(|e| NetworkError::new(&e))?;
        let sent = self.send::<WireSnapshotReply>(path::RAFT_SNAPSHOT, body, &option);
        tokio::select! {
            answer = sent => match answer {
                Ok(answer) => Ok(answer.into()),
                Err(e) => Err(e.into_rpc(RPCTypes::InstallSnapshot, self.own, self.target).into()),
            },
            closed = cancel => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = WireTransfer::from(&rpc);
        let answer: WireTransferReply =
            self.ask(RPCTypes::TransferLeader, path::RAFT_TRANSFER, &question, &option).await?;
        Ok(answer.into())
    }
}

/// A snapshot on the wire: length of the head (4 bytes, big-endian), the head as a record, the blob as it lies on disk.
fn snapshot_body(vote: Vote, blob: &Bytes) -> Result<Bytes, codec::CodecError> {
    let head = codec::encode(&WireSnapshotHead { vote: vote.into() })?;
    let mut body = BytesMut::with_capacity(4 + head.len() + blob.len());
    // The head is a few dozen bytes.
    body.put_u32(head.len() as u32);
    body.put_slice(&head);
    body.put_slice(blob);
    Ok(body.freeze())
}

/// The parts of [`snapshot_body`].
pub(crate) fn split_snapshot(mut body: Bytes) -> Result<(Vote, Bytes), codec::CodecError> {
    let Some(length) = body.first_chunk::<4>().map(|head| u32::from_be_bytes(*head) as usize) else {
        return Err(codec::CodecError::Empty);
    };
    let head = body.get(4..4usize.saturating_add(length)).ok_or(codec::CodecError::Empty)?;
    let head: WireSnapshotHead = codec::decode(head)?;
    Ok((head.vote.into(), body.split_off(4 + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_on_the_wire_comes_apart_as_it_was_put_together_and_a_cut_one_is_refused() {
        let vote = Vote::new_committed(3, 2);
        let body = snapshot_body(vote, &Bytes::from_static(b"blob")).expect("fits");
        assert_eq!(split_snapshot(body.clone()).expect("whole"), (vote, Bytes::from_static(b"blob")));
        for cut in 0..body.len() - 4 {
            assert!(split_snapshot(body.slice(..cut)).is_err(), "{cut} bytes");
        }
        assert!(split_snapshot(Bytes::from_static(b"\xff\xff\xff\xff")).is_err());
    }
}
