//! The one thread that writes raft's file (`file.rs`).
//!
//! ```text
//! log store ──┐ bounded queue, in order                 one sync per batch
//! snapshots ──┴──────────────────────→ plane-disk ───────────────────────────→ callbacks, in order
//! ```
//!
//! A slow disk blocks this thread and nothing else. Whatever waits while a sync runs shares the next one. After a write has
//! failed nothing more is written: memory is ahead of the disk then, and only a restart may say what is true.
//! Reading happens once, in [`Disk::open`]; afterwards the log lives in memory as well (`log_store.rs`).
//!
//! The committed index is nobody's to wait for, and it changes with every entry: in a transaction of its own it would keep the next
//! entry waiting for a sync. So it rides along with the next change, or goes by itself once it has waited for [`ASIDE_MOST`].
//!
//! How long the write under way has been taking can be asked at any time ([`Disk::stalled_for`]): a leader whose disk does not
//! answer has to hand over (`watchdog.rs`).

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep},
};

use super::file::{Change, DiskError, File, Found};

/// Changes that may wait for the thread. Their senders wait when it is full.
const QUEUE: usize = 256;

/// How long the committed index waits for a change to ride along with.
const ASIDE_MOST: Duration = Duration::from_millis(100);

/// A journal that is often full.
#[cfg(test)]
pub(crate) const TEST_JOURNAL_BYTES: usize = 64 << 10;

/// Called once the change is durable, or has failed.
type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

enum Op {
    /// A change, and the committed index that was aside when it was queued: entries that it names are in the queue before it.
    Write(Change, Option<Change>, Done),
    Close(oneshot::Sender<()>),
}

/// The queue into the disk thread.
#[derive(Clone)]
pub(crate) struct Disk {
    ops: mpsc::Sender<Op>,
    busy: Busy,
    aside: Arc<Mutex<Aside>>,
    /// Tells whoever watches the disk that there is something to see.
    queued: Arc<Notify>,
}

/// The newest record of the committed index that is not queued yet.
#[derive(Default)]
struct Aside {
    record: Option<Vec<u8>>,
    /// Whether somebody waits to queue it by itself.
    is_due: bool,
}

/// Since when a write is under way.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Option<Instant>>>);

impl Busy {
    fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Opens or makes the file. `owner` is written into a new file and must be the one in an old file.
    pub(crate) fn open(path: &Path, owner: &str) -> Result<(Self, Found), DiskError> {
        let (file, found) = File::open(path, owner)?;
        Ok((Self::start(file)?, found))
    }

    /// The same over any storage: tests tear writes with it.
    #[cfg(test)]
    pub(crate) fn open_backend(
        backends: (impl redb::StorageBackend, impl redb::StorageBackend),
        owner: &str,
    ) -> Result<(Self, Found), DiskError> {
        let (file, found) = File::open_backends(backends, TEST_JOURNAL_BYTES, owner)?;
        Ok((Self::start(file)?, found))
    }

    fn start(file: File) -> Result<Self, DiskError> {
        let (disk, mut queue) = Self::queue();
        let mut writer = Writer::new(file, &disk);
        let body = move || {
            let mut batch = Vec::with_capacity(QUEUE);
            while queue.blocking_recv_many(&mut batch, QUEUE) > 0 && writer.write(&mut batch) {}
        };
        thread::Builder::new().name("plane-disk".into()).spawn(body).map_err(DiskError::Thread)?;
        Ok(disk)
    }

    /// The same as a task of the runtime instead of a thread, for simulated time: each write takes as long as `pace` does.
    #[cfg(test)]
    pub(crate) fn open_played<P: Future<Output = ()> + Send>(
        backends: (impl redb::StorageBackend, impl redb::StorageBackend),
        owner: &str,
        pace: impl Fn() -> P + Send + 'static,
    ) -> Result<(Self, Found), DiskError> {
        let (file, found) = File::open_backends(backends, TEST_JOURNAL_BYTES, owner)?;
        let (disk, mut queue) = Self::queue();
        let mut writer = Writer::new(file, &disk);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(QUEUE);
            while queue.recv_many(&mut batch, QUEUE).await > 0 {
                writer.busy.begin();
                pace().await;
                if !writer.write(&mut batch) {
                    return;
                }
            }
        });
        Ok((disk, found))
    }

    fn queue() -> (Self, mpsc::Receiver<Op>) {
        let (ops, queue) = mpsc::channel(QUEUE);
        (Self { ops, busy: Busy::default(), aside: Arc::default(), queued: Arc::default() }, queue)
    }

    /// How long the write under way has been taking; zero while none is.
    pub(crate) fn stalled_for(&self) -> Duration {
        self.busy.since().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns once something was queued since the last time.
    pub(crate) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// Queues a change; returns once it is in the queue. `done` is called from the disk thread.
    pub(crate) async fn submit(
        &self,
        change: Change,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> io::Result<()> {
        let aside = self.aside().record.take().map(Change::Committed);
        self.queue_op(Op::Write(change, aside, Box::new(done))).await
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a record of the committed index with the next change, or by itself before long. A failure is not lost: it fails every
    /// later change too.
    pub(crate) fn put_aside(&self, committed: Vec<u8>) {
        let mut aside = self.aside();
        aside.record = Some(committed);
        if !std::mem::replace(&mut aside.is_due, true) {
            let disk = self.clone();
            tokio::spawn(async move {
                sleep(ASIDE_MOST).await;
                disk.aside().is_due = false;
                disk.queue_aside().await;
            });
        }
    }

    async fn queue_aside(&self) {
        let Some(record) = self.aside().record.take() else { return };
        // A log that is closed has taken it before.
        let _ = self.queue_op(Op::Write(Change::Committed(record), None, Box::new(drop))).await;
    }

    async fn queue_op(&self, op: Op) -> io::Result<()> {
        self.queued.notify_one();
        self.ops.send(op).await.map_err(|_| closed())
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
        self.queue_aside().await;
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

/// What the thread does: take all that waits, write it in one transaction, then tell each waiter, in order.
struct Writer {
    file: Option<File>,
    broken: Option<String>,
    busy: Busy,
}

impl Writer {
    fn new(file: File, disk: &Disk) -> Self {
        Self { file: Some(file), broken: None, busy: disk.busy.clone() }
    }

    /// Writes a batch; `false` once the file is closed.
    fn write(&mut self, batch: &mut Vec<Op>) -> bool {
        let mut closing = None;
        let mut writes = Vec::with_capacity(batch.len());
        for op in batch.drain(..) {
            match op {
                Op::Write(change, aside, done) => writes.push((change, aside, done)),
                Op::Close(tell) => closing = Some(tell),
            }
        }
        if !writes.is_empty() {
            self.busy.begin();
            let changes: Vec<&Change> =
                writes.iter().flat_map(|(change, aside, _)| [change].into_iter().chain(aside)).collect();
            self.commit(&changes);
        }
        self.busy.end();
        for (_, _, done) in writes {
            done(self.broken.as_ref().map_or(Ok(()), |why| Err(io::Error::other(why.clone()))));
        }
        let Some(tell) = closing else { return true };
        let file = self.file.take().filter(|_| self.broken.is_none());
        if let Some(Err(error)) = file.map(File::close) {
            tracing::warn!(%error, "the plane's log was closed with work left for the next start");
        }
        // The closer may have gone away; the file is closed all the same.
        let _ = tell.send(());
        false
    }

    fn commit(&mut self, changes: &[&Change]) {
        let Some(file) = self.file.as_mut().filter(|_| self.broken.is_none()) else { return };
        if let Err(error) = file.commit(changes) {
            let why = error.to_string();
            tracing::error!(%why, "the plane's log cannot be written; this member stops taking part");
            self.broken = Some(why);
        }
    }
}
