//! The keys of a world file: which kind of value each has, between which limits, what it is when nothing is said, and what it is
//! for. Said once, in `tables.rs`; four readers:
//!
//! ```text
//!                ┌─ parse/walk.rs   unknown keys, wrong types and missing keys, each at its line
//! tables.rs ─────┼─ json.rs         JSON Schema, for editors
//!                ├─ markdown.rs     the tables of docs/world.md
//!                └─ tests.rs        what serde takes for granted is what the tables call the default
//! ```

mod json;
#[cfg(test)]
mod markdown;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use tables::WORLD;

use crate::{World, limits::Limits};

impl World {
    /// The JSON Schema (draft 2020-12) of a world file, for editors that complete and explain keys while one writes.
    ///
    /// It knows keys, kinds of values and limits. References, and what must hold between keys, only [`World::parse`] knows.
    pub fn json_schema() -> serde_json::Value {
        json::document(&WORLD)
    }
}

/// What a value must be.
pub(crate) enum Shape {
    /// A text, with so many characters.
    Text(Limits),
    /// A text that reads as something.
    Reads(&'static Form),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number. One that does not fit into its type cannot be read; one outside of its limits is found by validation,
    /// which has better words for it.
    Whole { limits: Limits, fits: u64 },
    /// A whole number that may be negative.
    Signed { least: i64, most: i64 },
    /// A number, both ends included.
    Number { least: f64, most: f64 },
    /// `true` or `false`.
    Bool,
    /// A list of so many of these.
    List(&'static Self, Limits),
    /// A table with these keys.
    Table(&'static Table),
    /// One of several tables.
    OneOf(&'static Choice),
    /// A table with keys of one's own choice, which must read as something.
    Named(&'static Form, &'static Self),
    /// A text that is read as its sibling says: `value` by `type`. Any text where the sibling says none of these.
    AsSays { sibling: &'static str, cases: &'static [(&'static str, Self)] },
}

/// How a text reads.
pub(crate) struct Form {
    /// With an article, for errors: `an IPv4 address`.
    pub(crate) as_what: &'static str,
    /// What breaks it.
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// The same for editors: a keyword of JSON Schema and its value.
    pub(crate) json: (&'static str, &'static str),
    /// The same in the docs.
    #[cfg_attr(not(test), expect(dead_code, reason = "the docs are made by a test"))]
    pub(crate) docs: &'static str,
}

/// A table.
pub(crate) struct Table {
    /// Its name in the docs and in editors.
    pub(crate) name: &'static str,
    /// What it is, for errors: `a region`.
    pub(crate) what: &'static str,
    pub(crate) fields: &'static [Field],
}

/// Several tables, of which a key says which one it is.
pub(crate) struct Choice {
    /// Its name in the docs.
    pub(crate) name: &'static str,
    /// What it is, for errors: `a step`.
    pub(crate) what: &'static str,
    /// The key that says which: its word is the name of the table.
    pub(crate) tag: &'static str,
    pub(crate) cases: &'static [Table],
}

impl Choice {
    /// The table that a word stands for.
    pub(crate) fn case(&self, word: &str) -> Option<&'static Table> {
        self.cases.iter().find(|case| case.name == word)
    }

    /// All words.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        self.cases.iter().map(|case| case.name).collect()
    }
}

/// A key of a table.
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) unsaid: Unsaid,
    pub(crate) shape: Shape,
    /// What it is for, as the docs and editors tell it.
    pub(crate) doc: &'static str,
}

/// What holds when a key is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// It must not be.
    Needed,
    /// It must not be, unless this other key is there and says it.
    NeededUnless(&'static str),
    /// This value, as TOML writes it.
    Is(&'static str),
    /// This, in words. Empty: nothing.
    Means(&'static str),
}

impl Field {
    /// Whether it is missing in a table that has these keys.
    pub(crate) fn is_missing(&self, has: impl Fn(&str) -> bool) -> bool {
        match self.unsaid {
            Unsaid::Needed => !has(self.key),
            Unsaid::NeededUnless(other) => !has(self.key) && !has(other),
            Unsaid::Is(_) | Unsaid::Means(_) => false,
        }
    }
}
