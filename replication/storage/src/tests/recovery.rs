//! Stops of every kind, and what is there afterwards.

use super::*;
use crate::{Access, Files, OpenError, RealFiles, StateDigest, Threads, identity::Identity, set_aside};

/// Some life in a store: all kinds of changes.
fn live_a_little(store: &StateStore, from: u32) -> Vec<StateDigest> {
    let mut digests = Vec::new();
    for n in from..from + 12 {
        let op = match n % 4 {
            0 => set(&format!("s{}", n % 5), &format!("value {n}")),
            1 => incr("counter", i64::from(n)),
            2 => sadd("set", &format!("member {n}")),
            _ => del(&format!("s{}", (n + 2) % 5)),
        };
        let before = store.position();
        run(store, &op);
        if store.position() > before {
            digests.push(store.digest());
        }
    }
    digests
}

#[test]
fn a_killed_store_comes_back_as_it_was_and_keeps_its_name() {
    let dir = TempDir::new();
    let (store, report) = open_with(config(&dir, 1));
    assert!(report.empty && report.in_doubt.is_none());
    live_a_little(&store, 0);
    let (digest, replica, hlc) = (store.digest(), store.replica(), store.last_write_hlc());
    drop(store);
    let (store, report) = open_with(config(&dir, 1));
    assert_eq!((store.digest(), store.replica(), report.in_doubt), (digest, replica, None));
    assert!(!report.empty && report.records > 0 && report.torn_tail.is_none());
    assert_eq!(store.last_write_hlc(), hlc);
    run(&store, &set("after", "v"));
    assert!(store.last_write_hlc() > hlc, "stamps go on rising");
}

#[test]
fn a_journal_cut_at_any_byte_gives_the_state_of_a_whole_number_of_writes() {
    let dir = TempDir::new();
    let store = open_with(StoreConfig { threads: Threads::None, ..config(&dir, 1) }).0;
    let empty = store.digest();
    live_a_little(&store, 0);
    let journal = dir.files("journal").pop().unwrap();
    let safe = fs::metadata(&journal).unwrap().len() as usize;
    let mut expected = vec![(safe, store.digest())];
    for n in 100..104 {
        let ops = [set("late", &n.to_string()), incr("counter", n), sadd("set", "x"), set(&format!("new{n}"), "v")];
        run(&store, &ops[n as usize % 4]);
        expected.push((fs::metadata(&journal).unwrap().len() as usize, store.digest()));
    }
    let replica = store.replica();
    let whole = fs::read(&journal).unwrap();
    assert_ne!(store.digest(), empty);
    for cut in safe..=whole.len() {
        let crashed = dir.copy();
        fs::write(crashed.join(journal.file_name().unwrap()), &whole[..cut]).unwrap();
        let (reopened, report) = open_with(config(&crashed, 1));
        let (end, digest) = expected.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        assert_eq!(&reopened.digest(), digest, "cut at {cut}");
        // Between two records nobody can tell; inside one, the name is given up.
        assert_eq!(reopened.replica() == replica, *end == cut, "cut at {cut}");
        assert_eq!(report.torn_tail.is_some(), *end != cut, "cut at {cut}");
        if cut % 7 == 0 {
            run(&reopened, &set("goes", "on"));
            let digest = reopened.digest();
            drop(reopened);
            assert_eq!(open(&crashed).digest(), digest, "cut at {cut}, gone on, killed again");
        }
    }
}

#[test]
fn a_flipped_byte_in_the_middle_is_refused_and_the_state_can_be_set_aside() {
    let dir = TempDir::new();
    let store = open(&dir);
    live_a_little(&store, 0);
    store.shutdown().unwrap();
    drop(store);
    let journal = dir.files("journal").pop().unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let error = StateStore::open(config(&dir, 1)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged { file, offset, .. } if *file == journal && *offset <= middle as u64));
    assert!(error.is_damage());
    for way_out in ["--fetch-state", "aside", "peers"] {
        assert!(error.to_string().contains(way_out), "{error}");
    }

    let aside = set_aside(&config(&dir, 1)).unwrap();
    assert!(aside.join(journal.file_name().unwrap()).exists());
    let (store, report) = open_with(config(&dir, 1));
    assert!(report.empty && store.dbsize() == 0);
    fs::remove_dir_all(aside).unwrap();
}

#[test]
fn somebody_elses_directory_is_refused() {
    let dir = TempDir::new();
    let store = open(&dir);
    let open_as = |world: &str, region| {
        let config = StoreConfig { world: world.into(), ..config(&dir, region) };
        StateStore::open(config).map(|_| ()).unwrap_err()
    };
    assert!(matches!(open_as("shop", 1), OpenError::InUse { by, .. } if by.contains(&std::process::id().to_string())));
    assert!(matches!(set_aside(&config(&dir, 1)), Err(OpenError::InUse { .. })));
    drop(store);
    assert!(
        matches!(open_as("bank", 1), OpenError::OtherWorld { found, want, .. } if found == "shop" && want == "bank")
    );
    assert!(matches!(open_as("shop", 2), OpenError::OtherRegion { found: 1, want: 2, .. }));
    assert!(StateStore::open(config(&dir, 1)).is_ok());
}

/// Invariant 5: a name that may have been used for something else is not used again.
#[test]
fn a_name_is_given_up_exactly_when_the_past_is_in_doubt() {
    type Harm = fn(&TempDir);
    let another_boot: Harm = |dir| {
        let identity = Identity::load(&RealFiles, dir).unwrap().unwrap().identity;
        Identity { boot: "another".into(), ..identity }.save(&RealFiles, dir).unwrap();
    };
    let copied: Harm = |dir| {
        let (file, copy) = (dir.join("identity"), dir.join("copy"));
        fs::copy(&file, &copy).unwrap();
        fs::rename(copy, file).unwrap();
    };
    let shorter: Harm = |dir| {
        // An older journal, whole up to its last record.
        let (journal, dir) = (dir.files("journal").pop().unwrap(), dir);
        let bytes = fs::read(&journal).unwrap();
        let mut at = crate::journal::segment::HEADER;
        for _ in 0..3 {
            at += crate::journal::record::read(&bytes[at..]).unwrap().len();
        }
        fs::write(dir.join(journal), &bytes[..at]).unwrap();
    };
    let unreadable: Harm = |dir| fs::write(dir.join("identity"), "nonsense").unwrap();
    let unnoted: Harm = |dir| fs::remove_file(dir.join("reached")).unwrap();
    let gone: Harm = |dir| dir.files("journal").iter().for_each(|file| fs::remove_file(file).unwrap());
    let none: Harm = |_| {};
    let check = |what: &str, synced: bool, harm: Harm, kept: bool| {
        let dir = TempDir::new();
        let store = open(&dir);
        live_a_little(&store, 0);
        let (before, digest) = (store.replica(), store.digest());
        if synced {
            store.shutdown().unwrap();
        }
        drop(store);
        harm(&dir);
        let (store, report) = open_with(config(&dir, 1));
        assert_eq!((store.replica() == before, report.in_doubt.is_none()), (kept, kept), "{what}");
        assert_eq!(store.digest() == digest, !what.contains("journal"), "{what}");
    };
    check("killed", false, none, true);
    check("shut down", true, none, true);
    check("power failure", false, another_boot, false);
    // What a clean stop left may be a backup of an earlier clean stop, on another machine or on a disk rolled back.
    check("shut down, machine restarted", true, another_boot, false);
    check("put back from a copy", true, copied, false);
    check("an older journal put back", true, shorter, false);
    check("identity unreadable", true, unreadable, false);
    check("note gone", true, unnoted, false);
    check("journal gone", true, gone, false);
}

#[test]
fn a_checkpoint_takes_the_place_of_the_journal_before_it() {
    let dir = TempDir::new();
    let store = open(&dir);
    live_a_little(&store, 0);
    store.checkpoint().unwrap();
    assert_eq!((dir.files("checkpoint").len(), dir.files("journal").len()), (1, 1));
    let at_checkpoint = store.position();
    live_a_little(&store, 50);
    let (digest, replica) = (store.digest(), store.replica());
    drop(store);
    // What an interrupted checkpoint leaves is nobody's.
    fs::write(dir.join("checkpoint.new"), b"half").unwrap();
    let (store, report) = open_with(config(&dir, 1));
    assert_eq!((store.digest(), store.replica()), (digest, replica));
    assert_eq!((report.checkpoint, report.in_doubt), (Some(at_checkpoint), None));
    assert!(!dir.join("checkpoint.new").exists());
    store.checkpoint().unwrap();
    let digest = store.digest();
    assert_eq!((dir.files("checkpoint").len(), dir.files("journal").len()), (1, 1));
    drop(store);
    let (store, report) = open_with(config(&dir, 1));
    assert_eq!((store.digest(), report.records), (digest, 0));
}

#[test]
fn a_kill_at_any_point_of_a_checkpoint_is_harmless() {
    let dir = TempDir::new();
    let store = open(&dir);
    live_a_little(&store, 0);
    store.checkpoint().unwrap();
    live_a_little(&store, 50);
    let before = dir.copy();
    store.checkpoint().unwrap();
    let digest = store.digest();
    drop(store);
    let old_files = || [before.files("journal"), before.files("checkpoint")].concat();
    // The old files go one by one, in some order; and before that they are all still there.
    for kept in 0..=old_files().len() {
        let crashed = dir.copy();
        for file in &old_files()[..kept] {
            let place = crashed.join(file.file_name().unwrap());
            if !place.exists() {
                fs::copy(file, place).unwrap();
            }
        }
        let (store, report) = open_with(config(&crashed, 1));
        assert_eq!((store.digest(), report.in_doubt), (digest.clone(), None), "{kept} old files kept");
        assert_eq!(crashed.files("journal").len(), 1, "{kept} old files kept");
        store.checkpoint().unwrap();
        assert_eq!(
            (crashed.files("checkpoint").len(), crashed.files("journal").len()),
            (1, 1),
            "{kept} old files kept"
        );
    }
    // And before it has its name, the old ones are all there is.
    let (store, report) = open_with(config(&before, 1));
    assert_eq!((store.digest(), report.in_doubt), (digest, None));
}

#[test]
fn after_a_failed_sync_writes_wait_for_a_checkpoint() {
    let dir = TempDir::new();
    let store = open(&dir);
    live_a_little(&store, 0);
    store.keepers.stop(); // or upkeep might be quicker than the test
    // A device that takes everything, keeps nothing, and cannot be synced.
    store.inner.journal.use_file(RealFiles.open(Path::new("/dev/null"), Access::Write).unwrap());
    run(&store, &set("kept", "nowhere"));
    assert!(store.inner.journal.sync().unwrap_err().to_string().contains("sync"));
    assert!(store.inner.journal.sync_lost() && store.stats().refusing_writes);
    assert!(store.write_pending().is_err(), "what is in doubt is not acknowledged again");
    store.checkpoint().unwrap();
    run(&store, &set("after", "v"));
    assert!(!store.stats().refusing_writes);
    let digest = store.digest();
    drop(store);
    let (store, report) = open_with(config(&dir, 1));
    assert_eq!((store.digest(), report.in_doubt), (digest, None));
    assert_eq!(get(&store, "kept").as_deref(), Some("nowhere"));
}

#[test]
fn checkpoints_amid_writes_lose_nothing() {
    let dir = TempDir::new();
    let small = StoreConfig { segment_bytes: 4096, checkpoint_bytes: 16 << 10, ..config(&dir, 1) };
    let store = open_with(small.clone()).0;
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..1500 {
                    store.execute(&incr(&format!("{}", (n * 7 + writer) % 300), 1));
                    store.write_pending().unwrap();
                }
            });
        }
        for _ in 0..5 {
            store.checkpoint().unwrap();
        }
    });
    let digest = store.digest();
    drop(store);
    assert_eq!(open_with(small).0.digest(), digest);
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let dir = TempDir::new();
    let store = open(&dir);
    live_a_little(&store, 0);
    store.checkpoint().unwrap();
    drop(store);
    let file = dir.files("checkpoint").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    for at in [0, 45, 70, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&file, bytes).unwrap();
        let error = StateStore::open(config(&dir, 1)).map(|_| ()).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged { file: named, .. } if *named == file), "flip at {at}: {error}");
    }
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    assert!(matches!(StateStore::open(config(&dir, 1)), Err(OpenError::Damaged { .. })));
}
