//! Which clients: `*`, `europe`, `DE`, `US-CA`, `DE/Berlin`, `AS64500`, `list:office`.
//!
//! Continents are written out, since their codes are codes of countries, too: `AF` is Afghanistan, `NA` Namibia.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A group of clients. Ordered by how specific it is: of two that a client is in, the greater one counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Clients {
    /// Everybody, wherever they are.
    All,
    /// Of a continent, by the code that location data use: `EU`.
    Continent([u8; 2]),
    /// Of a country, ISO 3166-1: `DE`.
    Country([u8; 2]),
    /// Of a part of a country, ISO 3166-2: `US-CA`.
    Subdivision([u8; 2], String),
    /// Of a city, by its English name: `DE/Berlin`.
    City([u8; 2], String),
    /// Whose network is announced by an autonomous system: `AS64500`.
    Asn(u32),
    /// In the networks of a prefix list: `list:office`.
    List(String),
}

/// The continents' names and codes.
const CONTINENTS: [(&str, [u8; 2]); 7] = [
    ("africa", *b"AF"),
    ("antarctica", *b"AN"),
    ("asia", *b"AS"),
    ("europe", *b"EU"),
    ("north-america", *b"NA"),
    ("oceania", *b"OC"),
    ("south-america", *b"SA"),
];

/// The longest name of a city, bytes.
const CITY_MAX: usize = 64;

impl FromStr for Clients {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some((_, code)) = CONTINENTS.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Continent(*code));
        }
        if let Some(name) = text.strip_prefix("list:") {
            return if name.is_empty() { Err("a list has a name".into()) } else { Ok(Self::List(name.into())) };
        }
        let digits = text.strip_prefix("AS").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(digits) = digits {
            let number = digits.parse().map_err(|_| "an autonomous system is AS1 to AS4294967295".to_owned())?;
            return Ok(Self::Asn(number));
        }
        if let Some((code, city)) = text.split_once('/') {
            let is_name = (1..=CITY_MAX).contains(&city.len()) && city.trim() == city;
            return match country(code).filter(|_| is_name) {
                Some(code) => Ok(Self::City(code, city.into())),
                None => Err("a city is written DE/Berlin".into()),
            };
        }
        if let Some((code, part)) = text.split_once('-') {
            let is_part =
                (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            return match country(code).filter(|_| is_part) {
                Some(code) => Ok(Self::Subdivision(code, part.into())),
                None => Err("a part of a country is written US-CA (ISO 3166-2)".into()),
            };
        }
        country(text).map(Self::Country).ok_or_else(|| {
            "write *, a continent (europe), a country (DE), a part of one (US-CA), a city (DE/Berlin), AS64500, or list:NAME".into()
        })
    }
}

fn country(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_uppercase).then_some(code)
}

impl fmt::Display for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |code: &[u8; 2]| code.map(char::from);
        match self {
            Self::All => f.write_str("*"),
            Self::Continent(code) => {
                f.write_str(CONTINENTS.iter().find(|(_, known)| known == code).map_or("", |(name, _)| name))
            }
            Self::Country(code) => f.write_str(&String::from_iter(letters(code))),
            Self::Subdivision(code, part) => write!(f, "{}-{part}", String::from_iter(letters(code))),
            Self::City(code, city) => write!(f, "{}/{city}", String::from_iter(letters(code))),
            Self::Asn(number) => write!(f, "AS{number}"),
            Self::List(name) => write!(f, "list:{name}"),
        }
    }
}

impl TryFrom<String> for Clients {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Clients> for String {
    fn from(clients: Clients) -> Self {
        clients.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_they_are_read() {
        for text in [
            "*",
            "europe",
            "north-america",
            "DE",
            "NA",
            "US-CA",
            "GB-ENG",
            "DE/Berlin",
            "US/New York",
            "AS64500",
            "list:x",
        ] {
            assert_eq!(text.parse::<Clients>().map(|clients| clients.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "Europe", "EU-", "de", "DEU", "DE/", "de/Berlin", "AS4294967296", "AS1x", "list:", "US-CALI", "DE/ x"]
        {
            assert!(text.parse::<Clients>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_greater_is_the_more_specific() {
        let texts = ["*", "europe", "DE", "DE-BE", "DE/Berlin", "AS64500", "list:office"];
        let all = texts.map(|text| text.parse::<Clients>().unwrap());
        assert!(all.is_sorted(), "{all:?}");
    }
}
