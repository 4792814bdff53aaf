//! Whatever was acknowledged before the power went is there when it comes back, at whichever sync it goes.

use openraft::{
    EntryPayload, RaftLogReader,
    impls::leader_id_adv::LeaderId,
    storage::{IOFlushed, RaftLogStorage},
    type_config::TypeConfigExt,
};

use super::lossy::Drive;
use crate::raft::{
    disk::{Disk, DiskError},
    log_store::LogStore,
    types::{Entry, LogId, TypeConfig, Vote},
};

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn blank(term: u64, index: u64) -> Entry {
    Entry { log_id: log_id(term, index), payload: EntryPayload::Blank }
}

fn open(drive: &Drive) -> (Disk, LogStore) {
    let (disk, found) = Disk::open_backend(drive.attach(), "test").expect("opens after any crash");
    let store = LogStore::new(disk.clone(), &found).expect("reads what it wrote");
    (disk, store)
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
    log: Vec<(u64, u64)>,
    purged: u64,
}

/// A leader's, then a follower's life: votes, appends, a conflict cut away, a purge. Stops at the first error.
async fn live(store: &mut LogStore, acknowledged: &mut Known, asked: &mut Known) -> std::io::Result<()> {
    for term in 1..=4_u64 {
        asked.term = term;
        store.save_vote(&Vote::new(term, 1)).await?;
        acknowledged.term = term;

        let first = asked.log.last().map_or(1, |(_, index)| index + 1);
        let entries: Vec<Entry> = (first..first + 3).map(|index| blank(term, index)).collect();
        asked.log.extend(entries.iter().map(|e| (term, e.log_id.index)));
        append(store, entries).await?;
        acknowledged.log.clone_from(&asked.log);
        store.save_committed(Some(log_id(term, first))).await?;

        asked.log.pop();
        store.truncate_after(asked.log.last().map(|(term, index)| log_id(*term, *index))).await?;
        acknowledged.log.clone_from(&asked.log);
    }
    asked.purged = 3;
    store.purge(log_id(1, 3)).await?;
    acknowledged.purged = 3;
    Ok(())
}

async fn recovered(store: &mut LogStore) -> Known {
    let log = store.try_get_log_entries(..).await.expect("reads");
    let purged = store.get_log_state().await.expect("reads").last_purged_log_id.map_or(0, |id| id.index);
    Known {
        term: store.read_vote().await.expect("reads").map_or(0, |vote| vote.leader_id.term),
        log: log.iter().map(|e| (e.log_id.leader_id.term, e.log_id.index)).collect(),
        purged,
    }
}

fn holds(known: &Known, from: u64) -> Vec<(u64, u64)> {
    known.log.iter().copied().filter(|(_, index)| *index > from).collect()
}

async fn crash_at(sync: usize, torn: usize) -> bool {
    let drive = Drive::default();
    let (disk, mut store) = open(&drive);
    drive.die_after(sync);
    let (mut acknowledged, mut asked) = (Known::default(), Known::default());
    let lived = live(&mut store, &mut acknowledged, &mut asked).await;
    assert_eq!(lived.is_err(), drive.is_dead(), "an error is reported if and only if the drive died");

    let revived = drive.after_power_loss(torn);
    disk.close().await;
    let (disk, mut store) = open(&revived);
    let found = recovered(&mut store).await;
    let context = format!("sync {sync}, torn {torn}: acknowledged {acknowledged:?}, asked {asked:?}, found {found:?}");
    assert!((acknowledged.term..=asked.term).contains(&found.term), "{context}");
    assert!(found.purged == acknowledged.purged || found.purged == asked.purged, "{context}");
    let log = holds(&found, found.purged);
    assert_eq!(log, found.log, "nothing before the purge point is left: {context}");
    assert!(
        log == holds(&acknowledged, found.purged) || log == holds(&asked, found.purged),
        "the log is what was acknowledged or what was asked for, nothing in between: {context}"
    );
    disk.close().await;
    drive.is_dead()
}

#[tokio::test]
async fn power_may_go_at_every_sync_and_take_any_of_the_unsynced_writes() {
    for torn in [0, 1, 2, 5, usize::MAX] {
        let mut sync = 0;
        while crash_at(sync, torn).await {
            sync += 1;
        }
        assert!(sync > 12, "the script syncs at every acknowledged step, {sync} in all");
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
    assert_eq!(store.read_committed().await.expect("reads"), Some(log_id(4, 7)));
}

#[tokio::test]
async fn the_file_of_another_region_is_refused() {
    let drive = Drive::default();
    let (disk, _) = Disk::open_backend(drive.attach(), "1 eu-west").expect("opens");
    disk.close().await;
    let refused = Disk::open_backend(drive.attach(), "2 us-east").err().expect("refused");
    assert!(matches!(&refused, DiskError::Owner { found, own } if found == "1 eu-west" && own == "2 us-east"));
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
    assert!(syncs <= 10, "{syncs} syncs for 50 appends");
    disk.close().await;
}
