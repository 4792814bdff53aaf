//! The journal: what has been said, in order, on disk.
//!
//! ```text
//! execute ── push ──→ pending (memory) ── write_pending ──→ segment file ──→ ring ──→ links
//!  under the shard lock                    one writer for everybody          only what is written is shipped
//!                                               └─ sync: each second, or before each reply
//! ```
//! A *position* counts records over all segments, from 0. Whoever finds unwritten records writes everybody's, so
//! many commands share one `write(2)`. A failed write loses nothing: the batch is kept, writes are refused, and the
//! next attempt begins with that batch.
//!
//! The first record behind a sync says up to where the journal was durable then ([`record::Kind::Synced`]). So a reader
//! can tell the end that a power failure tore from bytes that were safe once and are damaged now.

mod health;
mod reached;
pub(crate) mod record;
mod replay;
pub(crate) mod segment;
mod writer;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

pub(crate) use reached::Reached;
pub use replay::TornTail;
#[cfg(test)]
pub(crate) use replay::each;
pub(crate) use replay::{Replayed, Sink, mend, replay};
pub(crate) use segment::Owner;

use self::{
    health::Health,
    reached::Note,
    writer::{Batch, Writer},
};
use crate::{
    Access, Files, OpenError, PersistError,
    ring::{Chunk, Ring, Shipped},
};

/// Room for a batch's bytes to begin with; it is what a busy second's group commit needs.
const BATCH_BYTES: usize = 16 << 10;

/// Where a journal lives and how it may be used.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) dir: PathBuf,
    pub(crate) owner: Owner,
    /// A segment that has grown to this many bytes is closed at the next sync.
    pub(crate) segment_bytes: u64,
    /// Bytes of recent local deltas kept for links.
    pub(crate) ring_bytes: usize,
}

/// What has been pushed and not been taken by a writer yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    ship: Vec<Shipped>,
    end: u64,
    /// The last position that a record said to be durable.
    told: u64,
}

/// What waiters for the disk look at.
#[derive(Debug, Clone, Default)]
struct Synced {
    end: u64,
    failure: Option<PersistError>,
}

/// The open journal of one store.
pub(crate) struct Journal {
    setting: Setting,
    pending: Mutex<Pending>,
    writer: Mutex<Writer>,
    /// Held by whoever syncs or begins a segment. A failed sync is reported to one caller only: with two at a time, the
    /// other could take it for a success.
    syncing: Mutex<()>,
    ring: Mutex<Ring>,
    written: watch::Sender<u64>,
    synced: watch::Sender<Synced>,
    /// How far pushes, writes and syncs have come, for every batch of commands to look at without a lock.
    pushed_end: AtomicU64,
    written_end: AtomicU64,
    synced_end: AtomicU64,
    /// Bytes of all segments.
    bytes: AtomicU64,
    health: Health,
    note: Note,
}

/// Locks a mutex whose holder cannot leave it half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Goes on where a replay ended: in the same segment, or in a new one when there is none or `fresh` asks for it.
    /// `sync_lost`: the last process of this boot of the machine lost a sync.
    pub(crate) fn resume(
        setting: Setting,
        replayed: &Replayed,
        fresh: bool,
        sync_lost: bool,
    ) -> Result<Self, OpenError> {
        let (files, dir, end) = (&*setting.files, &setting.dir, replayed.end);
        for first in &replayed.covered {
            let path = segment::path(dir, *first);
            files.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
        let (file, first, length) = match replayed.last {
            Some((first, length)) if !fresh => {
                let path = segment::path(dir, first);
                let file = files.open(&path, Access::Write).map_err(OpenError::io("open", &path))?;
                // What a killed process had handed to the system counts as synced from here on.
                file.sync().map_err(OpenError::io("sync", &path))?;
                (file, first, length)
            }
            _ => {
                let path = segment::path(dir, end);
                let file = segment::create(files, dir, &setting.owner, end).map_err(OpenError::io("create", &path))?;
                (file, end, segment::HEADER as u64)
            }
        };
        let added = if replayed.last.is_some_and(|(last, _)| last == first) { 0 } else { length };
        Ok(Self {
            ring: Mutex::new(Ring::new(setting.ring_bytes, end)),
            pending: Mutex::new(Pending { end, told: end, ..Pending::default() }),
            writer: Mutex::new(Writer::new(file, first, length, end)),
            syncing: Mutex::default(),
            written: watch::Sender::new(end),
            synced: watch::Sender::new(Synced { end, failure: None }),
            pushed_end: AtomicU64::new(end),
            written_end: AtomicU64::new(end),
            synced_end: AtomicU64::new(end),
            bytes: AtomicU64::new(replayed.bytes + added),
            health: Health::resume(sync_lost),
            note: Note::begin(files, dir, Reached { position: end, sync_lost })?,
            setting,
        })
    }

    /// Appends one record in memory and returns the position behind it. `ship` says of what partition it is a local
    /// delta, to be offered to links once it is written. Called under the lock of the partition's shard, so that the
    /// order of records is the order of sequence numbers.
    pub(crate) fn push(&self, kind: record::Kind, ship: Option<u16>, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut pending = lock(&self.pending);
        let synced = self.synced();
        if pending.bytes.is_empty() && pending.told < synced {
            record::append(&mut pending.bytes, record::Kind::Synced, |buf| {
                buf.extend_from_slice(&synced.to_le_bytes());
            });
            pending.end += 1;
            pending.told = synced;
        }
        let range = record::append(&mut pending.bytes, kind, write);
        if let Some(partition) = ship {
            let position = pending.end;
            pending.ship.push(Shipped { position, partition, range });
        }
        pending.end += 1;
        self.pushed_end.store(pending.end, Ordering::Release);
        pending.end
    }

    /// The position behind everything that was pushed.
    pub(crate) fn end(&self) -> u64 {
        self.pushed_end.load(Ordering::Acquire)
    }

    /// The position behind everything that was written.
    pub(crate) fn written(&self) -> u64 {
        self.written_end.load(Ordering::Acquire)
    }

    /// The position behind everything that is known to survive a power failure.
    pub(crate) fn synced(&self) -> u64 {
        self.synced_end.load(Ordering::Acquire)
    }

    /// Wakes when more has been written.
    pub(crate) fn watch_written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The recent local deltas.
    pub(crate) fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }

    /// Why writes are refused, while they are.
    pub(crate) fn failure(&self) -> Option<PersistError> {
        self.health.failure()
    }

    /// Whether only a new checkpoint can make the disk true again.
    pub(crate) fn sync_lost(&self) -> bool {
        self.health.sync_lost()
    }

    /// Writes everybody's pending records. When it returns, all that had been pushed before the call is written.
    pub(crate) fn write_pending(&self) -> Result<u64, PersistError> {
        self.write_locked(&mut lock(&self.writer))
    }

    fn write_locked(&self, writer: &mut Writer) -> Result<u64, PersistError> {
        if self.sync_lost() {
            return Err(self.failure().unwrap_or_else(|| PersistError { reason: "a sync failed".into() }));
        }
        while let Some(batch) = writer.stuck.take().or_else(|| self.take_pending()) {
            if let Err(error) = writer.append(&*self.setting.files, &self.setting.dir, &batch) {
                writer.stuck = Some(batch);
                return Err(self.fail("write", writer.first, &error));
            }
            self.bytes.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
            if !batch.ship.is_empty() {
                lock(&self.ring).push(Chunk { bytes: batch.bytes, entries: batch.ship, end: batch.end });
            }
            self.written_end.store(writer.end, Ordering::Release);
            self.written.send_replace(writer.end);
        }
        self.health.recover();
        Ok(writer.end)
    }

    fn take_pending(&self) -> Option<Batch> {
        let mut pending = lock(&self.pending);
        if pending.bytes.is_empty() {
            return None;
        }
        let room = BATCH_BYTES.min(pending.bytes.len().next_power_of_two());
        let bytes = std::mem::replace(&mut pending.bytes, Vec::with_capacity(room));
        Some(Batch { bytes: bytes.into(), ship: std::mem::take(&mut pending.ship), end: pending.end })
    }

    /// Makes everything that was pushed before the call durable, then closes the segment if it is full.
    pub(crate) fn sync(&self) -> Result<(), PersistError> {
        let _alone = lock(&self.syncing);
        self.sync_alone()?;
        if lock(&self.writer).length < self.setting.segment_bytes {
            return Ok(());
        }
        self.rotate_alone()?;
        self.sync_alone()
    }

    fn sync_alone(&self) -> Result<(), PersistError> {
        let result = self.sync_once();
        let failure = result.as_ref().err().cloned();
        let end = result.as_ref().copied().unwrap_or_else(|_| self.synced());
        if end != self.synced() {
            self.note.write(Reached { position: end, sync_lost: self.sync_lost() });
            self.synced_end.store(end, Ordering::Release);
        }
        self.synced.send_if_modified(|s| {
            let changed = s.end != end || s.failure.is_some() != failure.is_some();
            *s = Synced { end, failure };
            changed
        });
        result.map(|_| ())
    }

    fn sync_once(&self) -> Result<u64, PersistError> {
        let unsynced = {
            let mut writer = lock(&self.writer);
            self.write_locked(&mut writer)?;
            writer.unsynced()
        };
        if unsynced.is_durable(self.synced()) {
            return Ok(unsynced.end);
        }
        // Without the writer's lock: commands go on being written while the disk turns.
        if let Err(error) = unsynced.sync(&*self.setting.files, &self.setting.dir) {
            // The system may have dropped the very pages that it could not write: see `health.rs`.
            self.health.lost_sync();
            self.note.write(Reached { position: self.synced(), sync_lost: true });
            return Err(self.fail("sync", unsynced.first, &error));
        }
        lock(&self.writer).synced();
        Ok(unsynced.end)
    }

    /// Waits until everything before `mark` survives a power failure, or the disk refuses.
    pub(crate) async fn wait_synced(&self, mark: u64) -> Result<(), PersistError> {
        let mut synced = self.synced.subscribe();
        let seen = synced.wait_for(|s| s.end >= mark || s.failure.is_some()).await;
        match seen {
            Ok(s) if s.end >= mark => Ok(()),
            Ok(s) => Err(s.failure.clone().unwrap_or_else(|| PersistError { reason: "the journal failed".into() })),
            Err(_) => Err(PersistError { reason: "the store is shut down".into() }),
        }
    }

    /// Begins a checkpoint: closes the open segment and goes over to the next one. The checkpoint has to cover everything
    /// before its position.
    pub(crate) fn begin_checkpoint(&self) -> Result<Begun, PersistError> {
        let _alone = lock(&self.syncing);
        let losses = self.health.losses();
        let position = self.rotate_alone()?;
        Ok(Begun { position, losses })
    }

    fn rotate_alone(&self) -> Result<u64, PersistError> {
        let mut writer = lock(&self.writer);
        let lost = self.sync_lost();
        if !lost {
            self.write_locked(&mut writer)?;
        }
        match writer.rotate(&*self.setting.files, &self.setting.dir, &self.setting.owner, lost) {
            Ok(true) => self.bytes.fetch_add(segment::HEADER as u64, Ordering::Relaxed),
            Ok(false) => 0,
            Err(error) => return Err(self.fail("create", writer.end, &error)),
        };
        Ok(writer.end)
    }

    /// The checkpoint that was begun is durable: removes the segments that nobody needs any more, and forgets the syncs
    /// that were lost before it, since what they may have lost lies in them.
    pub(crate) fn checkpointed(&self, begun: &Begun) -> Result<(), OpenError> {
        let (files, dir) = (&*self.setting.files, &self.setting.dir);
        self.health.made_good(begun.losses);
        self.note.write(Reached { position: self.synced(), sync_lost: self.sync_lost() });
        let segments = segment::list(files, dir)?;
        for pair in segments.windows(2).filter(|pair| pair[1] <= begun.position) {
            let path = segment::path(dir, pair[0]);
            let file = files.open(&path, Access::Read).map_err(OpenError::io("read", &path))?;
            let length = file.length().map_err(OpenError::io("read", &path))?;
            files.remove(&path).map_err(OpenError::io("remove", &path))?;
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts another file in the place of the open segment, so that a test can make the disk refuse.
    #[cfg(test)]
    pub(crate) fn use_file(&self, file: Arc<dyn crate::OpenFile>) -> Arc<dyn crate::OpenFile> {
        std::mem::replace(&mut lock(&self.writer).file, file)
    }

    fn fail(&self, what: &str, first: u64, error: &io::Error) -> PersistError {
        self.health.fail(what, &segment::path(&self.setting.dir, first), error)
    }
}

/// Where a checkpoint begins, and how many syncs had failed by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) position: u64,
    losses: u64,
}

#[cfg(test)]
mod tests;
