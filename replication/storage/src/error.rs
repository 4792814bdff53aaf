//! What can go wrong, by what the caller will do about it: an [`OpenError`] stops a start and is read by a person, a
//! [`PersistError`] refuses one acknowledgement and heals by itself once the disk takes writes again.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a state directory was not opened. Nothing in the directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory holds the state of another world.
    #[error(
        "{dir} holds the state of world `{found}`, this region belongs to world `{want}`: give the region its own directory"
    )]
    OtherWorld {
        /// The state directory.
        dir: PathBuf,
        /// The world it belongs to.
        found: String,
        /// The world of the configuration.
        want: String,
    },
    /// The directory holds the state of another region of the same world.
    #[error("{dir} holds the state of region {found}, this is region {want}: give the region its own directory")]
    OtherRegion {
        /// The state directory.
        dir: PathBuf,
        /// The region it belongs to.
        found: u16,
        /// The region of the configuration.
        want: u16,
    },
    /// Another process has the directory open.
    #[error("{dir} is in use by another process{by}: stop that one first")]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// ` (pid N)` where known.
        by: String,
    },
    /// Bytes that were once whole are not whole any more, and what follows them is.
    #[error(
        "{file} is damaged at byte {offset}: {what}. What follows is whole, so this is no torn tail and nothing was cut off. \
         Start the region with `--fetch-state`, or move the state directory aside and start again: either way the region fetches \
         its state back from its peers"
    )]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where the damage begins, in bytes from the file's start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file that others refer to is not there.
    #[error(
        "{dir} is incomplete: {what}. Put the missing file back, or move the directory aside and start again: \
         the region then fetches its state back from its peers"
    )]
    Incomplete {
        /// The state directory.
        dir: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The file was written by a newer version.
    #[error("{file} has format {found}, this version reads formats up to {newest}: use the version that wrote it")]
    Format {
        /// The file.
        file: PathBuf,
        /// Its format number.
        found: u32,
        /// The newest format that can be read here.
        newest: u32,
    },
    /// The file system said no.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// The verb.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Turns a system's error about `path` into one that names it; for `map_err`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// Whether moving the directory aside (see [`crate::set_aside`]) and fetching the state from peers would help.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Incomplete { .. })
    }
}

/// Why a write was not acknowledged: the journal cannot be written. Reads go on; the journal retries by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal cannot be written: {reason}. Writes are refused until it can; reads go on")]
pub struct PersistError {
    /// What the system said, and about which file.
    pub reason: std::sync::Arc<str>,
}

/// Why a catch-up was not taken in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatchUpError {
    /// It does not fit what is here.
    #[error("{0}")]
    Refused(#[from] replication_core::CatchUpRefused),
    /// The journal cannot be written, so nothing more is taken in.
    #[error("{0}")]
    Persist(#[from] PersistError),
}
