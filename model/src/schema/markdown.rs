//! The tables as the docs show them. `docs/world.md` holds them between two marks each; a test writes them anew.

use super::{Choice, Field, Shape, Table, Unsaid};

/// A document with the tables between its marks replaced by what they are now. An error names a mark that fits no table.
pub(super) fn renew(document: &str, tables: &[&Table], choices: &[&Choice]) -> Result<String, String> {
    let (mut fresh, mut rest) = (String::new(), document);
    while let Some((before, after)) = rest.split_once("<!-- keys: ") {
        let (name, after) = after.split_once(" -->\n").ok_or("a mark is not closed")?;
        let (_, after) = after.split_once("<!-- end -->").ok_or_else(|| format!("the table `{name}` has no end"))?;
        let table = tables.iter().find(|table| table.name == name).map(|table| of_table(table));
        let choice = || choices.iter().find(|choice| choice.name == name).map(|choice| of_choice(choice));
        let rows = table.or_else(choice).ok_or_else(|| format!("there is no table `{name}`"))?;
        fresh += &format!("{before}<!-- keys: {name} -->\n\n{rows}\n<!-- end -->");
        rest = after;
    }
    Ok(fresh + rest)
}

fn of_table(table: &Table) -> String {
    let rows = table.fields.iter().map(|field| {
        let (key, kind, unsaid) = (title(field), kind(&field.shape), unsaid(field.unsaid));
        format!("| {key} | {kind} | {unsaid} | {} |\n", field.doc)
    });
    format!("| key | value | default | |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

/// One table for all of them, in which the first column says of which.
fn of_choice(choice: &Choice) -> String {
    let rows = choice.cases.iter().flat_map(|case| {
        let none = case.fields.is_empty().then(|| format!("| `{}` | – | | | |\n", case.name));
        let each = case.fields.iter().map(|field| {
            let (key, kind, unsaid) = (title(field), kind(&field.shape), unsaid(field.unsaid));
            format!("| `{}` | {key} | {kind} | {unsaid} | {} |\n", case.name, field.doc)
        });
        none.into_iter().chain(each).collect::<Vec<_>>()
    });
    format!("| `{}` | key | value | default | |\n|---|---|---|---|---|\n{}", choice.tag, rows.collect::<String>())
}

/// A key as one writes it: `[[region]]` begins an entry of a list of tables.
fn title(field: &Field) -> String {
    match &field.shape {
        Shape::List(Shape::Table(_) | Shape::OneOf(_), _) => format!("`[[{}]]`", field.key),
        Shape::Named(_, Shape::Table(_)) => format!("`[{}.NAME]`", field.key),
        _ => format!("`{}`", field.key),
    }
}

fn unsaid(unsaid: Unsaid) -> String {
    match unsaid {
        Unsaid::Needed => "needed".into(),
        Unsaid::NeededUnless(other) => format!("needed, or `{other}`"),
        Unsaid::Is("\"\"" | "[]") => "empty".into(),
        Unsaid::Is(toml) => match toml.parse() {
            Ok(number) => grouped(number),
            Err(_) => format!("`{}`", toml.trim_matches('"')),
        },
        Unsaid::Means("") => "–".into(),
        Unsaid::Means(words) => words.into(),
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text(chars) => match (*chars.start(), *chars.end()) {
            (_, u64::MAX) => "text".into(),
            (0, most) => format!("text, up to {most} characters"),
            (least, most) => format!("text, {least} to {most} characters"),
        },
        Shape::Reads(form) => form.docs.into(),
        Shape::Word(words) => format!("`\"{}\"`", words.join("\"`, `\"")),
        Shape::Whole { limits, .. } => format!("{} to {}", grouped(*limits.start()), grouped(*limits.end())),
        Shape::Signed { least, most } => format!("{least} to {most}").replace('-', "−"),
        Shape::Number { least, most } => format!("{least} to {most}").replace('-', "−"),
        Shape::Bool => "`true` or `false`".into(),
        Shape::List(Shape::Table(_) | Shape::OneOf(_), sizes) => match (*sizes.start(), *sizes.end()) {
            (0, most) => format!("list of tables, up to {}", grouped(most)),
            (least, most) => format!("list of tables, {least} to {most}"),
        },
        Shape::List(Shape::Whole { limits, .. }, sizes) => {
            format!("list of up to {} numbers, {} to {}", sizes.end(), limits.start(), limits.end())
        }
        Shape::List(Shape::Reads(form), _) if form.as_what == "a region's name" => "list of regions".into(),
        Shape::List(Shape::Reads(form), _) => format!("list, each {}", form.as_what),
        Shape::List(..) => "list of texts".into(),
        Shape::Table(table) => {
            let keys: Vec<&str> = table.fields.iter().map(|field| field.key).collect();
            if keys.len() > 5 { "table".into() } else { format!("table: `{}`", keys.join("`, `")) }
        }
        Shape::Named(_, Shape::Table(_)) => "tables by name".into(),
        Shape::OneOf(choice) => format!("table, by its `{}`", choice.tag),
        Shape::Named(form, value) if form.as_what == "a region's name" => format!("table of regions, {}", kind(value)),
        Shape::Named(form, value) => format!("table by {}, {}", form.docs, kind(value)),
        Shape::AsSays { sibling, .. } => format!("text, as `{sibling}` says"),
    }
}

/// A number with spaces between its thousands, from 10 000 on.
fn grouped(number: u64) -> String {
    if number < 10_000 {
        return number.to_string();
    }
    grouped_all(number)
}

fn grouped_all(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{} {:03}", grouped_all(number / 1000), number % 1000) }
}
