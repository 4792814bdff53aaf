//! A layer: what one source says of addresses. Layers are laid over each other, and over the embedded table, once, off the query path.
//!
//! ```text
//! database (MaxMind) ─┐
//! prefix file ────────┼─▸ Layer: ranges → facts ─▸ laid over what is known ─▸ ranges → places
//! ```
//!
//! Facts come in three groups, and a layer replaces a group whole or leaves it: a country of one source is never joined with the
//! location of another. The groups are the ground (continent, country, subdivision, city, location), the autonomous system, and the
//! named lists; lists add up.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use model::Location;

use super::{
    continents::continent_of,
    fold::FOLDED_SPACE,
    place::{Place, PlaceId},
    places::StandIns,
    tiling::{Key, Tiler, Tiling},
};

/// How many places a table may have. A city database with the autonomous systems laid over it has about a million.
const MAX_PLACES: usize = 8_000_000;

/// What one source says of addresses.
#[derive(Debug)]
pub struct Layer {
    /// What it is, for people: `file /etc/atoll/city.mmdb`.
    pub source: Arc<str>,
    /// Numbers of facts, from 1; 0 where the source says nothing.
    pub(super) v4: Tiling<u32>,
    pub(super) v6: Tiling<u64>,
    pub(super) facts: Vec<Facts>,
}

impl Layer {
    /// How many ranges of addresses it tells apart.
    pub fn ranges(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// What a source says of a range of addresses.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Facts {
    pub(super) ground: Option<Ground>,
    pub(super) asn: Option<u32>,
    /// Sorted, without doubles.
    pub(super) lists: Vec<Arc<str>>,
}

/// Where on the ground.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ground {
    pub(super) continent: Option<[u8; 2]>,
    pub(super) country: Option<[u8; 2]>,
    pub(super) subdivision: Option<Box<str>>,
    pub(super) city: Option<Box<str>>,
    pub(super) location: Option<Location>,
}

/// Layers ask for more places than a table may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{layer} tells more than {MAX_PLACES} places apart; use a database with less detail")]
pub struct TooManyPlaces {
    /// The layer that is too much.
    pub layer: Arc<str>,
}

/// Adds a layer's lists to those of a place.
pub(super) fn join_lists(lists: &mut Vec<Arc<str>>, more: &[Arc<str>]) {
    for list in more {
        if let Err(at) = lists.binary_search(list) {
            lists.insert(at, list.clone());
        }
    }
}

/// Compiled ranges.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    pub(super) v4: Tiling<u32>,
    pub(super) v6: Tiling<u64>,
}

/// Lays one layer over another.
pub(super) struct Overlay<'l> {
    layer: &'l Layer,
    /// Number of the layer's source, for the places it makes.
    source: u16,
    stand_ins: &'l StandIns,
    places: &'l mut Vec<Place>,
    /// What each pair of place and facts makes.
    made: HashMap<(u32, u32), u32>,
    /// The places it has made, so that none is there twice.
    known: HashMap<PlaceKey, u32>,
    too_many: bool,
}

impl<'l> Overlay<'l> {
    pub(super) fn new(layer: &'l Layer, source: u16, stand_ins: &'l StandIns, places: &'l mut Vec<Place>) -> Self {
        Self { layer, source, stand_ins, places, made: HashMap::new(), known: HashMap::new(), too_many: false }
    }

    /// The ranges and places of both together.
    pub(super) fn over(
        mut self,
        v4: impl Iterator<Item = (u64, u32)>,
        v6: impl Iterator<Item = (u64, u32)>,
    ) -> Result<Ranges, TooManyPlaces> {
        let layer = self.layer;
        let v4 = Tiling::overlaid(v4, &layer.v4, |place, facts| self.combined(place, facts));
        let v6 = Tiling::overlaid(v6, &layer.v6, |place, facts| self.combined(place, facts));
        if self.too_many {
            return Err(TooManyPlaces { layer: layer.source.clone() });
        }
        Ok(Ranges { v4, v6 })
    }

    fn combined(&mut self, place: u32, facts: u32) -> u32 {
        if facts == 0 || place == PlaceId::FOLDED.0 {
            return place;
        }
        if let Some(&made) = self.made.get(&(place, facts)) {
            return made;
        }
        let made = self.make(place, facts);
        self.made.insert((place, facts), made);
        made
    }

    fn make(&mut self, place: u32, facts: u32) -> u32 {
        let Some(facts) = self.layer.facts.get(facts as usize - 1) else { return place };
        let Some(mut made) = self.places.get(place as usize).cloned() else { return place };
        if let Some(ground) = &facts.ground {
            made.continent = ground.continent.or_else(|| continent_of(ground.country?));
            made.country = ground.country;
            made.subdivision = ground.subdivision.clone();
            made.city = ground.city.clone();
            made.location = ground.location.or_else(|| Some(self.stand_ins.get(ground.country?)?.location));
            made.source = self.source;
        }
        made.asn = facts.asn.or(made.asn);
        join_lists(&mut made.lists, &facts.lists);
        if self.places.len() >= MAX_PLACES {
            self.too_many = true;
            return place;
        }
        let next = self.places.len() as u32;
        let number = *self.known.entry(PlaceKey::of(&made)).or_insert(next);
        if number == next {
            self.places.push(made);
        }
        number
    }
}

/// A place as a key: coordinates by their bits.
#[derive(PartialEq, Eq, Hash)]
struct PlaceKey {
    codes: ([u8; 2], [u8; 2], Option<u32>, u16),
    names: (Option<Box<str>>, Option<Box<str>>),
    location: Option<(u64, u64)>,
    lists: Vec<Arc<str>>,
}

impl PlaceKey {
    fn of(place: &Place) -> Self {
        Self {
            codes: (place.continent.unwrap_or_default(), place.country.unwrap_or_default(), place.asn, place.source),
            names: (place.subdivision.clone(), place.city.clone()),
            location: place.location.map(|l| (l.latitude.to_bits(), l.longitude.to_bits())),
            lists: place.lists.clone(),
        }
    }
}

/// IPv6 without the space that is looked up as IPv4: nothing is known of the rest.
pub(super) fn unknown_v6() -> Tiling<u64> {
    let mut tiler = Tiler::new();
    FOLDED_SPACE.iter().for_each(|&(first, last)| tiler.put(first, last, PlaceId::FOLDED.0));
    tiler.finish()
}

/// Numbers for things that are equal, from 1.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    numbers: HashMap<T, u32>,
}

impl<T: Eq + Hash> Numbers<T> {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new() }
    }

    /// The number of a thing; `make` is called if it has none yet.
    pub(super) fn get<E>(&mut self, thing: T, make: impl FnOnce() -> Result<u32, E>) -> Result<u32, E> {
        match self.numbers.entry(thing) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(*known.get()),
            std::collections::hash_map::Entry::Vacant(free) => Ok(*free.insert(make()?)),
        }
    }
}

/// Ranges of both families under way to a layer.
#[derive(Debug)]
pub(super) struct Tilers {
    v4: Tiler<u32>,
    v6: Tiler<u64>,
}

impl Tilers {
    pub(super) fn new() -> Self {
        Self { v4: Tiler::new(), v6: Tiler::new() }
    }

    pub(super) fn put_v4(&mut self, first: u64, last: u64, facts: u32) {
        self.v4.put(first, last, facts);
    }

    pub(super) fn put_v6(&mut self, first: u64, last: u64, facts: u32) {
        self.v6.put(first, last, facts);
    }

    pub(super) fn finish(self, source: &str, facts: Vec<Facts>) -> Layer {
        Layer { source: source.into(), v4: self.v4.finish(), v6: self.v6.finish(), facts }
    }
}

/// The last key of a network: its first key and how many bits of its prefix lie in the key.
pub(super) fn last_of<K: Key>(first: u64, prefix: u8) -> u64 {
    first | K::LAST.checked_shr(prefix.into()).unwrap_or(0)
}
