//! A region that has run out of memory or of disk: what it refuses, what goes on, and how it comes back unaided.

use std::{
    ffi::OsString,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use replication_core::Delta;
use replication_storage::{Access, Durability, Files, Locked, Offer, OpenFile, RealFiles, StateStore, Tail};

use crate::{port::Port, wire::Wire};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// Everything that another region has written, for this one to merge.
fn merge_from(peer: &StateStore, store: &StateStore) {
    peer.write_pending().unwrap();
    let Tail::Deltas { deltas, .. } = peer.tail(0, usize::MAX) else { panic!("the peer has forgotten what it wrote") };
    for delta in deltas {
        let (delta, _) = Delta::decode(&delta.bytes).unwrap().unwrap();
        assert!(matches!(store.offer(delta), Offer::Applied));
    }
}

#[test]
fn out_of_memory_writers_are_refused_and_readers_deletes_and_other_regions_are_not() {
    let port = Port::over(|config| config.max_memory_bytes = 3 << 20);
    let mut wire = port.connect();
    for setup in ["RPUSH list a b", "SADD set a", "HSET hash f v", "SET kept v"] {
        assert!(!wire.say(setup).starts_with('-'), "{setup}");
    }
    let value = "x".repeat(500);
    let mut keys = 0;
    while wire.say(&format!("SET key:{keys} {value}")) == "+OK\r\n" {
        keys += 1;
        assert!(keys < 10_000, "3 MiB hold no 10 000 keys of 500 bytes");
    }
    assert!(keys > 1000, "{keys} keys");
    for grows in
        ["SET kept w", "INCR n", "APPEND kept x", "RPUSH list c", "SADD set b", "HSET hash g v", "MSET a 1 b 2"]
    {
        assert_eq!(wire.say(grows), OOM, "{grows}");
    }
    // A transaction is refused as a whole, and before the deletes below make room.
    assert_eq!(wire.say("MULTI"), "+OK\r\n");
    assert_eq!(wire.say("SET kept w"), OOM);
    assert!(wire.say("EXEC").starts_with("-EXECABORT"));
    for (goes_on, reply) in [
        ("GET kept", "$1\r\nv\r\n"),
        ("LPOP list", "$1\r\na\r\n"),
        ("SREM set a", ":1\r\n"),
        ("HDEL hash f", ":1\r\n"),
        ("EXPIRE kept 1000", ":1\r\n"),
        ("RENAME kept renamed", "-CROSSSLOT"),
    ] {
        assert!(wire.say(goes_on).starts_with(reply), "{goes_on}");
    }

    let dir = std::env::temp_dir().join(format!("atoll-state-api-peer-{}", std::process::id()));
    let (peer, _) = StateStore::open(replication_storage::StoreConfig::new(&dir, "test", 2)).unwrap();
    let elsewhere = replication_core::TextOp::Incr { by: 7 }.on("counted elsewhere");
    assert!(peer.execute(&elsewhere).mark.is_some());
    merge_from(&peer, &port.store);
    assert_eq!(wire.ask(&["GET", "counted elsewhere"]), b"$1\r\n7\r\n");
    drop(peer);
    let _ = std::fs::remove_dir_all(dir);

    assert_eq!(wire.say("MULTI"), "+OK\r\n");
    assert_eq!(wire.say("DEL key:0"), "+QUEUED\r\n");
    assert_eq!(wire.say("EXEC"), "*1\r\n:1\r\n");
    (1..keys).for_each(|n| assert_eq!(wire.say(&format!("DEL key:{n}")), ":1\r\n"));
    assert_eq!(wire.say("SET kept w"), "+OK\r\n");
}

#[test]
fn a_transaction_that_meets_a_full_memory_at_its_end_does_nothing() {
    let port = Port::over(|config| config.max_memory_bytes = 3 << 20);
    let (mut wire, mut other) = (port.connect(), port.connect());
    assert_eq!(wire.say("MULTI"), "+OK\r\n");
    assert_eq!(wire.say("SET k v"), "+QUEUED\r\n");
    let value = "x".repeat(50_000);
    let mut keys = 0;
    while other.say(&format!("SET key:{keys} {value}")) == "+OK\r\n" {
        keys += 1;
    }
    let discarded = format!("-EXECABORT Transaction discarded because of: {}", &OOM[1..]);
    assert_eq!(wire.say("EXEC"), discarded);
    assert_eq!(wire.say("EXISTS k"), ":0\r\n");
}

/// The machine's files on a disk that is full when it is told to be: what needs room is refused.
#[derive(Debug, Default)]
struct SmallDisk {
    full: AtomicBool,
    sync_fails: AtomicBool,
}

impl SmallDisk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[derive(Debug, Clone)]
struct OnDisk(Arc<SmallDisk>);

#[derive(Debug)]
struct File(Arc<SmallDisk>, Arc<dyn OpenFile>);

impl Files for OnDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealFiles.create_dir_all(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn OpenFile>> {
        if access == Access::Create {
            self.0.room()?;
        }
        Ok(Arc::new(File(self.0.clone(), RealFiles.open(path, access)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealFiles.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFiles.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFiles.sync_dir(dir)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Locked> {
        RealFiles.lock(path, note)
    }

    fn boot_id(&self) -> String {
        RealFiles.boot_id()
    }
}

impl OpenFile for File {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.1.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.0.room().is_err() {
            // As a disk does that fills up: the beginning still fits.
            self.1.write_at(offset, &bytes[..bytes.len() / 2])?;
        }
        self.0.room()?;
        self.1.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        if self.0.sync_fails.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.1.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.1.length()
    }

    fn birthmark(&self) -> String {
        self.1.birthmark()
    }
}

/// Tries until a write is taken again, on a connection of its own each time.
fn await_writes(port: &Port, command: &str, within: Duration) -> Wire {
    let deadline = Instant::now() + within;
    loop {
        let mut wire = port.connect();
        let reply = wire.say(command);
        if !reply.starts_with("-MISCONF") {
            return wire;
        }
        assert!(Instant::now() < deadline, "after {within:?} still {reply}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check_full_disk(durability: Durability, fill: impl Fn(&SmallDisk), empty: impl Fn(&SmallDisk)) {
    let disk = Arc::new(SmallDisk::default());
    let mut port = Port::over(|config| {
        (config.files, config.durability) = (Arc::new(OnDisk(disk.clone())), durability);
    });
    let mut wire = port.connect();
    (0..50).for_each(|n| assert_eq!(wire.say(&format!("SET before:{n} v")), "+OK\r\n"));
    assert_eq!(wire.say("INCR counter"), ":1\r\n");
    fill(&disk);
    // Whoever meets it first is told with the connection's last reply; whoever comes later is not even let in.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !port.store.refusing_writes() {
        assert!(Instant::now() < deadline, "the disk is full and nobody notices");
        let mut wire = port.connect();
        let reply = wire.say("SET unsure v");
        assert!(reply == "+OK\r\n" || reply.starts_with("-MISCONF"), "{reply}");
    }
    let mut wire = port.connect();
    for write in ["SET k v", "INCR counter", "DEL before:0", "MSET before:1 x before:2 x"] {
        let reply = wire.say(write);
        assert!(reply.starts_with("-MISCONF the journal cannot be written"), "{write}: {reply}");
    }
    assert_eq!(wire.say("MULTI"), "+OK\r\n");
    assert_eq!(wire.say("INCR counter"), "+QUEUED\r\n");
    assert!(wire.say("EXEC").starts_with("-EXECABORT Transaction discarded because of: MISCONF"));
    assert_eq!(wire.say("GET before:1"), "$1\r\nv\r\n", "reads go on");
    assert_eq!(wire.say("EXISTS k"), ":0\r\n");
    empty(&disk);
    let mut wire = await_writes(&port, "SET after v", Duration::from_secs(6));
    assert_eq!(wire.say("INCR counter"), ":2\r\n");
    port.reopen();
    let mut wire = port.connect();
    (0..50).for_each(|n| assert_eq!(wire.say(&format!("GET before:{n}")), "$1\r\nv\r\n"));
    assert_eq!((wire.say("GET counter"), wire.say("GET after")), ("$1\r\n2\r\n".into(), "$1\r\nv\r\n".into()));
}

#[test]
fn a_full_disk_refuses_writes_loses_nothing_and_is_written_to_again_once_there_is_room() {
    for durability in [Durability::EverySecond, Durability::Always] {
        let set = |disk: &SmallDisk, full| disk.full.store(full, Ordering::SeqCst);
        check_full_disk(durability, |disk| set(disk, true), |disk| set(disk, false));
    }
}

/// Some systems tell only at the sync that there was no room. What was written may then be gone, so a checkpoint takes its place.
#[test]
fn a_disk_that_fills_up_behind_a_sync_is_written_to_again_within_seconds() {
    let fail = |disk: &SmallDisk, fails| disk.sync_fails.store(fails, Ordering::SeqCst);
    check_full_disk(Durability::Always, |disk| fail(disk, true), |disk| fail(disk, false));
}
