//! Where an address is: client address → country → place, and how far around it the same is true.
//!
//! ```text
//! address ─ fold (IPv4 inside IPv6 becomes IPv4) ─ country table (embedded bytes, searched in place) ─ country
//!                                                                                                       │
//!                                                 places (one principal city per country) ─ location ◂──┘
//! ```
//!
//! A location is good enough to order regions by distance and for nothing finer. "Nowhere" is an ordinary result:
//! private, loopback and unassigned addresses have no country.

mod distance;
mod encode;
mod fold;
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
pub use table::TableError;

pub(crate) use fold::ClientNetwork;
use fold::Folded;
use places::Places;
use table::{CountryTable, Family};

/// A country as the table numbers it. `0` is nowhere; `1` marks addresses whose place is that of an IPv4 address inside.
pub(crate) type Country = u8;

/// Addresses without a country.
pub(crate) const NOWHERE: Country = 0;

/// IPv6 space that [`fold`] turns into IPv4: never merged with a neighbour, so that no scope reaches across its edge.
pub(crate) const FOLDED: Country = 1;

static COUNTRIES: &[u8] = include_bytes!("../../data/countries.bin");
static PLACES: &str = include_str!("../../data/places.txt");

/// A country table and the place of each country.
#[derive(Debug)]
pub struct Geo {
    table: CountryTable,
    places: Places,
}

/// What is known about where an address is.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    pub(crate) country: Country,
    /// ISO 3166 code of the country, if the table knows one.
    pub code: Option<String>,
    /// Name of the city that stands for the country.
    pub city: Option<String>,
    /// Where that city is.
    pub location: Option<Location>,
    /// Prefix length, in the address's own family, of the widest network around the address that lies in this country whole.
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
        let places = Places::parse(places, &table)?;
        Ok(Self { table, places })
    }

    /// A table that knows no country: every address is nowhere.
    pub fn empty() -> Self {
        Self { table: CountryTable::empty(), places: Places::default() }
    }

    /// How many numbers countries may have: every [`Country`] the table returns is below this.
    pub(crate) fn countries(&self) -> usize {
        self.table.countries()
    }

    /// The location that stands for a country.
    pub(crate) fn location(&self, country: Country) -> Option<Location> {
        self.places.get(country).map(|p| p.location)
    }

    /// The country of an address.
    pub(crate) fn country(&self, addr: IpAddr) -> Country {
        let folded = Folded::of(addr);
        self.table.cursor(folded.family, folded.key).range().country
    }

    /// ISO 3166 code of the country of an address.
    pub fn code(&self, addr: IpAddr) -> Option<[u8; 2]> {
        self.table.code(self.country(addr))
    }

    /// Whether an address is looked up as the IPv4 address inside it.
    pub fn is_folded(addr: IpAddr) -> bool {
        Folded::of(addr).lead > 0
    }

    /// Length of the widest prefix around `addr` in which every address has a country that is the `same` as its own.
    ///
    /// Widening looks at a bounded number of neighbours, so the prefix may be longer than the widest one, never too short.
    pub(crate) fn prefix_where(&self, addr: IpAddr, same: impl Fn(Country) -> bool) -> u8 {
        let folded = Folded::of(addr);
        let cursor = self.table.cursor(folded.family, folded.key);
        if folded.family == Family::V6 && cursor.range().country == FOLDED {
            // Beside a folded /96 in the same /64: only /96 is finer than both.
            return 96;
        }
        folded.lead + cursor.widest_prefix(folded.key, |c| c != FOLDED && same(c))
    }

    /// Everything known about where an address is, for people.
    pub fn spot(&self, addr: IpAddr) -> Spot {
        let country = self.country(addr);
        let place = self.places.get(country);
        Spot {
            country,
            code: self.table.code(country).map(|code| code.iter().map(|&b| char::from(b)).collect()),
            city: place.map(|p| p.city.clone()),
            location: place.map(|p| p.location),
            prefix: self.prefix_where(addr, |c| c == country),
        }
    }
}
