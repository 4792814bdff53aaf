//! Our own app files: TOML with a table `[app.NAME]` for each app, or with one app's keys at the top. Text in; apps, the place of
//! every key, and problems out. Pure: files that a file names are read elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Raw};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    app::App,
    problem::{Place, Problem, did_you_mean},
    schema::{self, Key, Kind, TABLES, Table},
    value::{self, NAME_RULE},
};

/// The longest app file that is read, bytes.
pub(crate) const MOST: usize = 1 << 20;
/// The most apps of one region.
pub(crate) const APPS_MOST: usize = 64;

/// What a text says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) apps: Vec<App>,
    /// Where each key is: `app.web.instances`.
    pub(crate) places: BTreeMap<String, Place>,
    /// Under which key each app is: `app.web`, or nothing where a file is one app.
    pub(crate) keys: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads a text. Nothing of what is relative is resolved.
pub(crate) fn parse(text: &str) -> Said {
    let mut walk = Walk { text, said: Said::default() };
    if text.len() > MOST {
        walk.problem(Problem::new("", format!("an app file has at most {MOST} bytes, this has {}", text.len())), None);
        return walk.said;
    }
    let (document, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        walk.problem(Problem::new("", format!("not TOML: {message}")), error.span().map(|span| span.start));
    }
    if syntax.is_empty() {
        walk.document(document.get_ref());
    }
    walk.said
}

struct Walk<'t> {
    text: &'t str,
    said: Said,
}

impl Walk<'_> {
    fn problem(&mut self, problem: Problem, offset: Option<usize>) {
        let place = offset.map(|offset| Place::of(self.text, offset));
        self.said.problems.push(problem.at(place));
    }

    fn note(&mut self, path: &str, offset: usize) {
        self.said.places.insert(path.to_owned(), Place::of(self.text, offset));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        let Some(apps) = document.get("app") else {
            return self.app("app", "", document, 0, true);
        };
        for (key, _) in document.iter().filter(|(key, _)| key.get_ref() != "app") {
            let what = format!("an app file has no key `{}` beside `app`", key.get_ref());
            let hint = "keys of an app stand below its [app.NAME]";
            self.problem(Problem::new(key.get_ref().as_ref(), what).hint(hint), Some(key.span().start));
        }
        let offset = apps.span().start;
        let DeValue::Table(tables) = apps.get_ref() else {
            let problem = Problem::new("app", "`app` is not a table").hint("write [app.NAME], then the app's keys");
            return self.problem(problem, Some(offset));
        };
        // `[app]` with a command in it is one app, as in a region's configuration.
        if tables.get("command").is_some_and(|value| !matches!(value.get_ref(), DeValue::Table(_))) {
            return self.app("app", "app", tables, offset, true);
        }
        if tables.len() > APPS_MOST {
            let what = format!("a region has at most {APPS_MOST} apps, this file has {}", tables.len());
            return self.problem(Problem::new("app", what), Some(offset));
        }
        let mut in_order: Vec<_> = tables.iter().collect();
        in_order.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in in_order {
            let (name, path, at) = (key.get_ref().as_ref(), format!("app.{}", key.get_ref()), key.span().start);
            match value.get_ref() {
                _ if !value::is_name(name) => {
                    self.problem(Problem::new(path, format!("`{name}` is not a name: {NAME_RULE}")), Some(at));
                }
                DeValue::Table(app) => self.app(name, &path, app, at, false),
                _ => {
                    let problem = Problem::new(path, "it is not a table").hint(format!("write [app.{name}]"));
                    self.problem(problem, Some(at));
                }
            }
        }
    }

    /// One app. Where a file is one app, it may have a `name`.
    fn app(&mut self, name: &str, path: &str, found: &DeTable<'_>, offset: usize, may_name: bool) {
        self.note(path, offset);
        let mut name = name.to_owned();
        let mut rest = found.clone();
        if let Some(said) = rest.remove("name").filter(|_| may_name) {
            match said.get_ref().as_str() {
                Some(said) if value::is_name(said) => name = said.to_owned(),
                _ => {
                    let key = join(path, "name");
                    let what = format!("{} is not a name: {NAME_RULE}", value::shown(&raw(said.get_ref())));
                    self.problem(Problem::new(key, what), Some(said.span().start));
                }
            }
        } else if let (false, Some(said)) = (may_name, found.get("name")) {
            let problem = Problem::new(join(path, "name"), "an app has no key `name`");
            self.problem(problem.hint("its name is that of its table"), Some(said.span().start));
        }
        let mut app = App { name: name.clone(), internal: name, ..App::default() };
        if let Some(top) = schema::table("") {
            self.table(&mut app, top, &rest, path);
        }
        if !found.contains_key("command") {
            let problem = Problem::new(path, "it has no `command`").hint("write command = [\"node\", \"server.js\"]");
            self.problem(problem, Some(offset));
        }
        self.said.apps.push(app);
        self.said.keys.push(path.to_owned());
    }

    fn table(&mut self, app: &mut App, table: &Table, found: &DeTable<'_>, path: &str) {
        for (key, value) in found {
            let (name, path, at) = (key.get_ref().as_ref(), join(path, key.get_ref()), value.span().start);
            self.note(&path, key.span().start);
            let below = TABLES.into_iter().find(|below| table.key.is_empty() && !name.is_empty() && below.key == name);
            match (below, table.keys.iter().find(|known| known.key == name), value.get_ref()) {
                (Some(below), _, DeValue::Table(found)) => self.table(app, below, found, &path),
                (Some(below), _, _) => {
                    let problem = Problem::new(path, format!("it is not a table: {} has keys of its own", below.what));
                    self.problem(problem, Some(at));
                }
                (None, Some(known), value) => {
                    if let Err(problem) = put(app, known, &raw(value), &path) {
                        self.problem(problem, Some(at));
                    }
                }
                (None, None, _) => {
                    let keys = table.keys.iter().map(|known| known.key);
                    let below =
                        TABLES.iter().map(|below| below.key).filter(|key| table.key.is_empty() && !key.is_empty());
                    let near = did_you_mean(name, keys.chain(below)).or_else(|| elsewhere(name));
                    let problem = Problem::new(path, format!("{} has no key `{name}`", table.what)).maybe_hint(near);
                    self.problem(problem, Some(key.span().start));
                }
            }
        }
    }
}

/// Where a key belongs that stands in a wrong table.
fn elsewhere(name: &str) -> Option<String> {
    let table = TABLES.iter().find(|table| table.keys.iter().any(|key| key.key == name))?;
    Some(if table.key.is_empty() {
        format!("`{name}` is a key of the app itself")
    } else {
        format!("`{name}` is a key of [app.NAME.{}]", table.key)
    })
}

/// Puts a value into an app, as a key.
pub(crate) fn put(app: &mut App, key: &Key, raw: &Raw, path: &str) -> Result<(), Problem> {
    let may_be_off = matches!(key.kind, Kind::Time(_) | Kind::Size(_) | Kind::Whole(_));
    if let (Some(clear), Some("off"), true) = (key.clear, raw.as_str(), may_be_off) {
        clear(app);
        return Ok(());
    }
    let value = value::read(&key.kind, raw);
    let value = value.map_err(|wrong| Problem::new(path, wrong.what).maybe_hint(wrong.hint))?;
    if !(key.set)(app, value) {
        return Err(Problem::new(path, "this value cannot be kept")); // the schema's own tests keep this from happening
    }
    Ok(())
}

/// A key below a path; either may be empty.
pub(crate) fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

/// A TOML value in the form that all files share.
fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::String(text.to_string()),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix()).ok();
            whole.map_or_else(|| Raw::String(number.to_string()), |whole| Raw::Number(whole.into()))
        }
        DeValue::Float(number) => {
            let read = number.as_str().parse().ok().and_then(Number::from_f64);
            read.map_or_else(|| Raw::String(number.to_string()), Raw::Number)
        }
        DeValue::Boolean(on) => Raw::Bool(*on),
        DeValue::Datetime(time) => Raw::String(time.to_string()),
        DeValue::Array(items) => Raw::Array(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                (key.to_string(), raw(value.get_ref()))
            };
            Raw::Object(table.iter().map(entry).collect::<Map<_, _>>())
        }
    }
}
