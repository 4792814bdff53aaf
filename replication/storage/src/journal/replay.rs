//! Reading a journal back after a stop, a kill or worse.
//!
//! Every record from a position on is handed to the caller. A damaged place is judged by what lies behind it: nothing
//! whole means that the end of the file was being written (a *torn tail*: cut off, and reported); a whole record means
//! that the file was once good there (refused: cutting would throw away what was acknowledged).

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use super::{
    record::{self, Record},
    segment::{self, BadHeader, FileKind, Owner},
};
use crate::OpenError;

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
    /// What was cut off, if anything was.
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
/// cannot read. Cuts off a torn tail.
pub(crate) fn replay(
    dir: &Path,
    owner: &Owner,
    from: u64,
    sink: &mut dyn FnMut(&Record<'_>) -> Result<(), String>,
) -> Result<Replayed, OpenError> {
    let mut segments = segment::list(dir)?;
    // A segment that ends at or before `from` is covered by the checkpoint; its successor begins where it ends.
    let covered = segments.partition_point(|first| *first <= from).saturating_sub(1);
    let covered = segments.drain(..covered).collect();
    let mut out = Replayed { end: from, covered, ..Replayed::default() };
    match segments.first() {
        Some(first) if *first > from => {
            let what = format!("the journal begins at position {first}, but positions from {from} on are needed");
            return Err(OpenError::Incomplete { dir: dir.into(), what });
        }
        Some(first) => out.end = *first,
        None => {}
    }
    for (index, first) in segments.iter().enumerate() {
        let later = &segments[index + 1..];
        if *first != out.end {
            let what = format!("positions {} to {first} are in no journal file", out.end);
            return Err(OpenError::Incomplete { dir: dir.into(), what });
        }
        let intact = read_segment(dir, owner, *first, later, from, sink, &mut out)?;
        if !intact {
            break;
        }
    }
    if out.end < from {
        let what = format!("the journal ends at position {}, but the checkpoint was made at {from}", out.end);
        return Err(OpenError::Incomplete { dir: dir.into(), what });
    }
    Ok(out)
}

/// Reads one segment into `out`; false if it had a torn tail, so that nothing behind it counts.
fn read_segment(
    dir: &Path,
    owner: &Owner,
    first: u64,
    later: &[u64],
    from: u64,
    sink: &mut dyn FnMut(&Record<'_>) -> Result<(), String>,
    out: &mut Replayed,
) -> Result<bool, OpenError> {
    let path = segment::path(dir, first);
    let bytes = fs::read(&path).map_err(OpenError::io("read", &path))?;
    match segment::check_header(FileKind::Journal, owner, &path, &bytes) {
        Ok(position) if position == first => {}
        Ok(position) => {
            let what = format!("its header says position {position}, its name says {first}");
            return Err(OpenError::Damaged { file: path, offset: 40, what });
        }
        Err(BadHeader::Refused(error)) => return Err(error),
        Err(BadHeader::Damaged(what)) => {
            let torn = TornTail { file: path, offset: 0, cut: bytes.len() as u64, what };
            return cut_off(dir, torn, &bytes, later, out).map(|()| false);
        }
    }
    let mut at = segment::HEADER;
    while at < bytes.len() {
        let record = match record::read(&bytes[at..]) {
            Ok(record) => record,
            Err(what) => {
                let torn = TornTail { file: path, offset: at as u64, cut: (bytes.len() - at) as u64, what };
                cut_off(dir, torn, &bytes[at + 1..], later, out)?;
                keep(out, first, at);
                return Ok(false);
            }
        };
        if out.end >= from {
            sink(&record).map_err(|what| OpenError::Damaged { file: path.clone(), offset: at as u64, what })?;
            out.records += 1;
        }
        out.end += 1;
        at += record.len();
    }
    keep(out, first, at);
    Ok(true)
}

fn keep(out: &mut Replayed, first: u64, length: usize) {
    out.last = Some((first, length as u64));
    out.bytes += length as u64;
}

/// Cuts a torn tail off, unless something whole lies `behind` it or in a later segment.
fn cut_off(dir: &Path, torn: TornTail, behind: &[u8], later: &[u64], out: &mut Replayed) -> Result<(), OpenError> {
    let mut whole = record::any_whole(behind);
    for first in later {
        let path = segment::path(dir, *first);
        let bytes = fs::read(&path).map_err(OpenError::io("read", &path))?;
        whole |= record::any_whole(bytes.get(segment::HEADER..).unwrap_or_default());
    }
    if whole {
        return Err(OpenError::Damaged { file: torn.file, offset: torn.offset, what: torn.what.to_owned() });
    }
    for first in later {
        let path = segment::path(dir, *first);
        fs::remove_file(&path).map_err(OpenError::io("remove", &path))?;
    }
    if torn.offset == 0 {
        fs::remove_file(&torn.file).map_err(OpenError::io("remove", &torn.file))?;
    } else {
        let file = OpenOptions::new().write(true).open(&torn.file).map_err(OpenError::io("open", &torn.file))?;
        file.set_len(torn.offset).map_err(OpenError::io("shorten", &torn.file))?;
        file.sync_all().map_err(OpenError::io("sync", &torn.file))?;
    }
    segment::sync_dir(dir).map_err(OpenError::io("sync", dir))?;
    out.torn = Some(torn);
    Ok(())
}
