//! The app's workers as the gateway knows them: a published list, replaced whole when it changes.
//!
//! In: the supervisor's list. Out: a connection to the least loaded ready worker, or the reason why there is none in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use model::Worker;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{
    balance::least_loaded,
    config::Limits,
    metrics::Metrics,
    refusal::Refusal,
    upstream::{ConnectFailed, Link, Seat, Upstream},
};

/// How often idle connections are looked through.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// When every ready worker refused, the next round starts so soon: one of them may just be starting.
const NEXT_ROUND: Duration = Duration::from_millis(25);

pub(crate) struct Fleet {
    roster: ArcSwap<Roster>,
    changed: Notify,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Roster {
    all: Vec<Arc<Upstream>>,
    ready: Vec<Arc<Upstream>>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self { roster: ArcSwap::from_pointee(Roster::default()), changed: Notify::new(), turn: AtomicUsize::new(0) }
    }

    pub(crate) fn has_ready_worker(&self) -> bool {
        !self.roster.load().ready.is_empty()
    }

    pub(crate) fn in_flight(&self) -> Vec<(u16, u32)> {
        self.roster.load().all.iter().map(|upstream| (upstream.id, upstream.in_flight())).collect()
    }

    /// Connects to the least loaded ready worker. A worker that refuses is left for the next one, any method: nothing was
    /// sent. With nobody left, waits for the list to change.
    pub(crate) async fn connect(&self, limits: &Limits, metrics: &Metrics) -> Result<Link, Refusal> {
        let deadline = Instant::now() + limits.worker_wait;
        let mut refused: Vec<Arc<Upstream>> = Vec::new();
        let mut last: Option<ConnectFailed> = None;
        loop {
            // Registered before the look, so that a change between look and wait is not missed.
            let changed = self.changed.notified();
            if let Some(seat) = self.pick(&refused) {
                let upstream = seat.upstream();
                match seat.connect(limits).await {
                    Ok(link) => return Ok(link),
                    Err(failed) => {
                        metrics.connect_failures.add();
                        tracing::debug!("{failed}");
                        refused.push(upstream);
                        last = Some(failed);
                        continue;
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(last.map_or(Refusal::NoWorker, Refusal::Unreachable));
            }
            let round = if refused.is_empty() { deadline } else { deadline.min(Instant::now() + NEXT_ROUND) };
            // Whichever comes first, the next turn of the loop looks again.
            let _ = timeout_at(round, changed).await;
            refused.clear();
        }
    }

    fn pick(&self, refused: &[Arc<Upstream>]) -> Option<Seat> {
        let roster = self.roster.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = least_loaded(roster.ready.len(), turn, |index| {
            let upstream = &roster.ready[index];
            let usable = !refused.iter().any(|other| Arc::ptr_eq(other, upstream));
            usable.then(|| upstream.load())
        })?;
        Some(roster.ready[index].take_seat())
    }

    /// Publishes a new list. A worker that stays keeps its connections and its count.
    fn publish(&self, workers: &[Worker]) {
        let old = self.roster.load();
        let known = |worker: &Worker| old.all.iter().find(|upstream| upstream.is(worker)).cloned();
        let mut roster = Roster::default();
        for worker in workers {
            let upstream = known(worker).unwrap_or_else(|| Upstream::new(worker));
            if worker.takes_requests() {
                roster.ready.push(Arc::clone(&upstream));
            }
            roster.all.push(upstream);
        }
        self.roster.store(Arc::new(roster));
        self.changed.notify_waiters();
    }

    fn reap(&self, max_idle: Duration) {
        for upstream in &self.roster.load().all {
            upstream.reap(max_idle);
        }
    }
}

/// Keeps the fleet as the list says, and its idle connections young, until the list's owner is gone.
pub(crate) async fn follow(fleet: Arc<Fleet>, mut workers: watch::Receiver<Arc<[Worker]>>, max_idle: Duration) {
    let mut reap = interval(REAP_EVERY);
    reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let list = workers.borrow_and_update().clone();
        fleet.publish(&list);
        loop {
            tokio::select! {
                changed = workers.changed() => match changed {
                    Ok(()) => break,
                    // Nobody will change the list again; what it says stays true until connections say otherwise.
                    Err(_) => return,
                },
                _ = reap.tick() => fleet.reap(max_idle),
            }
        }
    }
}
