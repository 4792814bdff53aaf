//! The bytes of format 1, as they lie on disks and travel between versions. A change here breaks running worlds.

use std::collections::{BTreeMap, BTreeSet};

use decision::{Command, Request, RequestId};
use expect_test::{Expect, expect};
use openraft::{
    EntryPayload,
    impls::leader_id_adv::LeaderId,
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::raft::{
    codec,
    types::{Entry, LogId, Membership, Proposal, RegionNode, TypeConfig, Vote},
    wire::{WireAppend, WireAppendReply, WireEntry, WireVote, WireVoteRequest},
};

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(record: &T, want: &Expect) {
    let bytes = codec::encode(record).expect("encodes");
    assert_eq!(bytes[0], 1, "format");
    want.assert_eq(std::str::from_utf8(&bytes[1..]).expect("text"));
    assert_eq!(codec::decode::<T>(&bytes).expect("decodes"), *record);
}

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 3, node_id: 2 }, index }
}

fn entry(payload: EntryPayload<Proposal, u64, RegionNode>) -> Entry {
    Entry { log_id: log_id(7), payload }
}

fn request() -> Request {
    Request {
        id: RequestId::from_bytes([7; 16]),
        proposed_at_ms: 1_700_000_000_000,
        proposed_by: "us-east".parse().expect("a name"),
        command: Command::ExpireOverrides { now_ms: 1_700_000_000_000 },
        generation: 0,
    }
}

fn membership() -> Membership {
    let node = |name: &str| RegionNode { name: name.into() };
    let nodes = BTreeMap::from([(1, node("us-east")), (2, node("eu-west")), (3, node("ap-south"))]);
    Membership::new(vec![BTreeSet::from([1, 2, 3])], nodes).expect("three voters")
}

#[test]
fn entries() {
    check(
        &WireEntry::from(&entry(EntryPayload::Blank)),
        &expect![[r#"{"id":{"term":3,"node":2,"index":7},"body":"blank"}"#]],
    );
    check(
        &WireEntry::from(&entry(EntryPayload::Normal(Proposal(request())))),
        &expect![[
            r#"{"id":{"term":3,"node":2,"index":7},"body":{"request":{"id":"07070707070707070707070707070707","proposed_at_ms":1700000000000,"proposed_by":"us-east","command":{"expire_overrides":{"now_ms":1700000000000}}}}}"#
        ]],
    );
    check(
        &WireEntry::from(&entry(EntryPayload::Membership(membership()))),
        &expect![[
            r#"{"id":{"term":3,"node":2,"index":7},"body":{"membership":{"voters":[[1,2,3]],"nodes":{"1":{"name":"us-east"},"2":{"name":"eu-west"},"3":{"name":"ap-south"}}}}}"#
        ]],
    );
}

#[test]
fn an_entry_comes_back_as_it_was() {
    for payload in
        [EntryPayload::Blank, EntryPayload::Normal(Proposal(request())), EntryPayload::Membership(membership())]
    {
        let before = entry(payload);
        let after = WireEntry::from(&before).into_entry().expect("translates");
        assert_eq!(before, after);
    }
}

#[test]
fn votes() {
    check(&WireVote::from(Vote::new_committed(3, 2)), &expect![[r#"{"term":3,"node":2,"committed":true}"#]]);
    let mut ask = VoteRequest::<TypeConfig>::new(Vote::new(4, 1), Some(log_id(7)));
    ask.leadership_transfer = true;
    check(
        &WireVoteRequest::from(ask.clone()),
        &expect![[
            r#"{"vote":{"term":4,"node":1,"committed":false},"last":{"term":3,"node":2,"index":7},"transfer":true}"#
        ]],
    );
    assert_eq!(VoteRequest::from(WireVoteRequest::from(ask.clone())), ask);
}

#[test]
fn appends() {
    let heartbeat = AppendEntriesRequest::<TypeConfig> {
        vote: Vote::new_committed(3, 2),
        prev_log_id: Some(log_id(6)),
        entries: vec![entry(EntryPayload::Blank)],
        leader_commit: None,
    };
    check(
        &WireAppend::from(&heartbeat),
        &expect![[
            r#"{"vote":{"term":3,"node":2,"committed":true},"prev":{"term":3,"node":2,"index":6},"entries":[{"id":{"term":3,"node":2,"index":7},"body":"blank"}],"commit":null}"#
        ]],
    );
    check(&WireAppendReply::from(AppendEntriesResponse::<TypeConfig>::Success), &expect![[r#""success""#]]);
    check(
        &WireAppendReply::from(AppendEntriesResponse::<TypeConfig>::PartialSuccess(Some(log_id(7)))),
        &expect![[r#"{"partial":{"term":3,"node":2,"index":7}}"#]],
    );
    check(&WireAppendReply::from(AppendEntriesResponse::<TypeConfig>::Conflict), &expect![[r#""conflict""#]]);
    check(
        &WireAppendReply::from(AppendEntriesResponse::<TypeConfig>::HigherVote(Vote::new(4, 1))),
        &expect![[r#"{"higher_vote":{"term":4,"node":1,"committed":false}}"#]],
    );
}
