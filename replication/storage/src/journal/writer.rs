//! The open segment: appending batches, and going over to the next segment. One caller at a time.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;

use super::segment::{self, Owner};
use crate::{Access, Files, OpenFile, ring::Shipped};

/// Bytes on their way into the file, and what of them goes to the ring once they are there.
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    pub(super) ship: Vec<Shipped>,
    pub(super) end: u64,
}

pub(super) struct Writer {
    pub(super) file: Arc<dyn OpenFile>,
    /// First position of the open segment.
    pub(super) first: u64,
    /// Bytes of whole records in the open segment.
    pub(super) length: u64,
    /// The position behind the last written record.
    pub(super) end: u64,
    /// A batch that the disk has refused so far. Part of it may be in the file, behind `length`; it is written again at
    /// the same place.
    pub(super) stuck: Option<Batch>,
    /// Earlier segments whose end is not synced yet, oldest first.
    closed: Vec<Arc<dyn OpenFile>>,
    /// The name of the open segment is not durable yet.
    new_name: bool,
    /// A segment whose creation failed halfway. Nothing may be written before its file is gone: a reader would take it
    /// for the continuation of what was written before it.
    unfinished: Option<u64>,
}

/// What has to be synced for everything before `end` to be durable, in this order.
pub(super) struct Unsynced {
    files: Vec<Arc<dyn OpenFile>>,
    /// A segment is new, so its name has to be made durable too.
    new_name: bool,
    /// The position behind the last record that is in them.
    pub(super) end: u64,
    /// First position of the newest segment, for messages.
    pub(super) first: u64,
}

impl Writer {
    pub(super) fn new(file: Arc<dyn OpenFile>, first: u64, length: u64, end: u64) -> Self {
        Self { file, first, length, end, stuck: None, closed: Vec::new(), new_name: false, unfinished: None }
    }

    /// Appends a batch. After an error the next attempt writes over whatever part of it is there.
    pub(super) fn append(&mut self, files: &dyn Files, dir: &Path, batch: &Batch) -> io::Result<()> {
        self.clear_unfinished(files, dir)?;
        self.file.write_at(self.length, &batch.bytes)?;
        self.length += batch.bytes.len() as u64;
        self.end = batch.end;
        Ok(())
    }

    /// Goes over to a new segment; false if the open one is still empty. Nothing is synced: that is the next sync's
    /// business, so nobody waits for the disk here. After a lost sync nobody relies on what lies in the segments so far,
    /// and an empty one is begun anew, since its header may be what was lost.
    pub(super) fn rotate(&mut self, files: &dyn Files, dir: &Path, owner: &Owner, lost: bool) -> io::Result<bool> {
        self.clear_unfinished(files, dir)?;
        let empty = self.first == self.end;
        if empty && !lost {
            return Ok(false);
        }
        self.unfinished = Some(self.end);
        let file = files.open(&segment::path(dir, self.end), Access::Create)?;
        file.write_at(0, &segment::header(segment::FileKind::Journal, owner, self.end))?;
        self.unfinished = None;
        let old = std::mem::replace(&mut self.file, file);
        if lost {
            self.closed.clear();
        } else {
            self.closed.push(old);
        }
        self.new_name = true;
        (self.first, self.length) = (self.end, segment::HEADER as u64);
        Ok(!empty)
    }

    fn clear_unfinished(&mut self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        if let Some(position) = self.unfinished {
            match files.remove(&segment::path(dir, position)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => self.unfinished = None,
            }
        }
        Ok(())
    }

    /// Everything that was written and may not be durable.
    pub(super) fn unsynced(&self) -> Unsynced {
        let files = self.closed.iter().chain([&self.file]).cloned().collect();
        Unsynced { files, new_name: self.new_name, end: self.end, first: self.first }
    }

    /// What [`unsynced`](Self::unsynced) returned is durable. No segment was begun meanwhile.
    pub(super) fn synced(&mut self) {
        self.closed.clear();
        self.new_name = false;
    }
}

impl Unsynced {
    /// Whether nothing is left to do if everything before `synced` is durable.
    pub(super) fn is_durable(&self, synced: u64) -> bool {
        self.end == synced && !self.new_name
    }

    /// Makes it durable.
    pub(super) fn sync(&self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        if self.new_name { files.sync_dir(dir) } else { Ok(()) }
    }
}
