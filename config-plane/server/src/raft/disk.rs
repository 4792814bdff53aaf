//! The one thread that writes raft's file, a redb database.
//!
//! ```text
//! log store ──┐ bounded queue, in order            one redb transaction per batch, one fsync
//! snapshots ──┴──────────────────────→ plane-disk ────────────────────────────────→ callbacks, in order
//! ```
//!
//! A slow disk blocks this thread and nothing else. Whatever waits while an fsync runs shares the next one. After a write has
//! failed nothing more is written: memory is ahead of the disk then, and only a restart may say what is true.
//! Reading happens once, in [`Disk::open`]; afterwards the log lives in memory as well (`log_store.rs`).

use std::{collections::BTreeMap, io, path::Path, thread};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

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
const CURRENT: &str = "current";

/// Changes that may wait for the thread. Their senders wait when it is full.
const QUEUE: usize = 256;
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
}

/// Called once the change is durable, or has failed.
type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

enum Op {
    Write(Change, Done),
    Close(oneshot::Sender<()>),
}

/// The queue into the disk thread.
#[derive(Clone)]
pub(crate) struct Disk {
    ops: mpsc::Sender<Op>,
}

/// What the file held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) log: BTreeMap<u64, Vec<u8>>,
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) committed: Option<Vec<u8>>,
    pub(crate) purged: Option<Vec<u8>>,
    pub(crate) snapshot: Option<Vec<u8>>,
}

impl Found {
    /// Whether nothing was ever kept in this file.
    pub(crate) fn is_blank(&self) -> bool {
        self.log.is_empty() && self.vote.is_none() && self.snapshot.is_none()
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("the file belongs to region {found}, not to region {own}; is this the data directory of another region?")]
    Owner { found: String, own: String },
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("cannot start the disk thread: {0}")]
    Thread(io::Error),
}

impl Disk {
    /// Opens or makes the file. `owner` is written into a new file and must be the one in an old file.
    pub(crate) fn open(path: &Path, owner: &str) -> Result<(Self, Found), DiskError> {
        Self::start(builder().create(path).map_err(redb::Error::from)?, owner)
    }

    /// The same over any storage: tests tear writes with it.
    #[cfg(test)]
    pub(crate) fn open_backend(backend: impl redb::StorageBackend, owner: &str) -> Result<(Self, Found), DiskError> {
        Self::start(builder().create_with_backend(backend).map_err(redb::Error::from)?, owner)
    }

    fn start(database: Database, owner: &str) -> Result<(Self, Found), DiskError> {
        claim(&database, owner)?;
        let found = read(&database)?;
        let (ops, queue) = mpsc::channel(QUEUE);
        let body = move || write_all(database, queue);
        thread::Builder::new().name("plane-disk".into()).spawn(body).map_err(DiskError::Thread)?;
        Ok((Self { ops }, found))
    }

    /// Queues a change; returns once it is in the queue. `done` is called from the disk thread.
    pub(crate) async fn submit(
        &self,
        change: Change,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> io::Result<()> {
        self.ops.send(Op::Write(change, Box::new(done))).await.map_err(|_| closed())
    }

    /// Queues a change and waits until it is durable.
    pub(crate) async fn write(&self, change: Change) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        // The waiter may have gone away: then nobody cares for the result.
        self.submit(change, move |result| drop(tell.send(result))).await?;
        told.await.map_err(|_| closed())?
    }

    /// Writes what is queued, closes the file and releases its lock. Later changes fail.
    pub(crate) async fn close(&self) {
        let (tell, told) = oneshot::channel();
        if self.ops.send(Op::Close(tell)).await.is_ok() {
            // An error means that the thread has ended already, which is what is wanted.
            drop(told.await);
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the plane's log is closed")
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Writes the owner into a new file, or checks it, and makes the tables, so that reading never meets a missing one.
fn claim(database: &Database, owner: &str) -> Result<(), DiskError> {
    let txn = database.begin_write().map_err(redb::Error::from)?;
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
    }
    Ok(found)
}

fn read(database: &Database) -> Result<Found, redb::Error> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(META)?;
    let record = |name| Ok::<_, redb::Error>(meta.get(name)?.map(|value| value.value().to_vec()));
    let mut found =
        Found { vote: record(VOTE)?, committed: record(COMMITTED)?, purged: record(PURGED)?, ..Found::default() };
    for row in txn.open_table(LOG)?.iter()? {
        let (index, entry) = row?;
        found.log.insert(index.value(), entry.value().to_vec());
    }
    found.snapshot = txn.open_table(SNAPSHOT)?.get(CURRENT)?.map(|value| value.value().to_vec());
    Ok(found)
}

/// The thread: take all that waits, write it in one transaction, then tell each waiter, in order.
fn write_all(database: Database, mut queue: mpsc::Receiver<Op>) {
    let mut batch = Vec::with_capacity(QUEUE);
    let mut broken: Option<String> = None;
    while queue.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let mut closing = None;
        let mut writes = Vec::with_capacity(batch.len());
        for op in batch.drain(..) {
            match op {
                Op::Write(change, done) => writes.push((change, done)),
                Op::Close(tell) => closing = Some(tell),
            }
        }
        if broken.is_none() && !writes.is_empty() {
            broken = commit(&database, writes.iter().map(|(change, _)| change)).err().map(|e| e.to_string());
            if let Some(why) = &broken {
                tracing::error!(%why, "the plane's log cannot be written; this member stops taking part");
            }
        }
        for (_, done) in writes {
            done(broken.as_ref().map_or(Ok(()), |why| Err(io::Error::other(why.clone()))));
        }
        if let Some(tell) = closing {
            drop(database);
            // The closer may have gone away; the file is closed all the same.
            let _ = tell.send(());
            return;
        }
    }
}

/// One transaction, one fsync.
fn commit<'a>(database: &Database, changes: impl Iterator<Item = &'a Change>) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    {
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
                Change::Snapshot(blob) => drop(txn.open_table(SNAPSHOT)?.insert(CURRENT, blob.as_slice())?),
            }
        }
    }
    txn.commit()?;
    Ok(())
}
