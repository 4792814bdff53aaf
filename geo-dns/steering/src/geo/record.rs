//! The fields of a database's records that say where an address is. Makers name them differently; whatever is not known is passed over.
//!
//! ```text
//! MaxMind, DB-IP      continent.code · country.iso_code · subdivisions[0].iso_code · city.names.en · location.{latitude,longitude}
//!                     · autonomous_system_number
//! flat                continent_code · country_code, country · state_code, region_code · city · latitude, longitude, lat, lng, lon
//!                     · asn (a number, or `AS64500`)
//! ```

use std::fmt;

use model::Location;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::layer::{Facts, Ground};

/// How long a name may be, bytes; a longer one is no name.
const MAX_NAME: usize = 128;

/// What is read of a record.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Record {
    continent: Field,
    continent_code: Field,
    country: Field,
    country_code: Field,
    registered_country: Field,
    subdivisions: Field,
    state_code: Field,
    region_code: Field,
    city: Field,
    location: Spot,
    latitude: Field,
    lat: Field,
    longitude: Field,
    lng: Field,
    lon: Field,
    autonomous_system_number: Field,
    asn: Field,
}

/// Coordinates as MaxMind groups them.
#[derive(Default)]
struct Spot {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// A value of any type; of maps the code or the English name in them, of lists the first entry.
#[derive(Default, PartialEq)]
enum Field {
    #[default]
    None,
    Text(String),
    Number(f64),
}

impl Record {
    pub(super) fn facts(self) -> Facts {
        let code = |fields: [&Field; 2]| fields.into_iter().find_map(Field::code);
        // Where the country is unknown, the one that the network is registered in is better than none.
        let country = code([&self.country, &self.country_code]).or_else(|| self.registered_country.code());
        let subdivision = [self.subdivisions, self.state_code, self.region_code].into_iter().find_map(Field::name);
        let ground = Ground {
            continent: code([&self.continent, &self.continent_code]),
            country,
            subdivision,
            city: self.city.name(),
            location: location(
                self.location.latitude.or_else(|| first_number(&[self.latitude, self.lat])),
                self.location.longitude.or_else(|| first_number(&[self.longitude, self.lng, self.lon])),
            ),
        };
        let asn = [self.autonomous_system_number, self.asn].into_iter().find_map(Field::asn);
        Facts { ground: (ground != Ground::default()).then_some(ground), asn, lists: Vec::new() }
    }
}

fn first_number(fields: &[Field]) -> Option<f64> {
    fields.iter().find_map(Field::number)
}

/// Coordinates that are on the map. 0, 0 is where databases put what they do not know.
fn location(latitude: Option<f64>, longitude: Option<f64>) -> Option<Location> {
    let (latitude, longitude) = (latitude?, longitude?);
    let on_map = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    (on_map && (latitude, longitude) != (0.0, 0.0)).then_some(Location { latitude, longitude })
}

impl Field {
    /// A code of two capital letters.
    fn code(&self) -> Option<[u8; 2]> {
        let Self::Text(text) = self else { return None };
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(code)
    }

    fn name(self) -> Option<Box<str>> {
        match self {
            Self::Text(text) if !text.is_empty() && text.len() <= MAX_NAME && !text.contains(char::is_control) => {
                Some(text.into())
            }
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::None => None,
        }
    }

    fn asn(self) -> Option<u32> {
        match self {
            Self::Number(number) if (1.0..=f64::from(u32::MAX)).contains(&number) => Some(number as u32),
            Self::Text(text) => text.strip_prefix("AS").unwrap_or(&text).parse().ok().filter(|&asn| asn > 0),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField)
    }
}

struct AnyField;

macro_rules! numbers {
    ($($visit:ident $type:ty),*) => {
        $(fn $visit<E>(self, value: $type) -> Result<Self::Value, E> {
            Ok(Field::Number(value as f64))
        })*
    };
}

impl<'de> Visitor<'de> for AnyField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    numbers!(visit_i32 i32, visit_i64 i64, visit_u16 u16, visit_u32 u32, visit_u64 u64, visit_u128 u128, visit_f32 f32, visit_f64 f64);

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::None)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Field, E> {
        Ok(Field::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let (mut code, mut name) = (Field::None, Field::None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "iso_code" | "code" => code = map.next_value()?,
                "en" => name = map.next_value()?,
                "names" => name = map.next_value()?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(if code == Field::None { name } else { code })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
        let first = list.next_element()?.unwrap_or_default();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnySpot)
    }
}

/// Coordinates in a map; anything else is no location.
struct AnySpot;

impl<'de> Visitor<'de> for AnySpot {
    type Value = Spot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, _: &str) -> Result<Spot, E> {
        Ok(Spot::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spot, A::Error> {
        let mut spot = Spot::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "latitude" => spot.latitude = map.next_value::<Field>()?.number(),
                "longitude" => spot.longitude = map.next_value::<Field>()?.number(),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(spot)
    }
}
