//! The same log gives bit-equal state: on every member, through any restart, from records of any format that is read.
//!
//! `golden/log.v1` and `golden/log.v2` are one log as the first and the second format of `codec.rs` wrote it: one record a line,
//! its head in hexadecimal, then its text. They are never written again. `golden/log.hashes` is what comes of it, entry by entry.
//! If that file changes, members of this version and of the one before hold different bytes for the same log: let that be on
//! purpose, and say so in the CHANGELOG. `UPDATE_EXPECT=1 cargo test -p plane-server` writes it.

use std::fmt::Write;

use expect_test::expect_file;
use openraft::EntryPayload;
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use super::drive::Drive;
use crate::raft::{
    codec,
    disk::Disk,
    log_store::LogStore,
    snapshot::Image,
    state_machine::StateMachine,
    types::{Applied, Entry, Proposal},
    wire::WireEntry,
};

const FORMAT_1: &str = include_str!("golden/log.v1");
const FORMAT_2: &str = include_str!("golden/log.v2");

fn records(text: &str) -> Vec<Vec<u8>> {
    let record = |line: &str| {
        let (head, body) = line.split_once(' ').expect("a head and a text");
        let byte = |at| u8::from_str_radix(&head[at..at + 2], 16).expect("hexadecimal");
        let mut bytes: Vec<u8> = (0..head.len()).step_by(2).map(byte).collect();
        bytes.extend_from_slice(body.as_bytes());
        bytes
    };
    text.lines().map(record).collect()
}

fn entries(text: &str) -> Vec<Entry> {
    let entry = |bytes: &Vec<u8>| codec::decode::<WireEntry>(bytes).and_then(WireEntry::into_entry).expect("is read");
    records(text).iter().map(entry).collect()
}

/// A state machine over a disk of its own.
fn machine(kept: Option<&Image>) -> StateMachine {
    let (disk, mut found) = Disk::open_backend(Drive::default().attach(), "test").expect("opens");
    found.snapshot = kept.map(|image| image.encode().expect("encodes").to_vec());
    let (published, plans) = (watch::Sender::new(Default::default()), watch::Sender::new(None));
    StateMachine::new(disk, &found, published, plans).expect("a machine")
}

fn line(entry: &Entry, applied: &Applied, image: &Image) -> String {
    let what = match &entry.payload {
        EntryPayload::Blank => "blank",
        EntryPayload::Membership(_) => "membership",
        EntryPayload::Normal(Proposal(request)) => request.command.kind(),
    };
    let hash = xxh3_64(&image.encode().expect("encodes"));
    let applied = match applied {
        Applied::Nothing => "-".to_owned(),
        Applied::Outcome(outcome) => serde_json::to_string(outcome).expect("encodes"),
    };
    format!("{} {hash:016x} {what} {applied}", entry.log_id.index)
}

fn replay(entries: &[Entry], mut between: impl FnMut(StateMachine) -> StateMachine) -> String {
    let mut machine = machine(None);
    let mut lines = String::new();
    for entry in entries {
        machine = between(machine);
        let applied = machine.apply_payload(entry.log_id, entry.payload.clone());
        writeln!(lines, "{}", line(entry, &applied, machine.image())).expect("a string takes all");
    }
    lines
}

#[test]
fn invariant_the_same_log_gives_bit_equal_state_on_all_members_and_versions() {
    let (first, second) = (entries(FORMAT_1), entries(FORMAT_2));
    assert_eq!(first, second, "both formats say the same");
    let straight = replay(&second, |machine| machine);
    expect_file!["golden/log.hashes"].assert_eq(&straight);
    // A member that is stopped before every entry, and starts again from a snapshot that it just wrote.
    let restarted = replay(&second, |before| machine(Some(before.image())));
    assert_eq!(restarted, straight);
}

#[tokio::test]
async fn a_log_of_the_first_format_is_opened_and_goes_on_in_the_second() {
    use crate::raft::file::Change;
    use openraft::RaftLogReader;
    let drive = Drive::default();
    let (disk, _) = Disk::open_backend(drive.attach(), "test").expect("opens");
    let rows = (0..).zip(records(FORMAT_1)).collect();
    disk.write(Change::Append(rows)).await.expect("written");
    disk.close().await;
    let (_disk, found) = Disk::open_backend(drive.attach(), "test").expect("opens");
    let mut store = LogStore::new(_disk.clone(), &found).expect("a log");
    assert_eq!(store.try_get_log_entries(..).await.expect("reads"), entries(FORMAT_2));
}
