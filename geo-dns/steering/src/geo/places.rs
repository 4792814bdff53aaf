//! One location per country: the city that most of its users are near. It stands for the country where nothing finer is known.

use std::collections::BTreeMap;

use model::Location;

use super::{
    continents::continent_of,
    place::Place,
    table::{CountryTable, TableError},
};

/// The city that stands for each country.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<[u8; 2], StandIn>);

/// A city and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StandIn {
    pub(super) city: String,
    pub(super) location: Location,
}

impl StandIns {
    /// Reads lines `CC latitude longitude city`; `#` begins a comment. Countries without a line have no stand-in.
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        let mut cities = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (code, city) = parse_line(line).ok_or(TableError::Place { line: number + 1 })?;
            cities.insert(code, city);
        }
        Ok(Self(cities))
    }

    pub(super) fn get(&self, country: [u8; 2]) -> Option<&StandIn> {
        self.0.get(&country)
    }

    /// The place of which only the country is known.
    pub(super) fn place(&self, country: [u8; 2]) -> Place {
        Place {
            continent: continent_of(country),
            country: Some(country),
            location: self.get(country).map(|city| city.location),
            ..Place::NOWHERE
        }
    }

    /// The places of a table's countries, by their numbers.
    pub(super) fn places(&self, table: &CountryTable) -> Vec<Place> {
        let place = |country| table.code(country).map_or(Place::NOWHERE, |code| self.place(code));
        (0..=u8::MAX).take(table.countries()).map(place).collect()
    }
}

fn parse_line(line: &str) -> Option<([u8; 2], StandIn)> {
    let mut words = line.split_whitespace();
    let code = words.next()?.as_bytes().try_into().ok()?;
    let latitude: f64 = words.next()?.parse().ok()?;
    let longitude: f64 = words.next()?.parse().ok()?;
    let city = words.collect::<Vec<_>>().join(" ");
    let sane = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) && !city.is_empty();
    sane.then_some((code, StandIn { city, location: Location { latitude, longitude } }))
}
