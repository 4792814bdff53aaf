//! What is known of all workers: written by their slots, read by the gateway as a list and by people as a status.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use model::Worker;
use tokio::sync::watch;

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Started, has not passed a health check yet.
    Starting,
    /// Passes its health checks.
    Ready,
    /// Ran well, and fails its health checks now.
    Unhealthy,
    /// Ended, and waits for its next start.
    BackingOff,
    /// Was asked to end.
    Stopping,
    /// Ended for good.
    Stopped,
}

/// One worker, for people.
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// Its slot, from 0.
    pub id: u16,
    /// Where it is in its life.
    pub state: WorkerState,
    /// Where it listens, while it runs.
    pub address: Option<SocketAddr>,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// Which start this is, over all slots; 0 before the first one.
    pub life: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// How its last life ended and what to do about it, until it is ready again.
    pub problem: Option<String>,
}

pub(crate) struct Board {
    slots: Mutex<Vec<WorkerStatus>>,
    workers: watch::Sender<Arc<[Worker]>>,
}

impl Board {
    pub(crate) fn new(instances: u16) -> Self {
        let slot = |id| WorkerStatus {
            id,
            state: WorkerState::Starting,
            address: None,
            pid: None,
            life: 0,
            restarts: 0,
            problem: None,
        };
        Self { slots: Mutex::new((0..instances).map(slot).collect()), workers: watch::Sender::new(Arc::from([])) }
    }

    pub(crate) fn workers(&self) -> watch::Receiver<Arc<[Worker]>> {
        self.workers.subscribe()
    }

    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is known of worker `id`, and publishes the list if it changed by that.
    pub(crate) fn update(&self, id: u16, change: impl FnOnce(&mut WorkerStatus)) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(usize::from(id)) else { return };
        change(slot);
        let list: Arc<[Worker]> = slots
            .iter()
            .filter_map(|slot| {
                let ready = slot.state == WorkerState::Ready;
                slot.address.map(|address| Worker {
                    id: slot.id,
                    life: slot.life,
                    release: 1,
                    address,
                    ready,
                    draining: slot.state == WorkerState::Stopping,
                    busy_permille: None,
                })
            })
            .collect();
        // Under the lock, so that lists are published in the order in which they came about.
        self.workers.send_if_modified(|old| {
            let changed = **old != *list;
            *old = list;
            changed
        });
    }
}
