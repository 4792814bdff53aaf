//! YAML into the form that all files share. The grammar is `saphyr-parser`'s; the tree is made here, so that it is bounded: aliases that
//! multiply, depth and size. Plain words mean what YAML 1.2's core schema says, as in js-yaml, which PM2 reads with; `<<` merges.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value as Raw};

use crate::problem::{Place, Problem};

/// The most values that aliases may make of a file.
const VALUES_MOST: usize = 100_000;
const DEPTH_MOST: usize = 64;

pub(super) fn parse(text: &str) -> Result<Raw, Problem> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let place = Place { line: error.marker().line(), column: error.marker().col() + 1 };
            Problem::new("", format!("not YAML: {}", error.info())).at(Some(place))
        })?;
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        tree.take(event).map_err(|what| Problem::new("", what).at(Some(place)))?;
    }
    tree.document.ok_or_else(|| Problem::new("", "there is nothing in it"))
}

/// A list or a table that is not closed yet.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Raw>),
    Table { entries: Map<String, Raw>, merged: Vec<Raw>, key: Option<String> },
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Raw, usize)>,
    values: usize,
    document: Option<Raw>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.document.is_some() => Err("there is a second document in it".into()),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias of something that is not whole yet")?;
                self.values += size;
                self.check()?;
                self.put(value)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                let value = if is_text { Raw::String(text.into_owned()) } else { plain(&text) };
                self.keep(anchor, &value, 1)?;
                self.put(value)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(anchor, Kind::Table { entries: Map::new(), merged: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.values > VALUES_MOST {
            return Err(format!("it has more than {VALUES_MOST} values, aliases counted as often as they stand"));
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, kind: Kind) -> Result<(), String> {
        if self.open.len() >= DEPTH_MOST {
            return Err(format!("it is nested deeper than {DEPTH_MOST}"));
        }
        self.open.push(Open { anchor, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { anchor, kind }) = self.open.pop() else { return Err("something is closed twice".into()) };
        let value = match kind {
            Kind::List(items) => Raw::Array(items),
            Kind::Table { mut entries, merged, .. } => {
                // What a table says itself wins over what it merges, and the first merged over the later.
                for table in merged.into_iter().flat_map(tables) {
                    for (key, value) in table {
                        entries.entry(key).or_insert(value);
                    }
                }
                Raw::Object(entries)
            }
        };
        let size = if anchor == 0 { 0 } else { count(&value) };
        self.keep(anchor, &value, size)?;
        self.put(value)
    }

    /// Remembers a value under its anchor.
    fn keep(&mut self, anchor: usize, value: &Raw, size: usize) -> Result<(), String> {
        self.values += 1;
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        self.check()
    }

    fn put(&mut self, value: Raw) -> Result<(), String> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.document = Some(value),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Table { entries, merged, key }) => match key.take() {
                None => *key = Some(as_key(&value)?),
                Some(name) if name == "<<" => merged.push(value),
                Some(name) => {
                    if entries.insert(name.clone(), value).is_some() {
                        return Err(format!("the key `{name}` is there twice"));
                    }
                }
            },
        }
        Ok(())
    }
}

fn tables(value: Raw) -> Vec<Map<String, Raw>> {
    match value {
        Raw::Object(table) => vec![table],
        Raw::Array(items) => items.into_iter().flat_map(tables).collect(),
        _ => Vec::new(),
    }
}

fn as_key(value: &Raw) -> Result<String, String> {
    match value {
        Raw::Null => Ok("null".into()),
        other => crate::value::variable(other).ok_or_else(|| "a key is a list or a table".into()),
    }
}

fn count(value: &Raw) -> usize {
    1 + match value {
        Raw::Array(items) => items.iter().map(count).sum(),
        Raw::Object(table) => table.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// A word without quotes, by the core schema (YAML 1.2.2, 10.3.2).
fn plain(text: &str) -> Raw {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Raw::Null,
        "true" | "True" | "TRUE" => return Raw::Bool(true),
        "false" | "False" | "FALSE" => return Raw::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok()).map(Raw::from)
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return number;
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Raw::String(text.to_owned());
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().map_or_else(|_| Raw::String(text.to_owned()), Raw::from);
    }
    let is_float = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let number = is_float.then(|| text.parse().ok()).flatten().and_then(Number::from_f64);
    number.map_or_else(|| Raw::String(text.to_owned()), Raw::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_mean_what_the_core_schema_says() {
        let text = "a: [true, ~, 12, -3, 0x1F, 1.5, 1e3, '12', \"x\\ny\", plain text, 1.2.3, yes, 010, !!str 5]\nb: |\n  one\n  two\n";
        let wanted = json!({
            "a": [true, null, 12, -3, 31, 1.5, 1000.0, "12", "x\ny", "plain text", "1.2.3", "yes", 10, "5"],
            "b": "one\ntwo\n"
        });
        assert_eq!(parse(text), Ok(wanted));
    }

    #[test]
    fn anchors_and_merges() {
        let text = "base: &base { a: 1, b: 1 }\none:\n  <<: *base\n  b: 2\ntwo: *base\n";
        assert_eq!(parse(text).map(|value| value["one"].clone()), Ok(json!({ "a": 1, "b": 2 })));
        assert_eq!(parse(text).map(|value| value["two"].clone()), Ok(json!({ "a": 1, "b": 1 })));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let told = |text: &str| parse(text).map_err(|problem| (problem.place.map_or(0, |p| p.line), problem.what));
        let error = |text: &str| told(text).err().unwrap_or_default();
        assert_eq!(error("a: 1\nb: [1, 2\n").0, 3, "{:?}", error("a: 1\nb: [1, 2\n"));
        assert_eq!(error("a: 1\na: 2\n"), (2, "the key `a` is there twice".into()));
        assert_eq!(error("").1, "there is nothing in it");
    }

    #[test]
    fn aliases_that_multiply_are_bounded() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let items = vec![format!("*a{}", n - 1); 9].join(", ");
            text += &format!("a{n}: &a{n} [{items}]\n");
        }
        assert!(parse(&text).is_err_and(|problem| problem.what.contains("more than 100000 values")));
        assert!(parse(&"[".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}&*<:>|\\-a1 \n#'\"]{0,60}") {
            let _ = parse(&text);
        }
    }
}
