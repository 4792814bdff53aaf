//! Raft's questions to another member (`carrier.rs`), each within openraft's own time for it. No failure ever counts
//! as a granted vote.
//!
//! A new leader does not know how much of its log a follower has, and openraft searches for it, by halves, a round trip each: eight of
//! them where a thousand entries are kept. But with its vote the follower said what its last entry is, and two logs that share an entry
//! are the same up to it (Ongaro and Ousterhout 2014, Log Matching). So what a follower is known to have is not sent again: the search
//! is over without a packet, and the first thing that is sent is the first entry of the new term.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, future::BoxFuture, stream::BoxStream};
use openraft::{
    OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    appends,
    carrier::{CallFailure, Carrier, Lane},
    codec,
    log_store::LogStore,
    rpc::Ask,
    types::{LogId, RegionNode, Snapshot, TypeConfig, Vote},
    wire::{
        WireAppend, WireAppendReply, WireSnapshotHead, WireSnapshotReply, WireTransfer, WireTransferReply,
        WireVoteReply, WireVoteRequest,
    },
};

/// One member's way to the others.
#[derive(Clone)]
pub(crate) struct Network {
    own: u64,
    carrier: Arc<dyn Carrier>,
    /// This member's log; none before it is opened.
    log: Option<LogStore>,
    supporters: Arc<Mutex<Supporters>>,
}

/// Who gave this member which vote, and what the last entry of its log was.
type Supporters = BTreeMap<u64, (Vote, LogId)>;

impl Network {
    pub(crate) fn new(own: u64, carrier: impl Carrier) -> Self {
        Self { own, carrier: Arc::new(carrier), log: None, supporters: Arc::default() }
    }

    /// The same, knowing what this member's log holds.
    pub(super) fn beside(self, log: LogStore) -> Self {
        Self { log: Some(log), ..self }
    }

    /// One call outside of raft's own, on the lane of heartbeats or of the log.
    pub(crate) async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        target: u64,
        lane: Lane,
        what: Ask,
        question: &Q,
        within: Duration,
    ) -> Result<A, CallFailure> {
        let not_sent = |why| CallFailure::Question { target, why };
        let body = codec::encode(question).map_err(not_sent)?;
        let answer = self.carrier.ask(target, lane, what, body.into(), within).await?;
        codec::decode(&answer).map_err(|why| CallFailure::Answer { target, why })
    }

    fn peer(&self, target: u64, lane: Lane) -> Peer {
        let (carrier, supporters) = (Arc::clone(&self.carrier), Arc::clone(&self.supporters));
        Peer { own: self.own, target, lane, carrier, log: self.log.clone(), supporters }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, Lane::Heartbeats)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &RegionNode) -> Peer {
        self.peer(target, Lane::Snapshots)
    }
}

/// An answer to one request of a stream.
type Appended = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// One peer over one lane.
pub(crate) struct Peer {
    own: u64,
    target: u64,
    lane: Lane,
    carrier: Arc<dyn Carrier>,
    log: Option<LogStore>,
    supporters: Arc<Mutex<Supporters>>,
}

impl Peer {
    fn supporters(&self) -> MutexGuard<'_, Supporters> {
        self.supporters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer is known to have all these entries: it said so when it gave the vote by which this member leads, and nothing was
    /// sent to it since that could have told otherwise. From then on only its answers count.
    fn has(&self, rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
        let Some(end) = rpc.entries.last().map(|entry| entry.log_id) else { return false };
        let known = self.supporters().get(&self.target).copied();
        let Some((vote, last)) = known else { return false };
        let shares_it = || self.log.as_ref().is_some_and(|log| log.holds(last));
        if vote.leader_id == rpc.vote.leader_id && end.index <= last.index && shares_it() {
            return true;
        }
        self.supporters().remove(&self.target);
        false
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        action: RPCTypes,
        what: Ask,
        question: &Q,
        option: &RPCOption,
    ) -> Result<A, RPCError<TypeConfig>> {
        let body = codec::encode(question).map_err(|e| NetworkError::new(&e))?;
        self.send(what, body.into(), option).await.map_err(|e| e.into_rpc(action, self.own, self.target))
    }

    async fn append(
        &self,
        rpc: &AppendEntriesRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        if self.has(rpc) {
            return Ok(AppendEntriesResponse::Success);
        }
        let question = WireAppend::from(rpc);
        let answer: WireAppendReply = self.ask(RPCTypes::AppendEntries, Ask::Append, &question, option).await?;
        Ok(answer.into())
    }

    async fn send<A: DeserializeOwned>(&self, what: Ask, body: Bytes, option: &RPCOption) -> Result<A, CallFailure> {
        let answer = self.carrier.ask(self.target, self.lane, what, body, option.soft_ttl()).await?;
        codec::decode(&answer).map_err(|why| CallFailure::Answer { target: self.target, why })
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.append(&rpc, &option).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let peer = &*self;
        let ask = move |rpc| {
            let option = option.clone();
            async move { peer.append(&rpc, &option).await }
        };
        Box::pin(std::future::ready(Ok(appends::answers(input, ask))))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let vote = rpc.vote;
        let question = WireVoteRequest::from(rpc);
        let answer: WireVoteReply = self.ask(RPCTypes::Vote, Ask::Vote, &question, &option).await?;
        let answer = VoteResponse::from(answer);
        match answer.last_log_id {
            Some(last) if answer.vote_granted => self.supporters().insert(self.target, (vote, last)),
            _ => self.supporters().remove(&self.target),
        };
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let question = WireVoteRequest::from(rpc);
        let answer: WireVoteReply = self.ask(RPCTypes::Vote, Ask::PreVote, &question, &option).await?;
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
        let sent = self.send::<WireSnapshotReply>(Ask::Snapshot, body, &option);
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
        let answer: WireTransferReply = self.ask(RPCTypes::TransferLeader, Ask::Transfer, &question, &option).await?;
        Ok(answer.into())
    }
}

/// A snapshot on the wire: length of the head (4 bytes, big-endian), the head as a record, the blob as it lies on disk.
pub(super) fn snapshot_body(vote: Vote, blob: &Bytes) -> Result<Bytes, codec::CodecError> {
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
