//! Every key of PM2's schema, and what becomes of it here. `docs/app.md` has the table; a test holds both together.

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It means the same here.
    Honoured,
    /// It means something near, or what it asks for is so anyway.
    Mapped,
    /// It is left aside.
    Ignored,
}

impl Fate {
    #[cfg(test)]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Mapped => "mapped",
            Self::Ignored => "left aside",
        }
    }
}

/// A key.
pub(crate) struct Known {
    /// The one of PM2's schema.
    pub(crate) key: &'static str,
    /// Others that mean the same.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) fate: Fate,
    /// What becomes of it, as the docs tell it; of one that is left aside, what is told of it, too.
    pub(crate) what: &'static str,
}

const fn honoured(key: &'static str, aliases: &'static [&'static str], what: &'static str) -> Known {
    Known { key, aliases, fate: Fate::Honoured, what }
}

const fn mapped(key: &'static str, aliases: &'static [&'static str], what: &'static str) -> Known {
    Known { key, aliases, fate: Fate::Mapped, what }
}

const fn ignored(key: &'static str, aliases: &'static [&'static str], what: &'static str) -> Known {
    Known { key, aliases, fate: Fate::Ignored, what }
}

const WATCH: &str =
    "files are not watched here: run `atoll app reload` after a change, or `node --watch` while developing";
const AGENT: &str = "PM2's own monitoring is not here: see `atoll app monit` and /metrics";
const USER: &str = "workers run as the user of `atoll`: start it as that user, with systemd's `User=`";

/// All of them, in the order of the docs.
pub(crate) const KEYS: &[Known] = &[
    honoured(
        "script",
        &["exec", "cmd", "command"],
        "a file, a program of `PATH` such as `npm`, or, with spaces in it, a line for bash",
    ),
    honoured("args", &[], "a list, or a text that is split as PM2 splits it"),
    honoured(
        "interpreter",
        &["exec_interpreter"],
        "by the script's ending if left out, as PM2 does: `.js` node, `.py` python, `.sh` bash, `.ts` bun; `none`: none. `node@VERSION` is left aside: give that node's path",
    ),
    honoured("node_args", &["interpreter_args", "interpreterArgs"], "before the script"),
    honoured("name", &[], "in lower case and with `-`, since it is a part of host names; from the script if left out"),
    honoured("name_prefix", &[], "before the name"),
    honoured("cwd", &[], "relative to the file; the file's folder if left out"),
    honoured("instances", &[], "a number, `max`, 0 (the same), −1"),
    honoured("env", &[], "`PORT` is left aside: each worker gets one of its own"),
    honoured("env_*", &[], "over `env`, with `--env NAME`"),
    honoured("filter_env", &[], "`true`: `without_env = [\"*\"]`; names: `without_env`"),
    honoured("increment_var", &[], "one more from worker to worker; needless for `PORT`"),
    honoured("instance_var", &[], "a second name for `NODE_APP_INSTANCE`"),
    honoured("max_memory_restart", &[], "`max_memory`, looked at each second, the new worker first"),
    honoured("wait_ready", &[], "`ready = \"ipc\"`; without it a worker is ready when it listens"),
    honoured("shutdown_with_message", &[], "`shutdown_message`"),
    honoured("kill_timeout", &[], "the same; 10 s if left out. The signal is SIGINT, as PM2's"),
    honoured("autorestart", &[], "`restart`"),
    honoured("stop_exit_codes", &[], "the same"),
    honoured("restart_delay", &[], "the first pause; each next one is half as long again"),
    honoured("exp_backoff_restart_delay", &[], "`restart_delay`: the same growth, up to 15 s"),
    honoured(
        "cron_restart",
        &["cron"],
        "`restart_at`, workers one after another, the new one first. Seconds, the first of six fields, are left aside",
    ),
    honoured("append_env_to_name", &["appendEnvToName"], "with `--env`"),
    honoured("source_map_support", &[], "`true`: node gets `--enable-source-maps`"),
    honoured("disable_source_map_support", &[], "nothing is added"),
    honoured("out_file", &["out", "output", "out_log"], "`log.file`"),
    honoured("log_type", &[], "`json`: `log.format = \"json\"`"),
    mapped(
        "exec_mode",
        &[],
        "workers are processes with a port each, whichever is said; fork mode is reloaded without a gap too",
    ),
    mapped(
        "listen_timeout",
        &[],
        "`ready_timeout`, 30 s at least: PM2 takes a worker into use when it is over, here it is given up",
    ),
    mapped(
        "error_file",
        &["error", "err", "err_file", "err_log"],
        "both streams go to `out_file`; JSON lines and `atoll app logs` tell them apart",
    ),
    mapped("time", &[], "`log.format = \"json\"`: each line has its time"),
    mapped("min_uptime", &[], "a worker that ran so long starts again with the first pause"),
    mapped("log_file", &["log"], "`log.file`, if there is no `out_file`: both streams go there"),
    mapped("log_date_format", &[], "`log.format = \"json\"`: each line has its time, in RFC 3339"),
    mapped(
        "merge_logs",
        &["combine_logs"],
        "all workers write to one file; each line of `atoll app logs` names its worker",
    ),
    mapped("disable_logs", &[], "`log.file = \"/dev/null\"`; `atoll app logs` has the last lines all the same"),
    mapped("port", &[], "as `env.PORT`"),
    mapped("treekill", &[], "whatever a worker started ends with it, always"),
    ignored(
        "max_restarts",
        &[],
        "a worker is never given up: the pauses grow to 15 s, and the region says that it is not well",
    ),
    ignored("watch", &[], WATCH),
    ignored("ignore_watch", &[], WATCH),
    ignored("watch_delay", &[], WATCH),
    ignored("watch_options", &[], WATCH),
    ignored("namespace", &[], "there are no groups of apps: name the apps that you mean"),
    ignored("pid_file", &["pid"], "no file has the pid: `atoll app describe NAME --json` tells it"),
    ignored("autostart", &[], "every app of the file is started: take it out, or `atoll app stop NAME`"),
    ignored("uid", &["user"], USER),
    ignored("gid", &[], USER),
    ignored("username", &[], USER),
    ignored("force", &[], "a file's apps have names of their own; there is nothing to force"),
    ignored("post_update", &[], "run it before `atoll app reload`"),
    ignored("install_url", &[], "there are no modules of PM2 here"),
    ignored("vizion", &[], "versions of the repository are not read: `atoll app describe` counts releases"),
    ignored("trace", &[], "requests carry W3C trace context; the app's own OpenTelemetry goes on"),
    ignored("disable_trace", &[], "nothing is traced inside of the app"),
    ignored("deep_monitoring", &[], AGENT),
    ignored("event_loop_inspector", &[], "the preload tells the event loop's lag: see `atoll app ls`"),
    ignored("v8", &[], AGENT),
    ignored("pmx", &[], AGENT),
    ignored("automation", &[], AGENT),
    ignored("io", &[], AGENT),
    ignored("kill_retry_time", &[], "the end of a process is told by the kernel; nothing is retried"),
    ignored("execute_command", &[], "the script says by itself how it is run"),
    ignored("windowsHide", &[], "there are no windows"),
    ignored("write", &[], "PM2's own use"),
];

/// The key of this name, or of which this is another name.
pub(crate) fn known(name: &str) -> Option<&'static Known> {
    let found = KEYS.iter().find(|known| known.key == name || known.aliases.contains(&name));
    found.or_else(|| name.starts_with("env_").then(|| KEYS.iter().find(|known| known.key == "env_*")).flatten())
}
