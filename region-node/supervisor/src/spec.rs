//! What to run: an app's command, how many workers of it, how they say that they are well, and their limits.

use std::{collections::BTreeMap, io, net::IpAddr, path::PathBuf, time::Duration};

use rustix::process::Signal;

use crate::pattern::Pattern;

/// One app of a region. `AppSpec::new` has the defaults; a caller changes what it knows better.
#[derive(Debug, Clone)]
pub struct AppSpec {
    /// The app's name, in logs and in the workers' environment.
    pub name: String,
    /// Program and arguments. A program without `/` is looked up in `PATH`.
    pub command: Vec<String>,
    /// How many workers, at least 1.
    pub instances: u16,
    /// Added to the workers' environment; wins over what the supervisor sets, except `PORT`, `HOST` and `NODE_APP_INSTANCE`.
    pub env: BTreeMap<String, String>,
    /// Where the workers run; `None` for the region's own directory.
    pub cwd: Option<PathBuf>,
    /// The address that workers listen on, given to them as `HOST`.
    pub host: IpAddr,
    /// The ports that workers listen on, given to them as `PORT`.
    pub ports: PortChoice,
    /// Pass the worker a socket that listens already, as systemd does (`LISTEN_FDS=1`, descriptor 3, `LISTEN_PID`).
    pub listen_fds: bool,
    /// How a worker says that requests may come.
    pub ready: Ready,
    /// The path that answers 2xx while a worker is well, asked for its whole life. If it answers 404, listening counts as
    /// well. `None`: no such check, unless `ready` is `Http`, which then asks for `/`.
    pub health_path: Option<String>,
    /// The region's name, given to the workers as `REGION` (and `FLY_REGION`).
    pub region: String,
    /// The region that owns what has one home, given as `PRIMARY_REGION`; `None` leaves the variable out.
    pub primary_region: Option<String>,
    /// The region's Redis port as a URL, given to the workers as `REDIS_URL`.
    pub redis_url: String,
    /// The node's own address for apps as a URL, given as `REGION_NODE_URL`; `None` leaves the variable out.
    pub region_node_url: Option<String>,
    /// Load the embedded preload into Node.js workers (`NODE_OPTIONS`); others do not notice it.
    pub preload: bool,
    /// Give each worker a control group (cgroup v2) of its own where that is possible, so that nothing of it can escape its end.
    pub cgroup: bool,
    /// When a worker is replaced although it runs.
    pub limits: Limits,
    /// How a worker is asked to end.
    pub stop: StopSpec,
    /// What becomes of the workers' output.
    pub log: LogSpec,
    /// Limits in time.
    pub timing: Timing,
}

impl AppSpec {
    /// One worker of `command` at 127.0.0.1 on any free port, ready when `/healthz` answers 2xx or 404.
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            command,
            instances: 1,
            env: BTreeMap::new(),
            cwd: None,
            host: IpAddr::from([127, 0, 0, 1]),
            ports: PortChoice::Any,
            listen_fds: false,
            ready: Ready::Http,
            health_path: Some("/healthz".to_owned()),
            region: String::new(),
            primary_region: None,
            redis_url: String::new(),
            region_node_url: None,
            preload: true,
            cgroup: true,
            limits: Limits::default(),
            stop: StopSpec::default(),
            log: LogSpec::default(),
            timing: Timing::default(),
        }
    }
}

/// How ports are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// Any that the operating system has free.
    Any,
    /// The first free ones from here on.
    From(u16),
}

/// How a worker says that requests may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// `health_path` answers 2xx (or 404, which says that it listens).
    Http,
    /// It accepts connections on its port.
    Tcp,
    /// It writes a line that the pattern finds.
    Log(Pattern),
    /// It sends `READY=1` to `NOTIFY_SOCKET`, as services of systemd do.
    SdNotify,
    /// It calls `process.send('ready')`, as under PM2 with `wait_ready`.
    Ipc,
    /// It has run for a second, or done its work sooner: for programs that listen nowhere.
    Started,
}

/// When a worker is replaced although it runs. In each case but a blocked event loop the new one is ready before the old one ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Memory of the worker and of what it started, bytes; looked at each second.
    pub memory_bytes: Option<u64>,
    /// Replaced after so long, give or take a tenth.
    pub lifetime: Option<Duration>,
    /// The 99th percentile of event-loop delay in a second; a worker is replaced when 5 of its last 10 seconds are above.
    pub event_loop_lag: Option<Duration>,
    /// A Node.js worker whose event loop has told nothing for so long is taken out of use and ended: it is blocked.
    pub heartbeat_timeout: Option<Duration>,
    /// With `Ready::SdNotify`: `WATCHDOG_USEC`; a worker that has not sent `WATCHDOG=1` for so long is hung.
    pub watchdog: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            lifetime: None,
            event_loop_lag: None,
            heartbeat_timeout: Some(Duration::from_secs(10)),
            watchdog: None,
        }
    }
}

/// How a worker is asked to end, once no request is in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopSpec {
    /// The signal, to the whole process group.
    pub signal: StopSignal,
    /// Send the IPC message `shutdown` in place of the signal, as PM2 does with `shutdown_with_message`.
    pub with_message: bool,
    /// Exit statuses that mean that the worker has done its work and is not started again.
    pub exit_codes: Vec<i32>,
}

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopSignal {
    /// `SIGTERM`, which everything but PM2 sends.
    #[default]
    Term,
    /// `SIGINT`, which PM2 sends.
    Int,
    /// `SIGQUIT`.
    Quit,
    /// `SIGHUP`.
    Hup,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGUSR2`.
    Usr2,
    /// `SIGKILL`: no asking.
    Kill,
}

impl StopSignal {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Term, "SIGTERM"),
        (Self::Int, "SIGINT"),
        (Self::Quit, "SIGQUIT"),
        (Self::Hup, "SIGHUP"),
        (Self::Usr1, "SIGUSR1"),
        (Self::Usr2, "SIGUSR2"),
        (Self::Kill, "SIGKILL"),
    ];

    /// Reads `SIGTERM` and `TERM`, in any case; `None` for what is none of the seven.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let text = text.strip_prefix("SIG").unwrap_or(&text);
        Self::ALL.iter().find(|(_, name)| name.strip_prefix("SIG") == Some(text)).map(|(signal, _)| *signal)
    }

    /// `SIGTERM` and so on.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(signal, _)| *signal == self).map_or("SIGTERM", |(_, name)| name)
    }
}

impl From<StopSignal> for Signal {
    fn from(signal: StopSignal) -> Self {
        match signal {
            StopSignal::Term => Self::TERM,
            StopSignal::Int => Self::INT,
            StopSignal::Quit => Self::QUIT,
            StopSignal::Hup => Self::HUP,
            StopSignal::Usr1 => Self::USR1,
            StopSignal::Usr2 => Self::USR2,
            StopSignal::Kill => Self::KILL,
        }
    }
}

/// What becomes of the workers' output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// Lines kept in memory per worker, 1 MiB of them at most.
    pub keep_lines: usize,
    /// Put lines into the region's own log too.
    pub forward: bool,
    /// Write them to a file as well.
    pub file: Option<LogFile>,
}

impl Default for LogSpec {
    fn default() -> Self {
        Self { keep_lines: 1000, forward: true, file: None }
    }
}

/// A log file of an app, all its workers in one, with rotation: `out.log`, then `out.log.1` and so on, the oldest last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path. Its directory is made if it does not exist.
    pub path: PathBuf,
    /// Rotated when it would grow above this.
    pub max_bytes: u64,
    /// How many rotated ones are kept besides it.
    pub keep: u16,
    /// One JSON object a line (`time_ms`, `app`, `worker`, `life`, `stream`, `text`) in place of the bare text.
    pub json: bool,
}

/// Limits in time of an app's workers.
#[derive(Debug, Clone)]
pub struct Timing {
    /// A health check must be answered so soon.
    pub probe_timeout: Duration,
    /// Pause between checks of a worker that is well; in doubt it is a quarter of that, half a second at most.
    pub probe_interval: Duration,
    /// Checks that fail in a row until a worker is unhealthy, at least 1.
    pub probe_failures: u16,
    /// Checks that pass in a row until an unhealthy worker is ready again, at least 1.
    pub probe_successes: u16,
    /// A worker that is not ready for so long is replaced.
    pub ready_timeout: Duration,
    /// Requests in flight may take so long to finish before their worker is asked to end.
    pub drain_timeout: Duration,
    /// A worker must end so soon after it was asked to.
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
            probe_interval: Duration::from_secs(2),
            probe_failures: 3,
            probe_successes: 2,
            ready_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
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
    /// The directory for the app's sockets and the preload could not be made.
    #[error("app {app}: cannot make a private directory at {}: {source}; is there room, and may this user write there?", dir.display())]
    Directory {
        /// The app.
        app: String,
        /// Where.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log file cannot be written.
    #[error("app {app}: cannot write its log file {}: {source}; correct the path, or what this user may write", path.display())]
    LogFile {
        /// The app.
        app: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_with_and_without_sig() {
        for (text, expected) in [("SIGTERM", "SIGTERM"), ("int", "SIGINT"), ("SigUsr2", "SIGUSR2"), ("KILL", "SIGKILL")]
        {
            assert_eq!(StopSignal::parse(text).map(StopSignal::name), Some(expected), "{text}");
        }
        assert_eq!(StopSignal::parse("SIGWINCH"), None);
        assert_eq!(StopSignal::parse(""), None);
    }
}
