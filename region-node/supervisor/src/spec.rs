//! What to run: an app's command, how many workers of it, and its limits in time.

use std::{collections::BTreeMap, io, net::IpAddr, path::PathBuf, time::Duration};

/// One app of a region.
#[derive(Debug, Clone)]
pub struct AppSpec {
    /// The app's name, in logs and in the workers' environment.
    pub name: String,
    /// Program and arguments. A program without `/` is looked up in `PATH`.
    pub command: Vec<String>,
    /// How many workers.
    pub instances: u16,
    /// Added to the workers' environment; wins over what the supervisor sets, except `PORT`, `HOST` and `NODE_APP_INSTANCE`.
    pub env: BTreeMap<String, String>,
    /// Where the workers run; `None` for the region's own directory.
    pub cwd: Option<PathBuf>,
    /// The address that workers listen on, given to them as `HOST`.
    pub host: IpAddr,
    /// The ports that workers listen on, given to them as `PORT`.
    pub ports: PortChoice,
    /// The path that answers 2xx when a worker is ready. If it answers 404, listening counts as ready.
    pub ready_path: String,
    /// The region's name, given to the workers as `REGION`.
    pub region: String,
    /// The region's Redis port as a URL, given to the workers as `REDIS_URL`.
    pub redis_url: String,
    /// Limits in time.
    pub timing: Timing,
}

/// How ports are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// Any that the operating system has free.
    Any,
    /// The first free ones from here on.
    From(u16),
}

/// Limits in time of an app's workers.
#[derive(Debug, Clone)]
pub struct Timing {
    /// A health check must be answered so soon.
    pub probe_timeout: Duration,
    /// A worker that is not ready for so long is replaced.
    pub ready_timeout: Duration,
    /// A worker must end so soon after SIGTERM.
    pub kill_timeout: Duration,
    /// The first pause before a restart; each next one is half as long again.
    pub backoff_first: Duration,
    /// The longest pause before a restart.
    pub backoff_max: Duration,
    /// A worker that ran so long starts again with the first pause.
    pub backoff_reset: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            probe_timeout: Duration::from_secs(1),
            ready_timeout: Duration::from_secs(30),
            kill_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(15),
            backoff_reset: Duration::from_secs(30),
        }
    }
}

/// Why an app could not be started at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to run.
    #[error("app {app}: the command is empty; give a program and its arguments, like [\"node\", \"server.js\"]")]
    NoCommand {
        /// The app.
        app: String,
    },
    /// Nothing would run.
    #[error("app {app}: instances is 0; give the number of workers, at least 1")]
    NoInstances {
        /// The app.
        app: String,
    },
    /// No such program.
    #[error("app {app}: the program `{program}` was not found {place}; install it, or give its full path")]
    NotFound {
        /// The app.
        app: String,
        /// The program as given.
        program: String,
        /// Where it was looked for.
        place: String,
    },
    /// A file that cannot be run.
    #[error(
        "app {app}: `{program}` is not executable; run `chmod +x {program}`, or put its interpreter before it, like [\"node\", \"{program}\"]"
    )]
    NotExecutable {
        /// The app.
        app: String,
        /// The program as given.
        program: String,
    },
    /// No such directory.
    #[error("app {app}: its directory {} does not exist; create it, or correct `cwd`", cwd.display())]
    NoDirectory {
        /// The app.
        app: String,
        /// The directory as given.
        cwd: PathBuf,
    },
    /// The thread that starts processes could not be made.
    #[error("cannot start the thread that starts workers: {0}")]
    Thread(#[source] io::Error),
}
