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

pub(crate) mod record;
mod replay;
pub(crate) mod segment;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

pub use replay::TornTail;
pub(crate) use replay::{Replayed, mend, replay};
pub(crate) use segment::Owner;

use crate::{
    Access, Files, OpenError, OpenFile, PersistError,
    ring::{Chunk, Ring, Shipped},
};

/// Room for a batch's bytes to begin with; it is what a busy second's group commit needs.
const BATCH_BYTES: usize = 16 << 10;

/// How the journal may be used.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
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
}

/// Bytes on their way into the file, and what of them goes to the ring once they are there.
struct Batch {
    bytes: Bytes,
    ship: Vec<Shipped>,
    end: u64,
}

struct Writer {
    file: Arc<dyn OpenFile>,
    /// First position of the open segment.
    first: u64,
    /// Bytes of whole records in the open segment.
    length: u64,
    /// The position behind the last written record.
    end: u64,
    /// A batch that the disk has refused so far. Part of it may be in the file, behind `length`; it is written again
    /// at the same place.
    stuck: Option<Batch>,
}

/// What waiters for the disk look at.
#[derive(Debug, Clone, Default)]
struct Synced {
    end: u64,
    failure: Option<PersistError>,
}

/// The open journal of one store.
pub(crate) struct Journal {
    files: Arc<dyn Files>,
    dir: PathBuf,
    owner: Owner,
    limits: Limits,
    pending: Mutex<Pending>,
    writer: Mutex<Writer>,
    ring: Mutex<Ring>,
    written: watch::Sender<u64>,
    synced: watch::Sender<Synced>,
    /// Bytes of all segments.
    bytes: AtomicU64,
    /// Set while the disk refuses; read by every write, so it is not behind a lock.
    failed: AtomicBool,
    failure: Mutex<Option<PersistError>>,
    /// The system lost a sync: only a new checkpoint makes the disk true again.
    sync_lost: AtomicBool,
}

/// Locks a mutex whose holder cannot leave it half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Goes on where a replay ended: in the same segment, or in a new one when there is none or `fresh` asks for it.
    pub(crate) fn resume(
        files: Arc<dyn Files>,
        dir: PathBuf,
        owner: Owner,
        limits: Limits,
        replayed: &Replayed,
        fresh: bool,
    ) -> Result<Self, OpenError> {
        let end = replayed.end;
        for first in &replayed.covered {
            let path = segment::path(&dir, *first);
            files.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
        let (file, first, length) = match replayed.last {
            Some((first, length)) if !fresh => {
                let path = segment::path(&dir, first);
                let file = files.open(&path, Access::Write).map_err(OpenError::io("open", &path))?;
                (file, first, length)
            }
            _ => {
                let path = segment::path(&dir, end);
                let file = segment::create(&*files, &dir, &owner, end).map_err(OpenError::io("create", &path))?;
                (file, end, segment::HEADER as u64)
            }
        };
        // What a killed process had handed to the system counts as synced from here on.
        file.sync().map_err(OpenError::io("sync", &segment::path(&dir, first)))?;
        let added = if replayed.last.is_some_and(|(last, _)| last == first) { 0 } else { length };
        Ok(Self {
            ring: Mutex::new(Ring::new(limits.ring_bytes, end)),
            pending: Mutex::new(Pending { end, ..Pending::default() }),
            writer: Mutex::new(Writer { file, first, length, end, stuck: None }),
            written: watch::Sender::new(end),
            synced: watch::Sender::new(Synced { end, failure: None }),
            bytes: AtomicU64::new(replayed.bytes + added),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            sync_lost: AtomicBool::new(false),
            files,
            dir,
            owner,
            limits,
        })
    }

    /// Appends one record in memory and returns the position behind it. `ship` says of what partition it is a local
    /// delta, to be offered to links once it is written. Called under the lock of the partition's shard, so that the
    /// order of records is the order of sequence numbers.
    pub(crate) fn push(&self, kind: record::Kind, ship: Option<u16>, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut pending = lock(&self.pending);
        let range = record::append(&mut pending.bytes, kind, write);
        if let Some(partition) = ship {
            let position = pending.end;
            pending.ship.push(Shipped { position, partition, range });
        }
        pending.end += 1;
        pending.end
    }

    /// The position behind everything that was pushed.
    pub(crate) fn end(&self) -> u64 {
        lock(&self.pending).end
    }

    /// The position behind everything that was written.
    pub(crate) fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// The position behind everything that is known to survive a power failure.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.borrow().end
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
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.failure).clone()
    }

    /// Whether only a new checkpoint can make the disk true again.
    pub(crate) fn sync_lost(&self) -> bool {
        self.sync_lost.load(Ordering::Acquire)
    }

    /// Writes everybody's pending records. When it returns, all that had been pushed before the call is written.
    pub(crate) fn write_pending(&self) -> Result<u64, PersistError> {
        let mut writer = lock(&self.writer);
        self.write_locked(&mut writer)
    }

    fn write_locked(&self, writer: &mut Writer) -> Result<u64, PersistError> {
        if self.sync_lost() {
            return Err(self.failure().unwrap_or_else(|| PersistError { reason: "a sync failed".into() }));
        }
        while let Some(batch) = writer.stuck.take().or_else(|| self.take_pending()) {
            if let Err(error) = append(writer, &batch) {
                writer.stuck = Some(batch);
                return Err(self.fail("write", &error, writer.first));
            }
            writer.end = batch.end;
            self.bytes.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
            if !batch.ship.is_empty() {
                lock(&self.ring).push(Chunk { bytes: batch.bytes, entries: batch.ship, end: batch.end });
            }
            self.written.send_replace(writer.end);
        }
        self.heal();
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
        let result = self.sync_once();
        let failure = result.as_ref().err().cloned();
        let end = result.as_ref().copied().unwrap_or_else(|_| self.synced());
        self.synced.send_if_modified(|s| {
            let changed = s.end != end || s.failure.is_some() != failure.is_some();
            *s = Synced { end, failure };
            changed
        });
        result?;
        let full = lock(&self.writer).length >= self.limits.segment_bytes;
        if full { self.rotate().map(|_| ()) } else { Ok(()) }
    }

    fn sync_once(&self) -> Result<u64, PersistError> {
        let (file, first, end) = {
            let mut writer = lock(&self.writer);
            let end = self.write_locked(&mut writer)?;
            (writer.file.clone(), writer.first, end)
        };
        if end == self.synced() {
            return Ok(end);
        }
        // Without the lock: commands go on being written while the disk turns.
        match file.sync() {
            Ok(()) => Ok(end),
            Err(error) => {
                // After a failed sync the system may have dropped the very pages that it could not write.
                self.sync_lost.store(true, Ordering::Release);
                Err(self.fail("sync", &error, first))
            }
        }
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

    /// Closes the open segment and begins the next one; returns the position where it begins.
    pub(crate) fn rotate(&self) -> Result<u64, PersistError> {
        let mut writer = lock(&self.writer);
        if !self.sync_lost() {
            self.write_locked(&mut writer)?;
            // The old segment is durable before the new one exists, so a hole between them is always damage.
            writer.file.sync().map_err(|e| {
                self.sync_lost.store(true, Ordering::Release);
                self.fail("sync", &e, writer.first)
            })?;
        }
        if writer.first == writer.end {
            return Ok(writer.end);
        }
        let file = segment::create(&*self.files, &self.dir, &self.owner, writer.end)
            .map_err(|e| self.fail("create", &e, writer.end))?;
        (writer.file, writer.first, writer.length) = (file, writer.end, segment::HEADER as u64);
        self.bytes.fetch_add(segment::HEADER as u64, Ordering::Relaxed);
        Ok(writer.end)
    }

    /// A durable checkpoint covers everything before `position`: removes the segments that nobody needs any more,
    /// and forgets a lost sync, since what it may have lost lies in them.
    pub(crate) fn checkpointed(&self, position: u64) -> Result<(), OpenError> {
        let segments = segment::list(&*self.files, &self.dir)?;
        for pair in segments.windows(2).filter(|pair| pair[1] <= position) {
            let path = segment::path(&self.dir, pair[0]);
            let file = self.files.open(&path, Access::Read).map_err(OpenError::io("read", &path))?;
            let length = file.length().map_err(OpenError::io("read", &path))?;
            self.files.remove(&path).map_err(OpenError::io("remove", &path))?;
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        self.sync_lost.store(false, Ordering::Release);
        Ok(())
    }

    /// Puts another file in the place of the open segment, so that a test can make the disk refuse.
    #[cfg(test)]
    pub(crate) fn use_file(&self, file: Arc<dyn OpenFile>) -> Arc<dyn OpenFile> {
        std::mem::replace(&mut lock(&self.writer).file, file)
    }

    fn fail(&self, what: &str, error: &io::Error, first: u64) -> PersistError {
        let reason = format!("cannot {what} {}: {error}", segment::path(&self.dir, first).display());
        let failure = PersistError { reason: reason.into() };
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%failure, "writes are refused until the journal can be written");
        }
        *lock(&self.failure) = Some(failure.clone());
        failure
    }

    fn heal(&self) {
        if self.failed.load(Ordering::Acquire) && !self.sync_lost() {
            self.failed.store(false, Ordering::Release);
            *lock(&self.failure) = None;
            tracing::info!("the journal can be written again");
        }
    }
}

/// Appends a batch. After an error the next attempt writes over whatever part of it is there.
fn append(writer: &mut Writer, batch: &Batch) -> io::Result<()> {
    writer.file.write_at(writer.length, &batch.bytes)?;
    writer.length += batch.bytes.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests;
