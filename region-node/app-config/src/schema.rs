//! The keys of an app file: which kind of value each has, where it goes, what it is for. Said once; four readers:
//!
//! ```text
//!          ┌─ toml_file.rs   unknown keys and wrong values, each at its line
//! TABLES ──┼─ print.rs       an app as TOML again
//!          ├─ pm2/           `atoll: { … }` inside of an ecosystem file
//!          └─ docs.rs        the tables of docs/app.md, in a test
//! ```
//!
//! Defaults stand in [`App::default`] alone; the docs ask it.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use crate::{
    app::{App, Instances, KillSignal, LiveCheck, LogFormat, Policy, Protocol, Ready, Sticky},
    cron::Cron,
    units,
};

/// What a value must be.
pub(crate) enum Kind {
    /// A text that is not empty.
    Text,
    /// A list of texts, each not empty; for some keys a single text will do.
    Texts {
        /// Whether a text alone stands for a list of one.
        or_one: bool,
    },
    /// A whole number.
    Whole(RangeInclusive<u64>),
    /// A time, milliseconds.
    Time(RangeInclusive<u64>),
    /// A size, bytes.
    Size(RangeInclusive<u64>),
    /// A share, thousandths.
    Share(RangeInclusive<u32>),
    /// `true` or `false`, `"on"` or `"off"`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A path of URLs.
    Path,
    /// How many workers.
    Instances,
    /// How a worker tells that it is ready.
    Ready,
    /// Variables by name: texts, numbers, `true` and `false`.
    Env,
    /// Exit codes.
    Codes,
    /// Times of the clock as cron writes them; one text, or a list.
    Crons,
    /// The name of an app inside of a region; empty for none.
    Name,
    /// The name of a region.
    Region,
    /// What rendezvous hashing goes by.
    Hash,
}

/// A value that is of its kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    Whole(u64),
    Time(Duration),
    Size(u64),
    Share(u32),
    Switch(bool),
    Instances(Instances),
    Ready(Ready),
    Env(BTreeMap<String, String>),
    Codes(Vec<u8>),
    Crons(Vec<Cron>),
}

/// A table of an app.
pub(crate) struct Table {
    /// Its key below the app; empty for the app itself.
    pub(crate) key: &'static str,
    /// What it is, for errors.
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What holds when it is left out, in words, where a value does not say it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the docs are made by a test"))]
    pub(crate) unsaid: Option<&'static str>,
    /// What the app has; `None` if nothing.
    pub(crate) get: fn(&App) -> Option<Value>,
    /// Puts a value of the key's kind into the app. False: it was of another kind, which is a mistake of this file.
    pub(crate) set: fn(&mut App, Value) -> bool,
    /// Takes the value away, where `"off"` can mean that.
    pub(crate) clear: Option<fn(&mut App)>,
    /// What it is for, as the docs tell it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the docs are made by a test"))]
    pub(crate) doc: &'static str,
}

impl Key {
    const fn unsaid(self, words: &'static str) -> Self {
        Self { unsaid: Some(words), ..self }
    }
}

/// A key for a field that always has a value.
macro_rules! key {
    ($key:literal, $kind:expr, $variant:ident, $($field:ident).+, $doc:literal) => {
        Key {
            key: $key,
            kind: $kind,
            unsaid: None,
            get: |app| Some(Value::$variant(app.$($field).+.clone().into())),
            set: |app, value| match value {
                Value::$variant(value) => match value.try_into() {
                    Ok(value) => { app.$($field).+ = value; true }
                    Err(_) => false,
                },
                _ => false,
            },
            clear: None,
            doc: $doc,
        }
    };
}

/// A key for a field that may be left empty.
macro_rules! maybe {
    ($key:literal, $kind:expr, $variant:ident, $($field:ident).+, $unsaid:literal, $doc:literal) => {
        Key {
            key: $key,
            kind: $kind,
            unsaid: Some($unsaid),
            get: |app| app.$($field).+.clone().map(Value::$variant),
            set: |app, value| match value {
                Value::$variant(value) => { app.$($field).+ = Some(value); true }
                _ => false,
            },
            clear: Some(|app| app.$($field).+ = None),
            doc: $doc,
        }
    };
}

/// A key for a field that is one of some words.
macro_rules! word {
    ($key:literal, $type:ident, $($field:ident).+, $doc:literal) => {
        Key {
            key: $key,
            kind: Kind::Word($type::WORDS),
            unsaid: None,
            get: |app| Some(Value::Text(app.$($field).+.as_str().to_owned())),
            set: |app, value| match value {
                Value::Text(word) => match $type::from_word(&word) {
                    Some(word) => { app.$($field).+ = word; true }
                    None => false,
                },
                _ => false,
            },
            clear: None,
            doc: $doc,
        }
    };
}

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
const TEXTS: Kind = Kind::Texts { or_one: true };

/// All tables of an app.
pub(crate) static TABLES: [&Table; 5] = [&APP, &LIVENESS, &BALANCE, &PROTECT, &LOG];

static APP: Table = Table {
    key: "",
    what: "an app",
    keys: &[
        Key {
            key: "command",
            kind: Kind::Texts { or_one: false },
            unsaid: Some("needed"),
            get: |app| (!app.command.is_empty()).then(|| Value::Texts(app.command.clone())),
            set: |app, value| match value {
                Value::Texts(command) => {
                    app.command = command;
                    true
                }
                _ => false,
            },
            clear: None,
            doc: "Program and arguments, one text each. A program without `/` is looked up in `PATH`, one with a `/` is found from `cwd` on. No shell is involved",
        },
        key!(
            "instances",
            Kind::Instances,
            Instances,
            instances,
            "Workers in each region: a number, `\"max\"` for one per core, or `-1` for one less than cores; at most 8 per core"
        ),
        Key {
            key: "cwd",
            kind: Kind::Text,
            unsaid: Some("the file's folder"),
            get: |app| (!app.cwd.as_os_str().is_empty()).then(|| Value::Text(app.cwd.display().to_string())),
            set: |app, value| match value {
                Value::Text(cwd) => {
                    app.cwd = cwd.into();
                    true
                }
                _ => false,
            },
            clear: None,
            doc: "Where the workers run; relative to the file",
        },
        key!("env", Kind::Env, Env, env, "Added to the [environment](#what-a-worker-finds)"),
        key!(
            "env_file",
            TEXTS,
            Texts,
            env_file,
            "`.env` files, relative to the file. Later ones win, `env` wins over all. [How they are read](#env-files)"
        ),
        key!(
            "without_env",
            TEXTS,
            Texts,
            without_env,
            "Parts of names of variables that workers do not inherit from the region's process; `\"*\"`: they inherit none but `PATH` and `HOME`"
        ),
        maybe!(
            "primary_region",
            Kind::Region,
            Text,
            primary_region,
            "–",
            "The region that owns what has one home, such as a database that takes writes in one place: `PRIMARY_REGION` of the workers"
        ),
        key!(
            "hosts",
            TEXTS,
            Texts,
            hosts,
            "Requests for these hosts go to this app. `*.shop.test`: any one label before `.shop.test`"
        )
        .unsaid("any host"),
        key!(
            "paths",
            TEXTS,
            Texts,
            paths,
            "Requests whose path begins with one of these, in whole segments, go to this app; the longest one wins"
        )
        .unsaid("any path"),
        key!(
            "public",
            Kind::Switch,
            Switch,
            public,
            "Whether users reach it at all. `false`: only other apps of the region do, by its internal name"
        ),
        key!(
            "internal",
            Kind::Name,
            Text,
            internal,
            "Other apps of the region reach it at `http://NAME.internal`; empty: they do not"
        )
        .unsaid("the app's name"),
        key!(
            "health",
            Kind::Path,
            Text,
            health,
            "Path that answers 2xx when a worker is well. Where it answers 404, listening is enough"
        ),
        word!(
            "protocol",
            Protocol,
            protocol,
            "What workers speak: HTTP/1.1, or HTTP/2 without TLS (gRPC). Workers that speak `h2c` are not asked for `health`"
        ),
        key!(
            "ready",
            Kind::Ready,
            Ready,
            ready,
            "[How a worker tells](#when-is-a-worker-ready) that it can take requests"
        ),
        key!(
            "ready_timeout",
            Kind::Time(100..=HOUR_MS),
            Time,
            ready_timeout,
            "A worker that is not ready so soon is given up: a start is tried again, a reload is taken back"
        ),
        key!(
            "drain_timeout",
            Kind::Time(0..=HOUR_MS),
            Time,
            drain_timeout,
            "Requests under way may finish for so long before a worker is asked to end"
        ),
        word!("kill_signal", KillSignal, kill_signal, "Asks a worker to end"),
        key!(
            "kill_timeout",
            Kind::Time(0..=HOUR_MS),
            Time,
            kill_timeout,
            "After so long SIGKILL follows, to the worker's whole process group"
        ),
        key!(
            "shutdown_message",
            Kind::Switch,
            Switch,
            shutdown_message,
            "Send the message `shutdown` over Node's IPC in place of the signal"
        ),
        maybe!(
            "max_memory",
            Kind::Size((1 << 20)..=(1 << 44)),
            Size,
            max_memory,
            "no limit",
            "A worker that takes more is replaced, the new one first"
        ),
        key!("restart", Kind::Switch, Switch, restart, "Whether a worker that ended is started again"),
        key!("stop_exit_codes", Kind::Codes, Codes, stop_exit_codes, "Exit codes that mean \"done\": no restart")
            .unsaid("none"),
        key!(
            "restart_delay",
            Kind::Time(0..=HOUR_MS),
            Time,
            restart_delay,
            "Pause before a restart; each next one is half as long again"
        ),
        key!(
            "restart_delay_max",
            Kind::Time(0..=HOUR_MS),
            Time,
            restart_delay_max,
            "The longest pause. Restarts never cease"
        ),
        key!(
            "min_uptime",
            Kind::Time(100..=DAY_MS),
            Time,
            min_uptime,
            "A worker that ran so long starts again with the first pause"
        ),
        Key {
            key: "restart_at",
            kind: Kind::Crons,
            unsaid: Some("never"),
            get: |app| (!app.restart_at.is_empty()).then(|| Value::Crons(app.restart_at.clone())),
            set: |app, value| match value {
                Value::Crons(times) => {
                    app.restart_at = times;
                    true
                }
                _ => false,
            },
            clear: Some(|app| app.restart_at = Vec::new()),
            doc: "[When](#restarts-by-the-clock) all workers are replaced, one after another, the new one first",
        },
        key!(
            "listen_fds",
            Kind::Switch,
            Switch,
            listen_fds,
            "Give workers a socket that listens already, as systemd does: `LISTEN_FDS=1`, descriptor 3"
        ),
        key!("preload", Kind::Switch, Switch, preload, "Whether Node workers load the [preload](#the-node-preload)"),
        maybe!(
            "instance_var",
            Kind::Text,
            Text,
            instance_var,
            "–",
            "One more name for the variable `NODE_APP_INSTANCE`"
        ),
        maybe!(
            "increment_var",
            Kind::Text,
            Text,
            increment_var,
            "–",
            "A variable that is one more from worker to worker, from what `env` says on, else from 0"
        ),
    ],
};

static LIVENESS: Table = Table {
    key: "liveness",
    what: "the liveness of an app",
    keys: &[
        word!(
            "check",
            LiveCheck,
            liveness.check,
            "What is looked at while a worker runs: its health path, or nothing but whether it runs and gives signs"
        ),
        key!("timeout", Kind::Time(10..=60_000), Time, liveness.timeout, "How soon the health path must answer"),
        key!(
            "interval",
            Kind::Time(100..=HOUR_MS),
            Time,
            liveness.interval,
            "Pause between checks of a worker that is well. Of one in doubt it is a quarter of that, half a second at most"
        ),
        key!(
            "failures",
            Kind::Whole(1..=100),
            Whole,
            liveness.failures,
            "So many checks that fail in a row take a worker out of use; one that stays so for `ready_timeout` is started anew"
        ),
        key!(
            "successes",
            Kind::Whole(1..=100),
            Whole,
            liveness.successes,
            "So many that pass in a row bring it back. A new worker is ready with the first one"
        ),
        maybe!(
            "max_silence",
            Kind::Time(1000..=HOUR_MS),
            Time,
            liveness.max_silence,
            "never",
            "A Node worker whose event loop gave no sign for so long is blocked: it is taken out of use and ended; needs the preload"
        ),
        maybe!(
            "max_age",
            Kind::Time(60_000..=(365 * DAY_MS)),
            Time,
            liveness.max_age,
            "never",
            "A worker that is so old, give or take a tenth, is replaced, the new one first"
        ),
        maybe!(
            "watchdog",
            Kind::Time(1000..=HOUR_MS),
            Time,
            liveness.watchdog,
            "never",
            "With `ready = \"sd_notify\"`: a worker that has not sent `WATCHDOG=1` for so long is ended"
        ),
    ],
};

static BALANCE: Table = Table {
    key: "balance",
    what: "the balance of an app",
    keys: &[
        word!("policy", Policy, balance.policy, "Which worker a request goes to, see [traffic.md](traffic.md)"),
        word!(
            "sticky",
            Sticky,
            balance.sticky,
            "Whether users stay with a worker, by a signed cookie; what Socket.IO without `websocket` only needs"
        ),
        key!(
            "slow_start",
            Kind::Time(0..=HOUR_MS),
            Time,
            balance.slow_start,
            "A new worker gets its full share only after so long"
        ),
        key!(
            "hash",
            Kind::Hash,
            Text,
            balance.hash,
            "What `rendezvous` goes by: `ip`, `path`, `header:NAME`, `cookie:NAME`"
        ),
        key!(
            "hash_bound",
            Kind::Share(1010..=10_000),
            Share,
            balance.hash_bound_permille,
            "With `rendezvous` one worker has at most so much of the mean under way"
        ),
    ],
};

static PROTECT: Table = Table {
    key: "protect",
    what: "the protection of an app",
    keys: &[
        key!(
            "retry_budget",
            Kind::Share(0..=1000),
            Share,
            protect.retry_budget_permille,
            "Retries in proportion to requests; `\"0%\"` with `retry_floor = 0`: none"
        ),
        key!(
            "retry_floor",
            Kind::Whole(0..=10_000),
            Whole,
            protect.retry_floor,
            "Retries a second that are always possible"
        ),
        key!("breaker", Kind::Switch, Switch, protect.breaker, "Whether workers that fail are left out for a while"),
        key!(
            "breaker_failures",
            Kind::Whole(1..=1000),
            Whole,
            protect.breaker_failures,
            "So many connections in a row that fail, break or stay without an answer leave a worker out"
        ),
        key!(
            "breaker_open",
            Kind::Time(100..=HOUR_MS),
            Time,
            protect.breaker_open,
            "For how long at first; twice as long each next time"
        ),
        key!("breaker_open_max", Kind::Time(100..=HOUR_MS), Time, protect.breaker_open_max, "For how long at most"),
        key!(
            "panic_threshold",
            Kind::Share(0..=1000),
            Share,
            protect.panic_permille,
            "With a smaller share of the workers in use, all are used"
        ),
        maybe!(
            "max_event_loop_lag",
            Kind::Time(1..=60_000),
            Time,
            protect.max_event_loop_lag,
            "no limit",
            "A worker whose event loop lags more in 5 of 10 seconds (99th percentile of each) is replaced, the new one first; needs the preload"
        ),
        maybe!(
            "max_in_flight",
            Kind::Whole(1..=1_000_000),
            Whole,
            protect.max_in_flight,
            "no limit",
            "Requests under way on one worker"
        ),
        maybe!(
            "max_in_flight_total",
            Kind::Whole(1..=1_000_000),
            Whole,
            protect.max_in_flight_total,
            "no limit",
            "Requests under way on all of them in a region; more are refused with 503 and `Retry-After`"
        ),
        key!(
            "request_timeout",
            Kind::Time(10..=DAY_MS),
            Time,
            protect.request_timeout,
            "From a request's head to the first byte of its answer"
        ),
        maybe!(
            "max_body",
            Kind::Size(0..=(1 << 44)),
            Size,
            protect.max_body,
            "no limit",
            "A request's body; more is refused with 413"
        ),
        maybe!(
            "fallback",
            Kind::Text,
            Text,
            protect.fallback,
            "–",
            "A file that is sent with 503 when no worker can answer; relative to the file"
        ),
    ],
};

static LOG: Table = Table {
    key: "log",
    what: "the log of an app",
    keys: &[
        maybe!(
            "file",
            Kind::Text,
            Text,
            log.file,
            "`logs/APP.log` in the region's data",
            "Where the output of all workers goes; relative to the file. `{region}` in it stands for the region's name"
        ),
        word!(
            "format",
            LogFormat,
            log.format,
            "Lines as they are, or a JSON object each, with time, worker and stream"
        ),
        key!(
            "max_size",
            Kind::Size(4096..=(1 << 40)),
            Size,
            log.max_size,
            "A file of this size is put aside as `FILE.1`"
        ),
        key!("keep", Kind::Whole(0..=1000), Whole, log.keep, "So many files that were put aside are kept"),
    ],
};

impl Kind {
    /// The kind in words, for errors: "it must be …".
    pub(crate) fn wanted(&self) -> String {
        match self {
            Self::Text | Self::Name => "a text".into(),
            Self::Region => "the name of a region".into(),
            Self::Texts { or_one: true } => "a text, or a list of texts".into(),
            Self::Texts { or_one: false } => "a list of texts, like [\"node\", \"server.js\"]".into(),
            Self::Whole(limits) => format!("a whole number from {} to {}", limits.start(), limits.end()),
            Self::Time(limits) => {
                let show = |ms: &u64| units::show_time(Duration::from_millis(*ms));
                format!("a time from {} to {}, like \"30s\"", show(limits.start()), show(limits.end()))
            }
            Self::Size(limits) => {
                let (least, most) = (units::show_size(*limits.start()), units::show_size(*limits.end()));
                format!("a size from {least} to {most}, like \"512M\"")
            }
            Self::Share(limits) => {
                let (least, most) = (units::show_share(*limits.start()), units::show_share(*limits.end()));
                format!("a share from {least} to {most}, like \"20%\"")
            }
            Self::Switch => "true or false".into(),
            Self::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Path => "a path that begins with /".into(),
            Self::Instances => "a number from 1 on, \"max\", or a negative number: cores less so many".into(),
            Self::Ready => {
                "\"http\", \"tcp\", \"ipc\", \"sd_notify\", \"started\", or \"log:\" and a part of a line".into()
            }
            Self::Env => "a table of variables: texts, numbers, true and false".into(),
            Self::Crons => "a time as cron writes it, like \"0 3 * * *\", or a list of such".into(),
            Self::Codes => "a list of exit codes, 0 to 255".into(),
            Self::Hash => "\"ip\", \"path\", \"header:NAME\" or \"cookie:NAME\"".into(),
        }
    }
}

/// The table with this key below an app.
pub(crate) fn table(key: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_gets_it_takes_back() {
        let full = App {
            command: vec!["node".into()],
            cwd: "/srv".into(),
            max_memory: Some(1 << 30),
            instance_var: Some("I".into()),
            increment_var: Some("N".into()),
            restart_at: vec!["0 3 * * *".parse().unwrap()],
            ..App::default()
        };
        let mut all = 0;
        for key in TABLES.into_iter().flat_map(|table| table.keys) {
            let Some(value) = (key.get)(&full) else { continue };
            let mut app = full.clone();
            assert!((key.set)(&mut app, value), "{}", key.key);
            assert_eq!(app, full, "{}", key.key);
            all += 1;
        }
        assert!(all > 45, "{all}");
    }
}
