//! The tables of `docs/app.md`, made from the schema: `UPDATE_EXPECT=1` writes them anew.

use expect_test::expect_file;

use crate::{
    app::App,
    pm2::{Fate, KEYS, Known},
    print::show,
    read::Options,
    schema::{Key, Kind, TABLES, Table},
    tests::Folder,
    toml_file, units,
};

#[test]
fn the_tables_of_the_docs_are_those_of_the_schema() {
    let docs = include_str!("../../../docs/app.md");
    let mut fresh = docs.to_owned();
    for table in TABLES {
        let name = if table.key.is_empty() { "app" } else { table.key };
        fresh = renew(&fresh, name, &keys(table));
    }
    fresh = renew(&fresh, "pm2", &pm2());
    expect_file!["../../../docs/app.md"].assert_eq(&fresh);
}

#[test]
fn the_examples_of_the_docs_are_read_as_the_docs_say() {
    let docs = include_str!("../../../docs/app.md");
    let block = |kind: &str| {
        let (_, after) = docs.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("no block of {kind}"));
        after.split_once("```").unwrap_or_else(|| panic!("a block of {kind} is not closed")).0
    };
    let said = toml_file::parse(block("toml"));
    assert!(said.problems.is_empty() && said.apps.len() == 2, "{:?}", said.problems);

    let folder = Folder::with(&[("ecosystem.config.js", block("js")), ("server.js", "")]).unwrap();
    let file = folder.read("ecosystem.config.js", &Options { env: Some("production"), cores: 2 });
    let file = file.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(file.apps.len(), 1);
    for note in &file.notes {
        let head = if note.is_warning { "warning" } else { "note" };
        assert!(docs.contains(&format!("\n{head} {note}\n")), "the docs do not show: {head} {note}");
    }
    assert_eq!(file.notes.len(), 2);
}

/// Puts rows between the marks of a table.
fn renew(document: &str, name: &str, rows: &str) -> String {
    let mark = format!("<!-- keys: {name} -->\n");
    let (before, after) = document.split_once(&mark).unwrap_or_else(|| panic!("docs/app.md has no table `{name}`"));
    let (_, after) = after.split_once("<!-- end -->").unwrap_or_else(|| panic!("the table `{name}` has no end"));
    format!("{before}{mark}\n{rows}\n<!-- end -->{after}")
}

fn keys(table: &Table) -> String {
    let rows = table
        .keys
        .iter()
        .map(|key| format!("| `{}` | {} | {} | {} |\n", key.key, kind(&key.kind), unsaid(key), key.doc));
    format!("| key | value | default | |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

fn unsaid(key: &Key) -> String {
    let default = (key.get)(&App::default()).map(|value| show(&value));
    match (key.unsaid, default) {
        (Some(words @ ("no limit" | "never")), Some(default)) => format!("`{default}`; `\"off\"`: {words}"),
        (Some(words), _) => words.to_owned(),
        (None, Some(default)) if default == "[]" || default == "{}" => "empty".into(),
        (None, Some(default)) => format!("`{default}`"),
        (None, None) => "–".into(),
    }
}

fn kind(kind: &Kind) -> String {
    let times = |ms: u64| units::show_time(std::time::Duration::from_millis(ms));
    match kind {
        Kind::Text => "text".into(),
        Kind::Texts { or_one: true } => "text, or list of texts".into(),
        Kind::Texts { or_one: false } => "list of texts".into(),
        Kind::Whole(limits) => format!("{} to {}", limits.start(), limits.end()),
        Kind::Time(limits) => format!("time, {} to {}", times(*limits.start()), times(*limits.end())),
        Kind::Size(limits) => {
            format!("size, {} to {}", units::show_size(*limits.start()), units::show_size(*limits.end()))
        }
        Kind::Share(limits) => {
            format!("share, {} to {}", units::show_share(*limits.start()), units::show_share(*limits.end()))
        }
        Kind::Switch => "`true` or `false`".into(),
        Kind::Word(words) => format!("`\"{}\"`", words.join("\"`, `\"")),
        Kind::Path => "path".into(),
        Kind::Instances => "number, `\"max\"`, or negative".into(),
        Kind::Ready => "`\"http\"`, `\"tcp\"`, `\"log:TEXT\"`, `\"ipc\"`, `\"sd_notify\"`, `\"started\"`".into(),
        Kind::Env => "table".into(),
        Kind::Codes => "list of 0 to 255".into(),
        Kind::Crons => "cron expression, or list of such".into(),
        Kind::Name => "name".into(),
        Kind::Region => "name of a region".into(),
        Kind::Hash => "text".into(),
    }
}

fn pm2() -> String {
    let row = |known: &Known| {
        let aliases: String = known.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
        format!("| `{}`{aliases} | {} | {} |\n", known.key, known.fate.as_str(), known.what)
    };
    let rows: String = [Fate::Honoured, Fate::Mapped, Fate::Ignored]
        .into_iter()
        .flat_map(|fate| KEYS.iter().filter(move |known| known.fate == fate))
        .map(row)
        .collect();
    format!("| key of PM2 | | here |\n|---|---|---|\n{rows}")
}
