//! Reading a journal back after a stop, a kill or worse.
//!
//! Every record from a position on is handed to the caller. A damaged place is judged by what lies behind it: nothing
//! whole means that the end of the file was being written (a *torn tail*: cut off, and reported); a whole record means
//! that the file was once good there (refused: cutting would throw away what was acknowledged).

use std::path::{Path, PathBuf};

use super::{
    record::{self, Record},
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
    /// First positions of segments behind a torn tail, with nothing whole in them.
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

/// Reads all records at or behind `from` and hands each to `sink`, which says what is wrong with a record that it
/// cannot read. Changes nothing: [`mend`] cuts off the torn tail that is reported.
pub(crate) fn replay(
    files: &dyn Files,
    dir: &Path,
    owner: &Owner,
    from: u64,
    sink: &mut dyn FnMut(&Record<'_>) -> Result<(), String>,
) -> Result<Replayed, OpenError> {
    let mut segments = segment::list(files, dir)?;
    // A segment that ends at or before `from` is covered by the checkpoint; its successor begins where it ends.
    let covered = segments.partition_point(|first| *first <= from).saturating_sub(1);
    let covered = segments.drain(..covered).collect();
    let incomplete = |what| Err(OpenError::Incomplete { dir: dir.into(), what });
    let begin = segments.first().copied().unwrap_or(from);
    if begin > from {
        return incomplete(format!("the journal begins at position {begin}, but positions from {from} on are needed"));
    }
    let out = Replayed { end: begin, covered, ..Replayed::default() };
    let mut reader = Reader { files, dir, owner, from, sink, out };
    for (index, first) in segments.iter().enumerate() {
        let end = reader.out.end;
        if *first != end {
            return incomplete(format!("positions {end} to {first} are in no journal file"));
        }
        if !reader.segment(*first, &segments[index + 1..])? {
            break;
        }
    }
    let out = reader.out;
    if out.end < from {
        return incomplete(format!("the journal ends at position {}, but the checkpoint was made at {from}", out.end));
    }
    Ok(out)
}

/// Cuts off the torn tail that a replay found, if it found one, and what a crash left behind it.
pub(crate) fn mend(files: &dyn Files, dir: &Path, replayed: &Replayed) -> Result<(), OpenError> {
    let Some(torn) = &replayed.torn else { return Ok(()) };
    for first in &replayed.behind {
        let path = segment::path(dir, *first);
        files.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    if torn.offset == 0 {
        files.remove(&torn.file).map_err(OpenError::io("remove", &torn.file))?;
    } else {
        let file = files.open(&torn.file, Access::Write).map_err(OpenError::io("open", &torn.file))?;
        file.truncate(torn.offset).map_err(OpenError::io("shorten", &torn.file))?;
        file.sync().map_err(OpenError::io("sync", &torn.file))?;
    }
    files.sync_dir(dir).map_err(OpenError::io("sync", dir))
}

struct Reader<'a> {
    files: &'a dyn Files,
    dir: &'a Path,
    owner: &'a Owner,
    from: u64,
    sink: &'a mut dyn FnMut(&Record<'_>) -> Result<(), String>,
    out: Replayed,
}

impl Reader<'_> {
    /// Reads one segment; false if it has a torn tail, so that nothing behind it counts.
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
            Err(BadHeader::Damaged(what)) => {
                let torn = TornTail { file: path, offset: 0, cut: bytes.len() as u64, what };
                return self.torn(torn, &bytes, later).map(|()| false);
            }
        }
        let mut at = segment::HEADER;
        while at < bytes.len() {
            let record = match record::read(&bytes[at..]) {
                Ok(record) => record,
                Err(what) => {
                    let torn = TornTail { file: path, offset: at as u64, cut: (bytes.len() - at) as u64, what };
                    self.torn(torn, &bytes[at + 1..], later)?;
                    self.keep(first, at);
                    return Ok(false);
                }
            };
            if self.out.end >= self.from {
                let damaged = |what| OpenError::Damaged { file: path.clone(), offset: at as u64, what };
                (self.sink)(&record).map_err(damaged)?;
                self.out.records += 1;
            }
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

    /// Takes note of a torn tail, unless something whole lies `behind` it or in a `later` segment.
    fn torn(&mut self, torn: TornTail, behind: &[u8], later: &[u64]) -> Result<(), OpenError> {
        let mut whole = record::any_whole(behind);
        for first in later {
            let path = segment::path(self.dir, *first);
            let bytes = self.files.read(&path).map_err(OpenError::io("read", &path))?;
            whole |= record::any_whole(bytes.get(segment::HEADER..).unwrap_or_default());
        }
        if whole {
            return Err(OpenError::Damaged { file: torn.file, offset: torn.offset, what: torn.what.to_owned() });
        }
        self.out.behind = later.to_vec();
        self.out.torn = Some(torn);
        Ok(())
    }
}
