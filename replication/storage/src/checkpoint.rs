//! Checkpoints: the state in one file, so that the journal before it can go.
//!
//! A checkpoint names the journal position where it began. Partitions are written one after the other, in pieces, each
//! under its partition's lock for as long as it takes to copy it, while commands go on. A partition is written as it was
//! when its first piece was made (see `core/src/partition/snapshot.rs`), so it may hold changes from behind the position.
//! That is harmless: recovery merges the journal from the position on, and merging twice is merging once. Before the file
//! gets its name, everything that it may hold is in the journal and synced.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use replication_core::{CatchUp, Hlc, PARTITIONS, Renamed, SnapshotCursor};

use crate::{
    Access, Files, OpenError, OpenFile,
    journal::{
        Owner, lock,
        record::{self, Kind},
        segment::{self, BadHeader, FileKind},
    },
    lanes::Router,
    store::{Counters, Inner},
};

const EXTENSION: &str = "checkpoint";
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes of a piece. A partition is locked while one is copied, for about a millisecond.
#[cfg(not(test))]
const PIECE_BYTES: usize = 128 << 10;
/// Small, so that partitions of a test come in pieces too.
#[cfg(test)]
const PIECE_BYTES: usize = 100;

/// The last checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Last {
    /// Journal position where it began.
    pub(crate) position: u64,
    /// Its own size, in bytes.
    pub(crate) bytes: u64,
}

/// Clock and watermarks at a moment; kept in checkpoints, and in the journal while there is something to write anyway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) last: Hlc,
    pub(crate) regions: BTreeMap<u16, Hlc>,
}

impl Marks {
    fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.last.0.to_le_bytes());
        for (region, hlc) in &self.regions {
            buf.extend_from_slice(&region.to_le_bytes());
            buf.extend_from_slice(&hlc.0.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (last, regions) = bytes.split_first_chunk::<8>()?;
        let mut marks = Self { last: Hlc(u64::from_le_bytes(*last)), regions: BTreeMap::new() };
        for entry in regions.chunks(10) {
            let (region, hlc) = entry.split_first_chunk::<2>()?;
            marks.regions.insert(u16::from_le_bytes(*region), Hlc(u64::from_le_bytes(hlc.try_into().ok()?)));
        }
        Some(marks)
    }
}

impl Inner {
    fn marks(&self) -> Marks {
        Marks { last: self.hlc.last(), regions: self.watermarks.all() }
    }

    fn snapshot_piece(&self, id: u16, cursor: &mut SnapshotCursor) -> Result<Option<CatchUp>, Renamed> {
        let (piece, held) = self.shards.with(id, |slot| {
            let began = Instant::now();
            (slot.partition.snapshot_piece(cursor, PIECE_BYTES), began.elapsed())
        });
        self.counters.longest_piece_us.fetch_max(held.as_micros() as u64, Ordering::Relaxed);
        cursor.let_go();
        piece
    }

    /// Journals the watermarks if anything was journaled since position `noted`; returns the position to hand in next
    /// time. An idle store stays idle.
    pub(crate) fn note_watermarks(&self, noted: u64) -> u64 {
        if self.journal.end() == noted {
            return noted;
        }
        self.journal.push(Kind::Watermarks, None, |buf| self.marks().encode(buf))
    }
}

/// Whether the journal has grown enough, or is in doubt since a sync failed.
pub(crate) fn due(inner: &Inner) -> bool {
    let last = *lock(&inner.checkpoint);
    inner.journal.sync_lost() || inner.journal.bytes() > inner.config.checkpoint_bytes.max(last.bytes)
}

/// Makes a checkpoint and removes what it makes superfluous.
pub(crate) fn make(inner: &Inner) -> Result<(), OpenError> {
    // Held throughout: one checkpoint at a time.
    let mut last = lock(&inner.checkpoint);
    let (files, dir) = (&*inner.config.files, &inner.config.dir);
    let failed = |e: crate::PersistError| OpenError::io("write", dir)(io::Error::other(e.to_string()));
    let begun = inner.journal.begin_checkpoint().map_err(failed)?;
    let position = begun.position;
    let (new, path) = (dir.join("checkpoint.new"), path(dir, position));
    let publish = || -> io::Result<u64> {
        let file = write(inner, &new, position)?;
        if !inner.journal.sync_lost() {
            inner.journal.sync().map_err(io::Error::other)?;
        }
        file.sync()?;
        files.rename(&new, &path)?;
        files.sync_dir(dir)?;
        file.length()
    };
    let bytes = publish().map_err(|error| {
        // Half a checkpoint may be what fills the disk. If it cannot go now, the next start removes it.
        let _ = files.remove(&new);
        OpenError::io("write", &path)(error)
    })?;
    *last = Last { position, bytes };
    Counters::count(&inner.counters.checkpoints);
    inner.journal.checkpointed(&begun)?;
    remove_older(files, dir, position)
}

fn write(inner: &Inner, new: &Path, position: u64) -> io::Result<Arc<dyn OpenFile>> {
    let file = inner.config.files.open(new, Access::Create)?;
    let mut written = 0;
    let mut flush = |buf: &mut Vec<u8>| {
        file.write_at(written, buf)?;
        written += buf.len() as u64;
        buf.clear();
        io::Result::Ok(())
    };
    let replica = inner.replica();
    let owner = Owner::new(&inner.config.world, replica.region, replica.incarnation);
    let mut buf = segment::header(FileKind::Checkpoint, &owner, position).to_vec();
    record::append(&mut buf, Kind::Watermarks, |buf| inner.marks().encode(buf));
    for id in 0..PARTITIONS {
        let Some(mut cursor) = inner.shards.with(id, |slot| slot.begin_snapshot()) else { continue };
        while let Some(piece) = inner.snapshot_piece(id, &mut cursor).map_err(io::Error::other)? {
            record::append(&mut buf, Kind::Piece, |buf| piece.encode(buf));
            if buf.len() >= BUFFER_BYTES {
                flush(&mut buf)?;
            }
        }
    }
    record::append(&mut buf, Kind::End, |_| {});
    flush(&mut buf)?;
    Ok(file)
}

/// Removes what an interrupted checkpoint left.
pub(crate) fn remove_unfinished(files: &dyn Files, dir: &Path) -> Result<(), OpenError> {
    let leftover = dir.join("checkpoint.new");
    match files.remove(&leftover) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(OpenError::io("remove", &leftover)(e)),
        _ => Ok(()),
    }
}

/// Reads the newest checkpoint of `dir`: its partitions go to `router`, its marks are returned.
pub(crate) fn load(
    files: &dyn Files,
    dir: &Path,
    owner: &Owner,
    router: &mut Router,
) -> Result<Option<(Last, Marks)>, OpenError> {
    let Some(position) = segment::numbered(files, dir, EXTENSION)?.last().copied() else { return Ok(None) };
    let path = path(dir, position);
    let bytes = files.read(&path).map_err(OpenError::io("read", &path))?;
    let damaged = |offset: usize, what: &str| OpenError::Damaged {
        file: path.clone(),
        offset: offset as u64,
        what: what.to_owned(),
    };
    match segment::check_header(FileKind::Checkpoint, owner, &path, &bytes) {
        Ok(found) if found == position => {}
        Ok(_) => return Err(damaged(40, "its header and its name disagree about its position")),
        Err(BadHeader::Refused(error)) => return Err(error),
        Err(BadHeader::Damaged(what)) => return Err(damaged(0, what)),
    }
    router.begin(&path);
    let (mut at, mut marks) = (segment::HEADER, Marks::default());
    loop {
        // Whatever is wrong in here, it was whole once: the file got its name only after it was synced.
        let record = record::read(&bytes[at..]).map_err(|what| damaged(at, what))?;
        match record.kind {
            Kind::Watermarks => {
                marks = Marks::decode(record.payload).ok_or_else(|| damaged(at, "unreadable watermarks"))?;
            }
            Kind::Partition | Kind::Piece => router.route(at as u64, &record),
            Kind::End => return Ok(Some((Last { position, bytes: bytes.len() as u64 }, marks))),
            Kind::Delta | Kind::CatchUp | Kind::Synced => {
                return Err(damaged(at, "a record that belongs into a journal"));
            }
        }
        at += record.len();
    }
}

fn remove_older(files: &dyn Files, dir: &Path, position: u64) -> Result<(), OpenError> {
    for older in segment::numbered(files, dir, EXTENSION)?.into_iter().filter(|p| *p < position) {
        let path = path(dir, older);
        files.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(())
}

fn path(dir: &Path, position: u64) -> PathBuf {
    dir.join(format!("{position:020}.{EXTENSION}"))
}
