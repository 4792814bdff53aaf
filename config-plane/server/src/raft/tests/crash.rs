//! Whatever was acknowledged before the power went is there when it comes back, at whichever write, sync or change of length it
//! goes, and whatever of the unsynced bytes is left: whole, torn or gone.

use openraft::{
    EntryPayload, RaftLogReader,
    impls::leader_id_adv::LeaderId,
    storage::{IOFlushed, RaftLogStorage},
    type_config::TypeConfigExt,
};

use super::drive::{Drive, Fault};
use crate::raft::{
    disk::Disk,
    file::DiskError,
    log_store::{LogFault, LogStore},
    types::{Entry, LogId, TypeConfig, Vote},
};

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn blank(term: u64, index: u64) -> Entry {
    Entry { log_id: log_id(term, index), payload: EntryPayload::Blank }
}

/// Why a file is turned away.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Disk(DiskError),
    #[error(transparent)]
    Log(LogFault),
}

fn try_open(drive: &Drive) -> Result<(Disk, LogStore), Refused> {
    let (disk, found) = Disk::open_backend(drive.attach(), "test").map_err(Refused::Disk)?;
    let store = LogStore::new(disk.clone(), &found).map_err(Refused::Log)?;
    Ok((disk, store))
}

fn open(drive: &Drive) -> (Disk, LogStore) {
    try_open(drive).expect("opens after any crash")
}

/// Appends and waits until it is durable.
async fn append(store: &mut LogStore, entries: Vec<Entry>) -> std::io::Result<()> {
    let (tell, told) = TypeConfig::oneshot();
    store.append(entries, IOFlushed::signal(tell)).await?;
    told.await.expect("the callback is called")
}

/// What the store has acknowledged, and what it was asked for last: after a crash the truth lies between them.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    term: u64,
    committed: u64,
    log: Vec<(u64, u64)>,
    purged: u64,
}

/// A leader's, then a follower's life: votes, appends, a conflict cut away, a purge. Stops at the first error.
async fn live(store: &mut LogStore, acknowledged: &mut Known, asked: &mut Known) -> std::io::Result<()> {
    for term in 1..=12_u64 {
        asked.term = term;
        store.save_vote(&Vote::new(term, 1)).await?;
        acknowledged.term = term;
        // Nobody waits for a commit index, but what is asked for later is written later.
        acknowledged.committed = asked.committed;

        let first = asked.log.last().map_or(1, |(_, index)| index + 1);
        let entries: Vec<Entry> = (first..first + 3).map(|index| blank(term, index)).collect();
        asked.log.extend(entries.iter().map(|e| (term, e.log_id.index)));
        append(store, entries).await?;
        acknowledged.log.clone_from(&asked.log);
        asked.committed = first;
        store.save_committed(Some(log_id(term, first))).await?;

        asked.log.pop();
        store.truncate_after(asked.log.last().map(|(term, index)| log_id(*term, *index))).await?;
        acknowledged.log.clone_from(&asked.log);
        acknowledged.committed = asked.committed;
    }
    asked.purged = 3;
    store.purge(log_id(1, 3)).await?;
    acknowledged.purged = 3;
    Ok(())
}

async fn recovered(store: &mut LogStore) -> Known {
    let log = store.try_get_log_entries(..).await.expect("reads");
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
    Known {
        term: store.read_vote().await.expect("reads").map_or(0, |vote| vote.leader_id.term),
        committed: index(store.read_committed().await.expect("reads")),
        log: log.iter().map(|e| (e.log_id.leader_id.term, e.log_id.index)).collect(),
        purged: index(store.get_log_state().await.expect("reads").last_purged_log_id),
    }
}

fn holds(known: &Known, from: u64) -> Vec<(u64, u64)> {
    known.log.iter().copied().filter(|(_, index)| *index > from).collect()
}

/// What is found lies between what was acknowledged and what was asked for.
fn check(found: &Known, acknowledged: &Known, asked: &Known, context: &str) {
    let context = format!("{context}: acknowledged {acknowledged:?}, asked {asked:?}, found {found:?}");
    assert!((acknowledged.term..=asked.term).contains(&found.term), "{context}");
    assert!((acknowledged.committed..=asked.committed).contains(&found.committed), "{context}");
    assert!(found.purged == acknowledged.purged || found.purged == asked.purged, "{context}");
    let log = holds(found, found.purged);
    assert_eq!(log, found.log, "nothing before the purge point is left: {context}");
    assert!(
        log == holds(acknowledged, found.purged) || log == holds(asked, found.purged),
        "the log is what was acknowledged or what was asked for, nothing in between: {context}"
    );
}

/// Lives until the fault at that call, and what was known then. `None`: the life ended before it.
async fn live_until(call: usize, fault: Fault) -> Option<(Drive, Disk, Known, Known)> {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    drive.plan(call, fault);
    let (mut acknowledged, mut asked) = (Known::default(), Known::default());
    let lived = live(&mut store, &mut acknowledged, &mut asked).await;
    let reported = lived.is_err() || fault == Fault::Lie;
    assert!(reported || !drive.struck(), "call {call}: a write that failed was acknowledged");
    (drive.struck()).then_some((drive, disk, acknowledged, asked))
}

#[tokio::test]
async fn invariant_after_restart_vote_log_and_commit_index_are_what_was_acknowledged_or_later() {
    let mut call = 0;
    while let Some((drive, disk, acknowledged, asked)) = live_until(call, Fault::Death).await {
        for luck in [0, 1, 2, 1000 + call as u64] {
            let (revived, mut store) = open(&drive.after_power_loss(luck));
            check(&recovered(&mut store).await, &acknowledged, &asked, &format!("call {call}, luck {luck}"));
            revived.close().await;
        }
        disk.close().await;
        call += 1;
    }
    assert!(call > 60, "the script writes and syncs at every step, {call} calls in all");
}

#[tokio::test]
async fn a_write_that_fails_once_is_reported_nothing_is_written_after_it_and_nothing_is_lost() {
    let mut call = 0;
    while let Some((drive, disk, acknowledged, asked)) = live_until(call, Fault::Error).await {
        let mut store = LogStore::new(disk.clone(), &Default::default()).expect("an empty one");
        let refused = store.save_vote(&Vote::new(9, 1)).await.expect_err("this disk is not trusted again");
        assert!(refused.to_string().contains("failed once") || refused.to_string().contains("Previous"), "{refused}");
        disk.close().await;
        let (reopened, mut store) = open(&drive.after_restart());
        check(&recovered(&mut store).await, &acknowledged, &asked, &format!("call {call}"));
        reopened.close().await;
        call += 1;
    }
    assert!(call > 60, "{call} calls in all");
}

/// No software keeps what a drive only says it has written. It must then be refused, or be a state that once was.
#[tokio::test]
async fn a_drive_that_lies_about_syncs_brings_back_an_earlier_state_or_is_refused_by_name() {
    let (mut call, mut refused) = (0, 0);
    while let Some((drive, disk, _, asked)) = live_until(call, Fault::Lie).await {
        for luck in [0, 1, 2, 1000 + call as u64] {
            match try_open(&drive.after_power_loss(luck)) {
                Ok((revived, mut store)) => {
                    let found = recovered(&mut store).await;
                    assert!(found.term <= asked.term && found.committed <= asked.committed, "{found:?}");
                    revived.close().await;
                }
                Err(Refused::Disk(DiskError::Damaged { .. })) => refused += 1,
                Err(other) => panic!("call {call}, luck {luck}: {other}"),
            }
        }
        disk.close().await;
        // Every call of a liar looks the same after a while.
        call += 7;
    }
    assert!(refused > 0, "some of it is noticed");
}

#[tokio::test]
async fn a_full_disk_stops_the_member_and_loses_nothing() {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    drive.limit(Some(drive.size()));
    let mut acknowledged = 0;
    let error = loop {
        let entries = (acknowledged..acknowledged + 500).map(|index| blank(1, index)).collect();
        match append(&mut store, entries).await {
            Ok(()) => acknowledged += 500,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the disk fills up");
    };
    assert!(error.to_string().to_lowercase().contains("space") || error.to_string().contains("full"), "{error}");
    disk.close().await;
    drive.limit(None);
    let (disk, mut store) = open(&drive);
    let log = store.try_get_log_entries(..).await.expect("reads");
    assert!(log.len() as u64 >= acknowledged, "{} of {acknowledged}", log.len());
    disk.close().await;
}

/// A bit of every record, and of every page of the tree above them, in turn.
#[tokio::test]
async fn a_damaged_log_is_refused_by_name_or_holds_everything() {
    for clean in [true, false] {
        let drive = Drive::default();
        let (disk, mut store) = open(&drive);
        let (mut acknowledged, mut asked) = (Known::default(), Known::default());
        live(&mut store, &mut acknowledged, &mut asked).await.expect("no crash");
        let drive = if clean {
            disk.close().await;
            drive.after_restart()
        } else {
            let crashed = drive.after_power_loss(0);
            disk.close().await;
            crashed
        };
        let used: Vec<usize> =
            drive.bytes().iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
        let mut refused = 0;
        for at in used.iter().step_by(97) {
            match try_open(&drive.flipped(*at, (at % 8) as u8)) {
                Ok((reopened, mut store)) => {
                    let found = recovered(&mut store).await;
                    check(&found, &acknowledged, &asked, &format!("clean {clean}, byte {at}"));
                    reopened.close().await;
                }
                Err(Refused::Disk(DiskError::Damaged { .. }) | Refused::Log(_)) => refused += 1,
                // The first bytes say that it is a database of redb's at all, and of which version.
                Err(Refused::Disk(DiskError::Redb(_))) if *at < 64 => refused += 1,
                Err(other) => panic!("clean {clean}, byte {at}: {other}"),
            }
        }
        assert!(refused >= 5, "{refused} of {} flips were noticed, the others did no harm", used.len() / 97);
    }
}

#[tokio::test]
async fn a_reopened_store_has_everything_and_its_commit_index() {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    let (mut acknowledged, mut asked) = (Known::default(), Known::default());
    live(&mut store, &mut acknowledged, &mut asked).await.expect("no crash");
    disk.close().await;
    assert!(store.save_vote(&Vote::new(9, 1)).await.is_err(), "a closed log takes no more votes");
    let (_disk, mut store) = open(&drive);
    let found = recovered(&mut store).await;
    assert_eq!(found.log, holds(&acknowledged, 3));
    assert_eq!(store.read_committed().await.expect("reads"), Some(log_id(12, 23)));
}

/// What follows it takes it along: `live` shows that.
#[tokio::test]
async fn a_commit_index_that_nothing_follows_is_written_by_itself() {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    append(&mut store, vec![blank(1, 1)]).await.expect("durable");
    store.save_committed(Some(log_id(1, 1))).await.expect("put aside");
    let written = async {
        loop {
            let (revived, mut found) = open(&drive.after_power_loss(0));
            let committed = found.read_committed().await.expect("reads");
            revived.close().await;
            if committed == Some(log_id(1, 1)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), written).await.expect("it is on disk before long");
    disk.close().await;
}

#[tokio::test]
async fn the_file_of_another_region_is_refused() {
    let drive = Drive::default();
    let (disk, _) = Disk::open_backend(drive.attach(), "1 eu-west").expect("opens");
    disk.close().await;
    let refused = Disk::open_backend(drive.attach(), "2 us-east").err().expect("refused");
    assert!(matches!(&refused, DiskError::Owner { found, own } if found == "1 eu-west" && own == "2 us-east"));
}

#[test]
fn a_log_with_a_hole_or_an_entry_in_anothers_place_is_refused_by_name() {
    use crate::raft::{codec, file::Found, wire::WireEntry};
    let record = |index| codec::seal(&WireEntry::from(&blank(1, index))).expect("encodes");
    let refused = |rows: &[(u64, u64)]| {
        let (disk, _) = Disk::open_backend(Drive::default().attach(), "test").expect("opens");
        let log = rows.iter().map(|(place, index)| (*place, record(*index))).collect();
        LogStore::new(disk, &Found { log, ..Found::default() }).err().expect("refused")
    };
    assert!(matches!(refused(&[(0, 0), (1, 1), (3, 3)]), LogFault::Hole { after: 1, found: 3 }));
    assert!(matches!(refused(&[(0, 0), (1, 2)]), LogFault::Misplaced { place: 1, found: 2 }));
}

/// The runtime has one thread: if a sync blocked it, this test would hang.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_sync_blocks_nobody_and_what_waits_for_it_shares_the_next_one() {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    let before = drive.syncs();
    drive.stall(true);
    let mut waiting = Vec::new();
    for index in 1..=50 {
        let (tell, mut told) = TypeConfig::oneshot();
        store.append([blank(1, index)], IOFlushed::signal(tell)).await.expect("queued");
        assert!(told.try_recv().is_err(), "entry {index} is not durable yet");
        waiting.push(told);
    }
    assert_eq!(store.try_get_log_entries(..).await.expect("reads").len(), 50, "readable at once");
    drive.stall(false);
    for told in waiting {
        told.await.expect("the callback is called").expect("durable");
    }
    let syncs = drive.syncs() - before;
    assert!(syncs <= 20, "{syncs} syncs for 50 appends");
    disk.close().await;
}
