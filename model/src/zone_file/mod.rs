//! Master files (RFC 1035, 5): a text goes in, a [`Zone`] comes out, or all that is wrong, each at its file and line.
//!
//! ```text
//! text ─ lex ─→ entries ─ read ─┬─ directives: $ORIGIN $TTL $INCLUDE $GENERATE        ─┐
//!                               └─ records: owner, TTL, class filled in, ─ data ─→ what a World says of it ─→ Zone
//! ```
//!
//! What a World says is one form of what a master file may say in many: names are absolute and lower case, escapes are `\046`,
//! a time is a number of seconds. So a zone that came from a file is no different from one that was written into the World, and
//! nothing behind this module knows that there are files.

mod data;
mod directives;
mod generate;
mod lex;
mod names;
mod read;
mod ttl;

#[cfg(test)]
mod tests;

use read::Reader;

use crate::{
    Record, RecordData, World, Zone,
    errors::{KeyPath, Place, SourceFile, WorldError, WorldErrors},
};

/// A file that was asked for: from which file, and as it is written there. Says what errors call it, and its text.
pub type Load<'l> = dyn Fn(&str, &str) -> Result<LoadedFile, String> + 'l;

/// What a [`Load`] found.
#[derive(Debug, Clone)]
pub struct LoadedFile {
    /// What errors call it; two ways to the same file have one name.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most records, those of `$GENERATE` among them.
    pub records: usize,
    /// Most bytes of all files together.
    pub bytes: usize,
}

impl Default for Limits {
    /// As much as a World may have.
    fn default() -> Self {
        Self { records: World::NAMES_MAX, bytes: World::TEXT_MAX }
    }
}

/// A zone as a master file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneFile {
    /// The zone.
    pub zone: Zone,
    /// Where its records are.
    places: Places,
    files: Vec<SourceFile>,
    /// Of all files together.
    bytes: usize,
}

/// Where in its files each part of a zone is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Places {
    pub(crate) soa: Place,
    pub(crate) ns: Vec<Place>,
    pub(crate) records: Vec<Place>,
}

impl ZoneFile {
    /// Reads a master file of that name and text. `origin` is the zone's own name and the origin to begin with; without one the first
    /// record must be the zone's SOA, whose owner it is. Included files come from `load`.
    ///
    /// Says whether the file can be read, not yet whether the zone makes sense: see [`ZoneFile::check`].
    pub fn read(
        origin: Option<&str>,
        (name, text): (&str, &str),
        limits: Limits,
        load: &Load<'_>,
    ) -> Result<Self, WorldErrors> {
        let origin = match origin.map(|origin| names::absolute(origin, Some(""))).transpose() {
            Ok(origin) => origin,
            Err(what) => {
                let errors = vec![WorldError::new(KeyPath::root(), what)];
                return Err(WorldErrors { file: name.to_owned(), files: Vec::new(), errors });
            }
        };
        let mut reader = Reader::new(origin, limits, load);
        reader.file(name, text, None);
        let (files, bytes) = (std::mem::take(&mut reader.files), reader.bytes);
        match assemble(reader) {
            Ok((zone, places)) => Ok(Self { zone, places, files, bytes }),
            Err(errors) => Err(WorldErrors { file: name.to_owned(), files, errors }),
        }
    }

    /// Whether the zone makes sense, as far as that can be said without the World around it.
    pub fn check(&self) -> Result<(), WorldErrors> {
        let mut errors = self.zone.faults();
        if errors.is_empty() {
            return Ok(());
        }
        for error in &mut errors {
            error.place = self.places.of(&error.path);
            // Keys are those of a World; who wrote the file knows lines.
            error.path = KeyPath::root();
        }
        errors.sort_by_key(|error| error.place);
        let file = self.files.first().map_or_else(String::new, |file| file.name.clone());
        Err(WorldErrors { file, files: self.files.clone(), errors })
    }

    /// How many bytes all its files have together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn into_parts(self) -> (Zone, Places, Vec<SourceFile>) {
        (self.zone, self.places, self.files)
    }
}

impl Places {
    /// Where what a key of the zone says is written.
    fn of(&self, path: &KeyPath) -> Option<Place> {
        match path.list_entry() {
            Some(("record", at)) => self.records.get(at),
            Some(("ns", at)) => self.ns.get(at),
            _ if path.begins_with("ns") => self.ns.first(),
            _ => None,
        }
        .or(Some(&self.soa))
        .copied()
    }

    /// The same places, if so many files come before theirs.
    pub(crate) fn shifted(mut self, files: usize) -> Self {
        let all = std::iter::once(&mut self.soa).chain(&mut self.ns).chain(&mut self.records);
        all.for_each(|place| place.file += files);
        self
    }
}

/// Puts the zone together: its servers are the NS records at its own name, whose TTL is the zone's.
fn assemble(reader: Reader<'_>) -> Result<(Zone, Places), Vec<WorldError>> {
    let Reader { mut errors, zone, soa, mut records, mut places, .. } = reader;
    let is_whole = errors.is_empty();
    let end = Place { file: 0, line: 1, column: 1 };
    let mut missing = |what: &str, hint: &str| {
        // What was not read to its end may have it further down.
        if is_whole {
            errors.push(WorldError::new(KeyPath::root(), what).at(end).hint(hint));
        }
    };
    let is_server = |record: &Record| record.name == "@" && record.data.number() == Some(RecordData::NS);
    let ttl = records.iter().find(|record| is_server(record)).and_then(|record| record.ttl);
    if soa.is_none() {
        missing("the zone has no SOA record", "add one, at the zone's own name");
    }
    if ttl.is_none() {
        missing("the zone has no NS record at its own name", "add one for each of its servers");
    }
    let (Some(origin), Some((mut soa, soa_place)), Some(ttl)) = (zone, soa, ttl) else { return Err(errors) };
    soa.ttl = soa.ttl.filter(|own| *own != ttl);
    let (mut ns, mut ns_places) = (Vec::new(), Vec::new());
    let servers: Vec<bool> = records.iter().map(is_server).collect();
    for ((record, place), _) in records.iter().zip(&places).zip(&servers).filter(|(_, is_server)| **is_server) {
        if record.ttl != Some(ttl) {
            let what = "the NS records of a zone have one TTL (RFC 2181, 5.2)";
            errors.push(WorldError::new(KeyPath::root(), what).at(*place).hint(format!("the first one says {ttl}")));
        }
        ns.push(record.data.value_text());
        ns_places.push(*place);
    }
    // In place: a million records need no second room.
    let (mut of_record, mut of_place) = (servers.iter(), servers.iter());
    records.retain(|_| of_record.next() == Some(&false));
    places.retain(|_| of_place.next() == Some(&false));
    for record in &mut records {
        record.ttl = record.ttl.filter(|own| *own != ttl);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let zone = Zone { origin, ttl, soa, ns, records, steered: Vec::new() };
    Ok((zone, Places { soa: soa_place, ns: ns_places, records: places }))
}
