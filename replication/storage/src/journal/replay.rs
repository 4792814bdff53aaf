//! Reading a journal back after a stop, a kill or worse.
//!
//! Every record from a position on is handed to the caller. A damaged place is judged by what lies behind it: nothing
//! whole means that the end of the file was being written (a *torn tail*: cut off, and reported); a whole record means
//! that the file was once good there (refused: cutting would throw away what was acknowledged). Behind a power failure a
//! whole record means nothing, unless it says that the damaged place had been synced.

use std::path::{Path, PathBuf};

use super::{
    record::{self, Kind, Record},
    segment::{self, BadHeader, FileKind, Owner},
};
use crate::{Access, Files, OpenError};

/// What a replay found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Records handed to the caller.
    pub(crate) records: u64,
    /// The position behind the last whole record.
    pub(crate) end: u64,
    /// The first position of the segment to go on with, and its length in bytes; `None` if there is none.
    pub(crate) last: Option<(u64, u64)>,
    /// First positions of segments that a checkpoint covers and that should be gone.
    pub(crate) covered: Vec<u64>,
    /// Bytes of all other segments.
    pub(crate) bytes: u64,
    /// First positions of segments that do not count and are to be removed.
    pub(crate) behind: Vec<u64>,
    /// The end that cannot be read, if there is one.
    pub(crate) torn: Option<TornTail>,
}

/// The end of a journal that could not be read and was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the last whole record ends, in bytes from the file's start.
    pub offset: u64,
    /// How many bytes behind it were cut off.
    pub cut: u64,
    /// What was wrong with them.
    pub what: &'static str,
}

/// Reads all records at or behind `from`, where a checkpoint was made or 0, and hands each to `sink`, which says what is
/// wrong with a record that it cannot read. `power_failed`: the machine may have stopped since the journal was written.
/// Changes nothing: [`mend`] cuts off the torn tail that is reported.
pub(crate) fn replay(
    files: &dyn Files,
    dir: &Path,
    owner: &Owner,
    from: u64,
    power_failed: bool,
    sink: &mut dyn Sink,
) -> Result<Replayed, OpenError> {
    let mut segments = segment::list(files, dir)?;
    // A checkpoint begins with a segment of its own; all before it are covered.
    let covered = segments.drain(..segments.partition_point(|first| *first < from)).collect();
    let out = Replayed { end: from, covered, ..Replayed::default() };
    let mut reader = Reader { files, dir, owner, power_failed, sink, out };
    for (index, first) in segments.iter().enumerate() {
        let later = &segments[index + 1..];
        let intact =
            if *first == reader.out.end { reader.segment(*first, later)? } else { reader.hole(*first, later)? };
        if !intact {
            break;
        }
    }
    Ok(reader.out)
}

/// Cuts off the torn tail that a replay found, if it found one, and what a crash left behind it.
pub(crate) fn mend(files: &dyn Files, dir: &Path, replayed: &Replayed) -> Result<(), OpenError> {
    if replayed.behind.is_empty() && replayed.torn.is_none() {
        return Ok(());
    }
    for first in &replayed.behind {
        let path = segment::path(dir, *first);
        files.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    match &replayed.torn {
        Some(torn) if torn.offset == 0 => {
            files.remove(&torn.file).map_err(OpenError::io("remove", &torn.file))?;
        }
        Some(torn) => {
            let file = files.open(&torn.file, Access::Write).map_err(OpenError::io("open", &torn.file))?;
            file.truncate(torn.offset).map_err(OpenError::io("shorten", &torn.file))?;
            file.sync().map_err(OpenError::io("sync", &torn.file))?;
        }
        None => {}
    }
    files.sync_dir(dir).map_err(OpenError::io("sync", dir))
}

/// Takes the records.
pub(crate) trait Sink {
    /// What follows is of this file.
    fn begin(&mut self, file: &Path);

    /// Takes the record that begins at `at` in the file, or says what is wrong with it.
    fn take(&mut self, at: u64, record: &Record<'_>) -> Result<(), String>;
}

/// For tests that do not care where records stand.
#[cfg(test)]
pub(crate) fn each<F: FnMut(&Record<'_>) -> Result<(), String>>(take: F) -> F {
    take
}

#[cfg(test)]
impl<F: FnMut(&Record<'_>) -> Result<(), String>> Sink for F {
    fn begin(&mut self, _file: &Path) {}

    fn take(&mut self, _at: u64, record: &Record<'_>) -> Result<(), String> {
        self(record)
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    dir: &'a Path,
    owner: &'a Owner,
    power_failed: bool,
    sink: &'a mut dyn Sink,
    out: Replayed,
}

impl Reader<'_> {
    /// Reads one segment; false if nothing behind it counts.
    fn segment(&mut self, first: u64, later: &[u64]) -> Result<bool, OpenError> {
        let path = segment::path(self.dir, first);
        let bytes = self.files.read(&path).map_err(OpenError::io("read", &path))?;
        match segment::check_header(FileKind::Journal, self.owner, &path, &bytes) {
            Ok(position) if position == first => {}
            Ok(position) => {
                let what = format!("its header says position {position}, its name says {first}");
                return Err(OpenError::Damaged { file: path, offset: 40, what });
            }
            Err(BadHeader::Refused(error)) => return Err(error),
            Err(BadHeader::Damaged(_)) if bytes.len() <= segment::HEADER && later.is_empty() => {
                // The process ended while it began this segment. Nothing was ever in it.
                self.out.behind = vec![first];
                return Ok(false);
            }
            Err(BadHeader::Damaged(what)) => {
                let torn = TornTail { file: path, offset: 0, cut: bytes.len() as u64, what };
                return self.torn(torn, &bytes, later).map(|()| false);
            }
        }
        self.sink.begin(&path);
        let next = later.first().copied().unwrap_or(u64::MAX);
        let mut at = segment::HEADER;
        // What lies behind the next segment's begin was refused by the disk, at least in part, and written again there.
        while at < bytes.len() && self.out.end < next {
            let record = match record::read(&bytes[at..]) {
                Ok(record) => record,
                Err(what) => {
                    let torn = TornTail { file: path, offset: at as u64, cut: (bytes.len() - at) as u64, what };
                    self.torn(torn, &bytes[at + 1..], later)?;
                    self.keep(first, at);
                    return Ok(false);
                }
            };
            if record.kind != Kind::Synced {
                let damaged = |what| OpenError::Damaged { file: path.clone(), offset: at as u64, what };
                self.sink.take(at as u64, &record).map_err(damaged)?;
            }
            self.out.records += 1;
            self.out.end += 1;
            at += record.len();
        }
        self.keep(first, at);
        Ok(true)
    }

    fn keep(&mut self, first: u64, length: usize) {
        self.out.last = Some((first, length as u64));
        self.out.bytes += length as u64;
    }

    /// The next segment does not begin where the last one ended. Always false: nothing behind the hole counts.
    fn hole(&mut self, first: u64, later: &[u64]) -> Result<bool, OpenError> {
        let file = segment::path(self.dir, first);
        let bytes = self.files.read(&file).map_err(OpenError::io("read", &file))?;
        let torn = TornTail { file, offset: 0, cut: bytes.len() as u64, what: "the records before it are missing" };
        let end = self.out.end;
        self.torn(torn, &bytes, later).map(|()| false).map_err(|error| match error {
            OpenError::Damaged { .. } => {
                let what = format!("positions {end} to {first} are in no journal file");
                OpenError::Incomplete { dir: self.dir.into(), what }
            }
            other => other,
        })
    }

    /// Takes note of a torn tail, unless what lies `behind` it or in a `later` segment shows that it was whole once.
    fn torn(&mut self, torn: TornTail, behind: &[u8], later: &[u64]) -> Result<(), OpenError> {
        let mut whole = self.shows(behind);
        for first in later {
            let path = segment::path(self.dir, *first);
            let bytes = self.files.read(&path).map_err(OpenError::io("read", &path))?;
            whole |= self.shows(bytes.get(segment::HEADER..).unwrap_or_default());
        }
        if whole {
            return Err(OpenError::Damaged { file: torn.file, offset: torn.offset, what: torn.what.to_owned() });
        }
        self.out.behind = later.to_vec();
        self.out.torn = Some(torn);
        Ok(())
    }

    /// Whether `behind` shows that the record before it was whole once. The system writes a file's pages in any order, so
    /// behind a power failure only a word about syncs does.
    fn shows(&self, behind: &[u8]) -> bool {
        let end = self.out.end;
        record::all_whole(behind).any(|record| !self.power_failed || record.synced().is_some_and(|upto| upto > end))
    }
}
