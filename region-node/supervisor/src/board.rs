//! What is known of all workers: written by their runners, read by the gateway as a list and by people as a status.
//!
//! A slot may have two workers while one replaces the other, so workers are kept by seat: a number of their own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use model::Worker;
use tokio::sync::{mpsc, watch};

use crate::{
    reporter::Tell,
    status::{EventLoop, WorkerState, WorkerStatus},
};

/// A worker's place on the board, through all its lives; larger for one that came later.
pub(crate) type Seat = u64;

/// What is known of one worker.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) slot: u16,
    pub(crate) release: u32,
    pub(crate) life: u64,
    pub(crate) state: WorkerState,
    /// It says itself that it is about to end, though it runs yet.
    pub(crate) leaving: bool,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u32,
    pub(crate) since: Option<Instant>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_permille: Option<u32>,
    pub(crate) event_loop: Option<EventLoop>,
    pub(crate) says: Option<String>,
    pub(crate) problem: Option<String>,
    /// How the preload is told something.
    pub(crate) tell: Option<mpsc::Sender<Tell>>,
}

impl Entry {
    pub(crate) fn new(slot: u16, release: u32) -> Self {
        Self {
            slot,
            release,
            life: 0,
            state: WorkerState::Starting,
            leaving: false,
            address: None,
            pid: None,
            restarts: 0,
            since: None,
            memory_bytes: None,
            cpu_permille: None,
            event_loop: None,
            says: None,
            problem: None,
            tell: None,
        }
    }

    /// The process has ended: what was known of it is history.
    pub(crate) fn vacate(&mut self) {
        (self.address, self.pid, self.since, self.leaving) = (None, None, None, false);
        (self.memory_bytes, self.cpu_permille, self.event_loop) = (None, None, None);
        (self.says, self.tell) = (None, None);
    }

    fn worker(&self) -> Option<Worker> {
        let draining = self.leaving || matches!(self.state, WorkerState::Draining | WorkerState::Stopping);
        Some(Worker {
            id: self.slot,
            life: self.life,
            release: self.release,
            address: self.address?,
            ready: matches!(self.state, WorkerState::Ready | WorkerState::Draining),
            draining,
            busy_permille: self.event_loop.map(|figures| figures.utilisation_permille),
        })
    }

    fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.slot,
            life: self.life,
            release: self.release,
            state: self.state,
            address: self.address,
            pid: self.pid,
            restarts: self.restarts,
            uptime: self.since.map(|since| since.elapsed()),
            memory_bytes: self.memory_bytes,
            cpu_permille: self.cpu_permille,
            event_loop: self.event_loop,
            says: self.says.clone(),
            problem: self.problem.clone(),
        }
    }
}

pub(crate) struct Board {
    seats: Mutex<BTreeMap<Seat, Entry>>,
    workers: watch::Sender<Arc<[Worker]>>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { seats: Mutex::default(), workers: watch::Sender::new(Arc::from([])) }
    }

    pub(crate) fn workers(&self) -> watch::Receiver<Arc<[Worker]>> {
        self.workers.subscribe()
    }

    /// Every worker, by slot, the older one of a slot first.
    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        let mut list: Vec<WorkerStatus> = self.look(|seats| seats.values().map(Entry::status).collect());
        list.sort_by_key(|worker| worker.id);
        list
    }

    pub(crate) fn entry(&self, seat: Seat) -> Option<Entry> {
        self.look(|seats| seats.get(&seat).cloned())
    }

    pub(crate) fn entries(&self) -> Vec<(Seat, Entry)> {
        self.look(|seats| seats.iter().map(|(seat, entry)| (*seat, entry.clone())).collect())
    }

    fn look<T>(&self, at: impl FnOnce(&BTreeMap<Seat, Entry>) -> T) -> T {
        at(&self.seats.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn add(&self, seat: Seat, entry: Entry) {
        self.change(|seats| {
            seats.insert(seat, entry);
        });
    }

    pub(crate) fn remove(&self, seat: Seat) {
        self.change(|seats| {
            seats.remove(&seat);
        });
    }

    /// Changes what is known of a worker, and publishes the list if it changed by that.
    pub(crate) fn update(&self, seat: Seat, change: impl FnOnce(&mut Entry)) {
        self.change(|seats| {
            if let Some(entry) = seats.get_mut(&seat) {
                change(entry);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Seat, Entry>)) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seats);
        let mut list: Vec<Worker> = seats.values().filter_map(Entry::worker).collect();
        list.sort_by_key(|worker| (worker.id, worker.life));
        // Under the lock, so that lists are published in the order in which they came about.
        self.workers.send_if_modified(|old| {
            let changed = **old != *list;
            if changed {
                *old = list.into();
            }
            changed
        });
    }
}
