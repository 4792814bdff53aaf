//! What a new leader need not send, since its supporters said that they have it (`network.rs`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use openraft::{
    EntryPayload, RaftNetworkFactory, RaftNetworkV2,
    impls::leader_id_adv::LeaderId,
    network::RPCOption,
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse},
    storage::RaftLogStorageExt,
};

use super::drive::Drive;
use crate::raft::{
    carrier::{CallFailure, Carrier, Lane},
    codec,
    disk::Disk,
    log_store::LogStore,
    network::{Network, Peer},
    rpc::Ask,
    types::{Entry, LogId, RegionNode, TypeConfig, Vote},
    wire::{WireAppendReply, WireVoteReply},
};

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

/// A member that answers each question for a vote in one way, takes every append, and counts those.
struct Supporter {
    reply: VoteResponse<TypeConfig>,
    appends: Arc<AtomicUsize>,
}

impl Carrier for Supporter {
    fn ask(&self, _: u64, _: Lane, what: Ask, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, CallFailure>> {
        let answer = match what {
            Ask::Append => {
                self.appends.fetch_add(1, Ordering::Relaxed);
                codec::encode(&WireAppendReply::Success)
            }
            _ => codec::encode(&WireVoteReply::from(self.reply.clone())),
        };
        Box::pin(ready(Ok(answer.expect("encodes").into())))
    }
}

async fn append(peer: &mut Peer, term: u64, last: LogId) {
    let rpc = AppendEntriesRequest {
        vote: Vote::new_committed(term, 1),
        prev_log_id: last.index.checked_sub(1).map(|index| id(1, index)),
        entries: vec![Entry { log_id: last, payload: EntryPayload::Blank }],
        leader_commit: None,
    };
    let answer = peer.append_entries(rpc, RPCOption::new(Duration::from_secs(1))).await.expect("an answer");
    assert!(matches!(answer, AppendEntriesResponse::Success));
}

#[tokio::test]
async fn what_a_supporter_has_is_not_sent_until_something_was_sent_that_it_may_not_have() {
    let (disk, found) = Disk::open_backend(Drive::default().attach(), "test").expect("opens");
    let mut log = LogStore::new(disk, &found).expect("an empty log");
    let entries = (0..10).map(|index| Entry { log_id: id(1, index), payload: EntryPayload::Blank });
    log.blocking_append(entries.collect::<Vec<_>>()).await.expect("appends");

    // Its last entry, whether it gave the vote of term 2; then the appends under that of term 2 or another one; how many are sent.
    let check = async |last: LogId, granted: bool, appends: &[(u64, LogId)], sent: usize| {
        let counted = Arc::new(AtomicUsize::new(0));
        let reply = VoteResponse::new(Vote::new(2, 1), Some(last), granted);
        let network = Network::new(1, Supporter { reply, appends: counted.clone() }).beside(log.clone());
        let mut peer = network.clone().new_client(2, &RegionNode::default()).await;
        let asked = VoteRequest::new(Vote::new(2, 1), Some(id(1, 9)));
        peer.vote(asked, RPCOption::new(Duration::from_secs(1))).await.expect("an answer");
        // Another stream to the same member.
        let mut peer = network.clone().new_client(2, &RegionNode::default()).await;
        for (term, last) in appends {
            append(&mut peer, *term, *last).await;
        }
        assert_eq!(counted.load(Ordering::Relaxed), sent, "{last} {granted} {appends:?}");
    };
    let (first, mid, last, new) = (id(1, 0), id(1, 5), id(1, 9), id(2, 10));
    check(last, true, &[(2, mid), (2, first), (2, last)], 0).await;
    check(last, true, &[(2, mid), (2, last), (2, new)], 1).await;
    check(last, true, &[(2, new), (2, mid)], 2).await;
    check(mid, true, &[(2, first), (2, mid)], 0).await;
    check(mid, true, &[(2, mid), (2, last), (2, mid)], 2).await;
    check(last, false, &[(2, mid)], 1).await;
    check(last, true, &[(3, mid)], 1).await;
    // It has the end of another log.
    check(id(0, 9), true, &[(2, mid)], 1).await;
    check(id(3, 9), true, &[(2, first)], 1).await;
}
