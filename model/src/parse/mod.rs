//! From the text of world files to a World, with every error at its file and line.
//!
//! ```text
//! text ─ toml ─→ spanned document ─ schema ─→ plain values + line of every key ─┬─ serde ─→ World ─ validate ─→ World
//!        syntax errors      unknown keys, wrong types, missing keys             │                   everything else
//! text ─ … ─────────────────────────────────────────────────────────────────────┘ merge: a key said twice
//!                                                     zone_files: a zone's `file` becomes what it says
//! ```
//!
//! serde alone would stop at the first error and forget lines inside flattened records; so each document is walked first,
//! along [`schema::WORLD`]. A test holds the schema and the types together.

mod lines;
mod merge;
mod walk;
mod zone_files;

use lines::Lines;
use merge::Merged;
use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    Load, World,
    errors::{KeyPath, SourceFile, WorldError, WorldErrors},
    schema,
};

impl World {
    /// Parses and validates a world file. `file` is what errors call it.
    ///
    /// All errors of a stage are returned at once, in the order of the file: syntax; then unknown keys, wrong types and missing
    /// keys; then, if all values could be read, what makes no sense. A later stage would only repeat an earlier one's errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, WorldErrors> {
        Self::parse_files(file, &[(file, text)], None)
    }

    /// The same for a world of several files, each with its name: lists of tables are appended in the order of the files, tables
    /// united. A key that two files say is an error that names both. `whole` is what errors call all of them together.
    ///
    /// `load` finds the master files of zones; without it a world that names some is refused.
    pub fn parse_files(whole: &str, files: &[(&str, &str)], load: Option<&Load<'_>>) -> Result<Self, WorldErrors> {
        let mut sources = files.iter().map(|(name, _)| SourceFile::new(*name)).collect();
        parse(files, load, &mut sources).map_err(|mut errors| {
            errors.sort_by_key(|error| error.place);
            WorldErrors { file: whole.to_owned(), files: sources, errors }
        })
    }

    /// The world as TOML that [`World::parse`] reads back to an equal World.
    pub fn to_toml(&self) -> String {
        // Every field is a TOML type under a string key, so there is nothing that could fail; should that ever change, the
        // round-trip test says so.
        toml::to_string(self).unwrap_or_default()
    }
}

fn parse(
    files: &[(&str, &str)],
    load: Option<&Load<'_>>,
    sources: &mut Vec<SourceFile>,
) -> Result<World, Vec<WorldError>> {
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    if bytes > World::TEXT_MAX {
        let what = format!("a world has at most {} bytes, this has {bytes}", World::TEXT_MAX);
        return Err(vec![WorldError::new(KeyPath::root(), what)]);
    }
    let documents = documents(files)?;
    let mut merged = Merged::default();
    for (number, ((name, text), document)) in files.iter().zip(&documents).enumerate() {
        let mut walk = walk::Walk::new(text, number);
        let values = walk.root(&schema::WORLD, document, files.len() == 1);
        merged.add(name, values, walk);
    }
    if files.len() != 1 {
        merged.check_needed(&schema::WORLD);
    }
    let mut zone_files = zone_files::ZoneFiles::new(load, sources, World::TEXT_MAX - bytes);
    zone_files.read(&mut merged);
    let records = zone_files.records;
    let Merged { values, spans, mut errors, is_readable, .. } = merged;
    if is_readable {
        match World::deserialize(toml::Value::Table(values)) {
            Ok(mut world) => {
                for (zone, records) in records {
                    if let Some(zone) = world.zones.get_mut(zone) {
                        zone.records = records;
                    }
                }
                match world.validate() {
                    Ok(()) if errors.is_empty() => return Ok(world),
                    Ok(()) => {}
                    Err(found) => errors.extend(found.errors.into_iter().map(|error| spans.locate(error))),
                }
            }
            Err(error) => errors.push(WorldError::new(KeyPath::root(), error.message())),
        }
    }
    Err(errors)
}

fn documents<'t>(files: &[(&str, &'t str)]) -> Result<Vec<toml::Spanned<DeTable<'t>>>, Vec<WorldError>> {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for (number, (_, text)) in files.iter().enumerate() {
        let (document, syntax) = DeTable::parse_recoverable(text);
        if !syntax.is_empty() {
            let lines = Lines::of(text, number);
            errors.extend(syntax.iter().map(|error| syntax_error(&lines, error)));
        }
        documents.push(document);
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

fn syntax_error(lines: &Lines<'_>, error: &toml::de::Error) -> WorldError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let place = error.span().map(|span| lines.place(span.start));
    WorldError { place, ..WorldError::new(KeyPath::root(), format!("not TOML: {message}")) }
}

#[cfg(test)]
pub(crate) mod tests;
