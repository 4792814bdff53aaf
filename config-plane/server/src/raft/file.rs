//! Raft's file, a redb database: what is in it, one transaction at a time, and whether it can be trusted when it is opened.
//!
//! ```text
//! log        u64 → record                       entries by index
//! meta       vote, committed, purged,           single records
//!            owner, fresh
//! snapshot   current                            the newest snapshot, in its own frame
//! ```
//!
//! Laws:
//! - A commit is durable when it returns, and all of its changes are, or none.
//! - **A damaged file is refused, never repaired into an older one.** A one-phase commit cannot tell an unfinished last
//!   transaction from a finished one that was damaged later, and rolls both back: after a crash on a failing disk this member
//!   would have forgotten a vote. So commits have two phases (two syncs instead of one), and a file is verified whole when it
//!   is opened. It is a few megabytes.
//!
//! redb is careful with wrong bytes, but not everywhere: a panic of its on the way in counts as damage, like an error.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

/// Log entries by index.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// Single records by name.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// The current snapshot, under the key `current`.
const SNAPSHOT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshot");

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const OWNER: &str = "owner";
/// Only in a file whose member is a newcomer still.
const FRESH: &str = "fresh";
const CURRENT: &str = "current";

/// redb's page cache. The file is read once, at the start.
const CACHE_BYTES: usize = 1 << 20;

/// One change of the file. Bytes are records of `codec.rs`, but for snapshots, which have their own frame.
#[derive(Debug)]
pub(crate) enum Change {
    /// Entries with consecutive indexes.
    Append(Vec<(u64, Vec<u8>)>),
    /// Drop entries from this index on.
    TruncateFrom(u64),
    /// Drop entries up to and with this index; the record names the last one dropped.
    Purge {
        upto: u64,
        purged: Vec<u8>,
    },
    Vote(Vec<u8>),
    Committed(Vec<u8>),
    Snapshot(Vec<u8>),
    /// The member is a newcomer no more.
    Settled,
}

/// What the file held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) log: BTreeMap<u64, Vec<u8>>,
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) committed: Option<Vec<u8>>,
    pub(crate) purged: Option<Vec<u8>>,
    pub(crate) snapshot: Option<Vec<u8>>,
    /// Whether the file says that its member is a newcomer (`newcomer.rs`).
    pub(crate) fresh: bool,
}

impl Found {
    /// Whether what its member did before may have been forgotten.
    pub(crate) fn is_newcomers(&self) -> bool {
        self.fresh || (self.log.is_empty() && self.vote.is_none() && self.snapshot.is_none())
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("the file belongs to region {found}, not to region {own}; is this the data directory of another region?")]
    Owner { found: String, own: String },
    #[error("the file is damaged: {why}; move it away and let this member learn everything from the others")]
    Damaged { why: String },
    #[error(transparent)]
    Redb(redb::Error),
    #[error("cannot start the disk thread: {0}")]
    Thread(std::io::Error),
}

impl From<redb::Error> for DiskError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(why) => Self::Damaged { why },
            redb::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => Self::Damaged { why: e.to_string() },
            other => Self::Redb(other),
        }
    }
}

/// The open file.
pub(crate) struct File {
    database: Database,
}

impl File {
    /// Opens or makes the file. `owner` is written into a new file and must be the one in an old file.
    pub(crate) fn open(path: &Path, owner: &str) -> Result<(Self, Found), DiskError> {
        guarded(|| Self::with(builder().create(path).map_err(redb::Error::from)?, owner))
    }

    /// The same over any storage: tests tear writes with it.
    #[cfg(test)]
    pub(crate) fn open_backend(backend: impl redb::StorageBackend, owner: &str) -> Result<(Self, Found), DiskError> {
        guarded(|| Self::with(builder().create_with_backend(backend).map_err(redb::Error::from)?, owner))
    }

    fn with(database: Database, owner: &str) -> Result<(Self, Found), DiskError> {
        claim(&database, owner)?;
        let found = read(&database)?;
        Ok((Self { database }, found))
    }

    /// All of the changes in one transaction, durable on return.
    pub(crate) fn commit<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> Result<(), DiskError> {
        guarded(|| {
            let mut txn = self.database.begin_write().map_err(redb::Error::from)?;
            txn.set_two_phase_commit(true);
            write(&txn, changes)?;
            txn.commit().map_err(redb::Error::from)?;
            Ok(())
        })
    }
}

/// A panic inside of redb as an error. What it was doing is dropped, and the file is not used again.
fn guarded<T>(what: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|panic| {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(DiskError::Damaged { why: format!("redb cannot make sense of it: {}", words.unwrap_or("no reason given")) })
    })
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn claim(database: &Database, owner: &str) -> Result<(), DiskError> {
    let mut txn = database.begin_write().map_err(redb::Error::from)?;
    txn.set_two_phase_commit(true);
    let found = make_tables(&txn, owner)?;
    if let Some(found) = found.filter(|found| found != owner) {
        return Err(DiskError::Owner { found, own: owner.into() });
    }
    txn.commit().map_err(redb::Error::from)?;
    Ok(())
}

fn make_tables(txn: &WriteTransaction, owner: &str) -> Result<Option<String>, redb::Error> {
    txn.open_table(LOG)?;
    txn.open_table(SNAPSHOT)?;
    let mut meta = txn.open_table(META)?;
    let found = meta.get(OWNER)?.map(|value| String::from_utf8_lossy(value.value()).into_owned());
    if found.is_none() {
        meta.insert(OWNER, owner.as_bytes())?;
        meta.insert(FRESH, [].as_slice())?;
    }
    Ok(found)
}

fn read(database: &Database) -> Result<Found, redb::Error> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(META)?;
    let record = |name| Ok::<_, redb::Error>(meta.get(name)?.map(|value| value.value().to_vec()));
    let mut found =
        Found { vote: record(VOTE)?, committed: record(COMMITTED)?, purged: record(PURGED)?, ..Found::default() };
    found.fresh = meta.get(FRESH)?.is_some();
    for row in txn.open_table(LOG)?.iter()? {
        let (index, entry) = row?;
        found.log.insert(index.value(), entry.value().to_vec());
    }
    found.snapshot = txn.open_table(SNAPSHOT)?.get(CURRENT)?.map(|value| value.value().to_vec());
    Ok(found)
}

fn write<'a>(txn: &WriteTransaction, changes: impl Iterator<Item = &'a Change>) -> Result<(), redb::Error> {
    let mut log = txn.open_table(LOG)?;
    let mut meta = txn.open_table(META)?;
    for change in changes {
        match change {
            Change::Append(entries) => {
                for (index, bytes) in entries {
                    log.insert(index, bytes.as_slice())?;
                }
            }
            Change::TruncateFrom(first) => log.retain_in(*first.., |_, _| false)?,
            Change::Purge { upto, purged } => {
                log.retain_in(..=*upto, |_, _| false)?;
                meta.insert(PURGED, purged.as_slice())?;
            }
            Change::Vote(vote) => drop(meta.insert(VOTE, vote.as_slice())?),
            Change::Committed(committed) => drop(meta.insert(COMMITTED, committed.as_slice())?),
            Change::Settled => drop(meta.remove(FRESH)?),
            Change::Snapshot(blob) => drop(txn.open_table(SNAPSHOT)?.insert(CURRENT, blob.as_slice())?),
        }
    }
    Ok(())
}
