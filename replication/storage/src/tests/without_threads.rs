//! A store without threads: nothing happens unless it is called for, and the same calls give the same bytes.

use std::collections::BTreeMap;

use super::*;
use crate::{Durability, Luck, Threads};

fn quiet(dir: &Path, hand: &Hand) -> StoreConfig {
    StoreConfig { clock: hand.clock(), luck: Luck::seeded(5), threads: Threads::None, ..config(dir, 1) }
}

fn content(dir: &TempDir) -> BTreeMap<String, Vec<u8>> {
    // Only the identity differs, since it knows its own file.
    let entries = fs::read_dir(&**dir).unwrap().map(|entry| entry.unwrap().path());
    let told = entries.filter(|path| !path.ends_with("identity"));
    told.map(|path| (path.file_name().unwrap().to_string_lossy().into(), fs::read(path).unwrap())).collect()
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run_through = || {
        let (dir, hand) = (TempDir::new(), Hand::at(NOON));
        let small = StoreConfig { checkpoint_bytes: 2000, segment_bytes: 900, ..quiet(&dir, &hand) };
        let store = open_with(small).0;
        for n in 0..100_u64 {
            let done = store.execute(&incr(&format!("k{}", n % 7), 1));
            store.persist_now(done.mark.unwrap()).unwrap();
            hand.advance(n * 13 % 300);
            store.tick();
        }
        assert!(store.stats().checkpoints > 0);
        let replica = store.replica();
        drop(store);
        (replica, content(&dir))
    };
    assert_eq!(run_through(), run_through());
}

#[test]
fn a_tick_does_what_is_due_and_says_when_to_come_back() {
    let (dir, hand) = (TempDir::new(), Hand::at(NOON));
    let store = open_with(quiet(&dir, &hand)).0;
    assert_eq!(store.tick(), NOON + 1000);
    store.execute(&set("k", "v"));
    assert_eq!((store.tick(), store.stats().unwritten), (NOON + 1000, 1));
    hand.advance(1000);
    assert_eq!((store.tick(), store.stats().unsynced), (NOON + 2000, 0));
    // A clock that was set back by an hour stops nothing.
    store.execute(&set("k", "w"));
    hand.0.store(NOON - 3_600_000, Ordering::Relaxed);
    assert_eq!((store.tick(), store.stats().unsynced), (NOON - 3_599_000, 0));
}

#[tokio::test]
async fn always_syncs_on_the_callers_thread() {
    let (dir, hand) = (TempDir::new(), Hand::at(NOON));
    let store = open_with(StoreConfig { durability: Durability::Always, ..quiet(&dir, &hand) }).0;
    let mark = store.execute(&set("k", "v")).mark.unwrap();
    assert_eq!(store.stats().unsynced, 1);
    store.persist(mark).await.unwrap();
    assert_eq!(store.stats().unsynced, 0);
}
