//! A disk in memory that does wrong when it is told to: refuses, writes half, forgets what was not synced, or stops at
//! any call. It keeps what the system shows apart from what is really on the platter.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    ops::Range,
    sync::{Mutex, MutexGuard},
};

use super::*;
use crate::{Access, Files, Hold, Locked, OpenFile};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and does nothing. A failed sync drops what it should have written.
    Eio,
    /// A write does half and fails; so does every other call that needs room.
    NoSpace,
    /// The call does half, and nothing works any more until the machine or the process is started again.
    Stop,
}

/// What is lost between two starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The process was killed: nothing.
    Nothing,
    /// The power failed: everything that was not synced.
    Unsynced,
    /// The power failed: every second write that was not synced.
    Some,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Default)]
struct Inode {
    shown: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, bytes) => {
            content.resize(content.len().max(at + bytes.len()), 0);
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Truncate(length) => content.resize(*length, 0),
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        apply(&mut self.shown, &change);
        self.unsynced.push(change);
    }
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    shown: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    locks: BTreeSet<PathBuf>,
    boot: u32,
    steps: u64,
    syncs: u64,
    fault: Option<(Range<u64>, Fault)>,
    stopped: bool,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Calls made so far.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Files synced so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Does wrong at the calls with these numbers.
    pub(crate) fn fail(&self, at: Range<u64>, fault: Fault) {
        self.state().fault = Some((at, fault));
    }

    /// Starts the process or the machine again; nothing goes wrong any more.
    pub(crate) fn restart(&self, lost: Lost) {
        let mut state = self.state();
        (state.stopped, state.fault) = (false, None);
        state.locks.clear();
        if lost == Lost::Nothing {
            return;
        }
        state.boot += 1;
        state.shown = state.durable.clone();
        for inode in &mut state.inodes {
            let kept = inode.unsynced.drain(..).enumerate().filter(|(n, _)| lost == Lost::Some && n % 2 == 1);
            kept.for_each(|(_, change)| apply(&mut inode.durable, &change));
            inode.shown = inode.durable.clone();
        }
    }

    /// Counts a call; what is to go wrong with it.
    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.state();
        if state.stopped {
            return Err(gone());
        }
        let step = state.steps;
        state.steps += 1;
        let fault = state.fault.as_ref().filter(|(at, _)| at.contains(&step)).map(|(_, fault)| *fault);
        state.stopped = fault == Some(Fault::Stop);
        Ok((state, fault))
    }

    /// A call that does something or nothing.
    fn whole(&self, needs_room: bool) -> io::Result<MutexGuard<'_, State>> {
        let (state, fault) = self.step()?;
        match fault {
            Some(Fault::Eio) => Err(eio()),
            Some(Fault::NoSpace) if needs_room => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Stop) => Err(gone()),
            _ => Ok(state),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("everything has stopped")
}

fn eio() -> io::Error {
    io::Error::other("input/output error")
}

#[derive(Debug)]
struct Lock(Disk, PathBuf);

impl Hold for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}

impl Files for Disk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.whole(true).map(drop)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.whole(access == Access::Create)?;
        let inode = match (state.shown.get(path).copied(), access) {
            (Some(inode), Access::Create) => {
                state.inodes[inode].change(Change::Truncate(0));
                inode
            }
            (Some(inode), _) => inode,
            (None, Access::Create) => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.shown.insert(path.into(), inode);
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(DiskFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let state = self.whole(false)?;
        let inside = state.shown.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.whole(false)?.shown.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.whole(false)?;
        let inode = state.shown.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.shown.insert(to.into(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole(false)?;
        state.shown.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.whole(false)?;
        state.durable = state.shown.clone();
        Ok(())
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Locked> {
        let mut state = self.whole(false)?;
        if !state.locks.insert(path.into()) {
            return Ok(Locked::HeldBy(note.into()));
        }
        Ok(Locked::Taken(Box::new(Lock(self.clone(), path.into()))))
    }

    fn boot_id(&self) -> String {
        format!("boot {}", self.state().boot)
    }
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    inode: usize,
}

impl OpenFile for DiskFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.whole(false)?;
        let shown = &state.inodes[self.inode].shown;
        let from = shown.get(offset as usize..).unwrap_or_default();
        let length = from.len().min(buf.len());
        buf[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.disk.step()?;
        let (length, error) = match fault {
            None => (bytes.len(), None),
            Some(Fault::Eio) => (0, Some(eio())),
            Some(Fault::NoSpace) => (bytes.len() / 2, Some(io::ErrorKind::StorageFull.into())),
            Some(Fault::Stop) => (bytes.len() / 2, Some(gone())),
        };
        state.inodes[self.inode].change(Change::Write(offset as usize, bytes[..length].to_vec()));
        error.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.step()?;
        state.syncs += 1;
        let inode = &mut state.inodes[self.inode];
        match fault {
            Some(Fault::Stop) => Err(gone()),
            Some(Fault::Eio) => {
                // The system has tried, and will not try again.
                inode.unsynced.clear();
                Err(eio())
            }
            Some(Fault::NoSpace) | None => {
                let changes = std::mem::take(&mut inode.unsynced);
                changes.iter().for_each(|change| apply(&mut inode.durable, change));
                Ok(())
            }
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.whole(false)?.inodes[self.inode].change(Change::Truncate(length as usize));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.whole(false)?.inodes[self.inode].shown.len() as u64)
    }

    fn birthmark(&self) -> String {
        format!("inode {}", self.inode)
    }
}
