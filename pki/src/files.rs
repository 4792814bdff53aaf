//! Files that are written whole or not at all, and secrets that only their owner reads.
//!
//! A crash leaves the old file or the new one, never half of one: write beside it, sync, rename, sync the directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::PkiError;

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner only (0600): keys and tokens.
    Owner,
    /// Everybody (0644): certificates and hashes.
    Everybody,
}

/// Writes a file atomically and durably. Missing directories are made.
pub(crate) fn write(path: &Path, content: &[u8], readers: Readers) -> Result<(), PkiError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(PkiError::io("create", dir))?;
    let beside = beside(path);
    let written = write_and_rename(&beside, path, dir, content, readers);
    if written.is_err() {
        // Nothing to add if this fails too: the first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(PkiError::io("write", path))
}

/// The temporary name is per process, so that two processes never write into one file.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn write_and_rename(beside: &Path, path: &Path, dir: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    // A leftover of a crash would keep its own mode: it goes first, and `create_new` sees to it that the mode is ours.
    match fs::remove_file(beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    File::open(dir)?.sync_all()
}

/// Reads a small file; keys, certificates and tokens have no business being larger than 1 MiB.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    const MOST: u64 = 1 << 20;
    let length = fs::metadata(path).map_err(PkiError::io("read", path))?.len();
    if length > MOST {
        return Err(PkiError::broken(
            path,
            &format!("{length} bytes are too many for a key, a certificate or a token"),
        ));
    }
    fs::read(path).map_err(PkiError::io("read", path))
}
