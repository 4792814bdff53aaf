//! The two threads beside the commands: one syncs the journal, one does upkeep and checkpoints. Threads and not tasks,
//! since both block on the disk.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    OpenError, checkpoint,
    journal::lock,
    store::{HOUSEKEEPING_PERIOD, Inner},
};

/// How often the journal is synced, and how often a refusing disk is tried again.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// How long a failed checkpoint is left alone, in rounds of upkeep.
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

/// The running threads; joined when stopped or dropped.
pub(crate) struct Threads {
    inner: Arc<Inner>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(crate) fn start(inner: &Arc<Inner>) -> Result<Self, OpenError> {
        let inner_dir = inner.config.dir.clone();
        let spawn = |name: &str, run: fn(&Inner)| {
            let inner = inner.clone();
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&inner));
            thread.map_err(OpenError::io("start a thread for", &inner_dir))
        };
        let sync = spawn("journal-sync", sync_loop)?;
        let keeper = spawn("state-keeper", keeper_loop)?;
        Ok(Self { inner: inner.clone(), handles: Mutex::new(vec![sync, keeper]) })
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

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

fn sync_loop(inner: &Inner) {
    while inner.sync_bell.wait(SYNC_PERIOD) {
        let before = inner.journal.synced();
        // A failure is logged once, where it happens, and kept for whoever wants to write.
        if inner.journal.sync().is_ok() && inner.journal.synced() > before {
            inner.counters.last_sync_ms.store(inner.config.clock.now_ms(), Ordering::Relaxed);
        }
    }
}

fn keeper_loop(inner: &Inner) {
    let mut rest = 0;
    let mut noted = inner.journal.end();
    while inner.keeper_bell.wait(HOUSEKEEPING_PERIOD) {
        inner.housekeeping();
        inner.release_held();
        noted = inner.note_watermarks(noted);
        // What upkeep wrote nobody waits for; a failure is kept and tried again like any other.
        let _ = inner.journal.write_pending();
        rest = u32::saturating_sub(rest, 1);
        if rest == 0
            && checkpoint::due(inner)
            && let Err(error) = checkpoint::make(inner)
        {
            tracing::warn!(%error, "no checkpoint could be made; the journal grows until one can");
            rest = CHECKPOINT_RETRY_ROUNDS;
        }
    }
}
