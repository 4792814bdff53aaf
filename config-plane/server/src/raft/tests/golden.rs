//! The bytes of every message and every record, as they travel between versions and lie on disks. A change here breaks
//! running worlds: add a field with a default, or a format (`codec.rs`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use decision::{Command, Outcome, Refusal, Request, RequestId};
use expect_test::{Expect, expect};
use model::PlanId;
use openraft::{
    EntryPayload,
    impls::leader_id_adv::LeaderId,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
        VoteRequest, VoteResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::raft::{
    codec,
    consensus::Declined,
    network::{snapshot_body, split_snapshot},
    reach::WirePulse,
    snapshot::Image,
    types::{Entry, LogId, Membership, Proposal, RegionNode, StoredMembership, TypeConfig, Vote},
    wire::{
        WireAppend, WireAppendReply, WireEntry, WireLogId, WireSnapshotReply, WireTransfer, WireTransferReply,
        WireVote, WireVoteReply, WireVoteRequest,
    },
};

/// A message: format 1 on the wire. As a record of the disk it is the same text in format 2.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T, want: &Expect) {
    let bytes = codec::encode(message).expect("encodes");
    assert_eq!(bytes[0], 1, "format");
    want.assert_eq(std::str::from_utf8(&bytes[1..]).expect("text"));
    assert_eq!(codec::decode::<T>(&bytes).expect("decodes"), *message);
    let record = codec::seal(message).expect("encodes");
    assert_eq!((record[0], &record[9..]), (2, &bytes[1..]), "format and text on disk");
    assert_eq!(codec::decode::<T>(&record).expect("decodes"), *message);
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

#[test]
fn answers_to_votes() {
    let reply = VoteResponse::<TypeConfig>::new(Vote::new(4, 1), Some(log_id(7)), true);
    check(
        &WireVoteReply::from(reply),
        &expect![[
            r#"{"vote":{"term":4,"node":1,"committed":false},"granted":true,"last":{"term":3,"node":2,"index":7}}"#
        ]],
    );
}

#[test]
fn transfers() {
    let ask = TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(3, 2), 1, Some(log_id(7)));
    check(
        &WireTransfer::from(&ask),
        &expect![[r#"{"from":{"term":3,"node":2,"committed":true},"to":1,"last":{"term":3,"node":2,"index":7}}"#]],
    );
    check(&WireTransferReply::from(Ok(())), &expect![[r#""accepted""#]]);
    let changed = TransferLeaderError::VoteChanged { expected: Vote::new_committed(3, 2), actual: Vote::new(4, 1) };
    check(
        &WireTransferReply::from(Err(changed)),
        &expect![[
            r#"{"vote_changed":{"expected":{"term":3,"node":2,"committed":true},"actual":{"term":4,"node":1,"committed":false}}}"#
        ]],
    );
    let behind = TransferLeaderError::LogNotFlushed { expected: Some(log_id(7)), actual: None };
    check(
        &WireTransferReply::from(Err(behind)),
        &expect![[r#"{"log_not_flushed":{"expected":{"term":3,"node":2,"index":7},"actual":null}}"#]],
    );
}

#[test]
fn snapshots() {
    let vote = Vote::new_committed(3, 2);
    let body = snapshot_body(vote, &Bytes::from_static(b"BLOB")).expect("encodes");
    expect![[r#"\x00\x00\x00.\x01{\"vote\":{\"term\":3,\"node\":2,\"committed\":true}}BLOB"#]]
        .assert_eq(&body.escape_ascii().to_string());
    assert_eq!(split_snapshot(body).expect("decodes"), (vote, Bytes::from_static(b"BLOB")));
    let reply = WireSnapshotReply::from(SnapshotResponse::<TypeConfig>::new(vote));
    check(&reply, &expect![[r#"{"vote":{"term":3,"node":2,"committed":true}}"#]]);

    let stored = StoredMembership::new(Some(log_id(1)), membership());
    let image = Image { applied: Some(log_id(7)), membership: stored, ..Image::default() };
    let blob = image.encode().expect("encodes");
    assert_eq!(blob[..5], *b"ATPL\x01", "magic and format");
    let text = String::from_utf8_lossy(&blob[13..]);
    // What the state itself looks like is `decision`'s business.
    let (ours, _) = text.split_once(r#","state":"#).expect("the state comes last");
    expect![[
        r#"{"applied":{"term":3,"node":2,"index":7},"membership":{"made_by":{"term":3,"node":2,"index":1},"membership":{"voters":[[1,2,3]],"nodes":{"1":{"name":"us-east"},"2":{"name":"eu-west"},"3":{"name":"ap-south"}}}}"#
    ]]
    .assert_eq(ours);
}

#[test]
fn forwarded_proposals() {
    check(
        &request(),
        &expect![[
            r#"{"id":"07070707070707070707070707070707","proposed_at_ms":1700000000000,"proposed_by":"us-east","command":{"expire_overrides":{"now_ms":1700000000000}}}"#
        ]],
    );
    let id = PlanId { lineage: 0xbeef, version: 17 };
    let answers: [(Result<Outcome, Declined>, Expect); 7] = [
        (Ok(Outcome::Applied(id)), expect![[r#"{"Ok":{"applied":{"lineage":48879,"version":17}}}"#]]),
        (Ok(Outcome::Unchanged(id)), expect![[r#"{"Ok":{"unchanged":{"lineage":48879,"version":17}}}"#]]),
        (Ok(Outcome::Refused(Refusal::NotFounded)), expect![[r#"{"Ok":{"refused":{"rule":"not_founded"}}}"#]]),
        (Err(Declined::NotLeader { leader: Some(2) }), expect![[r#"{"Err":{"not_leader":{"leader":2}}}"#]]),
        (Err(Declined::NoQuorum), expect![[r#"{"Err":"no_quorum"}"#]]),
        (Err(Declined::Unknown), expect![[r#"{"Err":"unknown"}"#]]),
        (Err(Declined::Stopped { why: "disk".into() }), expect![[r#"{"Err":{"stopped":{"why":"disk"}}}"#]]),
    ];
    for (answer, want) in answers {
        check(&answer, &want);
    }
}

#[test]
fn single_records_of_the_disk() {
    check(&WireLogId::from(log_id(7)), &expect![[r#"{"term":3,"node":2,"index":7}"#]]);
    let record = codec::seal(&WireVote::from(Vote::new(4, 1))).expect("encodes");
    expect![[r#"\x02\x014F\xcf9\x0b\xc2W{\"term\":4,\"node\":1,\"committed\":false}"#]]
        .assert_eq(&record.escape_ascii().to_string());
}

#[test]
fn pulses_and_places_to_read_at() {
    let pulse = WirePulse { majority_us: Some(80_500), term: 4, bare: false, disk_stalled_ms: 0 };
    check(&pulse, &expect![[r#"{"majority_us":80500,"term":4,"bare":false,"disk_stalled_ms":0}"#]]);
    check(&Ok::<u64, Declined>(17), &expect![[r#"{"Ok":17}"#]]);
    check(&(), &expect![["null"]]);
}
