//! The handle of a running app: what it does, what it says, and how it is changed.

use std::sync::{Arc, Mutex, PoisonError};

use model::Worker;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    board::{Board, Entry},
    command,
    logs::{LogQuery, LogTail, Logs},
    port::Ports,
    release::{FailKind, Progress, ReloadFailed, Reloaded},
    slot::Slot,
    spawn::Spawner,
    spec::{AppSpec, StartError},
    status::AppStatus,
};

/// How many requests the gateway has in flight to a life of a worker.
pub type InFlight = Arc<dyn Fn(u64) -> u32 + Send + Sync>;

/// What an app needs of its surroundings.
#[derive(Clone)]
pub struct Wiring {
    /// Asked while a worker drains: with 0 it is asked to end.
    pub in_flight: InFlight,
}

impl Wiring {
    /// Nobody counts requests: a drained worker is asked to end at once.
    pub fn alone() -> Self {
        Self { in_flight: Arc::new(|_| 0) }
    }
}

/// A running app. Dropping it kills the workers at once; `shutdown` asks them first.
pub struct App {
    board: Arc<Board>,
    logs: Arc<Logs>,
    stop: watch::Sender<bool>,
    slots: JoinSet<()>,
    spec: Mutex<Arc<AppSpec>>,
}

/// Checks the spec and starts every worker. Returns before they are ready: `App::workers` tells when.
///
/// Must be called within a tokio runtime.
pub fn start(spec: AppSpec, wiring: Wiring) -> Result<App, StartError> {
    drop(wiring);
    let program = command::resolve(&spec)?;
    let spawner = Spawner::start().map_err(StartError::Thread)?;
    let board = Arc::new(Board::new());
    let (stop, stopping) = watch::channel(false);
    let ports = Arc::new(Ports::new(spec.host, spec.ports));
    let logs = Logs::start(&spec.name, &spec.log).map_err(|source| StartError::LogFile {
        app: spec.name.clone(),
        path: spec.log.file.as_ref().map(|file| file.path.clone()).unwrap_or_default(),
        source,
    })?;
    let logs = Arc::new(logs);
    let spec = Arc::new(spec);
    let mut slots = JoinSet::new();
    for id in 0..spec.instances {
        board.add(id.into(), Entry::new(id, 1));
        let slot = Slot {
            id,
            seat: id.into(),
            spec: Arc::clone(&spec),
            program: program.clone(),
            spawner: spawner.clone(),
            ports: Arc::clone(&ports),
            board: Arc::clone(&board),
            logs: Arc::clone(&logs),
            stopping: stopping.clone(),
        };
        slots.spawn(slot.run());
    }
    Ok(App { board, logs, stop, slots, spec: Mutex::new(spec) })
}

impl App {
    /// Every running worker and whether it may be used; changes when anything about them does.
    pub fn workers(&self) -> watch::Receiver<Arc<[Worker]>> {
        self.board.workers()
    }

    /// The app and every worker, running or not, for people.
    pub fn status(&self) -> AppStatus {
        let spec = Arc::clone(&self.spec.lock().unwrap_or_else(PoisonError::into_inner));
        AppStatus {
            name: spec.name.clone(),
            release: 1,
            can_roll_back: false,
            instances: spec.instances,
            stopped: *self.stop.borrow(),
            doing: None,
            workers: self.board.status(),
        }
    }

    /// The spec of the release that runs.
    pub fn spec(&self) -> Arc<AppSpec> {
        Arc::clone(&self.spec.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lines that are kept, oldest first.
    pub fn logs(&self, query: &LogQuery) -> Vec<Arc<crate::LogLine>> {
        self.logs.query(query)
    }

    /// What the workers write from now on.
    pub fn subscribe(&self) -> LogTail {
        self.logs.subscribe()
    }

    /// Replaces every worker by one of the new spec, one at a time: start, wait until ready, drain the old one, end it. If a
    /// new one does not become ready, the old one stays and those replaced before are put back. Goes on when the caller stops
    /// waiting. The number of instances may differ.
    pub async fn reload(&self, spec: AppSpec, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let _ = (spec, progress);
        Err(ReloadFailed::new(FailKind::Busy, "reload is not there yet"))
    }

    /// Replaces every worker by one of the same spec, like `reload`.
    pub async fn restart(&self, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        self.reload(AppSpec::clone(&self.spec()), progress).await
    }

    /// Goes back to the spec of the release before, like `reload`; once more, and it goes forward again.
    pub async fn rollback(&self, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let _ = progress;
        Err(ReloadFailed::new(FailKind::NoPrevious, "there is no release before this one"))
    }

    /// Changes the number of workers: more are started, or those of the highest slots drain and end. At least 1.
    pub async fn scale(&self, instances: u16, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let _ = (instances, progress);
        Err(ReloadFailed::new(FailKind::Busy, "scale is not there yet"))
    }

    /// Drains and ends every worker, and ends a change that runs. The app stays, and can be started again.
    pub async fn stop(&self) {}

    /// Starts the workers of a stopped app; nothing happens to one that runs.
    pub async fn start_again(&self) -> Result<(), ReloadFailed> {
        Ok(())
    }

    /// The workers' own metrics (`prom-client`, through the preload) as one text in Prometheus' format, each with a label `worker`.
    /// Empty where no worker has any. Takes a second at most.
    pub async fn metrics(&self) -> String {
        String::new()
    }

    /// Takes the workers out of use, asks them to end, and kills those that do not within the kill timeout.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.slots.join_next().await.is_some() {}
    }
}
