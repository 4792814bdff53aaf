//! The two threads beside the commands: one syncs the journal, one does upkeep and checkpoints. Threads and not tasks,
//! since both block on the disk.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    OpenError, Threads, checkpoint,
    journal::lock,
    store::{HOUSEKEEPING_PERIOD, Inner},
};

/// How often the journal is synced, and how often a refusing disk is tried again.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// How long a failed checkpoint is left alone, in rounds of upkeep. While a sync is lost it is tried every round: until one is
/// made, writes are refused, however well the disk may be again.
const CHECKPOINT_RETRY_ROUNDS: u32 = 10;

/// Wakes a thread early, or for good.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    condvar: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    rung: bool,
    stop: bool,
}

impl Bell {
    /// Wakes the thread now.
    pub(crate) fn ring(&self) {
        let mut state = lock(&self.state);
        if !state.rung {
            state.rung = true;
            self.condvar.notify_one();
        }
    }

    fn stop(&self) {
        lock(&self.state).stop = true;
        self.condvar.notify_one();
    }

    /// Sleeps until the bell rings or `period` has passed; false when the thread shall end.
    fn wait(&self, period: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self.condvar.wait_timeout_while(state, period, |s| !s.rung && !s.stop);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        !state.stop
    }
}

/// The running threads, if the store has any; joined when stopped or dropped.
pub(crate) struct Keepers {
    inner: Arc<Inner>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Keepers {
    pub(crate) fn start(inner: &Arc<Inner>) -> Result<Self, OpenError> {
        let inner_dir = inner.config.dir.clone();
        let spawn = |name: &str, run: fn(&Inner)| {
            let inner = inner.clone();
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&inner));
            thread.map_err(OpenError::io("start a thread for", &inner_dir))
        };
        let handles = match inner.config.threads {
            Threads::None => Vec::new(),
            Threads::Own => vec![spawn("journal-sync", sync_loop)?, spawn("state-keeper", keeper_loop)?],
        };
        Ok(Self { inner: inner.clone(), handles: Mutex::new(handles) })
    }

    pub(crate) fn stop(&self) {
        self.inner.sync_bell.stop();
        self.inner.keeper_bell.stop();
        for handle in lock(&self.handles).drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the state store ended by panic");
            }
        }
    }
}

impl Drop for Keepers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn sync_loop(inner: &Inner) {
    while inner.sync_bell.wait(SYNC_PERIOD) {
        inner.sync();
    }
}

fn keeper_loop(inner: &Inner) {
    let mut upkeep = Upkeep { noted: inner.journal.end(), ..Upkeep::default() };
    while inner.keeper_bell.wait(HOUSEKEEPING_PERIOD) {
        inner.keep(&mut upkeep);
    }
}

/// What upkeep remembers from round to round.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Rounds until a checkpoint may be tried again.
    rest: u32,
    /// Where the journal stood when the watermarks were last noted in it.
    noted: u64,
    /// When the last round ran, in milliseconds since 1970; only where the caller keeps time.
    last_ms: Option<u64>,
}

impl Inner {
    fn sync(&self) {
        let before = self.journal.synced();
        // A failure is logged once, where it happens, and kept for whoever wants to write.
        if self.journal.sync().is_ok() && self.journal.synced() > before {
            self.counters.last_sync_ms.store(self.config.clock.now_ms(), Ordering::Relaxed);
        }
    }

    /// One round of upkeep.
    fn keep(&self, upkeep: &mut Upkeep) {
        self.housekeeping();
        self.release_held();
        self.detach_absent();
        upkeep.noted = self.note_watermarks(upkeep.noted);
        // What upkeep wrote nobody waits for; a failure is kept and tried again like any other.
        let _ = self.journal.write_pending();
        upkeep.rest = upkeep.rest.saturating_sub(1);
        let rested = upkeep.rest == 0;
        if (rested || self.journal.sync_lost())
            && checkpoint::due(self)
            && let Err(error) = checkpoint::make(self)
            && rested
        {
            tracing::warn!(%error, "no checkpoint could be made; the journal grows until one can");
            upkeep.rest = CHECKPOINT_RETRY_ROUNDS;
        }
    }

    /// A round and a sync if they are due; when the next ones are.
    pub(crate) fn tick(&self) -> u64 {
        const PERIOD_MS: u64 = HOUSEKEEPING_PERIOD.as_millis() as u64;
        let mut upkeep = lock(&self.upkeep);
        let now_ms = self.config.clock.now_ms();
        // A clock that was set back makes a round due at once.
        let due = upkeep.last_ms.is_none_or(|last| now_ms < last || now_ms >= last + PERIOD_MS);
        if due {
            upkeep.last_ms = Some(now_ms);
            self.keep(&mut upkeep);
            self.sync();
        }
        upkeep.last_ms.unwrap_or(now_ms) + PERIOD_MS
    }
}
