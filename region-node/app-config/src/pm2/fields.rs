//! One app of an ecosystem file, key by key.

use std::{path::Path, time::Duration};

use serde_json::{Map, Value as Raw};

use super::{
    Around,
    command::{self, Command},
    keys::{Fate, KEYS, known},
    usual,
};
use crate::{
    app::{App, Instances, LiveCheck, LogFormat, Ready},
    env_file,
    problem::{Note, Problem, did_you_mean},
    schema::TABLES,
    toml_file, units,
    value::{instances, shown},
};

/// An app, and what is to be told of it.
pub(super) struct Read {
    pub(super) app: App,
    pub(super) notes: Vec<Note>,
    /// It looks like one that serves users.
    pub(super) is_web: bool,
}

/// Reads one app. `at` is how errors call it.
pub(super) fn app(keys: &Map<String, Raw>, at: &str, around: &Around<'_>) -> Result<Read, Vec<Problem>> {
    let mut fields = Fields {
        keys,
        at,
        around,
        app: usual(),
        said: command::Said::default(),
        notes: Vec::new(),
        problems: Vec::new(),
        is_web: false,
    };
    fields.name();
    fields.run();
    if fields.problems.is_empty() {
        Ok(Read { app: fields.app, notes: fields.notes, is_web: fields.is_web })
    } else {
        Err(fields.problems)
    }
}

struct Fields<'a> {
    keys: &'a Map<String, Raw>,
    at: &'a str,
    around: &'a Around<'a>,
    app: App,
    said: command::Said,
    notes: Vec<Note>,
    problems: Vec<Problem>,
    is_web: bool,
}

impl Fields<'_> {
    /// The value of a key of the schema, under whichever of its names.
    fn get(&self, key: &str) -> Option<&Raw> {
        let names = KEYS.iter().find(|known| known.key == key)?;
        let found = std::iter::once(&names.key).chain(names.aliases).find_map(|name| self.keys.get(*name));
        found.filter(|value| !value.is_null())
    }

    fn told(&mut self, key: &str, what: impl Into<String>, is_warning: bool) {
        self.notes.push(Note { app: self.app.name.clone(), key: key.to_owned(), what: what.into(), is_warning });
    }

    fn wrong(&mut self, key: &str, value: &Raw, wanted: &str) {
        let what = format!("{} is not {wanted}", shown(value));
        self.problems.push(Problem::new(format!("{}.{key}", self.at), what));
    }

    fn name(&mut self) {
        let script = self.get("script").and_then(Raw::as_str).unwrap_or_default().to_owned();
        let base = script.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let stem = base.rfind('.').filter(|dot| *dot > 0).map_or(base, |dot| &base[..dot]);
        let mut name = self.get("name").and_then(Raw::as_str).map_or_else(|| stem.to_owned(), str::to_owned);
        if let (Some(env), Some(true)) = (self.around.env, self.get("append_env_to_name").and_then(Raw::as_bool)) {
            name = format!("{name}-{env}");
        }
        if let Some(prefix) = self.get("name_prefix").and_then(Raw::as_str).filter(|prefix| !name.contains(*prefix)) {
            name = format!("{prefix}-{name}");
        }
        self.app.name = if name.is_empty() { "app".into() } else { name };
    }

    fn run(&mut self) {
        let mut seen = Vec::new();
        for (name, value) in self.keys {
            match known(name) {
                Some(known) if known.key == "env_*" => {}
                Some(known) => {
                    if !seen.contains(&known.key) && !value.is_null() {
                        seen.push(known.key);
                        if known.fate == Fate::Ignored {
                            self.ignored(known.key, name, value, known.what);
                        } else {
                            self.one(known.key, name, value);
                        }
                    }
                }
                None if name == "atoll" => {}
                None => {
                    let all = KEYS.iter().flat_map(|known| std::iter::once(&known.key).chain(known.aliases)).copied();
                    let near = did_you_mean(name, all).map(|near| format!("; {near}")).unwrap_or_default();
                    self.told(name, format!("left aside: PM2 has no such key{near}"), true);
                }
            }
        }
        self.env();
        self.command();
        self.port();
        self.ours();
    }

    /// A key that is left aside: told, unless what it says is so anyway.
    fn ignored(&mut self, key: &str, name: &str, value: &Raw, what: &str) {
        let is_off = matches!(value, Raw::Bool(false)) || value.as_array().is_some_and(Vec::is_empty) || value == "";
        let is_so = match key {
            "autostart" | "vizion" | "pmx" | "automation" | "windowsHide" | "disable_trace" => {
                value == true || (key != "autostart" && is_off)
            }
            "namespace" => value == "default",
            "kill_retry_time" | "force" | "write" | "execute_command" => true,
            "ignore_watch" | "watch_delay" | "watch_options" => {
                !self.keys.get("watch").is_some_and(|watch| watch != false)
            }
            "username" => true,
            _ => is_off,
        };
        if !is_so {
            self.told(name, what, true);
        }
    }

    /// A key that is honoured or mapped. Command and environment come later, since they need several.
    fn one(&mut self, key: &str, name: &str, value: &Raw) {
        match key {
            "script" => match value.as_str() {
                Some(script) => self.said.script = script.to_owned(),
                None => self.wrong(name, value, "a path"),
            },
            "args" => self.said.args = self.words(name, value),
            "node_args" => self.said.node_args = self.words(name, value),
            "interpreter" => self.said.interpreter = value.as_str().map(str::to_owned),
            "source_map_support" => self.said.source_maps = value == true,
            "cwd" => match value.as_str() {
                Some(cwd) => self.app.cwd = cwd.into(),
                None => self.wrong(name, value, "a path"),
            },
            "instances" => self.instances(name, value),
            "exec_mode" => self.is_web |= value.as_str().is_some_and(|mode| mode.starts_with("cluster")),
            "max_memory_restart" => match size(value) {
                Some(0) => {}
                Some(bytes) => self.app.max_memory = Some(bytes),
                None => self.wrong(name, value, "a size like 512M"),
            },
            "wait_ready" if value == true => self.app.ready = Ready::Ipc,
            "shutdown_with_message" => self.app.shutdown_message = value == true,
            "kill_timeout" => self.time(name, value, |app, time| app.kill_timeout = time),
            "restart_delay" | "exp_backoff_restart_delay" => self.time(name, value, |app, time| {
                if !time.is_zero() {
                    app.restart_delay = time;
                    app.restart_delay_max = app.restart_delay_max.max(time);
                }
            }),
            "min_uptime" => self.time(name, value, |app, time| app.min_uptime = time.max(Duration::from_millis(100))),
            "listen_timeout" => {
                self.time(name, value, |app, time| app.ready_timeout = app.ready_timeout.max(time));
                if milliseconds(value).is_some_and(|time| time < self.app.ready_timeout) {
                    let waits = units::show_time(self.app.ready_timeout);
                    let what =
                        format!("{waits} here: PM2 takes a worker into use when it is over, here it is given up");
                    self.told(name, what, false);
                }
            }
            "cron_restart" => self.cron(name, value),
            "autorestart" => self.app.restart = value != false,
            "stop_exit_codes" => {
                let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                let codes: Option<Vec<u8>> =
                    list.iter().map(|code| number(code).and_then(|code| u8::try_from(code).ok())).collect();
                match codes {
                    Some(codes) => self.app.stop_exit_codes = codes,
                    None => self.wrong(name, value, "a list of exit codes, 0 to 255"),
                }
            }
            "increment_var" => self.app.increment_var = value.as_str().filter(|var| *var != "PORT").map(str::to_owned),
            "instance_var" => {
                self.app.instance_var = value.as_str().filter(|var| *var != "NODE_APP_INSTANCE").map(str::to_owned);
            }
            "filter_env" => match value {
                Raw::Bool(false) => {}
                Raw::Bool(true) => self.app.without_env = vec!["*".into()],
                _ => self.app.without_env = self.words(name, value),
            },
            "out_file" => self.app.log.file = file(value),
            "error_file" if self.get("out_file") != Some(value) => {
                self.told(
                    name,
                    "both streams go to one file here; JSON lines and `atoll app logs` tell them apart",
                    false,
                );
            }
            "log_file" if self.get("out_file").is_none() => self.app.log.file = file(value),
            "disable_logs" if value == true => self.app.log.file = Some("/dev/null".into()),
            "log_type" if value == "json" => self.app.log.format = LogFormat::Json,
            "time" | "log_date_format" if value != false && value != "" => {
                self.app.log.format = LogFormat::Json;
                self.told(name, "lines become JSON objects, with their time and worker", false);
            }
            "treekill" if value == false => {
                self.told(
                    name,
                    "whatever a worker started ends with it, always: make an app of its own of what shall live on",
                    true,
                );
            }
            _ => {}
        }
    }

    fn instances(&mut self, name: &str, value: &Raw) {
        let said = match value {
            Raw::String(text) if text.trim().parse::<i64>().is_ok() => {
                Raw::from(text.trim().parse::<i64>().unwrap_or(0))
            }
            other => other.clone(),
        };
        self.is_web |= said != 1;
        match instances(&said) {
            Some(count) => self.app.instances = count,
            None if said == 0 => self.app.instances = Instances::MAX,
            None => self.wrong(name, value, "a number of workers, \"max\", or a negative number: cores less so many"),
        }
    }

    fn time(&mut self, name: &str, value: &Raw, put: impl FnOnce(&mut App, Duration)) {
        match milliseconds(value) {
            Some(time) => put(&mut self.app, time),
            None => self.wrong(name, value, "a number of milliseconds"),
        }
    }

    /// PM2 takes six fields too, seconds first, and 0 for never.
    fn cron(&mut self, name: &str, value: &Raw) {
        if value == 0 || value == false || value == "0" || value == "" {
            return;
        }
        let Some(text) = value.as_str() else { return self.wrong(name, value, "a time as cron writes it") };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let five = match fields.as_slice() {
            [seconds, five @ ..] if five.len() == 5 => {
                if *seconds != "0" {
                    self.told(
                        name,
                        format!("the seconds, `{seconds}`, are left aside: minutes are the smallest step"),
                        true,
                    );
                }
                five.join(" ")
            }
            _ => text.to_owned(),
        };
        match five.parse() {
            Ok(cron) => self.app.restart_at = vec![cron],
            Err(why) => self.problems.push(Problem::new(format!("{}.{name}", self.at), format!("`{text}` {why}"))),
        }
    }

    fn words(&mut self, name: &str, value: &Raw) -> Vec<String> {
        let texts = match value {
            Raw::String(text) => Some(command::split(text)),
            Raw::Array(items) => items.iter().map(plain).collect(),
            other => plain(other).map(|word| vec![word]),
        };
        texts.unwrap_or_else(|| {
            self.wrong(name, value, "a list of texts");
            Vec::new()
        })
    }

    fn env(&mut self) {
        let chosen = self.around.env.map(|env| format!("env_{env}"));
        if let Some(name) = chosen.as_ref().filter(|name| !self.keys.contains_key(name.as_str())) {
            self.told(name, "there is no such key, so `--env` changes nothing here", false);
        }
        for name in std::iter::once("env").chain(chosen.as_deref()) {
            match self.keys.get(name) {
                Some(Raw::Object(variables)) => {
                    for (variable, value) in variables {
                        self.variable(name, variable, value);
                    }
                }
                None | Some(Raw::Null) => {}
                Some(other) => {
                    let other = other.clone();
                    self.wrong(name, &other, "an object of variables");
                }
            }
        }
    }

    fn variable(&mut self, key: &str, name: &str, value: &Raw) {
        // As PM2: objects become JSON; what is undefined is not there.
        let text = match value {
            Raw::Null => return,
            Raw::Array(_) | Raw::Object(_) => value.to_string(),
            other => plain(other).unwrap_or_default(),
        };
        if env_file::is_name(name) && !text.contains('\0') {
            self.app.env.insert(name.to_owned(), text);
        } else {
            self.told(key, format!("the variable `{name}` is left aside: programs cannot read it"), true);
        }
    }

    fn command(&mut self) {
        if self.said.script.is_empty() {
            let problem = Problem::new(self.at, "it has no `script`").hint("write script: \"server.js\"");
            return self.problems.push(problem);
        }
        let cwd = self.around.base.join(&self.app.cwd);
        let look = command::look(&cwd.join(&self.said.script));
        let Command { words, is_python, note } = command::command(&self.said, look, &is_in_path);
        if let Some((key, what)) = note {
            self.told(key, what, false);
        }
        if is_python {
            self.app.env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
        }
        self.app.command = words;
    }

    fn port(&mut self) {
        let of_env = self.app.env.remove("PORT");
        let Some(port) = of_env.or_else(|| self.get("port").and_then(plain)) else { return };
        self.is_web = true;
        let what = format!(
            "{port} is left aside: each worker gets a port of its own, users come in at the gateway's; listen(process.env.PORT) takes \
             it, and the preload redirects a fixed listen({port})"
        );
        self.told("PORT", what, false);
    }

    /// What PM2 has no words for.
    fn ours(&mut self) {
        let Some(ours) = self.keys.get("atoll") else { return };
        let Raw::Object(ours) = ours else {
            let ours = ours.clone();
            return self.wrong("atoll", &ours, "an object of keys of docs/app.md");
        };
        for (name, value) in ours {
            let path = format!("{}.atoll.{name}", self.at);
            let below = TABLES.iter().find(|table| !table.key.is_empty() && table.key == name);
            let keys = match (below, value) {
                (Some(table), Raw::Object(keys)) => keys.iter().map(|(key, value)| (table.key, key, value)).collect(),
                _ => vec![("", name, value)],
            };
            for (table, name, value) in keys {
                let found = TABLES.iter().filter(|known| known.key == table).flat_map(|known| known.keys);
                let put = match found.into_iter().find(|key| key.key == name) {
                    Some(key) => toml_file::put(&mut self.app, key, value, &path),
                    None => Err(Problem::new(path.clone(), format!("there is no key `{name}`"))
                        .hint("docs/app.md has them all")),
                };
                self.problems.extend(put.err());
            }
        }
        // A health path that is said is meant to be looked at.
        if ours.contains_key("health") {
            self.app.liveness.check = LiveCheck::Health;
        }
        if self.app.ready == Ready::Started {
            self.app.public = false;
            self.app.liveness.check = LiveCheck::Off;
        }
    }
}

/// A number, also where a text says it, as PM2 takes both.
fn number(value: &Raw) -> Option<u64> {
    match value {
        Raw::Number(_) => {
            value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0 && *n < 1e15).map(|n| n as u64))
        }
        Raw::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Milliseconds, or with `s`, `m`, `h`.
fn milliseconds(value: &Raw) -> Option<Duration> {
    let of_text = || value.as_str().and_then(|text| units::read_time(text).ok());
    number(value).map(Duration::from_millis).or_else(of_text)
}

fn size(value: &Raw) -> Option<u64> {
    let of_text = || value.as_str().and_then(|text| units::read_size(text).ok());
    number(value).or_else(of_text)
}

fn plain(value: &Raw) -> Option<String> {
    crate::value::variable(value)
}

/// A file for logs; `NULL` and `/dev/null` are none.
fn file(value: &Raw) -> Option<String> {
    let path = value.as_str().filter(|path| !path.is_empty())?;
    let home = || std::env::var("HOME").ok();
    Some(match path.strip_prefix("~/") {
        _ if path == "NULL" => "/dev/null".into(),
        Some(rest) => home().map_or_else(|| path.to_owned(), |home| format!("{home}/{rest}")),
        None => path.to_owned(),
    })
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    !program.contains('/') && std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file())
}
