//! The user's workers: start, ready, restart with back-off, stop.
//!
//! In: what to run and how often (`AppSpec`). Out: the list of workers with address and readiness, which the gateway follows,
//! and a status for people. One task per worker; they share a board and one thread that starts processes.
//!
//! ```text
//! slot 0 ─ start ─ probe until ready ─ probe on ─ exit ─ back off ─┐    board ─→ watch<[Worker]> ─→ gateway
//!   ▲                                                              │      ▲
//!   └──────────────────────────────────────────────────────────────┘──────┘
//! ```
//!
//! No worker outlives the region's process, however that ends: each worker is tied to the thread that started it by the
//! kernel (`spawn`), and a guard process ends what the worker started itself (`guard`).

mod backoff;
mod board;
mod command;
mod environment;
mod guard;
mod health;
mod lines;
mod port;
mod probe;
mod slot;
mod spawn;
mod spec;

use std::sync::Arc;

use model::Worker;
use tokio::{sync::watch, task::JoinSet};

pub use board::{WorkerState, WorkerStatus};
pub use spec::{AppSpec, PortChoice, StartError, Timing};

use board::Board;

/// A running app. Dropping it kills the workers at once; `shutdown` asks them first.
pub struct SupervisorHandle {
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    slots: JoinSet<()>,
}

/// Checks the spec and starts every worker. Returns before they are ready: `workers` tells when.
///
/// Must be called within a tokio runtime.
pub fn start(spec: AppSpec) -> Result<SupervisorHandle, StartError> {
    let program = command::resolve(&spec)?;
    let spawner = spawn::Spawner::start().map_err(StartError::Thread)?;
    let board = Arc::new(Board::new(spec.instances));
    let (stop, stopping) = watch::channel(false);
    let ports = Arc::new(port::Ports::new(spec.host, spec.ports));
    let spec = Arc::new(spec);
    let lives = Arc::default();
    let mut slots = JoinSet::new();
    for id in 0..spec.instances {
        let slot = slot::Slot {
            id,
            spec: Arc::clone(&spec),
            program: program.clone(),
            spawner: spawner.clone(),
            ports: Arc::clone(&ports),
            board: Arc::clone(&board),
            lives: Arc::clone(&lives),
            stopping: stopping.clone(),
        };
        slots.spawn(slot.run());
    }
    Ok(SupervisorHandle { board, stop, slots })
}

impl SupervisorHandle {
    /// Every running worker and whether it may be used; changes when anything about them does.
    pub fn workers(&self) -> watch::Receiver<Arc<[Worker]>> {
        self.board.workers()
    }

    /// Every worker, running or not, for people.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.board.status()
    }

    /// Takes the workers out of use, asks them to end (SIGTERM), and kills those that do not within the kill timeout.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.slots.join_next().await.is_some() {}
    }
}
