//! One place per country: the city that most of its users are near.

use model::Location;

use super::{
    Country,
    table::{CountryTable, TableError},
};

/// Places by country number.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Option<Place>>);

/// A city and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) city: String,
    pub(super) location: Location,
}

impl Places {
    /// Reads lines `CC latitude longitude city`; `#` begins a comment. Countries without a line have no place.
    pub(super) fn parse(text: &str, table: &CountryTable) -> Result<Self, TableError> {
        let mut places = vec![None; table.countries()];
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (code, place) = parse_line(line).ok_or(TableError::Place { line: number + 1 })?;
            if let Some(slot) = table.country_of_code(code).and_then(|c| places.get_mut(usize::from(c))) {
                *slot = Some(place);
            }
        }
        Ok(Self(places))
    }

    pub(super) fn get(&self, country: Country) -> Option<&Place> {
        self.0.get(usize::from(country))?.as_ref()
    }
}

fn parse_line(line: &str) -> Option<([u8; 2], Place)> {
    let mut words = line.split_whitespace();
    let code = words.next()?.as_bytes().try_into().ok()?;
    let latitude: f64 = words.next()?.parse().ok()?;
    let longitude: f64 = words.next()?.parse().ok()?;
    let city = words.collect::<Vec<_>>().join(" ");
    let sane = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) && !city.is_empty();
    sane.then_some((code, Place { city, location: Location { latitude, longitude } }))
}
