//! Where an address is: client address → number of a place → place, and how far around it the same is true.
//!
//! ```text
//! address ─ fold (IPv4 inside IPv6 becomes IPv4) ─┬ embedded country table, searched in place ┬─ PlaceId ─ places ─ continent, country,
//!                                                 └ or compiled ranges: that table and layers ┘            subdivision, city, location,
//!                                                                                                          ASN, named lists
//! layers: databases in MaxMind's format, prefix files, the World's prefix lists; laid over each other in that order
//! ```
//!
//! A location is good enough to order regions by distance and for nothing finer. "Nowhere" is an ordinary result:
//! private, loopback and unassigned addresses have no country. Of IPv6 the upper half counts: registries hand out nothing longer
//! than /64, and no resolver tells more of its clients.

mod continents;
mod cursor;
mod distance;
mod encode;
mod fold;
mod layer;
mod mmdb;
mod outcomes;
mod place;
mod places;
mod prefixes;
mod record;
mod table;
mod tiling;

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use model::Location;

pub use distance::distance_km;
pub use encode::{CountryRanges, EncodeError, encode};
pub use layer::{Layer, TooManyPlaces};
pub use mmdb::{MmdbError, MmdbHead, read_mmdb};
pub use place::{Place, PlaceId};
pub use prefixes::{PrefixError, read_prefixes};
pub use table::TableError;

use cursor::{Alike, Tiles, widest_prefix};
pub(crate) use fold::ClientNetwork;
use fold::Folded;
use layer::{Overlay, Ranges, unknown_v6};
pub(crate) use outcomes::{Outcomes, SharedOutcomes};
use places::StandIns;
use table::{CountryTable, Family};
use tiling::Tiling;

/// How many neighbouring ranges a widening may look at that knows nothing of blocks. It bounds what one question can cost; in the
/// embedded table four times as many find no wider prefixes.
const WIDENING_STEPS: usize = 256;

/// What the embedded table is called.
const EMBEDDED: &str = "the embedded country table";

static COUNTRIES: &[u8] = include_bytes!("../../data/countries.bin");
static PLACES: &str = include_str!("../../data/places.txt");

/// Where addresses are.
#[derive(Debug)]
pub struct Geo {
    ground: Ground,
    /// By [`PlaceId`]; the first ones are the table's countries by their numbers.
    places: Vec<Place>,
    stand_ins: Arc<StandIns>,
    /// Where places come from: the table, and the layers over it.
    sources: Vec<Arc<str>>,
    /// The named lists of a World that were laid over it last, and what is below them.
    lists: Option<Named>,
}

/// Which place each address has.
#[derive(Debug)]
enum Ground {
    /// A country table alone. The embedded one costs no memory and no time at the start.
    Table(CountryTable),
    /// With layers over it.
    Ranges(Ranges),
}

/// Named lists, laid over a base.
#[derive(Debug)]
struct Named {
    lists: Vec<(String, Vec<String>)>,
    base: Arc<Geo>,
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
    /// What ISO 3166-2 puts behind the country's code.
    pub subdivision: Option<String>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
    /// The named lists that the address is in.
    pub lists: Vec<String>,
    /// Which source knows where it is.
    pub source: String,
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
        Ok(Self::of(table, StandIns::parse(places)?))
    }

    fn of(table: CountryTable, stand_ins: StandIns) -> Self {
        let (places, sources) = (stand_ins.places(&table), vec![EMBEDDED.into()]);
        Self { places, ground: Ground::Table(table), stand_ins: stand_ins.into(), sources, lists: None }
    }

    /// A table that knows no country: every address is nowhere.
    pub fn empty() -> Self {
        Self::of(CountryTable::empty(), StandIns::default())
    }

    /// This with layers over it, the last one on top. Takes time in proportion to all ranges: off the query path.
    pub fn with(&self, layers: &[Layer]) -> Result<Self, TooManyPlaces> {
        let (mut places, mut sources) = (self.places.clone(), self.sources.clone());
        let mut ranges: Option<Ranges> = None;
        for layer in layers {
            let overlay = Overlay::new(layer, sources.len() as u16, &self.stand_ins, &mut places);
            let over = match (&ranges, &self.ground) {
                (Some(ranges), _) | (None, Ground::Ranges(ranges)) => overlay.over(ranges.v4.iter(), ranges.v6.iter()),
                (None, Ground::Table(table)) if table.is_empty() => {
                    overlay.over(Tiling::<u32>::uniform(0).iter(), unknown_v6().iter())
                }
                (None, Ground::Table(table)) => {
                    overlay.over(table.blocks(Family::V4).ranges(), table.blocks(Family::V6).ranges())
                }
            }?;
            ranges = Some(over);
            sources.push(layer.source.clone());
        }
        let ground = match (ranges, &self.ground) {
            (Some(ranges), _) => Ground::Ranges(ranges),
            (None, Ground::Ranges(ranges)) => Ground::Ranges(ranges.clone()),
            (None, Ground::Table(table)) => Ground::Table(table.clone()),
        };
        Ok(Self { ground, places, stand_ins: self.stand_ins.clone(), sources, lists: None })
    }

    /// This with the named lists of a World over it, in place of those that are. The same lists cost nothing.
    pub fn with_lists(self: &Arc<Self>, lists: &[(String, Vec<String>)]) -> Result<Arc<Self>, ListsError> {
        let base = match &self.lists {
            Some(named) if named.lists == lists => return Ok(self.clone()),
            Some(named) => &named.base,
            None => self,
        };
        if lists.is_empty() {
            return Ok(base.clone());
        }
        let by_name = lists.iter().map(|(name, prefixes)| (name.as_str(), prefixes.as_slice()));
        let layer = prefixes::layer_of_lists(by_name, "the world's prefix lists")?;
        let named = Named { lists: lists.to_vec(), base: base.clone() };
        Ok(Arc::new(Self { lists: Some(named), ..base.with(&[layer])? }))
    }

    /// What is below the named lists of a World.
    pub fn without_lists(self: &Arc<Self>) -> Arc<Self> {
        self.lists.as_ref().map_or_else(|| self.clone(), |named| named.base.clone())
    }

    /// The name of a source of places.
    pub fn source(&self, number: u16) -> &str {
        self.sources.get(usize::from(number)).map_or(EMBEDDED, |source| source)
    }

    /// How many bytes its ranges and places take, without those that are part of the program.
    pub fn bytes(&self) -> usize {
        let ranges = match &self.ground {
            Ground::Table(_) => 0,
            Ground::Ranges(ranges) => ranges.v4.bytes() + ranges.v6.bytes(),
        };
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let place = |place: &Place| {
            size_of::<Place>()
                + text(&place.city)
                + text(&place.subdivision)
                + place.lists.capacity() * size_of::<Arc<str>>()
        };
        ranges + self.places.iter().map(place).sum::<usize>()
    }

    /// How many ranges of IPv4 and of IPv6 it tells apart.
    pub fn ranges(&self) -> (usize, usize) {
        match &self.ground {
            Ground::Table(table) => (table.blocks(Family::V4).len(), table.blocks(Family::V6).len()),
            Ground::Ranges(ranges) => (ranges.v4.len(), ranges.v6.len()),
        }
    }

    fn tiles(&self, family: Family) -> Tiles<'_> {
        match (&self.ground, family) {
            (Ground::Table(table), family) => Tiles::Table(table.blocks(family)),
            (Ground::Ranges(ranges), Family::V4) => Tiles::V4(&ranges.v4),
            (Ground::Ranges(ranges), Family::V6) => Tiles::V6(&ranges.v6),
        }
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
        self.tiles(folded.family).get(folded.key)
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
        self.widest(addr, |_, _| Where(&same))
    }

    /// Length of the widest prefix around `addr` in which every address has the outcome that it has itself: one bit less, and
    /// somebody has another one. `outcomes` are those that [`Self::outcomes`] made.
    pub(crate) fn scope(&self, addr: IpAddr, outcomes: &Outcomes) -> u8 {
        self.widest(addr, |family, place| {
            outcomes.around(place, if family == Family::V4 { &outcomes.v4 } else { &outcomes.v6 })
        })
    }

    /// What each place leads to, `of_place`, made ready for scopes.
    pub(crate) fn outcomes(&self, of_place: Box<[u32]>) -> Outcomes {
        Outcomes::new(of_place, self.tiles(Family::V4), self.tiles(Family::V6))
    }

    fn widest<A: Alike>(&self, addr: IpAddr, alike: impl FnOnce(Family, PlaceId) -> A) -> u8 {
        let folded = Folded::of(addr);
        let tiles = self.tiles(folded.family);
        let place = tiles.get(folded.key);
        if place == PlaceId::FOLDED {
            // Beside a folded /96 in the same /64: only /96 is finer than both.
            return 96;
        }
        folded.lead + widest_prefix(tiles, folded.key, &alike(folded.family, place))
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
            subdivision: place.subdivision.as_deref().map(str::to_owned),
            asn: place.asn,
            lists: place.lists.iter().map(|list| String::from(&**list)).collect(),
            source: self.source(place.source).to_owned(),
            prefix: self.prefix_where(addr, |other| other == id),
        }
    }
}

/// Places for which something holds are alike.
struct Where<F>(F);

impl<F: Fn(PlaceId) -> bool> Alike for Where<F> {
    fn is_alike(&self, place: PlaceId) -> bool {
        place != PlaceId::FOLDED && self.0(place)
    }

    fn alike_blocks(&self, _: usize) -> Option<(usize, usize)> {
        None
    }

    fn steps(&self) -> usize {
        WIDENING_STEPS
    }
}

/// Why named lists cannot be laid over what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListsError {
    /// A network that is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// They tell too many places apart.
    #[error(transparent)]
    TooMany(#[from] TooManyPlaces),
}
