//! From the text of `world.toml` to a World, with every error at its line.
//!
//! ```text
//! text ─ toml ─→ spanned document ─ schema ─→ plain values + line of every key ─ serde ─→ World ─ validate ─→ World
//!        syntax errors      unknown keys, wrong types, missing keys                            everything else
//! ```
//!
//! serde alone would stop at the first error and forget lines inside flattened records; so the document is walked first,
//! along [`schema::WORLD`]. A test holds the schema and the types together.

mod lines;
mod schema;
mod walk;

use lines::Lines;
use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    World,
    errors::{KeyPath, WorldError, WorldErrors},
};

impl World {
    /// Parses and validates a world file. `file` is what errors call it.
    ///
    /// All errors of a stage are returned at once, in the order of the file: syntax; then unknown keys, wrong types and missing
    /// keys; then, if all values could be read, what makes no sense. A later stage would only repeat an earlier one's errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, WorldErrors> {
        parse(text).map_err(|mut errors| {
            errors.sort_by_key(|error| error.place);
            WorldErrors { file: file.to_owned(), errors }
        })
    }

    /// The world as TOML that [`World::parse`] reads back to an equal World.
    pub fn to_toml(&self) -> String {
        // Every field is a TOML type under a string key, so there is nothing that could fail; should that ever change, the
        // round-trip test says so.
        toml::to_string(self).unwrap_or_default()
    }
}

fn parse(text: &str) -> Result<World, Vec<WorldError>> {
    if text.len() > World::TEXT_MAX {
        let what = format!("a world file has at most {} bytes, this has {}", World::TEXT_MAX, text.len());
        return Err(vec![WorldError::new(KeyPath::root(), what)]);
    }
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let lines = Lines::of(text);
        return Err(syntax.iter().map(|error| syntax_error(&lines, error)).collect());
    }
    let mut walk = walk::Walk::new(text);
    let values = walk.root(&schema::WORLD, &document);
    let mut errors = walk.errors;
    if walk.is_readable {
        match World::deserialize(toml::Value::Table(values)) {
            Ok(world) => match world.validate() {
                Ok(()) if errors.is_empty() => return Ok(world),
                Ok(()) => {}
                Err(found) => errors.extend(found.errors.into_iter().map(|error| walk.spans.locate(error))),
            },
            Err(error) => errors.push(WorldError::new(KeyPath::root(), error.message())),
        }
    }
    Err(errors)
}

fn syntax_error(lines: &Lines<'_>, error: &toml::de::Error) -> WorldError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let place = error.span().map(|span| lines.place(span.start));
    WorldError { place, ..WorldError::new(KeyPath::root(), format!("not TOML: {message}")) }
}

#[cfg(test)]
mod tests;
