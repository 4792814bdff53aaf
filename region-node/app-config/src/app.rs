//! What an app file says of one app, in plain types. Data only; what is left out has its default here and nowhere else.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::cron::Cron;

/// Words that a key may have, as an enum.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$word_doc])* $variant,)+ }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// As files write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads one of the words.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

/// One app: what to run, which requests go there, how it is looked after.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Its name: lower case letters, digits and `-`, as in host names.
    pub name: String,
    /// Program and arguments. A program without `/` is looked up in `PATH`, one with a `/` from `cwd` on.
    pub command: Vec<String>,
    /// How many workers in each region.
    pub instances: Instances,
    /// Where the workers run; absolute once the file was read.
    pub cwd: PathBuf,
    /// Added to the workers' environment.
    pub env: BTreeMap<String, String>,
    /// `.env` files, the later ones win; `env` wins over all of them.
    pub env_file: Vec<String>,
    /// What the `.env` files said.
    pub env_of_files: BTreeMap<String, String>,
    /// Variables of the region's own environment that workers do not inherit: parts of their names. `*`: all.
    pub without_env: Vec<String>,
    /// The region that owns what has one home, told to workers as `PRIMARY_REGION`.
    pub primary_region: Option<String>,
    /// Hosts whose requests go there; all that no other app has named if this and `paths` are empty. `*.shop.test`: one label more.
    pub hosts: Vec<String>,
    /// Path prefixes whose requests go there; whole segments.
    pub paths: Vec<String>,
    /// Whether users reach it through the gateway at all.
    pub public: bool,
    /// Under which name other apps of the region reach it: `http://NAME.internal`. Empty: under none.
    pub internal: String,
    /// What its workers speak.
    pub protocol: Protocol,
    /// The path that answers 2xx when a worker is well. Where it answers 404, listening is enough.
    pub health: String,
    /// How it is known that a worker can take requests.
    pub ready: Ready,
    /// A worker that is not ready so soon is given up.
    pub ready_timeout: Duration,
    /// How long requests may finish before a worker is asked to end.
    pub drain_timeout: Duration,
    /// The signal that asks a worker to end.
    pub kill_signal: KillSignal,
    /// A worker that was asked to end and has not is killed after this time.
    pub kill_timeout: Duration,
    /// Whether the IPC message `shutdown` takes the signal's place, as with PM2's `shutdown_with_message`.
    pub shutdown_message: bool,
    /// A worker that takes more memory, bytes, is replaced, the new one first.
    pub max_memory: Option<u64>,
    /// Whether a worker that ended is started again.
    pub restart: bool,
    /// Exit codes that mean: done, do not start again.
    pub stop_exit_codes: Vec<u8>,
    /// The first pause before a restart; each next one is half as long again.
    pub restart_delay: Duration,
    /// The longest pause before a restart.
    pub restart_delay_max: Duration,
    /// A worker that ran so long starts again with the first pause.
    pub min_uptime: Duration,
    /// When all workers are replaced by the clock, the new ones first.
    pub restart_at: Vec<Cron>,
    /// Whether workers are given a socket that listens already, as systemd does (`LISTEN_FDS`).
    pub listen_fds: bool,
    /// Whether Node workers load the preload.
    pub preload: bool,
    /// A second name for the variable `NODE_APP_INSTANCE`.
    pub instance_var: Option<String>,
    /// A variable whose number grows by one from worker to worker; `env` has the first one's.
    pub increment_var: Option<String>,
    /// Looking after workers that are ready.
    pub liveness: Liveness,
    /// Which worker a request goes to.
    pub balance: Balance,
    /// What protects workers and users from each other.
    pub protect: Protect,
    /// What becomes of workers' output.
    pub log: Log,
}

/// How many workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// So many.
    Count(u16),
    /// One for each core, but for so many.
    CoresBut(u16),
}

impl Instances {
    /// `"max"`.
    pub const MAX: Self = Self::CoresBut(0);

    /// How many that is on a machine with so many cores; 1 at least.
    pub fn on(self, cores: usize) -> u16 {
        let cores = u16::try_from(cores).unwrap_or(u16::MAX);
        match self {
            Self::Count(count) => count,
            Self::CoresBut(spare) => cores.saturating_sub(spare).max(1),
        }
    }
}

/// How it is known that a worker can take requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// Its health path answers.
    Http,
    /// It accepts connections.
    Tcp,
    /// A line of its output has this text in it.
    Log(String),
    /// It tells by `sd_notify(READY=1)`.
    SdNotify,
    /// It tells by `process.send('ready')`.
    Ipc,
    /// It runs. For programs that listen nowhere; no requests go there.
    Started,
}

words! {
    /// What workers speak.
    Protocol {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2 without TLS, from the first byte on; gRPC needs it.
        H2c = "h2c",
    }
}

words! {
    /// The signal that asks a worker to end.
    KillSignal {
        /// The usual one.
        Term = "SIGTERM",
        /// As Ctrl-C; PM2's default.
        Int = "SIGINT",
        /// What some servers understand as "finish first".
        Quit = "SIGQUIT",
        /// Hang up.
        Hup = "SIGHUP",
        /// For programs with a meaning of their own for it.
        Usr1 = "SIGUSR1",
        /// The same.
        Usr2 = "SIGUSR2",
        /// No asking.
        Kill = "SIGKILL",
    }
}

words! {
    /// What is looked at while a worker runs.
    LiveCheck {
        /// Its health path.
        Health = "health",
        /// Nothing but whether it runs, and its heartbeat.
        Off = "off",
    }
}

/// Looking after workers that are ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Liveness {
    /// What is looked at.
    pub check: LiveCheck,
    /// How soon it must answer.
    pub timeout: Duration,
    /// How often it is asked while it is well; in doubt four times as often, and each half second at least.
    pub interval: Duration,
    /// So many checks that fail in a row take a worker out of use.
    pub failures: u16,
    /// So many that pass in a row bring it back.
    pub successes: u16,
    /// A Node worker whose event loop gave no sign for so long is ended: it is blocked.
    pub max_silence: Option<Duration>,
    /// A worker that is so old is replaced, give or take a tenth.
    pub max_age: Option<Duration>,
    /// A worker that tells of itself by `sd_notify`, and has not for so long, is ended.
    pub watchdog: Option<Duration>,
}

words! {
    /// Which worker a request goes to.
    Policy {
        /// The one that would answer soonest: latency, requests under way, failures, event loop.
        Ewma = "ewma",
        /// One after the other.
        RoundRobin = "round-robin",
        /// The one with the fewest requests under way.
        LeastConnections = "least-connections",
        /// By the client's address.
        IpHash = "ip-hash",
        /// By rendezvous hashing of `hash`, with a bound on what one worker gets.
        Rendezvous = "rendezvous",
    }
}

words! {
    /// Whether a user stays with a worker.
    Sticky {
        /// No.
        Off = "off",
        /// By a signed cookie that names the worker's slot.
        Cookie = "cookie",
    }
}

/// Which worker a request goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// How one is chosen.
    pub policy: Policy,
    /// Whether a user stays with a worker.
    pub sticky: Sticky,
    /// A new worker gets its full share only after so long.
    pub slow_start: Duration,
    /// What `rendezvous` goes by: `ip`, `path`, `header:NAME`, `cookie:NAME`.
    pub hash: String,
    /// How much more than the mean one worker may have under way with `rendezvous`, thousandths: 1250 is a quarter more.
    pub hash_bound_permille: u32,
}

/// What protects workers and users from each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Protect {
    /// Retries in proportion to requests, thousandths.
    pub retry_budget_permille: u32,
    /// Retries a second that are always possible.
    pub retry_floor: u16,
    /// Whether workers that fail are left out for a while.
    pub breaker: bool,
    /// So many failures to connect or to answer in a row leave a worker out.
    pub breaker_failures: u16,
    /// For how long at first; twice as long each next time.
    pub breaker_open: Duration,
    /// For how long at most.
    pub breaker_open_max: Duration,
    /// With fewer workers than this in use, thousandths, all of them are used.
    pub panic_permille: u32,
    /// A worker whose event loop lags more, most of the time, is replaced, the new one first.
    pub max_event_loop_lag: Option<Duration>,
    /// Requests under way on one worker at most.
    pub max_in_flight: Option<u64>,
    /// Requests under way on all workers of the app in a region at most.
    pub max_in_flight_total: Option<u64>,
    /// From the request's head to the first byte of its answer at most.
    pub request_timeout: Duration,
    /// A request's body at most, bytes; `None`: any.
    pub max_body: Option<u64>,
    /// A file that is sent instead of an error when no worker can answer.
    pub fallback: Option<String>,
}

words! {
    /// How lines of output are kept.
    LogFormat {
        /// As they are.
        Text = "text",
        /// One JSON object a line, with time, worker and stream.
        Json = "json",
    }
}

/// What becomes of workers' output.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The file for standard output and standard error of all workers; in the region's data directory if left out. `{region}` in it
    /// stands for the region's name.
    pub file: Option<String>,
    /// How lines are kept.
    pub format: LogFormat,
    /// A file of this size, bytes, is put aside and a new one begun.
    pub max_size: u64,
    /// So many files that were put aside are kept.
    pub keep: u16,
}

impl Default for App {
    fn default() -> Self {
        Self {
            name: "app".into(),
            command: Vec::new(),
            instances: Instances::Count(1),
            cwd: PathBuf::new(),
            env: BTreeMap::new(),
            env_file: Vec::new(),
            env_of_files: BTreeMap::new(),
            without_env: Vec::new(),
            primary_region: None,
            hosts: Vec::new(),
            paths: Vec::new(),
            public: true,
            internal: String::new(),
            protocol: Protocol::Http1,
            health: "/healthz".into(),
            ready: Ready::Http,
            ready_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            kill_signal: KillSignal::Term,
            kill_timeout: Duration::from_secs(10),
            shutdown_message: false,
            max_memory: None,
            restart: true,
            stop_exit_codes: Vec::new(),
            restart_delay: Duration::from_millis(100),
            restart_delay_max: Duration::from_secs(15),
            min_uptime: Duration::from_secs(30),
            restart_at: Vec::new(),
            listen_fds: false,
            preload: true,
            instance_var: None,
            increment_var: None,
            liveness: Liveness {
                check: LiveCheck::Health,
                timeout: Duration::from_secs(1),
                interval: Duration::from_secs(2),
                failures: 3,
                successes: 2,
                max_silence: Some(Duration::from_secs(10)),
                max_age: None,
                watchdog: None,
            },
            balance: Balance {
                policy: Policy::Ewma,
                sticky: Sticky::Off,
                slow_start: Duration::from_secs(10),
                hash: "ip".into(),
                hash_bound_permille: 1250,
            },
            protect: Protect {
                retry_budget_permille: 200,
                retry_floor: 10,
                breaker: true,
                breaker_failures: 3,
                breaker_open: Duration::from_secs(1),
                breaker_open_max: Duration::from_secs(60),
                panic_permille: 500,
                max_event_loop_lag: None,
                max_in_flight: None,
                max_in_flight_total: Some(100_000),
                request_timeout: Duration::from_secs(60),
                max_body: None,
                fallback: None,
            },
            log: Log { file: None, format: LogFormat::Text, max_size: 16 << 20, keep: 5 },
        }
    }
}

impl App {
    /// What is added to the workers' environment: what the `.env` files say, and over it what `env` says.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let both = self.env_of_files.iter().chain(&self.env);
        both.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Whether it takes every request that no other app has named.
    pub fn is_default(&self) -> bool {
        self.public && self.hosts.is_empty() && self.paths.is_empty()
    }

    /// The number that `increment_var` has in a worker's environment, and its name.
    pub fn incremented(&self, slot: u16) -> Option<(&str, u64)> {
        let name = self.increment_var.as_deref()?;
        let first: u64 = self.environment().get(name).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Some((name, first.saturating_add(u64::from(slot))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_go_by_the_number_of_cores() {
        for (instances, cores, wanted) in [
            (Instances::Count(3), 1, 3),
            (Instances::MAX, 8, 8),
            (Instances::CoresBut(1), 8, 7),
            (Instances::CoresBut(1), 1, 1),
            (Instances::CoresBut(9), 8, 1),
            (Instances::MAX, 0, 1),
        ] {
            assert_eq!(instances.on(cores), wanted, "{instances:?} on {cores}");
        }
    }

    #[test]
    fn env_wins_over_files_and_a_number_grows_from_worker_to_worker() {
        let of_files = BTreeMap::from([("A".to_owned(), "file".to_owned()), ("B".to_owned(), "file".to_owned())]);
        let env = BTreeMap::from([("A".to_owned(), "env".to_owned()), ("N".to_owned(), "7000".to_owned())]);
        let app = App { env_of_files: of_files, env, increment_var: Some("N".into()), ..App::default() };
        let environment = app.environment();
        assert_eq!((environment["A"].as_str(), environment["B"].as_str()), ("env", "file"));
        assert_eq!(app.incremented(2), Some(("N", 7002)));
    }
}
