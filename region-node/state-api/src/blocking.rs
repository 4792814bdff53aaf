//! Clients that wait for elements: BLPOP and its kin.
//!
//! ```text
//! BLPOP ──→ enter ──→ in line, per key ──┬─ a push here, or one that arrives from another region ──→ serve ──┐
//!                                        ├─ time is up, CLIENT UNBLOCK, connection or server ends ──→ leave  ├──→ the
//!                                        └──────────────────────────────────────────────────────────────────┘ connection
//! ```
//! Whoever changes a partition that somebody waits for serves those who wait, before its next command runs: so a client in
//! line gets an element before any later LPOP can, as in Redis. Changes that come from other regions are told by the store;
//! one task for each partition that is waited for listens.
//!
//! Invariants: per key, clients are served in the order in which they came; an element is taken for one client only, and only
//! while that client is in line; nobody holds the lock across a wait, and nobody takes it inside a transaction of the store,
//! whose locks are taken under it; without anybody in line a write costs one load.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hashbrown::HashMap;
use replication_core::{KeyOp, OpError, Reply, partition_of};
use replication_storage::{StateStore, WriteMark};
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Duration, Instant},
};

use crate::{call::Refusal, wanted::Wanted};

/// Most keys that clients wait for together, each counted once per client.
const MOST_KEYS: usize = 1 << 20;

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Served {
    /// With what was taken from a key, to be told once the mark is persisted.
    Taken { key: Bytes, reply: Reply, mark: Option<WriteMark> },
    /// It could not be taken, and never will be.
    Refused(OpError),
    /// Without anything: time is up.
    TimedOut,
    /// By CLIENT UNBLOCK with ERROR.
    Unblocked,
}

/// Everybody who waits.
pub(crate) struct Blocking {
    store: StateStore,
    /// How many wait or are about to. Raised before a client looks at its keys for the last time: whoever writes after that look
    /// sees it.
    count: AtomicUsize,
    lines: Mutex<Lines>,
}

/// What a write has changed.
#[derive(Debug)]
pub(crate) enum Touched {
    Key(Bytes),
    /// Some keys of a partition.
    Partition(u16),
}

/// A place in line, later ones greater, from 1 on.
type Ticket = u64;

#[derive(Default)]
struct Lines {
    last: Ticket,
    waiters: BTreeMap<Ticket, Waiter>,
    partitions: HashMap<u16, Line>,
    /// Over all waiters.
    keys: usize,
}

struct Waiter {
    client: u64,
    keys: BTreeSet<Bytes>,
    wanted: Wanted,
    answer: oneshot::Sender<Served>,
}

/// Who waits for keys of one partition.
struct Line {
    keys: BTreeMap<Bytes, BTreeSet<Ticket>>,
    /// Serves after changes from elsewhere.
    listener: AbortHandle,
}

impl Lines {
    /// The next one in line for a key.
    fn after(&self, partition: u16, key: &Bytes, last: Ticket) -> Option<Ticket> {
        self.partitions.get(&partition)?.keys.get(key)?.range(last + 1..).next().copied()
    }
}

/// A client's wait. Dropping it leaves the line.
pub(crate) struct Waiting {
    blocking: Arc<Blocking>,
    ticket: Ticket,
    pub(crate) wanted: Wanted,
    pub(crate) deadline: Option<Instant>,
    answer: oneshot::Receiver<Served>,
}

impl Blocking {
    pub(crate) fn new(store: StateStore) -> Self {
        Self { store, count: AtomicUsize::new(0), lines: Mutex::default() }
    }

    /// Whether anybody waits. A writer asks after its write.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// How many clients wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Puts a client in line that has found nothing yet. `timeout`: none waits for ever.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: u64,
        keys: &[Bytes],
        wanted: &Wanted,
        timeout: Option<Duration>,
    ) -> Result<Waiting, Refusal> {
        // Copies: slices would keep the whole read buffer in memory while the client waits.
        let keys: BTreeSet<Bytes> = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        let (sender, answer) = oneshot::channel();
        let mut lines = self.lines();
        if lines.keys + keys.len() > MOST_KEYS {
            return Err("ERR too many keys are waited for, try again later".into());
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        lines.last += 1;
        let ticket = lines.last;
        let waited: Vec<Bytes> = keys.iter().cloned().collect();
        for key in &keys {
            let partition = partition_of(key);
            let line = lines.partitions.entry(partition).or_insert_with(|| self.line(partition));
            line.keys.entry(key.clone()).or_default().insert(ticket);
        }
        lines.keys += keys.len();
        lines.waiters.insert(ticket, Waiter { client, keys, wanted: wanted.clone(), answer: sender });
        // What was pushed since the client looked, by somebody who did not see it in line.
        self.serve_keys(&mut lines, waited);
        drop(lines);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Waiting { blocking: self.clone(), ticket, wanted: wanted.clone(), deadline, answer })
    }

    /// Serves whoever waits for what has changed.
    pub(crate) fn serve(&self, touched: &[Touched]) {
        let mut lines = self.lines();
        let mut keys = Vec::with_capacity(touched.len());
        for touched in touched {
            match touched {
                Touched::Key(key) => keys.push(key.clone()),
                Touched::Partition(partition) => {
                    let line = lines.partitions.get(partition);
                    keys.extend(line.into_iter().flat_map(|line| line.keys.keys().cloned()));
                }
            }
        }
        self.serve_keys(&mut lines, keys);
    }

    /// Ends a client's wait, with an error or as if its time were up; whether it was waiting.
    pub(crate) fn unblock(&self, client: u64, with_error: bool) -> bool {
        let mut lines = self.lines();
        let Some(ticket) = lines.waiters.iter().find(|(_, waiter)| waiter.client == client).map(|(ticket, _)| *ticket)
        else {
            return false;
        };
        self.finish(&mut lines, ticket, if with_error { Served::Unblocked } else { Served::TimedOut });
        true
    }

    /// Serves whoever waits for these keys, and for those that BLMOVE fills on the way.
    fn serve_keys(&self, lines: &mut Lines, mut keys: Vec<Bytes>) {
        while let Some(key) = keys.pop() {
            self.serve_key(lines, &key, &mut keys);
        }
    }

    fn serve_key(&self, lines: &mut Lines, key: &Bytes, filled: &mut Vec<Bytes>) {
        let (partition, mut last) = (partition_of(key), 0);
        if lines.after(partition, key, last).is_none() {
            return;
        }
        let kind = self.store.execute(&KeyOp::Type.on(key.clone())).reply;
        while let Some(ticket) = lines.after(partition, key, last) {
            last = ticket;
            // Whoever waits for another type goes on waiting.
            let waiter = lines.waiters.get(&ticket).filter(|waiter| kind == Reply::Status(waiter.wanted.kind()));
            let Some(Waiter { wanted, .. }) = waiter else { continue };
            let done = self.store.execute(&wanted.op(key));
            match done.reply {
                // The journal cannot be written: they wait until it can be again.
                Reply::Error(OpError::Unwritable(_)) => return,
                Reply::Error(error) => self.finish(lines, ticket, Served::Refused(error)),
                reply if wanted.is_in(&reply) => {
                    filled.extend(wanted.fills().cloned());
                    self.finish(lines, ticket, Served::Taken { key: key.clone(), reply, mark: done.mark });
                }
                _ => return,
            }
        }
    }

    /// Takes a client out of line and tells it why.
    fn finish(&self, lines: &mut Lines, ticket: Ticket, served: Served) {
        if let Some(waiter) = self.remove(lines, ticket) {
            // Who is in line is listening: leaving the line takes the lock.
            let _ = waiter.answer.send(served);
        }
    }

    fn remove(&self, lines: &mut Lines, ticket: Ticket) -> Option<Waiter> {
        let waiter = lines.waiters.remove(&ticket)?;
        lines.keys -= waiter.keys.len();
        for key in &waiter.keys {
            let partition = partition_of(key);
            let Some(line) = lines.partitions.get_mut(&partition) else { continue };
            if let Some(tickets) = line.keys.get_mut(key) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    line.keys.remove(key);
                }
            }
            if line.keys.is_empty() {
                line.listener.abort();
                lines.partitions.remove(&partition);
            }
        }
        self.count.fetch_sub(1, Ordering::SeqCst);
        Some(waiter)
    }

    /// An empty line, with its listener. The watch begins here, before anybody looks whether there is something to wait for.
    fn line(self: &Arc<Self>, partition: u16) -> Line {
        let mut watch = self.store.watch_partition(partition);
        let blocking: Weak<Self> = Arc::downgrade(self);
        let listener = tokio::spawn(async move {
            loop {
                watch.changed().await;
                let Some(blocking) = blocking.upgrade() else { return };
                blocking.serve(&[Touched::Partition(partition)]);
            }
        });
        Line { keys: BTreeMap::new(), listener: listener.abort_handle() }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Nothing between two changes of the lines can panic.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Returns when the wait has ended otherwise than by its time. May be given up and called again.
    pub(crate) async fn ended(&mut self) -> Served {
        // The sender goes only with the whole registry.
        (&mut self.answer).await.unwrap_or(Served::TimedOut)
    }

    /// Time is up: leaves the line, unless it has just been served.
    pub(crate) fn give_up(&mut self) -> Served {
        self.leave();
        self.answer.try_recv().unwrap_or(Served::TimedOut)
    }

    fn leave(&self) {
        self.blocking.remove(&mut self.blocking.lines(), self.ticket);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}
