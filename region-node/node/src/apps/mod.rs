//! All apps of a region: what their file says, made so, and kept so when it changes.
//!
//! ```text
//! app file ─ app-config ─▶ App ─ spec.rs ─▶ supervisor::App ─ workers ─┐
//!    ▲ read again on each reload                                       ├─▶ publish(…): the gateway's routes and pools
//! admin API ─ api.rs ──┬▶ change.rs: one change at a time ──────────────┘
//! time ─ clock.rs ─────┘
//! ```
//!
//! In: where the file is, what is around the region's apps. Out: a list of apps with their workers, published whole at each change.
//! Nothing here knows of requests: the gateway tells how many are under way on a worker, and is told which workers there are.

pub mod api;
mod behind;
mod change;
mod clock;
mod joint;
mod report;
mod spec;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use app_config::{App, AppFile, Note, Options};
use model::{RegionName, Worker};
use plane_client::api::apps::{AppDescription, AppLog, AppReport, AppsReport, ChangeEvent};
use supervisor::{LogQuery, Wiring};
use tokio::sync::{mpsc, watch};

use self::api::{AppControl, Asked, Later};
pub use self::spec::Surroundings;
pub(crate) use self::{behind::secret, joint::Joint};

/// Lines that a reader of logs may lag behind here; the supervisor keeps as many again.
const TAIL: usize = 256;

/// Where the apps of a region are said.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file, which is read again on each reload.
    File {
        /// Its path.
        path: PathBuf,
        /// Which `env_NAME` of an ecosystem file is taken.
        env: Option<String>,
    },
    /// In the region's configuration.
    Inline(Box<App>),
}

/// An app as the gateway needs it.
#[derive(Debug, Clone)]
pub struct Published {
    /// What its file says: routes, balance, protection.
    pub config: Arc<App>,
    /// Its workers.
    pub workers: watch::Receiver<Arc<[Worker]>>,
}

/// Told of all apps, whole, whenever one comes, goes or is configured anew. It must return quickly.
pub type Publish = Arc<dyn Fn(Vec<Published>) + Send + Sync>;
/// How many requests are under way on a life of an app's worker.
pub type InFlight = Arc<dyn Fn(&str, u64) -> u32 + Send + Sync>;

/// The apps of a region. Dropping it kills their workers; [`Apps::shutdown`] asks them first.
pub struct Apps {
    region: RegionName,
    around: Surroundings,
    source: Mutex<Source>,
    notes: Mutex<Vec<Note>>,
    running: Mutex<BTreeMap<String, Running>>,
    publish: Publish,
    in_flight: InFlight,
    /// Held by the change that goes on.
    changing: tokio::sync::Mutex<()>,
}

/// An app that runs.
#[derive(Clone)]
struct Running {
    handle: Arc<supervisor::App>,
    config: Arc<App>,
    /// What it was before the last reload: a roll-back brings its routes back, too.
    previous: Option<Arc<App>>,
    /// Its place in the file.
    number: usize,
}

impl Apps {
    /// Reads the source and starts every app. Returns before workers are ready.
    ///
    /// Must be called within a tokio runtime; reading an ecosystem file that is a program takes as long as Node takes.
    pub fn start(
        region: RegionName,
        source: Source,
        around: Surroundings,
        in_flight: InFlight,
        publish: Publish,
    ) -> anyhow::Result<Arc<Self>> {
        let file = read(&source, &around)?;
        let apps = Self {
            region,
            around,
            source: Mutex::new(source),
            notes: Mutex::new(file.notes),
            running: Mutex::default(),
            publish,
            in_flight,
            changing: tokio::sync::Mutex::default(),
        };
        for (number, app) in file.apps.into_iter().enumerate() {
            apps.begin(app, number)?;
        }
        for note in lock(&apps.notes).iter() {
            tracing::warn!("app file: {note}");
        }
        apps.tell();
        let apps = Arc::new(apps);
        // Ends by itself when there are no apps any more.
        tokio::spawn(clock::run(Arc::downgrade(&apps), clock::now, clock::Here));
        Ok(apps)
    }

    /// Starts an app without telling anybody.
    fn begin(&self, app: App, number: usize) -> anyhow::Result<Running> {
        let (name, in_flight) = (app.name.clone(), Arc::clone(&self.in_flight));
        let wiring = Wiring { in_flight: Arc::new(move |life| in_flight(&name, life)) };
        let spec = spec::spec(&app, number, &self.around);
        let handle = supervisor::start(spec, wiring).with_context(|| format!("app {} cannot be started", app.name))?;
        let running = Running { handle: Arc::new(handle), config: Arc::new(app), previous: None, number };
        lock(&self.running).insert(running.config.name.clone(), running.clone());
        Ok(running)
    }

    fn app(&self, name: &str) -> Option<Running> {
        lock(&self.running).get(name).cloned()
    }

    /// Publishes what runs now, in the order of the file.
    fn tell(&self) {
        let mut all: Vec<Running> = lock(&self.running).values().cloned().collect();
        all.sort_by_key(|running| running.number);
        let published = |running: Running| Published { workers: running.handle.workers(), config: running.config };
        (self.publish)(all.into_iter().map(published).collect());
    }

    /// The workers of an app.
    pub fn workers(&self, app: &str) -> Option<watch::Receiver<Arc<[Worker]>>> {
        self.app(app).map(|running| running.handle.workers())
    }

    /// Whether each app that users reach has a worker that can take requests: what the gateway's own `/healthz` goes by.
    pub fn serve_users(&self) -> bool {
        let running = lock(&self.running);
        let ready = |running: &Running| running.handle.workers().borrow().iter().any(Worker::takes_requests);
        running.values().filter(|running| running.config.public).all(ready)
    }

    /// The workers' own metrics, of all apps.
    pub async fn metrics(&self) -> String {
        let handles: Vec<Arc<supervisor::App>> =
            lock(&self.running).values().map(|running| running.handle.clone()).collect();
        let mut text = String::new();
        for handle in handles {
            text += &handle.metrics().await;
        }
        text
    }

    /// What all apps do, for metrics and people.
    pub fn reports(&self) -> Vec<AppReport> {
        lock(&self.running).values().map(|running| report::app(running.handle.status())).collect()
    }

    /// Ends the workers of all apps, politely, all at once.
    pub async fn shutdown(&self) {
        let all = std::mem::take(&mut *lock(&self.running));
        let mut ending = tokio::task::JoinSet::new();
        for (_, running) in all {
            ending.spawn(end(running.handle));
        }
        while ending.join_next().await.is_some() {}
    }

    fn source(&self) -> Source {
        lock(&self.source).clone()
    }

    fn file(&self) -> Option<String> {
        match &*lock(&self.source) {
            Source::File { path, .. } => Some(path.display().to_string()),
            Source::Inline(_) => None,
        }
    }
}

/// Ends an app's workers. Whoever still looks at it keeps the handle, and then it is only stopped.
async fn end(handle: Arc<supervisor::App>) {
    match Arc::try_unwrap(handle) {
        Ok(handle) => handle.shutdown().await,
        Err(shared) => shared.stop().await,
    }
}

/// What a source says now, and what is to be told of it here.
fn read(source: &Source, around: &Surroundings) -> anyhow::Result<AppFile> {
    let mut file = match source {
        Source::File { path, env } => app_config::read(path, &Options { env: env.as_deref(), cores: around.cores })?,
        Source::Inline(app) => AppFile { form: app_config::Form::Toml, apps: vec![App::clone(app)], notes: Vec::new() },
    };
    file.notes.extend(file.apps.iter().filter_map(|app| spec::note(app, around)));
    Ok(file)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AppControl for Apps {
    fn list(&self) -> AppsReport {
        AppsReport { region: self.region.clone(), file: self.file(), apps: self.reports() }
    }

    fn describe(&self, app: &str) -> Option<AppDescription> {
        let running = self.app(app)?;
        let mut shown = App::clone(&running.config);
        // What is in variables is nobody's business but the app's.
        shown.env.values_mut().for_each(|value| *value = "…".to_owned());
        let notes = lock(&self.notes)
            .iter()
            .filter(|note| note.app.is_empty() || note.app == app)
            .map(Note::to_string)
            .collect();
        Some(AppDescription {
            region: self.region.clone(),
            app: report::app(running.handle.status()),
            file: self.file(),
            toml: shown.to_toml(&[]),
            notes,
            next_restart_in_ms: clock::until_next(&running.config, self.region.as_str()),
        })
    }

    fn change(self: Arc<Self>, asked: Asked, tell: mpsc::Sender<ChangeEvent>) -> Later<ChangeEvent> {
        Box::pin(async move { change::carry_out(&self, asked, tell).await })
    }

    fn lines(&self, app: &str, slot: Option<u16>, lines: usize) -> Option<Vec<AppLog>> {
        let running = self.app(app)?;
        Some(running.handle.logs(&LogQuery { lines, slot }).iter().map(|line| report::line(line)).collect())
    }

    fn follow(&self, app: &str) -> Option<mpsc::Receiver<AppLog>> {
        let mut tail = self.app(app)?.handle.subscribe();
        let (out, lines) = mpsc::channel(TAIL);
        tokio::spawn(async move {
            // A full channel holds this task up; the supervisor's own tail then counts what is lost.
            while let Some(event) = tail.next().await {
                if out.send(report::log(&event)).await.is_err() {
                    return;
                }
            }
        });
        Some(lines)
    }
}

#[cfg(test)]
mod tests;
