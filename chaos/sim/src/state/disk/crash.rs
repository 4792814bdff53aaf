//! What is left when a process or a machine stops.

use std::cmp::Ordering;

use super::{Contents, Inode, Naming, Pending, SimDisk, State};
use crate::rng::Rng;

/// How many power failures of 100 find a file's unsynced writes in another order than that of the calls.
const REORDERED_PERCENT: u64 = 30;
/// What becomes of an unsynced change: nothing of it is there, or part of it (1), or all.
const NOTHING: u64 = 0;
const WHOLE: u64 = 2;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what it had handed to the system stays.
    Kill,
    /// The machine loses power: what was not synced may stay, go, or be torn.
    Power,
}

impl SimDisk {
    /// Ends the life of whoever uses the disk. What a crash within a call has done already stays done.
    pub(crate) fn crash(&self, crash: Crash) {
        let mut state = self.state();
        state.life += 1;
        state.crashed = false;
        state.fuse = None;
        state.held.clear();
        if crash == Crash::Power {
            state.lose_power();
        }
    }

    /// A planted bug: takes the last write of the newest journal file back, as a disk that forgot it. False if there is none.
    pub(crate) fn forget_last_write(&self) -> bool {
        let mut state = self.state();
        let newest =
            state.contents.names.iter().rev().find(|(path, _)| path.extension().is_some_and(|e| e == "journal"));
        let Some(id) = newest.map(|(_, id)| *id) else { return false };
        let last = state.last_writes.get(&id).copied();
        let (Some(length), Some(inode)) = (last, state.contents.inodes.get_mut(&id)) else { return false };
        inode.content.truncate(length);
        inode.safe.truncate(length);
        inode.pending.clear();
        true
    }
}

impl State {
    fn lose_power(&mut self) {
        self.boot += 1;
        let Self { contents, rng, .. } = self;
        for inode in contents.inodes.values_mut() {
            inode.lose_power(rng);
        }
        contents.lose_names(rng);
        contents.make_safe();
    }
}

impl Inode {
    /// Unsynced changes survive up to one of them, which may survive in part; now and then each fares on its own, since the
    /// disk was free to write them in any order, and some not at all.
    fn lose_power(&mut self, rng: &mut Rng) {
        let reordered = rng.percent(REORDERED_PERCENT);
        let whole = rng.index(self.pending.len() + 1);
        for (index, change) in self.pending.drain(..).enumerate() {
            let part = match index.cmp(&whole) {
                _ if reordered => rng.below(3),
                Ordering::Less => WHOLE,
                Ordering::Equal => rng.below(2),
                Ordering::Greater => NOTHING,
            };
            match change {
                Pending::Truncate(length) if part == WHOLE => self.safe.truncate(length),
                Pending::Truncate(_) => {}
                Pending::Write { offset, bytes } => {
                    let kept = match part {
                        NOTHING => 0,
                        WHOLE => bytes.len(),
                        _ => rng.index(bytes.len() + 1),
                    };
                    write_at(&mut self.safe, offset, &bytes[..kept]);
                }
            }
        }
        self.content.clone_from(&self.safe);
        self.dropped = false;
    }

    /// Brings every unsynced change to where no power failure reaches it.
    pub(super) fn settle(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Pending::Truncate(length) => self.safe.truncate(length),
                Pending::Write { offset, bytes } => write_at(&mut self.safe, offset, &bytes),
            }
        }
    }
}

impl Contents {
    /// Names are journaled by file systems in the order of the calls: a power failure keeps a beginning of that order.
    fn lose_names(&mut self, rng: &mut Rng) {
        let kept = rng.index(self.pending_names.len() + 1);
        let mut names = std::mem::take(&mut self.safe_names);
        for naming in self.pending_names.drain(..).take(kept) {
            match naming {
                Naming::Create(path, id) => drop(names.insert(path, id)),
                Naming::Remove(path) => drop(names.remove(&path)),
                Naming::Rename(from, to, id) => {
                    names.remove(&from);
                    names.insert(to, id);
                }
            }
        }
        self.names = names;
    }
}

/// Writes into a file's content; a hole reads as zeros.
pub(super) fn write_at(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}
