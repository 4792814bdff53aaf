//! An app's workers as the gateway knows them: the pool that chooses among them, and what is kept for each.
//!
//! In: the supervisor's list, requests that look for a worker, what became of them. Out: a seat at a worker, or why there is none.
//! The pool itself is pure (crate `traffic`); this file gives it the time, luck and a lock that is never held across a wait.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use model::Worker;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use traffic::{Ask, Event, Member, NoPick, Outcome, Pool, PoolConfig, Snapshot, Ticket};

use crate::{metrics::AppCells, upstream::Upstream};

/// How often idle connections are looked through.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// The workers of one app, across lists of apps.
pub(crate) struct Fleet {
    pub(crate) name: Arc<str>,
    begun: Instant,
    pool: Mutex<Pool>,
    roster: ArcSwap<Vec<Arc<Upstream>>>,
    /// The list of workers changed.
    pub(crate) changed: Notify,
    pub(crate) cells: AppCells,
    pub(crate) ejections: AtomicU64,
    following: Mutex<Option<Following>>,
}

/// The task that keeps a fleet as its list says.
struct Following {
    list: watch::Receiver<Arc<[Worker]>>,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request's place at a worker: under way there while this lives.
pub(crate) struct Seat {
    fleet: Arc<Fleet>,
    pub(crate) upstream: Arc<Upstream>,
    /// Taken when the seat is given back.
    ticket: Option<Ticket>,
    outcome: Outcome,
}

impl Fleet {
    pub(crate) fn new(name: Arc<str>, config: PoolConfig) -> Arc<Self> {
        Arc::new(Self {
            name,
            begun: Instant::now(),
            pool: Mutex::new(Pool::new(config)),
            roster: ArcSwap::default(),
            changed: Notify::new(),
            cells: AppCells::default(),
            ejections: AtomicU64::new(0),
            following: Mutex::default(),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool's time.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn set_config(&self, config: &PoolConfig) {
        let mut pool = self.pool();
        if pool.config() != config {
            pool.set_config(self.now(), config.clone());
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.pool().snapshot(self.now())
    }

    pub(crate) fn roster(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.roster.load_full()
    }

    pub(crate) fn has_ready_worker(&self) -> bool {
        // The list, not the breakers: a worker that is ejected for a while is still a worker that the app has.
        use traffic::State::{Draining, Leaving, NotReady};
        self.snapshot().members.iter().any(|member| !matches!(member.state, Draining | Leaving | NotReady))
    }

    /// Whether the budget allows to try again.
    pub(crate) fn may_retry(&self) -> bool {
        self.pool().may_retry(self.now())
    }

    /// A seat at the worker that takes a request. `is_new`: it is asked for the first time, and counts towards the budget of retries;
    /// once, whatever is tried for it.
    pub(crate) fn pick(self: &Arc<Self>, ask: &Ask<'_>, is_new: bool) -> Result<Seat, NoPick> {
        let ticket = {
            let mut pool = self.pool();
            // Read under the lock, so that the pool's time never goes back.
            let now = self.now();
            if is_new {
                pool.deposit(now);
            }
            pool.pick(now, ask)
        }?;
        let upstream = self.roster.load().iter().find(|upstream| upstream.life == ticket.life).cloned();
        match upstream {
            Some(upstream) => {
                Ok(Seat { fleet: Arc::clone(self), upstream, ticket: Some(ticket), outcome: Outcome::Cancelled })
            }
            // The list is being replaced this moment; the next look finds it whole.
            None => {
                self.finish(ticket, Outcome::Cancelled);
                Err(NoPick::NoMember)
            }
        }
    }

    fn first_byte(&self, ticket: &Ticket, outcome: Outcome) {
        let mut pool = self.pool();
        pool.first_byte(self.now(), ticket, outcome);
        self.tell(&mut pool);
    }

    fn finish(&self, ticket: Ticket, outcome: Outcome) {
        let mut pool = self.pool();
        pool.finish(self.now(), ticket, outcome);
        self.tell(&mut pool);
    }

    fn tell(&self, pool: &mut Pool) {
        while let Some(event) = pool.next_event() {
            let app = &*self.name;
            match event {
                Event::Ejected { slot, open, .. } => {
                    self.ejections.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        app,
                        worker = slot,
                        "worker {slot} of {app} is left out for {open:?}: it fails requests"
                    );
                }
                Event::Readmitted { slot, .. } => tracing::info!(app, worker = slot, "worker {slot} of {app} is back"),
                Event::PanicBegan => {
                    tracing::warn!(app, "too few workers of {app} are well: all of them are used, sick or not");
                }
                Event::PanicEnded => tracing::info!(app, "enough workers of {app} are well again"),
                _ => {}
            }
        }
    }

    /// Publishes a new list. A worker that stays keeps its connections and what was learnt.
    fn publish(&self, workers: &[Worker]) {
        let old = self.roster.load();
        let known = |worker: &Worker| old.iter().find(|upstream| upstream.is(worker)).cloned();
        let mut roster = Vec::with_capacity(workers.len());
        for worker in workers {
            let upstream = known(worker).unwrap_or_else(|| Upstream::new(worker));
            upstream.set_leaving(worker.draining);
            roster.push(upstream);
        }
        for upstream in old.iter().filter(|upstream| !workers.iter().any(|worker| upstream.is(worker))) {
            self.cells.absorb(upstream.slot, &upstream.cells);
            upstream.set_leaving(true);
        }
        let member = |worker: &Worker| Member {
            life: worker.life,
            slot: worker.id,
            weight: 1,
            ready: worker.ready,
            draining: worker.draining,
            busy_permille: worker.busy_permille,
        };
        let members: Vec<Member> = workers.iter().map(member).collect();
        // The roster first: whoever is picked must be found in it.
        self.roster.store(Arc::new(roster));
        {
            let mut pool = self.pool();
            pool.set_members(self.now(), &members);
            self.tell(&mut pool);
        }
        self.changed.notify_waiters();
    }

    fn reap(&self, max_idle: Duration) {
        for upstream in self.roster.load().iter() {
            upstream.reap(max_idle);
        }
    }

    /// Follows `list` from now on. What it says now is known before this returns.
    pub(crate) fn follow(self: &Arc<Self>, list: &watch::Receiver<Arc<[Worker]>>, max_idle: Duration) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if following.as_ref().is_some_and(|following| following.list.same_channel(list)) {
            return;
        }
        let mut receiver = list.clone();
        let now = receiver.borrow_and_update().clone();
        self.publish(&now);
        // Weak: a fleet that nobody uses any more ends its task.
        let fleet = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let mut reap = interval(REAP_EVERY);
            reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut open = true;
            loop {
                tokio::select! {
                    changed = receiver.changed(), if open => match changed {
                        Ok(()) => {
                            let workers = receiver.borrow_and_update().clone();
                            let Some(fleet) = fleet.upgrade() else { return };
                            fleet.publish(&workers);
                        }
                        // Nobody will change the list again; what it says stays true until connections say otherwise.
                        Err(_) => open = false,
                    },
                    _ = reap.tick() => {
                        let Some(fleet) = fleet.upgrade() else { return };
                        fleet.reap(max_idle);
                    }
                }
            }
        });
        *following = Some(Following { list: list.clone(), task });
    }

    /// The list of workers is empty from now on, as the app is gone; requests under way go on.
    pub(crate) fn dissolve(&self) {
        *self.following.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.publish(&[]);
    }
}

impl Seat {
    /// The answer has begun.
    pub(crate) fn answered(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        if let Some(ticket) = &self.ticket {
            self.fleet.first_byte(ticket, outcome);
        }
        let failed = !matches!(outcome, Outcome::Ok | Outcome::Cancelled);
        self.upstream.cells.answered(failed);
    }

    /// The final word, where it differs from the first.
    pub(crate) fn ends_as(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// It broke before an answer.
    pub(crate) fn broke(mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.upstream.cells.answered(outcome == Outcome::Broken);
    }

    pub(crate) fn slot(&self) -> u16 {
        self.upstream.slot
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.fleet.finish(ticket, self.outcome);
        }
    }
}
