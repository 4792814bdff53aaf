//! Where an address is: client address → number of a place → place, and how far around it the same is true.
//!
//! ```text
//! address ─ fold (IPv4 inside IPv6 becomes IPv4) ─ country table (embedded bytes, searched in place) ─ PlaceId
//!                                                                                                       │
//!                                        places (continent, country, location of its principal city) ◂──┘
//! ```
//!
//! A location is good enough to order regions by distance and for nothing finer. "Nowhere" is an ordinary result:
//! private, loopback and unassigned addresses have no country.

mod continents;
mod distance;
mod encode;
mod fold;
mod place;
mod places;
mod table;

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use model::Location;

pub use distance::distance_km;
pub use encode::{CountryRanges, EncodeError, encode};
pub use place::{Place, PlaceId};
pub use table::TableError;

pub(crate) use fold::ClientNetwork;
use fold::Folded;
use places::StandIns;
use table::{CountryTable, Family};

static COUNTRIES: &[u8] = include_bytes!("../../data/countries.bin");
static PLACES: &str = include_str!("../../data/places.txt");

/// Where addresses are.
#[derive(Debug)]
pub struct Geo {
    table: CountryTable,
    /// By [`PlaceId`]; the first ones are the table's countries by their numbers.
    places: Vec<Place>,
    stand_ins: StandIns,
}

/// What is known about where an address is, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// ISO 3166 code of the country, if one is known.
    pub code: Option<String>,
    /// Name of the city, or of the one that stands for the country.
    pub city: Option<String>,
    /// Where that city is.
    pub location: Option<Location>,
    /// Prefix length, in the address's own family, of the widest network around the address that lies in this place whole.
    pub prefix: u8,
}

impl Geo {
    /// The table that is part of the program. Nothing is unpacked: only its head is read, and the few hundred places.
    pub fn embedded() -> Arc<Self> {
        static EMBEDDED: OnceLock<Arc<Geo>> = OnceLock::new();
        // A damaged table can only be a damaged program; then every client is nowhere, and DNS still answers.
        EMBEDDED
            .get_or_init(|| Arc::new(Self::from_static(COUNTRIES, PLACES).unwrap_or_else(|_| Self::empty())))
            .clone()
    }

    /// A table in the format of [`encode`], and places as lines `CC latitude longitude city`.
    pub fn from_parts(table: Vec<u8>, places: &str) -> Result<Self, TableError> {
        Self::assemble(CountryTable::parse(table.into())?, places)
    }

    fn from_static(table: &'static [u8], places: &str) -> Result<Self, TableError> {
        Self::assemble(CountryTable::parse(table.into())?, places)
    }

    fn assemble(table: CountryTable, places: &str) -> Result<Self, TableError> {
        let stand_ins = StandIns::parse(places)?;
        Ok(Self { places: stand_ins.places(&table), table, stand_ins })
    }

    /// A table that knows no country: every address is nowhere.
    pub fn empty() -> Self {
        let (table, stand_ins) = (CountryTable::empty(), StandIns::default());
        Self { places: stand_ins.places(&table), table, stand_ins }
    }

    /// How many numbers places have: [`PlaceId`]s are below this.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// What is known of a place; nothing of a number that is none of this table's.
    pub fn place(&self, id: PlaceId) -> &Place {
        static NOWHERE: Place = Place::NOWHERE;
        self.places.get(id.index()).unwrap_or(&NOWHERE)
    }

    /// The number of the place of an address.
    pub fn place_of(&self, addr: IpAddr) -> PlaceId {
        let folded = Folded::of(addr);
        self.table.cursor(folded.family, folded.key).range().place
    }

    /// ISO 3166 code of the country of an address.
    pub fn code(&self, addr: IpAddr) -> Option<[u8; 2]> {
        self.place(self.place_of(addr)).country
    }

    /// Whether an address is looked up as the IPv4 address inside it.
    pub fn is_folded(addr: IpAddr) -> bool {
        Folded::of(addr).lead > 0
    }

    /// Length of the widest prefix around `addr` in which every address has a place that is the `same` as its own.
    ///
    /// Widening looks at a bounded number of neighbours, so the prefix may be longer than the widest one, never too short.
    pub fn prefix_where(&self, addr: IpAddr, same: impl Fn(PlaceId) -> bool) -> u8 {
        let folded = Folded::of(addr);
        let cursor = self.table.cursor(folded.family, folded.key);
        if folded.family == Family::V6 && cursor.range().place == PlaceId::FOLDED {
            // Beside a folded /96 in the same /64: only /96 is finer than both.
            return 96;
        }
        folded.lead + cursor.widest_prefix(folded.key, |place| place != PlaceId::FOLDED && same(place))
    }

    /// Everything known about where an address is, for people.
    pub fn spot(&self, addr: IpAddr) -> Spot {
        let id = self.place_of(addr);
        let place = self.place(id);
        let stand_in = || place.country.and_then(|code| self.stand_ins.get(code)).map(|city| city.city.clone());
        Spot {
            code: place.country.map(|code| code.iter().map(|&b| char::from(b)).collect()),
            city: place.city.as_deref().map(str::to_owned).or_else(stand_in),
            location: place.location,
            prefix: self.prefix_where(addr, |other| other == id),
        }
    }
}
