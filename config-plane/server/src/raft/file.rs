//! Raft's file, a redb database behind a journal: what is in it, one batch at a time, and whether it can be trusted when it is opened.
//!
//! ```text
//! log        u64 → record                       entries by index
//! meta       vote, committed, purged,           single records
//!            owner, fresh, journal
//! snapshot   current                            the newest snapshot, in its own frame
//!
//! commit ─→ journal.rs, one sync ─→ done           the database takes the journal's changes in, in one transaction: when a batch
//!                                                  finds no room in it, at a start, and at an orderly end
//! ```
//!
//! Laws:
//! - A commit is durable when it returns, and all of its changes are, or none.
//! - **A damaged file is refused, never repaired into an older one.** A one-phase commit cannot tell an unfinished last
//!   transaction from a finished one that was damaged later, and rolls both back: after a crash on a failing disk this member
//!   would have forgotten a vote. So transactions have two phases (two syncs instead of one), and a file is verified whole when it
//!   is opened. It is a few megabytes. The journal keeps the same law with one sync, by writing twice.
//! - `meta.journal` is the generation of the journal that counts. It changes in the transaction that takes the changes in, so that
//!   they are in one place or the other, never in both or in none.
//!
//! redb is careful with wrong bytes, but not everywhere: a panic of its on the way in counts as damage, like an error.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{
    Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction, backends::FileBackend,
};

use super::journal::Journal;

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
/// Generation of the journal, eight bytes, little-endian. Not there: there is no journal yet.
const JOURNAL: &str = "journal";

/// Length of the journal: 32 small batches. What is longer goes into the database at once. A larger one would gain next to nothing,
/// and a start reads it whole.
const JOURNAL_BYTES: usize = 256 << 10;

/// redb's page cache. The file is read once, at the start.
const CACHE_BYTES: usize = 1 << 20;

/// One change of the file. Bytes are records of `codec.rs`, but for snapshots, which have their own frame.
#[derive(Debug, Clone, PartialEq)]
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
    journal: Journal,
    /// What the journal holds and the database does not.
    pending: Vec<Change>,
}

impl File {
    /// Opens or makes the file, and its journal beside it. `owner` is written into a new file and must be the one in an old file.
    pub(crate) fn open(path: &Path, owner: &str) -> Result<(Self, Found), DiskError> {
        let journal = open_or_make(&path.with_extension("journal")).map_err(redb::Error::Io)?;
        guarded(|| {
            let database = builder().create(path).map_err(redb::Error::from)?;
            Self::with(database, Box::new(journal), JOURNAL_BYTES, owner)
        })
    }

    /// The same over any storage: tests tear writes with it.
    #[cfg(test)]
    pub(crate) fn open_backends(
        (database, journal): (impl StorageBackend, impl StorageBackend),
        journal_bytes: usize,
        owner: &str,
    ) -> Result<(Self, Found), DiskError> {
        guarded(|| {
            let database = builder().create_with_backend(database).map_err(redb::Error::from)?;
            Self::with(database, Box::new(journal), journal_bytes, owner)
        })
    }

    fn with(
        database: Database,
        journal: Box<dyn StorageBackend>,
        journal_bytes: usize,
        owner: &str,
    ) -> Result<(Self, Found), DiskError> {
        check_owner(&database, owner)?;
        let (journal, pending) = match generation(&database)? {
            Some(generation) => Journal::open(journal, generation)?,
            None => (Journal::make(journal, journal_bytes).map_err(redb::Error::Io)?, Vec::new()),
        };
        let mut file = Self { database, journal, pending };
        // Even if nothing is pending: what a crash left unfinished in the journal is of an older generation from here on.
        file.take_in(&[], Some(owner))?;
        let found = read(&file.database)?;
        Ok((file, found))
    }

    /// All of the changes, durable on return: in the journal, or in the database if they do not fit.
    pub(crate) fn commit(&mut self, changes: &[&Change]) -> Result<(), DiskError> {
        if self.journal.append(changes).map_err(redb::Error::Io)? {
            self.pending.extend(changes.iter().copied().cloned());
            return Ok(());
        }
        self.take_in(changes, None)
    }

    /// Leaves nothing behind in the journal. A file that is not closed like this is brought up to date when it is opened.
    pub(crate) fn close(mut self) -> Result<(), DiskError> {
        if self.pending.is_empty() { Ok(()) } else { self.take_in(&[], None) }
    }

    /// What is pending and these changes in one transaction of the database; the journal begins again.
    fn take_in(&mut self, changes: &[&Change], new_owner: Option<&str>) -> Result<(), DiskError> {
        let generation = self.journal.generation() + 1;
        guarded(|| {
            let mut txn = self.database.begin_write().map_err(redb::Error::from)?;
            txn.set_two_phase_commit(true);
            if let Some(owner) = new_owner {
                make_tables(&txn, owner)?;
            }
            write(&txn, self.pending.iter().chain(changes.iter().copied()), generation)?;
            txn.commit().map_err(redb::Error::from)?;
            Ok(())
        })?;
        self.pending.clear();
        self.journal.restart(generation);
        Ok(())
    }
}

fn open_or_make(path: &Path) -> std::io::Result<FileBackend> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    // Its name is as durable as the database's.
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())?;
    FileBackend::new(file).map_err(std::io::Error::other)
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

/// Refuses the file of another region.
fn check_owner(database: &Database, own: &str) -> Result<(), DiskError> {
    let found = single(database, OWNER)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match found.filter(|found| found != own) {
        Some(found) => Err(DiskError::Owner { found, own: own.into() }),
        None => Ok(()),
    }
}

/// The generation of the journal, if the file has one.
fn generation(database: &Database) -> Result<Option<u64>, DiskError> {
    let Some(bytes) = single(database, JOURNAL)? else { return Ok(None) };
    let bytes =
        bytes.try_into().map_err(|_| DiskError::Damaged { why: "its word on the journal makes no sense".into() })?;
    Ok(Some(u64::from_le_bytes(bytes)))
}

/// A single record of the file, which may not have its tables yet.
fn single(database: &Database, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
    let txn = database.begin_read().map_err(redb::Error::from)?;
    let meta = match txn.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta.map_err(redb::Error::from)?,
    };
    Ok(meta.get(name).map_err(redb::Error::from)?.map(|value| value.value().to_vec()))
}

fn make_tables(txn: &WriteTransaction, owner: &str) -> Result<(), redb::Error> {
    txn.open_table(LOG)?;
    txn.open_table(SNAPSHOT)?;
    let mut meta = txn.open_table(META)?;
    if meta.get(OWNER)?.is_none() {
        meta.insert(OWNER, owner.as_bytes())?;
        meta.insert(FRESH, [].as_slice())?;
    }
    Ok(())
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

fn write<'a>(
    txn: &WriteTransaction,
    changes: impl Iterator<Item = &'a Change>,
    generation: u64,
) -> Result<(), redb::Error> {
    let mut log = txn.open_table(LOG)?;
    let mut meta = txn.open_table(META)?;
    meta.insert(JOURNAL, generation.to_le_bytes().as_slice())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for each test, gone with it.
    struct Dir(std::path::PathBuf);

    impl Dir {
        fn of(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("plane-file-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory can be made");
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn vote(text: &str) -> Change {
        Change::Vote(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_only_in_the_journal_is_there_after_a_start_and_the_next_one() {
        let dir = Dir::of("restart");
        let path = dir.0.join("plane.redb");
        let (mut file, found) = File::open(&path, "1 eu-west").unwrap();
        assert!(found.is_newcomers());
        for text in ["one", "two"] {
            file.commit(&[&vote(text)]).unwrap();
        }
        assert_eq!(single(&file.database, VOTE).unwrap(), None, "the database has not taken it in");
        drop(file);
        for _ in 0..2 {
            let (file, found) = File::open(&path, "1 eu-west").unwrap();
            assert_eq!(found.vote.as_deref(), Some(b"two".as_slice()));
            assert!(file.pending.is_empty());
        }
    }

    #[test]
    fn an_orderly_end_leaves_nothing_in_the_journal() {
        let dir = Dir::of("close");
        let path = dir.0.join("plane.redb");
        let (mut file, _) = File::open(&path, "1 eu-west").unwrap();
        file.commit(&[&vote("one")]).unwrap();
        file.close().unwrap();
        // As a version before the journal would read it.
        let database = builder().open(&path).unwrap();
        assert_eq!(read(&database).unwrap().vote.as_deref(), Some(b"one".as_slice()));
    }

    #[test]
    fn without_its_journal_the_file_is_refused_and_without_its_file_the_journal_counts_for_nothing() {
        let dir = Dir::of("parts");
        let (path, journal) = (dir.0.join("plane.redb"), dir.0.join("plane.journal"));
        let (mut file, _) = File::open(&path, "1 eu-west").unwrap();
        file.commit(&[&vote("one")]).unwrap();
        drop(file);
        let aside = dir.0.join("aside");
        fs::rename(&journal, &aside).unwrap();
        let refused = File::open(&path, "1 eu-west").err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused.contains("plane.journal") && refused.contains("move it away"), "{refused}");

        fs::rename(&aside, &journal).unwrap();
        fs::remove_file(&path).unwrap();
        let (_file, found) = File::open(&path, "1 eu-west").unwrap();
        assert!(found.is_newcomers() && found.vote.is_none());
    }
}
