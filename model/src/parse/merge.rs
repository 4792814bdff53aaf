//! Several files that are one world: values and places go in file by file, one world's values and places come out.
//!
//! Only what the schema calls a list of tables is appended, and only what it calls a table is united; a pool or a check is one
//! thing and has one file. So the order of the files decides nothing but the order of lists.

use super::{
    lines::Spans,
    walk::{Walk, missing},
};
use crate::{
    errors::{KeyPath, Place, WorldError},
    schema::{Shape, Table, WORLD},
};

/// What the files said so far.
pub(super) struct Merged {
    pub(super) values: toml::Table,
    pub(super) spans: Spans,
    pub(super) errors: Vec<WorldError>,
    /// Whether the values can be read as a World.
    pub(super) is_readable: bool,
    names: Vec<String>,
}

impl Default for Merged {
    fn default() -> Self {
        let (values, spans) = (toml::Table::new(), Spans::default());
        Self { values, spans, errors: Vec::new(), is_readable: true, names: Vec::new() }
    }
}

impl Merged {
    /// Takes in what one more file says.
    pub(super) fn add(&mut self, name: &str, values: toml::Table, mut walk: Walk<'_>) {
        self.names.push(name.to_owned());
        self.is_readable &= walk.is_readable;
        let mut own = std::mem::take(&mut self.values);
        self.unite(&mut own, values, &WORLD, &KeyPath::root(), &mut walk);
        self.values = own;
        self.errors.extend(walk.errors);
        self.spans.extend(walk.spans);
    }

    /// Reports what makes the values unreadable, at its key.
    pub(super) fn spoil(&mut self, error: WorldError) {
        self.is_readable = false;
        self.errors.push(self.spans.locate(error));
    }

    /// Reports the keys that no file says.
    pub(super) fn check_needed(&mut self, table: &Table) {
        let values = &self.values;
        let lacking = table.fields.iter().filter(|field| field.is_missing(|key| values.contains_key(key)));
        for field in lacking {
            self.is_readable = false;
            self.errors.push(missing(table, field, &KeyPath::root()));
        }
    }

    fn unite(&mut self, into: &mut toml::Table, from: toml::Table, table: &Table, path: &KeyPath, walk: &mut Walk<'_>) {
        for (key, value) in from {
            let path = path.key(&key);
            let shape = table.fields.iter().find(|field| field.key == key).map(|field| &field.shape);
            match (shape, into.get_mut(&key), value) {
                (_, None, value) => {
                    into.insert(key, value);
                }
                (Some(Shape::List(Shape::Table(_), _)), Some(toml::Value::Array(items)), toml::Value::Array(more)) => {
                    walk.shift(&path, items.len());
                    items.extend(more);
                }
                (Some(Shape::Table(table)), Some(toml::Value::Table(into)), toml::Value::Table(from)) => {
                    self.unite(into, from, table, &path, walk);
                }
                (Some(Shape::Named(..)), Some(toml::Value::Table(into)), toml::Value::Table(from)) => {
                    for (name, value) in from {
                        if into.contains_key(&name) {
                            self.twice(path.key(&name), walk);
                        } else {
                            into.insert(name, value);
                        }
                    }
                }
                _ => self.twice(path, walk),
            }
        }
    }

    fn twice(&mut self, path: KeyPath, walk: &Walk<'_>) {
        let first = self.spans.place(&path).map(|place| self.told(place)).unwrap_or_default();
        let place = walk.spans.place(&path);
        let error = WorldError::new(path, format!("this is said already in {first}"));
        self.errors.push(WorldError { place, ..error }.hint("say it in one of the files"));
        self.is_readable = false;
    }

    fn told(&self, place: Place) -> String {
        let file = self.names.get(place.file).map(String::as_str).unwrap_or_default();
        format!("{file}:{}:{}", place.line, place.column)
    }
}
