//! Places: what is known of where an address is, numbered so that a table of addresses needs one number per range.

use std::sync::Arc;

use model::Location;

/// The number of a place in one [`super::Geo`]; another one numbers places differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

impl PlaceId {
    /// Addresses of which nothing is known.
    pub const NOWHERE: Self = Self(0);

    /// IPv6 space that [`super::fold`] turns into IPv4: never merged with a neighbour, so that no scope reaches across its edge.
    /// No address has this place.
    pub(crate) const FOLDED: Self = Self(1);

    /// As an index into something that has one entry per place.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of where an address is. Whatever is not known is none; nowhere is a place of which nothing is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`.
    pub continent: Option<[u8; 2]>,
    /// ISO 3166-1 code of two letters.
    pub country: Option<[u8; 2]>,
    /// What ISO 3166-2 puts behind the country's code: `BY` of `DE-BY`.
    pub subdivision: Option<Box<str>>,
    /// Name of the city, in English. None if only the country is known: then the location is that of the city that stands for it.
    pub city: Option<Box<str>>,
    /// Number of the autonomous system that announces the address.
    pub asn: Option<u32>,
    /// What distances are reckoned from.
    pub location: Option<Location>,
    /// The named prefix lists that the address is in, sorted by name.
    pub lists: Vec<Arc<str>>,
    /// Which source knows the ground (all but `asn` and `lists`): its number for [`super::Geo::source`].
    pub source: u16,
}

impl Place {
    /// A place of which nothing is known.
    pub(super) const NOWHERE: Self = Self {
        continent: None,
        country: None,
        subdivision: None,
        city: None,
        asn: None,
        location: None,
        lists: Vec::new(),
        source: 0,
    };
}
