//! Commands, persistence, pages of keys, clocks.

use std::{collections::BTreeSet, thread};

use replication_core::{Hlc, KeyOp, OpError, PARTITIONS, PrefixRule, Rules, TextOp, TimeUnit, When};

use super::*;
use crate::{Access, Durability, Files, RealFiles, WriteMark, journal};

#[test]
fn a_write_is_read_back_and_a_read_leaves_no_mark() {
    let dir = TempDir::new();
    let store = open(&dir);
    assert_eq!(get(&store, "k"), None);
    let done = store.execute(&set("k", "v"));
    assert_eq!((done.reply, done.mark), (Reply::Ok, Some(WriteMark { written: 1, synced: 0 })));
    assert_eq!(get(&store, "k").as_deref(), Some("v"));
    assert!(store.execute(&TextOp::Get.on(b("k"))).mark.is_none());
    assert!(store.execute(&del("nothing")).mark.is_none(), "what changes nothing writes nothing");
    assert_eq!(store.stats().unwritten, 1);
    assert_eq!(store.dbsize(), 1);
    assert!(store.last_write_hlc() > Hlc::ZERO);
    assert!(store.explain(b"k").is_some() && store.explain(b"x").is_none());
}

#[tokio::test]
async fn persist_returns_when_the_mark_is_written_or_synced() {
    for durability in [Durability::EverySecond, Durability::Always] {
        let dir = TempDir::new();
        let (store, _) = open_with(StoreConfig { durability, ..config(&dir, 1) });
        let mark = store.execute(&set("k", "v")).mark.unwrap();
        store.persist(mark).await.unwrap();
        assert_eq!(store.stats().unwritten, 0);
        if durability == Durability::Always {
            assert_eq!(store.stats().unsynced, 0);
        }
        store.persist_pending().await.unwrap();
    }
}

#[tokio::test]
async fn a_prefix_asks_for_a_sync_and_one_serves_all_who_wait() {
    let disk = disk::Disk::default();
    let always = PrefixRule { always_synced: true, ..PrefixRule::default() };
    let rules = Arc::new(Rules::new(1 << 20, [("pay:".into(), always)]));
    let dir = Path::new("/state");
    let (store, _) = open_with(StoreConfig { files: Arc::new(disk.clone()), rules, ..config(dir, 1) });
    let once = store.execute(&set("pay:1", "v")).mark.unwrap();
    let seldom = store.execute(&set("cart:1", "v")).mark.unwrap();
    assert_eq!((once.synced, seldom.synced), (1, 0));
    assert_eq!(seldom.join(once), WriteMark { written: 2, synced: 1 });
    store.persist(seldom.join(once)).await.unwrap();
    assert_eq!(store.stats().unwritten, 0);
    let (syncs, mut waiting) = (disk.syncs(), Vec::new());
    for n in 0..50 {
        let mark = store.execute(&set(&format!("pay:{n}"), "v")).mark.unwrap();
        waiting.push(tokio::spawn({
            let store = store.clone();
            async move { store.persist(mark).await }
        }));
    }
    for persisted in waiting {
        persisted.await.unwrap().unwrap();
    }
    assert_eq!(store.stats().unsynced, 0);
    let syncs = disk.syncs() - syncs;
    assert!((1..10).contains(&syncs), "{syncs} syncs for 50 who waited together");
}

#[tokio::test]
async fn many_writers_share_the_journal_and_every_write_is_in_it() {
    let dir = TempDir::new();
    let store = open(&dir);
    let writers: Vec<_> = (0..50)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..40 {
                    let mark = store.execute(&set(&format!("{writer}:{n}"), "v")).mark.unwrap();
                    store.persist(mark).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let digest = store.digest();
    drop(store);
    assert_eq!(open(&dir).digest(), digest);
}

#[test]
fn a_scan_returns_every_key_that_is_there_throughout() {
    let dir = TempDir::new();
    let store = open(&dir);
    let keys: BTreeSet<String> = (0..3000).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| drop(store.execute(&set(key, "v"))));
    let (mut cursor, mut seen, mut pages) = (0, BTreeSet::new(), 0);
    loop {
        let (next, page) = store.scan(cursor, 100);
        seen.extend(page.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()));
        // Others come and go meanwhile.
        store.execute(&set(&format!("passing:{pages}"), "v"));
        store.execute(&del(&format!("passing:{}", pages / 2)));
        (cursor, pages) = (next, pages + 1);
        if cursor == 0 {
            break;
        }
    }
    assert!(seen.is_superset(&keys));
    assert!((25..60).contains(&pages), "{pages} pages");
    assert!(store.scan(u64::MAX, 10).1.len() <= 3100, "a cursor of nobody is harmless");
}

/// Invariant 8: a watermark never passes a change under way.
#[test]
fn a_watermark_covers_every_write_stamped_before_it() {
    let dir = TempDir::new();
    let store = open(&dir);
    let marks = thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || (0..2000).for_each(|n| drop(store.execute(&incr(&format!("{writer}:{}", n % 50), 1)))));
        }
        (0..200).map(|_| store.tick_watermark()).collect::<Vec<_>>()
    });
    store.write_pending().unwrap();
    let mut stamped = Vec::new();
    let mut take = journal::each(|record| {
        let (delta, _) = replication_core::Delta::decode(record.payload).unwrap().unwrap();
        stamped.push(delta.hlc);
        Ok(())
    });
    journal::replay(&RealFiles, &dir, &journal::Owner::new("shop", 1, 0), 0, false, &mut take).unwrap();
    assert_eq!(stamped.len(), 8000);
    for (hlc, position) in marks {
        let late = stamped.iter().skip(position as usize).find(|stamp| **stamp <= hlc);
        assert_eq!(late, None, "a write from behind position {position} is stamped before {hlc}");
    }
}

#[test]
fn a_disk_that_refuses_stops_writes_and_not_reads() {
    let dir = TempDir::new();
    let store = open(&dir);
    run(&store, &set("k", "v"));
    let good = store.inner.journal.use_file(RealFiles.open(Path::new("/dev/full"), Access::Write).unwrap());
    let done = store.execute(&set("k", "lost?"));
    assert!(done.mark.is_some());
    assert!(store.write_pending().unwrap_err().to_string().contains("No space left"));
    let refused = store.execute(&set("k", "w")).reply;
    assert!(matches!(&refused, Reply::Error(OpError::Unwritable(why)) if why.contains("No space left")), "{refused:?}");
    assert!(store.stats().refusing_writes);
    assert!(get(&store, "k").is_some());
    store.inner.journal.use_file(good);
    store.write_pending().unwrap();
    assert_eq!(store.execute(&set("k", "x")).reply, Reply::Ok);
}

#[test]
fn a_transaction_refuses_by_itself_what_a_command_would_be_refused() {
    let ask = |store: &StateStore| {
        let ops = [set("k", "w"), del("k"), TextOp::Get.on(b("k"))];
        let (replies, mark) =
            store.transact(replication_core::partition_of(b"k"), |transaction| ops.map(|op| transaction.execute(&op)));
        (replies, mark.is_some())
    };
    let dir = TempDir::new();
    let store = open(&dir);
    run(&store, &set("k", "v"));
    store.inner.journal.use_file(RealFiles.open(Path::new("/dev/full"), Access::Write).unwrap());
    store.execute(&set("other", "v"));
    store.write_pending().unwrap_err();
    let ([set, del, get], wrote) = ask(&store);
    assert!(matches!((set, del), (Reply::Error(OpError::Unwritable(_)), Reply::Error(OpError::Unwritable(_)))));
    assert_eq!((get, wrote), (Reply::Bulk(b("v")), false), "reads go on");
    drop(store);
    // One byte is too little for anything, and no reason not to delete.
    let store = open_with(StoreConfig { max_memory_bytes: 1, ..config(&dir, 1) }).0;
    assert_eq!(store.execute(&super::set("k", "w")).reply, Reply::Error(OpError::OutOfMemory));
    assert_eq!(ask(&store), ([Reply::Error(OpError::OutOfMemory), Reply::Int(1), Reply::Nil], true));
}

#[test]
fn upkeep_purges_what_has_expired() {
    let (dir, hand) = (TempDir::new(), Hand::at(NOON));
    let (store, _) = open_with(StoreConfig { clock: hand.clock(), ..config(&dir, 1) });
    run(&store, &set("k", "v"));
    run(&store, &KeyOp::Expire { when: When::In(10, TimeUnit::Seconds), condition: Default::default() }.on(b("k")));
    hand.advance(10_001);
    assert_eq!(get(&store, "k"), None);
    // Upkeep keeps a purge back for a while, lest a region whose clock is behind sees a key go too early.
    for _ in 0..100 {
        hand.advance(60_000);
        store.inner.housekeeping();
    }
    assert_eq!(store.dbsize(), 0);
}

#[test]
fn there_is_a_lock_for_each_partition() {
    let dir = TempDir::new();
    let store = open(&dir);
    let mut ids = Vec::new();
    store.inner.shards.each(|id, slot| {
        assert_eq!(slot.partition.id(), id);
        ids.push(id);
    });
    assert_eq!(ids, (0..PARTITIONS).collect::<Vec<_>>());
}
