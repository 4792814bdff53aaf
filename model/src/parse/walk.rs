//! The walk along the schema: a spanned document goes in; plain values, the place of every key, and errors come out.

use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::lines::{Lines, Spans};
use crate::{
    errors::{KeyPath, WorldError, did_you_mean},
    schema::{Choice, Field, Form, Shape, Table},
};

pub(super) struct Walk<'t> {
    lines: Lines<'t>,
    pub(super) spans: Spans,
    pub(super) errors: Vec<WorldError>,
    /// Whether the values can be read as a World: keys that mean nothing were left out, nothing else was wrong.
    pub(super) is_readable: bool,
}

impl<'t> Walk<'t> {
    /// A walk of file number `file`.
    pub(super) fn new(text: &'t str, file: usize) -> Self {
        Self { lines: Lines::of(text, file), spans: Spans::default(), errors: Vec::new(), is_readable: true }
    }

    /// Walks a document; a part of a world may leave out what the whole must have.
    pub(super) fn root(&mut self, table: &Table, document: &Spanned<DeTable<'_>>, is_whole: bool) -> toml::Table {
        let values = self.keys(table, document.get_ref(), &KeyPath::root());
        if is_whole {
            self.check_needed(table, document.get_ref(), document.span().start, &KeyPath::root());
        }
        values
    }

    /// Renumbers the entries of a list, since so many entries of other files come before them.
    pub(super) fn shift(&mut self, list: &KeyPath, by: usize) {
        self.spans.shift(list, by);
        for error in &mut self.errors {
            error.path = std::mem::take(&mut error.path).shifted(list, by);
        }
    }

    /// Reports something that makes the values unreadable.
    fn spoil(&mut self, offset: usize, error: WorldError) {
        self.is_readable = false;
        self.report(offset, error);
    }

    fn report(&mut self, offset: usize, error: WorldError) {
        self.errors.push(WorldError { place: Some(self.lines.place(offset)), ..error });
    }

    fn table(&mut self, table: &Table, found: &DeTable<'_>, offset: usize, path: &KeyPath) -> toml::Table {
        let values = self.keys(table, found, path);
        self.check_needed(table, found, offset, path);
        values
    }

    /// A table of which one of its keys says what the others are.
    fn one_of(&mut self, choice: &Choice, found: &DeTable<'_>, offset: usize, path: &KeyPath) -> Option<toml::Table> {
        let said = found.get(choice.tag);
        let word = said.and_then(|value| value.get_ref().as_str());
        let Some(case) = word.and_then(|word| choice.case(word)) else {
            let at = said.map_or(offset, |value| value.span().start);
            let words = choice.words();
            let what = format!("{} needs `{}`, one of \"{}\"", choice.what, choice.tag, words.join("\", \""));
            let near = word.and_then(|word| did_you_mean(word, words.iter().copied()));
            self.spoil(at, WorldError::new(path.key(choice.tag), what).maybe_hint(near));
            return None;
        };
        let mut rest = found.clone();
        rest.remove(choice.tag);
        let mut values = self.table(case, &rest, offset, path);
        values.insert(choice.tag.to_owned(), Value::String(case.name.to_owned()));
        Some(values)
    }

    fn keys(&mut self, table: &Table, found: &DeTable<'_>, path: &KeyPath) -> toml::Table {
        let mut values = toml::Table::new();
        for (key, value) in found {
            let (name, path) = (key.get_ref().as_ref(), path.key(key.get_ref()));
            match table.fields.iter().find(|field| field.key == name) {
                Some(field) => {
                    if let Some(value) = self.field(field, found, value, &path) {
                        values.insert(name.to_owned(), value);
                    }
                }
                None => self.unknown_key(table, name, key.span().start, path),
            }
        }
        values
    }

    fn check_needed(&mut self, table: &Table, found: &DeTable<'_>, offset: usize, path: &KeyPath) {
        for field in table.fields.iter().filter(|field| field.is_missing(|key| found.contains_key(key))) {
            self.spoil(offset, missing(table, field, path));
        }
    }

    fn unknown_key(&mut self, table: &Table, name: &str, offset: usize, path: KeyPath) {
        let near = did_you_mean(name, table.fields.iter().map(|field| field.key));
        // A misspelt key is read as absent, so what else would be found wrong may only follow from that.
        self.is_readable &= near.is_none();
        let error = WorldError::new(path, format!("{} has no key `{name}`", table.what));
        self.report(offset, error.hint(near.unwrap_or_else(|| keys(table))));
    }

    fn field(
        &mut self,
        field: &Field,
        around: &DeTable<'_>,
        value: &Spanned<DeValue<'_>>,
        path: &KeyPath,
    ) -> Option<Value> {
        match &field.shape {
            Shape::AsSays { sibling, cases } => {
                let says = around.get(*sibling).and_then(|value| value.get_ref().as_str()).unwrap_or_default();
                let case = cases.iter().find(|(word, _)| *word == says);
                self.value(case.map_or(&field.shape, |(_, shape)| shape), value, path)
            }
            shape => self.value(shape, value, path),
        }
    }

    fn value(&mut self, shape: &Shape, value: &Spanned<DeValue<'_>>, path: &KeyPath) -> Option<Value> {
        let offset = value.span().start;
        self.spans.note(path.clone(), self.lines.place(offset));
        let read = match (shape, value.get_ref()) {
            (Shape::Text(_) | Shape::AsSays { .. }, DeValue::String(text)) => Ok(Value::String(text.to_string())),
            (Shape::Reads(form), DeValue::String(text)) => match reads(form, text, path) {
                None => Ok(Value::String(text.to_string())),
                Some(error) => Err(error),
            },
            (Shape::Word(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
                Ok(Value::String(text.to_string()))
            }
            (Shape::Word(words), DeValue::String(text)) => {
                let error = WorldError::new(path.clone(), format!("`{text}` is not {}", describe(shape)));
                let near = did_you_mean(text, words.iter().copied());
                Err(error.maybe_hint(near))
            }
            (Shape::Whole { fits, .. }, DeValue::Integer(number)) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                parsed.filter(|n| u64::try_from(*n).is_ok_and(|n| n <= *fits)).map(Value::Integer).ok_or_else(|| {
                    WorldError::new(path.clone(), format!("{number} must be a whole number from 0 to {fits}"))
                })
            }
            (Shape::Signed { least, most }, DeValue::Integer(number)) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                parsed.filter(|n| (least..=most).contains(&n)).map(Value::Integer).ok_or_else(|| {
                    WorldError::new(path.clone(), format!("{number} must be a whole number from {least} to {most}"))
                })
            }
            (Shape::Number { .. }, DeValue::Integer(number)) => read_number(number.as_str(), path),
            (Shape::Number { .. }, DeValue::Float(number)) => read_number(number.as_str(), path),
            (Shape::Bool, DeValue::Boolean(value)) => Ok(Value::Boolean(*value)),
            (Shape::List(shape, _), DeValue::Array(items)) => {
                let items = items.iter().enumerate().filter_map(|(i, item)| self.value(shape, item, &path.at(i)));
                Ok(Value::Array(items.collect()))
            }
            (Shape::OneOf(choice), DeValue::Table(found)) => {
                return self.one_of(choice, found, offset, path).map(Value::Table);
            }
            (Shape::Table(table), DeValue::Table(found)) => Ok(Value::Table(self.table(table, found, offset, path))),
            (Shape::Named(form, shape), DeValue::Table(found)) => {
                let each = found.iter().filter_map(|(key, value)| {
                    let path = path.key(key.get_ref());
                    if let Some(error) = reads(form, key.get_ref(), &path) {
                        self.spoil(key.span().start, error);
                    }
                    Some((key.get_ref().to_string(), self.value(shape, value, &path)?))
                });
                Ok(Value::Table(each.collect()))
            }
            (shape, found) => Err(mismatch(shape, found, path)),
        };
        read.map_err(|error| self.spoil(offset, error)).ok()
    }
}

/// What a table lacks.
pub(super) fn missing(table: &Table, field: &Field, path: &KeyPath) -> WorldError {
    let what = format!("{} needs `{}`: {}", table.what, field.key, describe(&field.shape));
    WorldError::new(path.key(field.key), what)
}

/// What keeps a text from reading as it should.
fn reads(form: &Form, text: &str, path: &KeyPath) -> Option<WorldError> {
    let why = (form.check)(text).err()?;
    Some(WorldError::new(path.clone(), format!("`{text}` is not {}: {why}", form.as_what)))
}

fn read_number(text: &str, path: &KeyPath) -> Result<Value, WorldError> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
    number.map(Value::Float).ok_or_else(|| WorldError::new(path.clone(), format!("{text} must be a plain number")))
}

fn mismatch(shape: &Shape, found: &DeValue<'_>, path: &KeyPath) -> WorldError {
    let error = WorldError::new(path.clone(), format!("this is {}, not {}", kind_of(found), describe(shape)));
    match (shape, found) {
        (Shape::List(..), DeValue::Table(_)) => error.hint(format!("write [[{path}]] instead of [{path}]")),
        (Shape::List(..), DeValue::String(text)) => error.hint(format!("did you mean [\"{text}\"]?")),
        (Shape::Named(..), DeValue::Array(_)) => error.hint(format!("write [{path}.NAME] instead of [[{path}]]")),
        (Shape::Whole { .. } | Shape::Signed { .. } | Shape::Number { .. }, DeValue::String(text))
            if text.parse::<f64>().is_ok() =>
        {
            error.hint(format!("drop the quotes: {text}"))
        }
        _ => error,
    }
}

fn kind_of(found: &DeValue<'_>) -> &'static str {
    match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Text(_) | Shape::AsSays { .. } => "a text".into(),
        Shape::Reads(form) => format!("{} as a text", form.as_what),
        Shape::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
        Shape::Whole { .. } | Shape::Signed { .. } => "a whole number".into(),
        Shape::Number { .. } => "a number".into(),
        Shape::Bool => "true or false".into(),
        Shape::List(Shape::Table(table), _) => format!("a list of tables, each {}", table.what),
        Shape::List(Shape::OneOf(choice), _) => format!("a list of tables, each {}", choice.what),
        Shape::List(..) => "a list".into(),
        Shape::OneOf(choice) => format!("a table, {}", choice.what),
        Shape::Table(table) => format!("a table, {}", table.what),
        Shape::Named(..) => "a table of named tables".into(),
    }
}

fn keys(table: &Table) -> String {
    let keys: Vec<&str> = table.fields.iter().map(|field| field.key).collect();
    format!("it has: {}", keys.join(", "))
}
