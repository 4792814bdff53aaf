//! A disk in memory that keeps exactly the promises of [`replication_storage::Files`] and not one more.
//!
//! What was written is there for whoever reads; it outlives the process. It outlives a power failure only as far as it was
//! synced: of the rest, each write may be there, be gone, or be there in part, whatever became of the writes around it.
//! The disk counts the calls that reach it, so a crash can be put between any two of them, or into the middle of one.
//!
//! After a crash every handle of the old life fails and changes nothing: what a dead process would still do does not happen.

mod crash;
mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::rng::Rng;
pub use crash::Crash;
pub(crate) use files::SimFiles;

/// A change of a file's content that no sync has covered yet.
#[derive(Debug, Clone)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// One file, whatever it is called.
#[derive(Debug, Clone, Default)]
struct Inode {
    /// What is read.
    content: Vec<u8>,
    /// What a power failure leaves at least.
    safe: Vec<u8>,
    /// Tells it from every copy of it.
    birth: u64,
    pending: Vec<Pending>,
    /// A failed sync has dropped changes that are still read but that no later sync will bring to the disk.
    dropped: bool,
}

/// A change of names that no sync of the directory has covered yet.
#[derive(Debug, Clone)]
enum Naming {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Remove(PathBuf),
}

/// Files and names, and which of them are safe.
#[derive(Debug, Clone, Default)]
struct Contents {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    safe_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<Naming>,
    dirs: BTreeSet<PathBuf>,
    next_inode: u64,
}

/// A copy of a disk, as a backup holds it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    contents: Contents,
    /// It was taken of a disk that had broken its promises: what is in it may be what no sound disk would hold.
    broken_promises: bool,
}

/// What the disk does wrong at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DiskFaults {
    /// No room for anything more.
    pub(crate) full: bool,
    /// One in this many writes and syncs fails; 0 for none.
    pub(crate) errors_one_in: u64,
    /// Says that it has synced and has not.
    pub(crate) lies: bool,
}

#[derive(Debug)]
struct State {
    contents: Contents,
    faults: DiskFaults,
    boot: u64,
    /// How many files were ever made, copies included.
    born: u64,
    /// Counts the processes that used this disk; handles of an earlier one are dead.
    life: u64,
    held: BTreeMap<PathBuf, u64>,
    /// Where in each file the last write began.
    last_writes: BTreeMap<u64, usize>,
    /// Calls until the next crash.
    fuse: Option<u64>,
    crashed: bool,
    torn_writes: u64,
    /// It has said that something is safe that was not.
    broken_promises: bool,
    rng: Rng,
}

/// A simulated disk. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk with luck of its own.
    pub(crate) fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            contents: Contents::default(),
            faults: DiskFaults::default(),
            boot: 1,
            born: 0,
            life: 0,
            held: BTreeMap::new(),
            last_writes: BTreeMap::new(),
            fuse: None,
            crashed: false,
            torn_writes: 0,
            broken_promises: false,
            rng,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The face that a new process gets; all earlier ones are dead from now on.
    pub(crate) fn begin_life(&self) -> SimFiles {
        let mut state = self.state();
        state.life += 1;
        state.crashed = false;
        state.fuse = None;
        state.held.clear();
        SimFiles::new(self.clone(), state.life)
    }

    /// Lets the process die at the `calls`th call from now.
    pub(crate) fn arm(&self, calls: u64) {
        self.state().fuse = Some(calls);
    }

    /// Takes the fuse out.
    pub(crate) fn disarm(&self) {
        self.state().fuse = None;
    }

    /// Whether what it holds may be what no sound disk would hold.
    pub(crate) fn has_broken_promises(&self) -> bool {
        self.state().broken_promises
    }

    /// Whether the process has died of its fuse.
    pub(crate) fn is_crashed(&self) -> bool {
        self.state().crashed
    }

    /// How many writes a crash has cut short.
    pub(crate) fn torn_writes(&self) -> u64 {
        self.state().torn_writes
    }

    /// What is wrong from now on.
    pub(crate) fn set_faults(&self, faults: DiskFaults) {
        self.state().faults = faults;
    }

    /// Whether a power failure now would lose nothing.
    pub(crate) fn is_all_synced(&self) -> bool {
        let state = self.state();
        let safe = |inode: &Inode| inode.pending.is_empty() && !inode.dropped;
        state.contents.pending_names.is_empty() && state.contents.inodes.values().all(safe)
    }

    /// A copy of everything as it is read now.
    pub(crate) fn image(&self) -> Image {
        let state = self.state();
        let (mut contents, broken_promises) = (state.contents.clone(), state.broken_promises);
        contents.make_safe();
        Image { contents, broken_promises }
    }

    /// Puts a copy in the place of everything, maybe after the machine was booted anew.
    pub(crate) fn restore(&self, image: &Image, booted: bool) {
        let mut state = self.state();
        let State { contents, born, .. } = &mut *state;
        *contents = image.contents.clone();
        for inode in contents.inodes.values_mut() {
            *born += 1;
            inode.birth = *born;
        }
        state.broken_promises = image.broken_promises;
        state.boot += u64::from(booted);
        state.life += 1;
    }

    /// Puts a copy in the place of everything, with nothing to tell it by: the machine runs on as if nothing had been.
    pub(crate) fn restore_unnoticed(&self, image: &Image) {
        let mut state = self.state();
        state.contents = image.contents.clone();
        state.life += 1;
    }

    /// An empty disk in the same machine, as an operator leaves it who puts a damaged state aside.
    pub(crate) fn wipe(&self) {
        let mut state = self.state();
        state.contents = Contents::default();
        state.broken_promises = false;
        state.life += 1;
    }
}

impl Contents {
    fn make_safe(&mut self) {
        self.safe_names = self.names.clone();
        self.pending_names.clear();
        for inode in self.inodes.values_mut() {
            inode.safe.clone_from(&inode.content);
            inode.pending.clear();
            inode.dropped = false;
        }
        self.drop_nameless();
    }

    fn drop_nameless(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.safe_names.values()).copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
    }
}
