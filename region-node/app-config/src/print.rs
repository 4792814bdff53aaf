//! An app as TOML, with what is not the default: what `atoll app convert` prints, and what reads back to an equal app.

use std::fmt::Write;

use crate::{
    app::{App, Instances},
    schema::{TABLES, Table, Value},
    units,
    value::show_ready,
};

impl App {
    /// This app as the table `[app.NAME]` and those below it. `comments` stand above it.
    pub fn to_toml(&self, comments: &[String]) -> String {
        let mut text = String::new();
        for comment in comments {
            for line in comment.lines() {
                let _ = writeln!(text, "# {line}");
            }
        }
        let usual = Self { internal: self.name.clone(), ..Self::default() };
        for table in TABLES {
            let head = if table.key.is_empty() { String::new() } else { format!(".{}", table.key) };
            let lines = self.lines(table, &usual);
            if table.key.is_empty() || !lines.is_empty() {
                let gap = if table.key.is_empty() { "" } else { "\n" };
                let _ = write!(text, "{gap}[app.{}{head}]\n{lines}", self.name);
            }
        }
        if !self.env.is_empty() {
            let _ = write!(text, "\n[app.{}.env]\n", self.name);
            for (name, value) in &self.env {
                let _ = writeln!(text, "{} = {}", bare_or_quoted(name), quoted(value));
            }
        }
        text
    }

    fn lines(&self, table: &Table, usual: &Self) -> String {
        let mut lines = String::new();
        for key in table.keys.iter().filter(|key| key.key != "env") {
            let value = (key.get)(self);
            if value == (key.get)(usual) {
                continue;
            }
            // A key that has no value where the default has one cannot be said by leaving it out.
            let said = value.map_or_else(|| "\"off\"".into(), |value| show(&value));
            let _ = writeln!(lines, "{} = {said}", key.key);
        }
        lines
    }
}

/// A value as TOML.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Texts(texts) => list(texts.iter().map(|text| quoted(text))),
        Value::Whole(number) => number.to_string(),
        Value::Time(time) => quoted(&units::show_time(*time)),
        Value::Size(bytes) => quoted(&units::show_size(*bytes)),
        Value::Share(permille) => quoted(&units::show_share(*permille)),
        Value::Switch(on) => on.to_string(),
        Value::Instances(Instances::Count(count)) => count.to_string(),
        Value::Instances(Instances::CoresBut(0)) => quoted("max"),
        Value::Instances(Instances::CoresBut(spare)) => format!("-{spare}"),
        Value::Ready(ready) => quoted(&show_ready(ready)),
        Value::Crons(times) if times.len() == 1 => quoted(&times[0].to_string()),
        Value::Crons(times) => list(times.iter().map(|time| quoted(&time.to_string()))),
        Value::Codes(codes) => list(codes.iter().map(u8::to_string)),
        Value::Env(variables) => {
            let one = |(name, value): (&String, &String)| format!("{} = {}", bare_or_quoted(name), quoted(value));
            let all: Vec<String> = variables.iter().map(one).collect();
            if all.is_empty() { "{}".into() } else { format!("{{ {} }}", all.join(", ")) }
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A text as TOML's basic string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}
