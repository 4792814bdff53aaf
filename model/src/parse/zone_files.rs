//! Zones that are written in master files: the key `file` goes, what the file says comes in its place.
//!
//! A file says a zone's records, servers and SOA; only what steers names is said beside it, in the world file. After this nobody
//! knows that there was a file, but the places of errors.

use super::merge::Merged;
use crate::{
    Load, Record, ZoneFile, ZoneFileLimits,
    errors::{KeyPath, SourceFile, WorldError},
};

/// What a master file says, and the world file must not say too.
const SAID_BY_FILE: [&str; 4] = ["ttl", "ns", "soa", "record"];

pub(super) struct ZoneFiles<'w> {
    load: Option<&'w Load<'w>>,
    sources: &'w mut Vec<SourceFile>,
    bytes_left: usize,
    /// The records of the zones that had a file, by the zone's place in its list.
    pub(super) records: Vec<(usize, Vec<Record>)>,
}

impl<'w> ZoneFiles<'w> {
    pub(super) fn new(load: Option<&'w Load<'w>>, sources: &'w mut Vec<SourceFile>, bytes_left: usize) -> Self {
        Self { load, sources, bytes_left, records: Vec::new() }
    }

    /// Reads the files of all zones into what the world files said.
    pub(super) fn read(&mut self, merged: &mut Merged) {
        let Some(toml::Value::Array(mut zones)) = merged.values.remove("zone") else { return };
        for (at, zone) in zones.iter_mut().enumerate() {
            let path = KeyPath::root().key("zone").at(at);
            let toml::Value::Table(zone) = zone else { continue };
            let Some(toml::Value::String(file)) = zone.remove("file") else { continue };
            self.read_zone(at, zone, &file, &path, merged);
        }
        merged.values.insert("zone".to_owned(), toml::Value::Array(zones));
    }

    fn read_zone(&mut self, at: usize, zone: &mut toml::Table, file: &str, path: &KeyPath, merged: &mut Merged) {
        let file_path = path.key("file");
        for key in SAID_BY_FILE.iter().filter(|key| zone.contains_key(**key)) {
            let error = WorldError::new(path.key(key), format!("the zone's file, `{file}`, says this"));
            merged.spoil(error.hint("say it there"));
        }
        let Some(load) = self.load else {
            let error =
                WorldError::new(file_path, "a zone's file is read where the world file lies, and this has no place");
            return merged.spoil(error.hint("use `atoll apply`, or write the records into the world"));
        };
        let named_in = merged.spans.place(&file_path);
        let from = named_in.and_then(|place| self.sources.get(place.file)).map_or("", |source| source.name.as_str());
        let loaded = match load(from, file) {
            Ok(loaded) => loaded,
            Err(what) => return merged.spoil(WorldError::new(file_path, what)),
        };
        // Without an origin there is an error about that already.
        let Some(origin) = zone.get("origin").and_then(|origin| origin.as_str()).map(str::to_owned) else { return };
        let limits = ZoneFileLimits { bytes: self.bytes_left, ..ZoneFileLimits::default() };
        match ZoneFile::read(Some(&origin), (&loaded.name, &loaded.text), limits, load) {
            Ok(read) => self.put(at, zone, read, path, merged),
            Err(found) => {
                let files = self.sources.len();
                self.add_sources(found.files);
                merged.is_readable = false;
                merged.errors.extend(found.errors.into_iter().map(|error| error.shifted(files)));
            }
        }
    }

    fn put(&mut self, at: usize, zone: &mut toml::Table, read: ZoneFile, path: &KeyPath, merged: &mut Merged) {
        let bytes = read.bytes();
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        let (said, places, files) = read.into_parts();
        let places = places.shifted(self.sources.len());
        self.add_sources(files);
        let soa = toml::Value::try_from(&said.soa);
        let (Ok(soa), ns) = (soa, said.ns.into_iter().map(toml::Value::String).collect()) else { return };
        zone.insert("ttl".to_owned(), toml::Value::Integer(said.ttl.into()));
        zone.insert("soa".to_owned(), soa);
        zone.insert("ns".to_owned(), toml::Value::Array(ns));
        merged.spans.note(path.key("soa"), places.soa);
        for (list, places) in [("ns", &places.ns), ("record", &places.records)] {
            let list = path.key(list);
            // What is wrong with all of them is told at the first.
            if let Some(first) = places.first() {
                merged.spans.note(list.clone(), *first);
            }
            places.iter().enumerate().for_each(|(at, place)| merged.spans.note(list.at(at), *place));
        }
        self.records.push((at, said.records));
    }

    fn add_sources(&mut self, files: Vec<SourceFile>) {
        let before = self.sources.len();
        self.sources.extend(files.into_iter().map(|file| file.shifted(before)));
    }
}
