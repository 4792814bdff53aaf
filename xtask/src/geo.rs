//! `cargo xtask geo COUNTRY.mmdb [ZONE.tab]`: makes the data of `geo-dns/steering/data`.
//!
//! In: a country database in MaxMind's format, and the tz database's `zone.tab`. Out: `countries.bin`, the country table in
//! the format that `steering::geo` reads in place, and `places.txt`, one city per country. Sources and licences stand in the
//! README beside the results. The same input gives the same bytes.

use std::{collections::BTreeMap, fmt::Write as _, fs, net::IpAddr, path::Path};

use anyhow::{Context, Result, bail, ensure};
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use steering::geo::{CountryRanges, Geo, encode};

const USAGE: &str = "usage: cargo xtask geo COUNTRY.mmdb [ZONE.tab]";
const DEFAULT_ZONE_TAB: &str = "/usr/share/zoneinfo/zone.tab";

/// In `zone.tab` the first zone of a country is mostly its biggest. Where it is not, this one is nearer to most users.
const BIGGEST_CITY: &[(&str, &str)] = &[
    ("AQ", "Antarctica/McMurdo"),
    ("AU", "Australia/Sydney"),
    ("BR", "America/Sao_Paulo"),
    ("CA", "America/Toronto"),
    ("FM", "Pacific/Pohnpei"),
    ("PS", "Asia/Hebron"),
    ("RU", "Europe/Moscow"),
    ("UA", "Europe/Kyiv"),
    ("US", "America/Chicago"), // the nearest to the centre of population
    ("UZ", "Asia/Tashkent"),
];

/// Codes that registries use and `zone.tab` lacks.
const EXTRA_PLACES: &[(&str, f64, f64, &str)] = &[("AN", 12.18, -68.99, "Curacao"), ("XK", 42.67, 21.17, "Pristina")];

/// Runs the generator. `args` are those after `geo`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (database, zone_tab) = match args {
        [database] => (database.as_str(), DEFAULT_ZONE_TAB),
        [database, zone_tab] => (database.as_str(), zone_tab.as_str()),
        _ => bail!("{USAGE}"),
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../geo-dns/steering/data");

    let (v4, v6) = read_database(Path::new(database))?;
    let table = encode(&v4, &v6).context("the database's networks do not make a table")?;
    write(&data.join("countries.bin"), &table)?;
    compare(&table, &v4, &v6)?;

    let text = fs::read_to_string(zone_tab)
        .with_context(|| format!("cannot read {zone_tab}; it is part of the package tzdata, or give its path"))?;
    let places = read_places(&text)?;
    write(&data.join("places.txt"), print_places(&places).as_bytes())?;

    println!("{} IPv4 and {} IPv6 networks, {} bytes; {} places", v4.len(), v6.len(), table.len(), places.len());
    let placeless: std::collections::BTreeSet<_> =
        v4.iter().chain(&v6).map(|r| code_text(r.2)).filter(|code| !places.contains_key(code)).collect();
    println!("countries without a place: {placeless:?}");
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn code_text(code: [u8; 2]) -> String {
    code.iter().map(|&b| char::from(b)).collect()
}

#[derive(Deserialize)]
struct CountryRecord<'a> {
    country_code: Option<&'a str>,
}

/// The networks of both families, sorted as the database's tree is.
fn read_database(path: &Path) -> Result<(CountryRanges, CountryRanges)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let reader = Reader::from_source(bytes).with_context(|| format!("{} is no MaxMind database", path.display()))?;
    let (mut v4, mut v6) = (CountryRanges::new(), CountryRanges::new());
    for network in reader.networks(WithinOptions::default())? {
        let network = network?;
        let Some(CountryRecord { country_code: Some(code) }) = network.decode()? else { continue };
        let code: [u8; 2] = code.as_bytes().try_into().with_context(|| format!("`{code}` is no country code"))?;
        ensure!(code.iter().all(u8::is_ascii_uppercase), "`{}` is no country code", code_text(code));
        let net = network.network()?;
        match net.ip() {
            IpAddr::V4(ip) => {
                let first = u64::from(u32::from(ip));
                v4.push((first, first | u64::from(u32::MAX).checked_shr(net.prefix().into()).unwrap_or(0), code));
            }
            IpAddr::V6(ip) => {
                let first = (u128::from(ip) >> 64) as u64;
                let range = (first, first | u64::MAX.checked_shr(net.prefix().into()).unwrap_or(0), code);
                // Of networks longer than /64 the first one speaks for the /64.
                if v6.last().is_none_or(|last| last.1 < first) {
                    v6.push(range);
                }
            }
        }
    }
    Ok((v4, v6))
}

/// Looks up both ends of every network in the table: it has to say what the database says, but for IPv4 inside IPv6.
fn compare(table: &[u8], v4: &CountryRanges, v6: &CountryRanges) -> Result<()> {
    let geo = Geo::from_parts(table.to_vec(), "")?;
    let v4 = v4.iter().flat_map(|r| [r.0, r.1].map(|key| (IpAddr::V4((key as u32).into()), r.2)));
    let v6 = v6.iter().flat_map(|r| [r.0, r.1].map(|key| (IpAddr::V6((u128::from(key) << 64).into()), r.2)));
    for (addr, code) in v4.chain(v6.filter(|(addr, _)| !Geo::is_folded(*addr))) {
        let got = geo.code(addr);
        ensure!(got == Some(code), "{addr} is in {}, the table says {:?}", code_text(code), got.map(code_text));
    }
    Ok(())
}

/// Latitude, longitude, city.
type Place = (f64, f64, String);

/// One city per country.
fn read_places(zone_tab: &str) -> Result<BTreeMap<String, Place>> {
    let mut places: BTreeMap<String, Place> =
        EXTRA_PLACES.iter().map(|&(code, lat, lon, city)| (code.to_owned(), (lat, lon, city.to_owned()))).collect();
    for line in zone_tab.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let mut columns = line.split('\t');
        let (Some(code), Some(coordinates), Some(zone)) = (columns.next(), columns.next(), columns.next()) else {
            bail!("zone.tab: `{line}` has no three columns");
        };
        let biggest = BIGGEST_CITY.iter().find(|b| b.0 == code).map(|b| b.1);
        if biggest.is_none_or(|b| b == zone) && !places.contains_key(code) {
            let (lat, lon) = coordinates_of(coordinates).with_context(|| format!("zone.tab: `{line}`"))?;
            let city = zone.rsplit('/').next().unwrap_or(zone).replace('_', " ");
            places.insert(code.to_owned(), (lat, lon, city));
        }
    }
    for (code, zone) in BIGGEST_CITY {
        ensure!(places.contains_key(*code), "zone.tab has no zone {zone} for {code}; another edition of it is needed");
    }
    Ok(places)
}

/// ISO 6709: `+DDMM+DDDMM` or `+DDMMSS+DDDMMSS`.
fn coordinates_of(text: &str) -> Result<(f64, f64)> {
    let split = text.rfind(['+', '-']).filter(|&at| at > 0).context("no coordinates")?;
    let (lat, lon) = text.split_at(split);
    Ok((angle_of(lat, 2)?, angle_of(lon, 3)?))
}

fn angle_of(text: &str, degree_digits: usize) -> Result<f64> {
    let digits = text.get(1..).filter(|d| d.len() >= degree_digits + 2 && d.bytes().all(|b| b.is_ascii_digit()));
    let digits = digits.with_context(|| format!("`{text}` is no angle"))?;
    let (degrees, rest) = digits.split_at(degree_digits);
    let (minutes, seconds) = rest.split_at(2);
    let seconds: f64 = if seconds.is_empty() { 0.0 } else { seconds.parse()? };
    let angle = degrees.parse::<f64>()? + minutes.parse::<f64>()? / 60.0 + seconds / 3600.0;
    Ok(if text.starts_with('-') { -angle } else { angle })
}

fn print_places(places: &BTreeMap<String, Place>) -> String {
    let mut text = String::from("# Country, latitude, longitude, city. Made by `cargo xtask geo`; see README.md.\n");
    for (code, (lat, lon, city)) in places {
        let _ = writeln!(text, "{code} {lat:.2} {lon:.2} {city}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_of_zone_tab_are_read() {
        let check = |text: &str, want: &str| {
            let (lat, lon) = coordinates_of(text).unwrap();
            assert_eq!(format!("{lat:.4} {lon:.4}"), want);
        };
        check("+4230+00131", "42.5000 1.5167");
        check("-332652-0704002", "-33.4478 -70.6672");
        assert!(coordinates_of("").is_err());
        assert!(coordinates_of("+42").is_err());
    }

    #[test]
    fn each_country_gets_its_biggest_city() {
        let mut text = String::from("# comment\nAD\t+4230+00131\tEurope/Andorra\n");
        text += "AU\t-3133+15905\tAustralia/Lord_Howe\tLord Howe Island\nAU\t-3352+15113\tAustralia/Sydney\n";
        for (code, zone) in BIGGEST_CITY.iter().filter(|b| b.0 != "AU") {
            text += &format!("{code}\t+0000+00000\t{zone}\n");
        }
        let places = read_places(&text).unwrap();
        assert_eq!(places["AD"].2, "Andorra");
        assert_eq!(places["AU"].2, "Sydney");
        assert_eq!(places["XK"].2, "Pristina");
    }
}
