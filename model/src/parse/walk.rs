//! The walk along the schema: a spanned document goes in; plain values, the place of every key, and errors come out.

use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{
    lines::{Lines, Spans},
    schema::{Field, Shape, Table},
};
use crate::errors::{KeyPath, WorldError, did_you_mean};

pub(super) struct Walk<'t> {
    lines: Lines<'t>,
    pub(super) spans: Spans,
    pub(super) errors: Vec<WorldError>,
    /// Whether the values can be read as a World: keys that mean nothing were left out, nothing else was wrong.
    pub(super) is_readable: bool,
}

impl<'t> Walk<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { lines: Lines::of(text), spans: Spans::default(), errors: Vec::new(), is_readable: true }
    }

    /// Walks the whole document.
    pub(super) fn root(&mut self, table: &Table, document: &Spanned<DeTable<'_>>) -> toml::Table {
        self.table(table, document.get_ref(), document.span().start, &KeyPath::root())
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
        for field in table.fields.iter().filter(|field| field.needed && !found.contains_key(field.key)) {
            let what = format!("{} needs `{}`: {}", table.what, field.key, describe(&field.shape));
            self.spoil(offset, WorldError::new(path.key(field.key), what));
        }
        values
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
            Shape::AsSays { sibling, shape } => {
                let says = around.get(*sibling).and_then(|value| value.get_ref().as_str()).unwrap_or_default();
                self.value(&shape(says), value, path)
            }
            shape => self.value(shape, value, path),
        }
    }

    fn value(&mut self, shape: &Shape, value: &Spanned<DeValue<'_>>, path: &KeyPath) -> Option<Value> {
        let offset = value.span().start;
        self.spans.note(path.clone(), self.lines.place(offset));
        let read = match (shape, value.get_ref()) {
            (Shape::Text | Shape::AsSays { .. }, DeValue::String(text)) => Ok(Value::String(text.to_string())),
            (Shape::Reads { as_what, check }, DeValue::String(text)) => match check(text) {
                Ok(()) => Ok(Value::String(text.to_string())),
                Err(why) => Err(WorldError::new(path.clone(), format!("`{text}` is not {as_what}: {why}"))),
            },
            (Shape::Word(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
                Ok(Value::String(text.to_string()))
            }
            (Shape::Word(words), DeValue::String(text)) => {
                let error = WorldError::new(path.clone(), format!("`{text}` is not {}", describe(shape)));
                let near = did_you_mean(text, words.iter().copied());
                Err(error.maybe_hint(near))
            }
            (Shape::Whole(most), DeValue::Integer(number)) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                parsed.filter(|n| u64::try_from(*n).is_ok_and(|n| n <= *most)).map(Value::Integer).ok_or_else(|| {
                    WorldError::new(path.clone(), format!("{number} must be a whole number from 0 to {most}"))
                })
            }
            (Shape::Number, DeValue::Integer(number)) => read_number(number.as_str(), path),
            (Shape::Number, DeValue::Float(number)) => read_number(number.as_str(), path),
            (Shape::Bool, DeValue::Boolean(value)) => Ok(Value::Boolean(*value)),
            (Shape::List(shape), DeValue::Array(items)) => {
                let items = items.iter().enumerate().filter_map(|(i, item)| self.value(shape, item, &path.at(i)));
                Ok(Value::Array(items.collect()))
            }
            (Shape::Table(table), DeValue::Table(found)) => Ok(Value::Table(self.table(table, found, offset, path))),
            (Shape::Named(shape), DeValue::Table(found)) => {
                let each = found.iter().filter_map(|(key, value)| {
                    let read = self.value(shape, value, &path.key(key.get_ref()))?;
                    Some((key.get_ref().to_string(), read))
                });
                Ok(Value::Table(each.collect()))
            }
            (shape, found) => Err(mismatch(shape, found, path)),
        };
        read.map_err(|error| self.spoil(offset, error)).ok()
    }
}

fn read_number(text: &str, path: &KeyPath) -> Result<Value, WorldError> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
    number.map(Value::Float).ok_or_else(|| WorldError::new(path.clone(), format!("{text} must be a plain number")))
}

fn mismatch(shape: &Shape, found: &DeValue<'_>, path: &KeyPath) -> WorldError {
    let error = WorldError::new(path.clone(), format!("this is {}, not {}", kind_of(found), describe(shape)));
    match (shape, found) {
        (Shape::List(_), DeValue::Table(_)) => error.hint(format!("write [[{path}]] instead of [{path}]")),
        (Shape::List(_), DeValue::String(text)) => error.hint(format!("did you mean [\"{text}\"]?")),
        (Shape::Named(_), DeValue::Array(_)) => error.hint(format!("write [{path}.NAME] instead of [[{path}]]")),
        (Shape::Whole(_) | Shape::Number, DeValue::String(text)) if text.parse::<f64>().is_ok() => {
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
        Shape::Text | Shape::AsSays { .. } => "a text".into(),
        Shape::Reads { as_what, .. } => format!("{as_what} as a text"),
        Shape::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
        Shape::Whole(_) => "a whole number".into(),
        Shape::Number => "a number".into(),
        Shape::Bool => "true or false".into(),
        Shape::List(Shape::Table(table)) => format!("a list of tables, each {}", table.what),
        Shape::List(_) => "a list".into(),
        Shape::Table(table) => format!("a table, {}", table.what),
        Shape::Named(_) => "a table of named tables".into(),
    }
}

fn keys(table: &Table) -> String {
    let keys: Vec<&str> = table.fields.iter().map(|field| field.key).collect();
    format!("it has: {}", keys.join(", "))
}
