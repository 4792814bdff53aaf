//! The store whole: commands, kills at any byte, checkpoints, names, peers.

mod commands;
mod disk;
mod faults;
mod lanes;
mod peers;
mod recovery;
mod schedules;
mod without_threads;

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use replication_core::{KeyOp, Op, PARTITIONS, Reply, SetExpiry, SetIf, SetOp, TextOp};

use crate::{RealFiles, RecoveryReport, StateStore, StoreConfig, WallClock, identity::Identity};

/// A directory of its own for a test, gone at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-storage-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// A copy, as a crash would leave it: nothing in memory, everything that was written.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for entry in fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        if let Some(found) = Identity::load(&RealFiles, &copy).unwrap() {
            // Signed again, or it would be seen to be a copy.
            let mut identity = found.identity;
            identity.save(&RealFiles, &copy).unwrap();
        }
        copy
    }

    /// The files with an extension, in order.
    pub(crate) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }
}

impl Deref for TempDir {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A wall clock that a test moves, in milliseconds.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn clock(&self) -> WallClock {
        let hand = self.0.clone();
        WallClock::new(move || hand.load(Ordering::Relaxed))
    }
}

const NOON: u64 = 1_800_000_000_000;

pub(crate) fn config(dir: &Path, region: u16) -> StoreConfig {
    StoreConfig::new(dir, "shop", region)
}

pub(crate) fn open_with(config: StoreConfig) -> (StateStore, RecoveryReport) {
    StateStore::open(config).unwrap()
}

pub(crate) fn open(dir: &Path) -> StateStore {
    open_with(config(dir, 1)).0
}

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn set(key: &str, value: &str) -> Op {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    TextOp::Set { value: b(value), expiry, condition, get: false }.on(b(key))
}

fn incr(key: &str, by: i64) -> Op {
    TextOp::Incr { by }.on(b(key))
}

pub(crate) fn del(key: &str) -> Op {
    KeyOp::Del.on(b(key))
}

fn sadd(key: &str, member: &str) -> Op {
    SetOp::Add { members: vec![b(member)] }.on(b(key))
}

pub(crate) fn get(store: &StateStore, key: &str) -> Option<String> {
    match store.execute(&TextOp::Get.on(b(key))).reply {
        Reply::Nil => None,
        Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => panic!("GET {key} answered {other:?}"),
    }
}

/// Runs a command and writes what it did.
fn run(store: &StateStore, op: &Op) -> Reply {
    let done = store.execute(op);
    store.write_pending().unwrap();
    done.reply
}
