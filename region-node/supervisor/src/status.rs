//! What is told to people of an app and its workers.

use std::{net::SocketAddr, time::Duration};

/// An app, for people.
#[derive(Debug, Clone)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// The release that runs; 1 is the first, each reload and roll-back makes a new one.
    pub release: u32,
    /// Whether there is a release to roll back to.
    pub can_roll_back: bool,
    /// How many workers it should have.
    pub instances: u16,
    /// It was stopped by hand.
    pub stopped: bool,
    /// The change that runs now, like `reload to release 3`.
    pub doing: Option<String>,
    /// Its workers by slot; while one replaces another there are two in their slot, the older one first.
    pub workers: Vec<WorkerStatus>,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Started, has not said yet that it is ready.
    Starting,
    /// Well, and gets requests.
    Ready,
    /// Ran well, and fails its health checks now.
    Unhealthy,
    /// Gets no new requests; those in flight finish.
    Draining,
    /// Ended, and waits for its next start.
    BackingOff,
    /// Was asked to end.
    Stopping,
    /// Ended for good.
    Stopped,
}

impl WorkerState {
    /// One word for it, as in lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::BackingOff => "backing-off",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// One worker, for people.
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// Its slot, from 0.
    pub id: u16,
    /// Which start of a process this is, over all apps of this process; 0 before the first one.
    pub life: u64,
    /// The release that it runs.
    pub release: u32,
    /// Where it is in its life.
    pub state: WorkerState,
    /// Where it listens, while it runs.
    pub address: Option<SocketAddr>,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How long its present life has lasted.
    pub uptime: Option<Duration>,
    /// Memory of the worker and of what it started, bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time of the worker and of what it started, thousandths of one core, over the last second.
    pub cpu_permille: Option<u32>,
    /// What its event loop tells of itself (Node.js with the preload).
    pub event_loop: Option<EventLoop>,
    /// What it says of itself (`STATUS=` of `sd_notify`).
    pub says: Option<String>,
    /// What is wrong and what to do about it, until it is ready again.
    pub problem: Option<String>,
}

/// A second of a Node.js worker, as its preload tells it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EventLoop {
    /// Time in which the event loop was not idle, thousandths.
    pub utilisation_permille: u16,
    /// Delay of the event loop, median of the second, milliseconds.
    pub delay_p50_ms: f64,
    /// Its 99th percentile, milliseconds.
    pub delay_p99_ms: f64,
    /// Its maximum, milliseconds.
    pub delay_max_ms: f64,
    /// V8's heap in use, bytes.
    pub heap_used_bytes: u64,
    /// V8's heap, bytes.
    pub heap_total_bytes: u64,
    /// Time spent collecting garbage in the second, milliseconds.
    pub gc_ms: f64,
    /// Open handles: sockets, timers, files.
    pub active_handles: u32,
}
