//! The apps of a region: what runs, how it does, and what people do to it. Served by each region for itself, never forwarded.
//!
//! ```text
//! GET  /v1/apps                AppsReport              GET  /v1/apps/NAME/logs?lines&follow&slot   lines of AppLog
//! POST /v1/apps                ChangeApp → lines of ChangeEvent: every app as its file says now
//! GET  /v1/apps/NAME           AppDescription
//! POST /v1/apps/NAME/reload restart stop start scale rollback   ChangeApp → lines of ChangeEvent
//! ```
//!
//! A change is answered at once, and told line by line as it goes on; the last line is `done` or `failed`. It goes on when nobody
//! listens any more.

use std::net::SocketAddr;

use http::Method;
use model::RegionName;
use serde::{Deserialize, Serialize};

/// `GET`: [`AppsReport`]. `POST`: [`ChangeApp`]. More with `/NAME`.
pub const APPS: &str = "/v1/apps";
/// The media type of answers that are one JSON object a line.
pub const LINES: &str = "application/x-ndjson";

/// The apps of a region: `GET /v1/apps`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppsReport {
    /// The region that answers.
    pub region: RegionName,
    /// The file that says what runs. `None`: the region's own configuration.
    pub file: Option<String>,
    /// Each app, by name.
    pub apps: Vec<AppReport>,
}

/// One app of a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppReport {
    /// Its name.
    pub name: String,
    /// The release that runs; each reload and roll-back makes a new one.
    pub release: u32,
    /// Whether there is a release to roll back to.
    pub can_roll_back: bool,
    /// How many workers it should have.
    pub instances: u16,
    /// How many of them take requests.
    pub ready: u16,
    /// It was stopped by hand.
    pub stopped: bool,
    /// The change that goes on now, in words.
    pub doing: Option<String>,
    /// Its workers by slot; while one replaces another there are two in their slot, the older one first.
    pub workers: Vec<WorkerReport>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its slot, from 0.
    pub slot: u16,
    /// Which start of a process this is.
    pub life: u64,
    /// The release that it runs.
    pub release: u32,
    /// `starting`, `ready`, `unhealthy`, `draining`, `backing-off`, `stopping` or `stopped`.
    pub state: String,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Its process.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How long its present life has lasted, milliseconds.
    pub uptime_ms: Option<u64>,
    /// Memory of it and of what it started, bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time over the last second, thousandths of one core.
    pub cpu_permille: Option<u32>,
    /// What its event loop tells.
    pub event_loop: Option<EventLoopReport>,
    /// What it says of itself.
    pub says: Option<String>,
    /// What is wrong, and what to do about it.
    pub problem: Option<String>,
}

/// A second of a Node worker's event loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EventLoopReport {
    /// Time in which it was busy, thousandths.
    pub utilisation_permille: u16,
    /// Delay, median, milliseconds.
    pub delay_p50_ms: f64,
    /// Delay, 99th percentile, milliseconds.
    pub delay_p99_ms: f64,
    /// Delay, the longest, milliseconds.
    pub delay_max_ms: f64,
    /// V8's heap in use, bytes.
    pub heap_used_bytes: u64,
    /// V8's heap, bytes.
    pub heap_total_bytes: u64,
    /// Time spent collecting garbage, milliseconds.
    pub gc_ms: f64,
    /// Open sockets, timers, files.
    pub active_handles: u32,
}

/// One app, and how it is configured: `GET /v1/apps/NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppDescription {
    /// The region that answers.
    pub region: RegionName,
    /// How it does.
    #[serde(flatten)]
    pub app: AppReport,
    /// The file that says what runs. `None`: the region's own configuration.
    pub file: Option<String>,
    /// The configuration in force as TOML, with all that is not the default. Values of variables are hidden.
    pub toml: String,
    /// What whoever wrote the file should know.
    pub notes: Vec<String>,
    /// How long it is until the clock restarts it, milliseconds; `None`: the clock does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_restart_in_ms: Option<u64>,
}

/// How a change is meant: body of every `POST`, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeApp {
    /// `scale`: how many workers. Until the next reload, which goes by the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u16>,
    /// `reload`: which `env_NAME` of an ecosystem file is taken, from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// What people do to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppVerb {
    /// The file is read again; workers are replaced one by one.
    Reload,
    /// The same workers anew, one by one.
    Restart,
    /// All workers end.
    Stop,
    /// They are started again.
    Start,
    /// More workers, or fewer.
    Scale,
    /// Back to the release before.
    Rollback,
}

impl AppVerb {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Reload, Self::Restart, Self::Stop, Self::Start, Self::Scale, Self::Rollback];

    /// As paths and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Scale => "scale",
            Self::Rollback => "rollback",
        }
    }
}

/// A route of a region's apps. The region serves each of them, and `/openapi.json` describes each: both match on this type, so
/// neither can know of one that the other does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppRoute {
    /// [`AppsReport`].
    List,
    /// [`ChangeApp`] → lines of [`ChangeEvent`], for every app of the file.
    ReloadAll,
    /// [`AppDescription`].
    Describe,
    /// [`LogsWanted`] → lines of [`AppLog`].
    Logs,
    /// [`ChangeApp`] → lines of [`ChangeEvent`], for one app.
    Change(AppVerb),
}

impl AppRoute {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let fixed = [Self::List, Self::ReloadAll, Self::Describe, Self::Logs];
        fixed.into_iter().chain(AppVerb::ALL.map(Self::Change))
    }

    /// How it is asked.
    pub fn method(self) -> Method {
        match self {
            Self::List | Self::Describe | Self::Logs => Method::GET,
            Self::ReloadAll | Self::Change(_) => Method::POST,
        }
    }

    /// Where, with the app's name left open: `/v1/apps/{app}/logs`.
    pub fn path(self) -> String {
        match self {
            Self::List | Self::ReloadAll => APPS.to_owned(),
            Self::Describe => format!("{APPS}/{{app}}"),
            Self::Logs => format!("{APPS}/{{app}}/logs"),
            Self::Change(verb) => format!("{APPS}/{{app}}/{}", verb.as_str()),
        }
    }
}

/// One line of a change that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChangeEvent {
    /// What whoever wrote the file should know.
    Note {
        /// In one line.
        text: String,
    },
    /// Something happened to a worker.
    Step {
        /// The app.
        app: String,
        /// The worker's slot.
        slot: u16,
        /// The release that the step is about.
        release: u32,
        /// `starting`, `ready`, `draining`, `ended`, `failed` or `rolling_back`.
        what: String,
        /// The same in words.
        text: String,
        /// How many workers were dealt with.
        done: u16,
        /// How many there are to deal with.
        of: u16,
    },
    /// Nothing new; the change goes on.
    Alive,
    /// It is done. The last line.
    Done {
        /// In words.
        text: String,
        /// The apps that it was about, each with the release that it runs now.
        apps: Vec<AppDone>,
        /// How long it took, milliseconds.
        took_ms: u64,
    },
    /// It did not go through; what ran before runs on. The last line.
    Failed {
        /// `busy`, `refused`, `not_ready`, `stopped` or `no_previous`.
        kind: String,
        /// What happened, to what, and what to do.
        why: String,
        /// The last lines of the worker that did not become ready.
        last_lines: Vec<String>,
    },
}

/// What an app is after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDone {
    /// The app.
    pub name: String,
    /// The release that it runs now.
    pub release: u32,
    /// How many workers it has now.
    pub instances: u16,
}

/// Which lines of output are wanted: query of `GET /v1/apps/NAME/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogsWanted {
    /// So many that were written already; 20 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// `1`: and those to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<u8>,
    /// Of this worker only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
}

/// One line of an answer to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AppLog {
    /// A line of output, or a piece of a longer one.
    Line {
        /// When it was read, Unix milliseconds.
        time_ms: u64,
        /// The worker's slot.
        slot: u16,
        /// The start of the process that wrote it.
        life: u64,
        /// Whether it was written to standard error.
        error: bool,
        /// The text.
        text: String,
        /// The line goes on in the next piece.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// The reader was too slow: so many lines are missing here.
    Lost {
        /// How many.
        lines: u64,
    },
    /// Nothing new.
    Alive,
}
