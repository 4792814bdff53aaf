//! The handle of a running app: what it does, what it says, and how it is changed.

use std::{sync::Arc, time::Duration};

use model::Worker;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    board::Board,
    cgroup::Cgroups,
    command,
    fleet::{Fleet, Why},
    life::Abort,
    logs::{LogLine, LogQuery, LogTail, Logs},
    prom,
    release::{FailKind, Progress, ReloadFailed, Reloaded},
    reporter::Tell,
    run_dir::RunDir,
    runner::{Common, Order},
    spawn::Spawner,
    spec::{AppSpec, StartError},
    status::{AppStatus, WorkerState},
};

/// Workers have so long to give their metrics.
const METRICS_TIMEOUT: Duration = Duration::from_secs(1);
/// Workers that wait to be replaced.
const WISHES: usize = 64;

/// How many requests the gateway has in flight to a life of a worker.
pub type InFlight = Arc<dyn Fn(u64) -> u32 + Send + Sync>;

/// What an app needs of its surroundings.
#[derive(Clone)]
pub struct Wiring {
    /// Asked every 20 ms while a worker drains: with 0 it is asked to end. It must return quickly.
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
    fleet: Arc<Fleet>,
    common: Arc<Common>,
    _tasks: [Abort; 2],
}

/// Checks the spec and starts every worker. Returns before they are ready: `App::workers` tells when.
///
/// Must be called within a tokio runtime.
pub fn start(spec: AppSpec, wiring: Wiring) -> Result<App, StartError> {
    let program = command::resolve(&spec)?;
    let app = || spec.name.clone();
    let directory = |source| StartError::Directory { app: app(), dir: std::env::temp_dir(), source };
    let run_dir = Arc::new(RunDir::create().map_err(directory)?);
    let cgroups = if spec.cgroup { Cgroups::create(&run_dir.id) } else { None };
    let cgroup_path = cgroups.as_ref().map(|groups| groups.path().to_owned());
    let spawner = Spawner::start(Arc::clone(&run_dir), cgroup_path).map_err(StartError::Thread)?;
    let logs = Logs::start(&spec.name, &spec.log).map_err(|source| StartError::LogFile {
        app: app(),
        path: spec.log.file.as_ref().map(|file| file.path.clone()).unwrap_or_default(),
        source,
    })?;
    let (wishes, wished) = mpsc::channel(WISHES);
    let common = Arc::new(Common {
        board: Board::new(),
        logs: Arc::new(logs),
        spawner,
        run_dir,
        cgroups,
        in_flight: wiring.in_flight,
        wishes,
    });
    let fleet = Arc::new(Fleet::new(spec, program, Arc::clone(&common)));
    fleet.launch();
    let tasks = [Abort::spawn(Arc::clone(&fleet).sample()), Abort::spawn(Arc::clone(&fleet).fulfil(wished))];
    Ok(App { fleet, common, _tasks: tasks })
}

impl App {
    /// Every running worker and whether it may be used; changes when anything about them does.
    pub fn workers(&self) -> watch::Receiver<Arc<[Worker]>> {
        self.common.board.workers()
    }

    /// The app and every worker, running or not, for people.
    pub fn status(&self) -> AppStatus {
        self.fleet.status()
    }

    /// The spec of the release that runs.
    pub fn spec(&self) -> Arc<AppSpec> {
        self.fleet.spec()
    }

    /// Lines that are kept, oldest first.
    pub fn logs(&self, query: &LogQuery) -> Vec<Arc<LogLine>> {
        self.common.logs.query(query)
    }

    /// What the workers write from now on.
    pub fn subscribe(&self) -> LogTail {
        self.common.logs.subscribe()
    }

    /// Replaces every worker by one of the new spec, one at a time: start, wait until ready, drain the old one, end it. If a
    /// new one does not become ready, the old one stays and those replaced before are put back. Goes on when the caller stops
    /// waiting. The number of instances may differ. `log` stays as it was at the app's start.
    pub async fn reload(&self, spec: AppSpec, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        self.change(spec, Why::Reload, progress).await
    }

    /// Replaces every worker by one of the same spec, like `reload`. A roll-back goes back to what it went back to before.
    pub async fn restart(&self, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        self.change(AppSpec::clone(&self.spec()), Why::Restart, progress).await
    }

    /// Goes back to the spec of the release before, its number of instances included, like `reload`; once more, and it goes
    /// forward again.
    pub async fn rollback(&self, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let Some(previous) = self.fleet.previous() else {
            let why = format!("app {}: there is no release before this one", self.spec().name);
            return Err(ReloadFailed::new(FailKind::NoPrevious, why));
        };
        self.change(AppSpec::clone(&previous), Why::RollBack, progress).await
    }

    async fn change(&self, spec: AppSpec, why: Why, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let fleet = Arc::clone(&self.fleet);
        detached(async move { fleet.reload(spec, why, progress).await }).await
    }

    /// Changes the number of workers: more are started, or those of the highest slots drain and end. At least 1.
    pub async fn scale(&self, instances: u16, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let fleet = Arc::clone(&self.fleet);
        detached(async move { fleet.scale(instances, progress).await }).await
    }

    /// Drains and ends every worker, and ends a change that runs. The app stays, and can be started again.
    pub async fn stop(&self) {
        let fleet = Arc::clone(&self.fleet);
        let _ = tokio::spawn(async move { fleet.stop(Order::Drain).await }).await;
    }

    /// Starts the workers of a stopped app; nothing happens to one that runs. Returns before they are ready.
    pub async fn start_again(&self) -> Result<(), ReloadFailed> {
        self.fleet.start_again().await
    }

    /// The workers' own metrics (`prom-client`, through the preload) as one text in Prometheus' format, each sample with a label
    /// `worker`. Empty where no worker has any. Takes a second at most.
    pub async fn metrics(&self) -> String {
        let deadline = Instant::now() + METRICS_TIMEOUT;
        let mut questions = Vec::new();
        for (_, entry) in self.common.board.entries() {
            // Of two in a slot, the one that serves.
            let Some(tell) = entry.tell.filter(|_| entry.state == WorkerState::Ready) else { continue };
            let (answer, text) = oneshot::channel();
            if tell.try_send(Tell::Metrics(answer)).is_ok() {
                questions.push((entry.slot, text));
            }
        }
        let mut texts = Vec::new();
        for (slot, text) in questions {
            if let Ok(Ok(text)) = timeout_at(deadline, text).await {
                texts.push((slot, text));
            }
        }
        prom::merge(&texts)
    }

    /// Takes the workers out of use, asks them to end, and kills those that do not within the kill timeout.
    pub async fn shutdown(self) {
        self.fleet.stop(Order::Stop).await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.fleet.abandon();
    }
}

/// Runs on when nobody waits for it any more.
async fn detached(
    change: impl Future<Output = Result<Reloaded, ReloadFailed>> + Send + 'static,
) -> Result<Reloaded, ReloadFailed> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        Err(ReloadFailed::new(
            FailKind::Stopped,
            format!("the change was broken off: {error}; look at the app's status"),
        ))
    })
}
