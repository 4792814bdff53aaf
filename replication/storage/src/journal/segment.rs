//! The files of a journal: names, headers, listing. A segment says in its header whose it is and where it begins, so
//! that a file of another world or a gap between files is noticed before a record of it is believed.
//!
//! ```text
//! 00000000000000000000.journal, 00000000000000041218.journal, …   named by the position of their first record
//! magic 8 | format u32 | region u16 | 0 u16 | incarnation u32 | 0 u32 | world hash u128 | first position u64 | xxh3 u64
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{Access, Files, OpenError, OpenFile};

/// Bytes of a file's header.
pub(crate) const HEADER: usize = 56;
/// The format that this version writes. It reads that and all before it; the second knows records of
/// the kind `Synced`, the third those of the kind `Piece`.
pub(crate) const FORMAT: u32 = 3;
const EXTENSION: &str = "journal";

/// Whose files these are; goes into every header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) world: u128,
    pub(crate) region: u16,
    pub(crate) incarnation: u32,
}

impl Owner {
    pub(crate) fn new(world: &str, region: u16, incarnation: u32) -> Self {
        Self { world: xxh3_128(world.as_bytes()), region, incarnation }
    }
}

/// What kind of file a header opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Journal,
    Checkpoint,
}

impl FileKind {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Journal => b"ATOLLJNL",
            Self::Checkpoint => b"ATOLLCKP",
        }
    }
}

/// The header of a file whose first record (or whose snapshot) stands at `position`.
pub(crate) fn header(kind: FileKind, owner: &Owner, position: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(kind.magic());
    out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    out[12..14].copy_from_slice(&owner.region.to_le_bytes());
    out[16..20].copy_from_slice(&owner.incarnation.to_le_bytes());
    out[24..40].copy_from_slice(&owner.world.to_le_bytes());
    out[40..48].copy_from_slice(&position.to_le_bytes());
    let sum = xxh3_64(&out[..48]);
    out[48..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Why a header was not accepted.
pub(crate) enum BadHeader {
    /// Cut off or flipped.
    Damaged(&'static str),
    /// Whole, but not to be used here.
    Refused(OpenError),
}

/// Checks a file's header and returns its position.
pub(crate) fn check_header(kind: FileKind, owner: &Owner, file: &Path, bytes: &[u8]) -> Result<u64, BadHeader> {
    let Some(head) = bytes.get(..HEADER) else { return Err(BadHeader::Damaged("the header is cut off")) };
    let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
    if &head[..8] != kind.magic() {
        return Err(BadHeader::Damaged("the header does not begin as it should"));
    }
    if xxh3_64(&head[..48]) != word(48) {
        return Err(BadHeader::Damaged("the header's checksum does not match"));
    }
    let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if found == 0 || found > FORMAT {
        return Err(BadHeader::Refused(OpenError::Format { file: file.into(), found, newest: FORMAT }));
    }
    let region = u16::from_le_bytes([head[12], head[13]]);
    if region != owner.region {
        return Err(BadHeader::Refused(OpenError::OtherRegion { dir: file.into(), found: region, want: owner.region }));
    }
    if head[24..40] != owner.world.to_le_bytes() {
        let (found, want) = ("another one".to_owned(), "of the configuration".to_owned());
        return Err(BadHeader::Refused(OpenError::OtherWorld { dir: file.into(), found, want }));
    }
    Ok(word(40))
}

/// Whose file begins with `bytes`; `None` if its header is not whole.
pub(crate) fn owner_of(bytes: &[u8]) -> Option<Owner> {
    let head: &[u8; HEADER] = bytes.first_chunk()?;
    (xxh3_64(&head[..48]).to_le_bytes() == head[48..]).then(|| Owner {
        world: u128::from_le_bytes(head[24..40].try_into().unwrap_or_default()),
        region: u16::from_le_bytes([head[12], head[13]]),
        incarnation: u32::from_le_bytes([head[16], head[17], head[18], head[19]]),
    })
}

/// The path of the segment that begins at `position`.
pub(crate) fn path(dir: &Path, position: u64) -> PathBuf {
    dir.join(format!("{position:020}.{EXTENSION}"))
}

/// Creates the segment that begins at `position`, its header durable, and returns it open for appending.
/// A file of that name can only be one that never got a record; it is replaced.
pub(crate) fn create(files: &dyn Files, dir: &Path, owner: &Owner, position: u64) -> io::Result<Arc<dyn OpenFile>> {
    let file = files.open(&path(dir, position), Access::Create)?;
    file.write_at(0, &header(FileKind::Journal, owner, position))?;
    file.sync()?;
    files.sync_dir(dir)?;
    Ok(file)
}

/// The positions of the segments in `dir`, ascending.
pub(crate) fn list(files: &dyn Files, dir: &Path) -> Result<Vec<u64>, OpenError> {
    numbered(files, dir, EXTENSION)
}

/// The numbers of the files `NUMBER.extension` in `dir`, ascending.
pub(crate) fn numbered(files: &dyn Files, dir: &Path, extension: &str) -> Result<Vec<u64>, OpenError> {
    let mut found = Vec::new();
    for name in files.list(dir).map_err(OpenError::io("list", dir))? {
        let path = Path::new(&name);
        if path.extension().is_some_and(|e| e == extension)
            && let Some(position) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            found.push(position);
        }
    }
    found.sort_unstable();
    Ok(found)
}
