//! PM2's ecosystem files as they are: what `pm2 start ecosystem.config.js` would run, as apps of ours. A value goes in; apps, and a
//! line for each thing that is otherwise here, come out.
//!
//! Nothing in such a file is an error but what cannot be run at all. Each key of PM2's schema (`lib/API/schema.json` of PM2 7.0) is
//! honoured, mapped, or left aside with one line that says what to use instead: `keys.rs` has them all. What PM2 has no words for may
//! stand in the file too, below `atoll: { … }` of an app, in the keys of our own files; PM2 passes over it.
//!
//! ```text
//! node.rs, json.rs, yaml.rs ─ value ─▶ mod.rs ─┬─ keys.rs      which keys there are, what becomes of them
//!                                              ├─ command.rs   script, interpreter, arguments → command
//!                                              └─ fields.rs    one key after the other → App
//! ```

mod command;
mod fields;
mod json;
mod keys;
mod node;
mod yaml;

use std::path::Path;

use serde_json::{Map, Value as Raw};

#[cfg(test)]
pub(crate) use keys::{Fate, KEYS, Known};

use crate::{
    app::{App, KillSignal, LiveCheck, Ready},
    problem::{Note, Problem, Problems},
    read,
    toml_file::{APPS_MOST, Said},
};

/// How a file's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A program: Node says what it exports.
    Node,
    /// JSON as PM2 takes it: with comments, and what else JavaScript's literals may have.
    Json,
    /// YAML.
    Yaml,
}

/// The form of a file by its name, as PM2 goes by it.
pub(crate) fn form(name: &str) -> Option<Source> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".config.js", ".config.cjs", ".config.mjs"]) {
        Some(Source::Node)
    } else if ends(&[".json"]) {
        Some(Source::Json)
    } else if ends(&[".yaml", ".yml"]) {
        Some(Source::Yaml)
    } else {
        None
    }
}

/// The value of a file.
pub(crate) fn load(source: Source, path: &Path, shown: &str) -> Result<Raw, Problems> {
    match source {
        Source::Node => node::exported(path, shown),
        Source::Json => {
            let text = read::text(path, shown)?;
            match json::parse(&text) {
                Ok(value) => Ok(value),
                // Single quotes and bare keys are no JSON, and PM2 takes them all the same; Node reads whatever PM2 reads.
                Err(problem) => node::literal(path, shown).map_err(|other| {
                    let said = match other {
                        node::Failed::NoNode => None,
                        node::Failed::Said(problems) => problems.problems.into_iter().next(),
                    };
                    let hint = said.map(|said| match said.place {
                        Some(place) => format!("as JavaScript, line {}: {}", place.line, said.what),
                        None => said.what,
                    });
                    Problems::one(shown, problem.maybe_hint(hint))
                }),
            }
        }
        Source::Yaml => yaml::parse(&read::text(path, shown)?).map_err(|problem| Problems::one(shown, problem)),
    }
}

/// What is around a file.
pub(crate) struct Around<'a> {
    /// Its folder.
    pub(crate) base: &'a Path,
    /// `--env`.
    pub(crate) env: Option<&'a str>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) said: Said,
    pub(crate) notes: Vec<Note>,
}

/// The apps of a value.
pub(crate) fn apps(value: &Raw, around: &Around<'_>) -> Read {
    let mut read = Read::default();
    let found = match value {
        Raw::Object(top) => {
            top_level(top, &mut read.notes);
            top.get("apps").or_else(|| top.get("pm2")).unwrap_or(value)
        }
        other => other,
    };
    let list = match found {
        Raw::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if list.len() > APPS_MOST {
        let what = format!("a region has at most {APPS_MOST} apps, this file has {}", list.len());
        read.said.problems.push(Problem::new("apps", what));
        return read;
    }
    let (mut routing, mut notes_of) = (Vec::new(), Vec::new());
    for (at, raw) in list.iter().enumerate() {
        let key = format!("apps[{at}]");
        let Raw::Object(keys) = raw else {
            read.said.problems.push(Problem::new(key, "it is not an object").hint("write { script: \"server.js\" }"));
            continue;
        };
        match fields::app(keys, &key, around) {
            Ok(fields::Read { app, notes, is_web }) => {
                routing.push(Routing { is_web, is_said: says_routes(keys) });
                read.said.apps.push(app);
                read.said.keys.push(key);
                notes_of.push(notes);
            }
            Err(problems) => read.said.problems.extend(problems),
        }
    }
    rename(&mut read.said.apps, &mut notes_of);
    read.notes.extend(notes_of.into_iter().flatten());
    route(&mut read, &routing);
    read
}

/// What a file has beside its apps.
fn top_level(top: &Map<String, Raw>, notes: &mut Vec<Note>) {
    if !(top.contains_key("apps") || top.contains_key("pm2")) {
        return;
    }
    for key in top.keys().filter(|key| !matches!(key.as_str(), "apps" | "pm2")) {
        let what = match key.as_str() {
            "deploy" => "left aside: bring the files to the machine as before, then `atoll app reload`",
            "static" => "left aside: serve files from an app, for instance `npx serve`",
            _ => "left aside: PM2 has no such key beside `apps`",
        };
        notes.push(Note { app: String::new(), key: key.clone(), what: what.into(), is_warning: true });
    }
}

/// Names become those of hosts, and each is there once.
fn rename(apps: &mut [App], notes_of: &mut [Vec<Note>]) {
    let mut taken: Vec<String> = Vec::new();
    for (app, notes) in apps.iter_mut().zip(notes_of) {
        let said = app.name.clone();
        let plain = host_name(&said);
        let numbered = (2..).map(|n| format!("{}-{n}", plain.chars().take(28).collect::<String>()));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name));
        app.name = name.unwrap_or(plain);
        if app.internal.is_empty() {
            app.internal.clone_from(&app.name);
        }
        taken.push(app.name.clone());
        for note in notes.iter_mut() {
            note.app.clone_from(&app.name);
        }
        if app.name != said {
            let what = format!("`{said}` is called `{}` here: names are parts of host names, and there once", app.name);
            notes.push(Note { app: app.name.clone(), key: "name".into(), what, is_warning: false });
        }
    }
}

/// Lower case, `-` for all else, a letter first.
fn host_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = name.chars().map(plain).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let joined = parts.join("-");
    let joined = if joined.starts_with(|c: char| c.is_ascii_lowercase()) { joined } else { format!("app-{joined}") };
    let short: String = joined.chars().take(32).collect();
    short.trim_end_matches('-').to_owned()
}

/// What is known of the requests that an app takes.
struct Routing {
    /// It looks like one that serves users: a port, or cluster mode.
    is_web: bool,
    /// The file says which, in `atoll`.
    is_said: bool,
}

fn says_routes(keys: &Map<String, Raw>) -> bool {
    let ours = keys.get("atoll").and_then(Raw::as_object);
    let says = |ours: &Map<String, Raw>| ["hosts", "paths", "public"].iter().any(|key| ours.contains_key(*key));
    ours.is_some_and(|ours| says(ours) || ours.get("ready").is_some_and(|ready| ready == "started"))
}

/// PM2 knows no routes: each app listens where it likes. Here users come in at one place, so one app takes what no other has named.
fn route(read: &mut Read, routing: &[Routing]) {
    let apps = &mut read.said.apps;
    let free = |at: &usize| routing.get(*at).is_some_and(|routing| !routing.is_said);
    let is_taken = apps.iter().zip(routing).any(|(app, routing)| routing.is_said && app.is_default());
    let all: Vec<usize> = (0..apps.len()).filter(free).collect();
    let web = all.iter().find(|at| routing.get(**at).is_some_and(|routing| routing.is_web));
    let front = if is_taken { None } else { web.or(all.first()).copied() };
    for at in all.into_iter().filter(|at| Some(*at) != front) {
        let Some(app) = apps.get_mut(at) else { continue };
        app.public = false;
        let what = format!(
            "users do not reach it, other apps do at http://{}.internal; say atoll: {{ paths: [\"/{}\"] }} if they shall, or atoll: {{ \
             ready: \"started\" }} if it listens nowhere",
            app.internal, app.name,
        );
        read.notes.push(Note { app: app.name.clone(), key: "atoll".into(), what, is_warning: true });
    }
}

/// An app with what PM2 takes for granted.
fn usual() -> App {
    let mut app = App { internal: String::new(), ready: Ready::Tcp, kill_signal: KillSignal::Int, ..App::default() };
    app.liveness.check = LiveCheck::Off;
    app
}
