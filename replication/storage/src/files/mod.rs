//! Everything the store does with a file system, as one trait: what the disk promises, and nothing more.
//!
//! The store's own threads, recovery, checkpoints and the journal reach the disk through [`Files`] only. So a test can
//! put a disk in its place that fails, tears, forgets what was not synced or stops between any two steps, and the code
//! that runs on it is the code that runs in production ([`RealFiles`]).
//!
//! What an implementation owes:
//! - what was written is read back at once, by anybody;
//! - it survives the end of the process, as long as [`Files::boot_id`] stays the same;
//! - it survives a change of `boot_id` if the file was [`sync`](OpenFile::sync)ed behind it, and the directory was
//!   [`sync_dir`](Files::sync_dir)ed behind the file's creation, renaming or removal;
//! - a call that fails may have done any part of what it was asked.

mod real;

use std::{ffi::OsString, fmt, io, path::Path, sync::Arc};

pub use real::RealFiles;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be read; it must be there.
    Read,
    /// To be written; it must be there.
    Write,
    /// To be written from the beginning: made if it is not there, emptied if it is.
    Create,
}

/// Somebody's hold on a directory; let go by drop, or by the system when the process dies.
pub trait Hold: fmt::Debug + Send + Sync {}

/// What came of the wish to hold a directory.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Taken(Box<dyn Hold>),
    /// Somebody else has it; his note, empty if he left none.
    HeldBy(String),
}

/// A file system.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a directory and all above it, durably. No error if it is there.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn OpenFile>>;

    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Whether something is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Gives a file or a directory another name; a file that had it is replaced, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file at `path` for as long as the answer lives, and leaves `note` in it for others to read.
    fn lock(&self, path: &Path, note: &str) -> io::Result<Locked>;

    /// Changes whenever what was written and not synced may have been lost: the present boot of the machine. Empty where
    /// the system does not tell.
    fn boot_id(&self) -> String;

    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Access::Read)?;
        let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let (mut bytes, mut at) = (vec![0; length], 0);
        while at < length {
            match file.read_at(at as u64, &mut bytes[at..])? {
                0 => break,
                n => at += n,
            }
        }
        bytes.truncate(at);
        Ok(bytes)
    }
}

/// An open file. Every call names its place, so there is no cursor that a failure could leave somewhere.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// Reads some bytes from `offset` on and says how many; 0 at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may be there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the content and the length durable. After an error nothing written since the last sync can be relied on,
    /// not even after a later success.
    fn sync(&self) -> io::Result<()>;

    /// Cuts off everything behind `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Bytes in the file.
    fn length(&self) -> io::Result<u64>;

    /// What tells this file from every copy of it, whatever is written into it or whatever it is called later. Empty where
    /// the system does not tell.
    fn birthmark(&self) -> String {
        String::new()
    }
}
