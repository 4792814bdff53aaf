//! Databases in MaxMind's format: what is read of them, and what damage does.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{
    ip,
    writer::{Value, country, database},
    *,
};

fn text(text: &'static str) -> Value {
    Value::Text(text)
}

fn map<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::Map(entries.into())
}

/// As MaxMind and DB-IP write a city.
fn berlin() -> Value {
    map([
        ("continent", map([("code", text("EU")), ("names", map([("en", text("Europe"))]))])),
        ("country", map([("is_in_european_union", Value::Bool(true)), ("iso_code", text("DE"))])),
        ("subdivisions", Value::List(vec![map([("iso_code", text("BE"))]), map([("iso_code", text("XX"))])])),
        (
            "city",
            map([("geoname_id", Value::U32(2_950_159)), ("names", map([("de", text("B")), ("en", text("Berlin"))]))]),
        ),
        (
            "location",
            map([("latitude", Value::Double(52.52)), ("longitude", Value::Double(13.4)), ("time_zone", text("x"))]),
        ),
    ])
}

fn show(geo: &Geo, addr: &str) -> String {
    let place = geo.place(geo.place_of(ip(addr)));
    let code = |code: Option<[u8; 2]>| code.map_or("-".to_owned(), |code| String::from_utf8_lossy(&code).into_owned());
    let name = |name: &Option<Box<str>>| name.as_deref().unwrap_or("-").to_owned();
    let at = place.location.map_or("-".to_owned(), |l| format!("{:.2},{:.2}", l.latitude, l.longitude));
    let asn = place.asn.map_or("-".to_owned(), |asn| format!("AS{asn}"));
    let lists = if place.lists.is_empty() { String::new() } else { format!(" {}", place.lists.join("+")) };
    format!(
        "{} {} {} {} {at} {asn}{lists}",
        code(place.continent),
        code(place.country),
        name(&place.subdivision),
        name(&place.city)
    )
}

fn layer(database: &[u8]) -> Layer {
    read_mmdb(database, "test").unwrap().0
}

#[test]
fn fields_are_found_wherever_their_makers_put_them() {
    let check = |record: Value, want: &str| {
        let database = database(4, 24, &[("192.0.2.0/24", record)]);
        let geo = small().with(&[layer(&database)]).unwrap();
        assert_eq!(show(&geo, "192.0.2.7"), want);
    };
    check(berlin(), "EU DE BE Berlin 52.52,13.40 -");
    check(Value::Pointed(berlin().into()), "EU DE BE Berlin 52.52,13.40 -");
    check(country("FR"), "EU FR - - 48.87,2.33 -");
    check(map([("country_code", text("BR"))]), "SA BR - - - -");
    check(map([("country", text("US")), ("continent_code", text("NA"))]), "NA US - - 41.85,-87.65 -");
    check(map([("registered_country", map([("iso_code", text("DE"))]))]), "EU DE - - 52.50,13.37 -");
    check(
        map([
            ("city", text("Bremen")),
            ("country_code", text("DE")),
            ("latitude", Value::Float(53.075)),
            ("longitude", Value::Float(8.8)),
        ]),
        "EU DE - Bremen 53.08,8.80 -",
    );
    check(map([("lat", text("53.1")), ("lng", text("8.8")), ("state_code", text("HB"))]), "- - HB - 53.10,8.80 -");
    // What only names the network leaves the ground as it is: 192.0.2.64/26 is in the US.
    check(map([("autonomous_system_number", Value::U32(64500))]), "- - - - - AS64500");
    check(map([("asn", text("AS64501"))]), "- - - - - AS64501");
    // What makes no sense is not known.
    check(map([("country_code", text("de")), ("asn", Value::U16(7))]), "- - - - - AS7");
    check(
        map([("latitude", Value::Double(91.0)), ("longitude", Value::Double(0.0)), ("asn", Value::U16(7))]),
        "- - - - - AS7",
    );
    check(map([("country", Value::Bool(true)), ("asn", Value::U16(7))]), "- - - - - AS7");
    check(map([("location", text("here")), ("asn", Value::U16(7))]), "- - - - - AS7");
}

#[test]
fn nodes_of_every_width_lead_to_the_same_places() {
    let networks = [
        ("5.0.0.0/8", country("FR")),
        ("5.1.0.0/16", berlin()),
        ("198.51.100.128/25", country("US")),
        ("2a01::/16", country("DE")),
        ("2a02:8:8:8:8::/80", country("FR")),
        ("2a02:8:8:8:9::/80", country("DE")),
        ("2002::/16", country("IN")),
    ];
    for bits in [24, 28, 32] {
        let geo = Geo::empty().with(&[layer(&database(6, bits, &networks))]).unwrap();
        let check = |addr: &str, want: &str, prefix: u8| {
            let spot = geo.spot(ip(addr));
            assert_eq!((spot.code.as_deref().unwrap_or("-"), spot.prefix), (want, prefix), "{addr} with {bits} bits");
        };
        check("5.0.0.1", "FR", 16);
        check("5.1.2.3", "DE", 16);
        check("198.51.100.200", "US", 25);
        check("198.51.100.1", "-", 25);
        check("2a01:5::", "DE", 16);
        check("2a02:8:8:8::", "FR", 64); // the first one speaks for the /64
        check("2a02:8:8:9::", "-", 64);
        check("2002:501::1", "DE", 32); // 6to4, of 5.1.0.0
        check("::ffff:5.1.2.3", "DE", 112);
    }
}

#[test]
fn ipv4_is_found_once_however_many_ways_lead_to_it() {
    // As MaxMind links it: 2002::/16 is the same subtree as ::/96.
    let mut linked = database(6, 24, &[("5.0.0.0/8", country("DE")), ("2002::/16", country("FR"))]);
    let nodes: Vec<[u32; 2]> =
        linked.chunks_exact(6).map(|n| [&n[..3], &n[3..]].map(|b| u32::from_be_bytes([0, b[0], b[1], b[2]]))).collect();
    let walk = |bits: u128, depth: u32| {
        (0..depth).fold((0, 0, 0), |(_, at, _), i| {
            let side = (bits >> (127 - i) & 1) as usize;
            (at, nodes[at][side] as usize, side)
        })
    };
    let (_, v4_root, _) = walk(0, 96);
    let (parent, _, side) = walk(0x2002 << 112, 16);
    linked[parent * 6 + side * 3..][..3].copy_from_slice(&(v4_root as u32).to_be_bytes()[1..]);
    let geo = Geo::empty().with(&[layer(&linked)]).unwrap();
    assert_eq!(geo.spot(ip("2002:501::")).code.as_deref(), Some("DE"));
    assert_eq!(geo.spot(ip("5.1.1.1")).code.as_deref(), Some("DE"));
    // Anywhere else it is damage.
    linked[..3].copy_from_slice(&(v4_root as u32).to_be_bytes()[1..]);
    linked[3..6].copy_from_slice(&(v4_root as u32).to_be_bytes()[1..]);
    assert!(matches!(read_mmdb(&linked, "x"), Err(MmdbError::NoTree { .. })));
}

#[test]
fn a_circle_is_an_error_and_not_for_ever() {
    let mut circle = database(6, 24, &[("::/1", country("DE"))]);
    circle[3..6].copy_from_slice(&[0, 0, 0]);
    assert!(matches!(read_mmdb(&circle, "x"), Err(MmdbError::NoTree { node: 0 })));
    // A name that leads to itself: `en` points to the number at the beginning of the data, and then to the map around it.
    let inner = map([("en", Value::Pointed(Value::U16(1).into()))]);
    let mut looped = database(4, 24, &[("0.0.0.0/1", map([("country", Value::Pointed(inner.into()))]))]);
    let at = looped.windows(5).position(|w| w == [0b0011_1000, 0, 0, 0, 0]).unwrap();
    assert!(matches!(read_mmdb(&looped, "x"), Err(MmdbError::NothingKnown)));
    looped[at + 4] = 3;
    let error = read_mmdb(&looped, "x").unwrap_err().to_string();
    assert!(error.contains("depth"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let check = |bytes: &[u8], want: &str| {
        let got = read_mmdb(bytes, "x").unwrap_err().to_string();
        assert!(got.contains(want), "{got}");
    };
    check(b"", "not a sound MaxMind database");
    check(b"<html>404</html>", "not a sound MaxMind database");
    check(
        &database(4, 24, &[("0.0.0.0/1", map([("is_anonymous", Value::Bool(true))]))]),
        "no field that is known here",
    );
    let good = database(6, 28, &[("5.0.0.0/8", berlin()), ("2a00::/12", country("DE"))]);
    let head = read_mmdb(&good, "x").unwrap().1;
    assert_eq!(head, MmdbHead { kind: "Test".into(), build_epoch: 1_750_000_000 });
    for length in 0..good.len() {
        assert!(read_mmdb(&good[..length], "x").is_err(), "cut to {length}");
    }
}

#[test]
fn damage_makes_errors_or_other_places_and_never_a_panic() {
    let good = database(
        6,
        24,
        &[("5.0.0.0/8", berlin()), ("9.9.0.0/16", Value::Pointed(country("US").into())), ("2a00::/12", country("DE"))],
    );
    for at in 0..good.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bad = good.clone();
            bad[at] ^= change;
            if let Ok((layer, _)) = read_mmdb(&bad, "x") {
                let geo = small().with(&[layer]).unwrap();
                for addr in ["5.1.1.1", "::1", "2a00::"] {
                    geo.spot(ip(addr));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_behind_a_sound_head_does_no_harm(noise in prop::collection::vec(any::<(u16, u8)>(), 1..60)) {
        let networks = [("5.0.0.0/8", berlin()), ("2a00::/12", country("DE")), ("2a00::/13", berlin())];
        let mut bad = database(6, 28, &networks);
        let body = bad.len() - 220;
        for (at, byte) in noise {
            bad[usize::from(at) % body] = byte;
        }
        if let Ok((layer, _)) = read_mmdb(&bad, "x") {
            Geo::empty().with(&[layer]).unwrap();
        }
    }

    #[test]
    fn a_database_says_what_its_networks_say(
        networks in prop::collection::vec((any::<u32>(), 1..=32_u8, 0..4_usize), 1..40),
        addrs in prop::collection::vec(any::<u32>(), 30),
        wide in any::<bool>(),
    ) {
        const CODES: [&str; 4] = ["DE", "FR", "IN", "US"];
        // Larger ones first, as the writer wants it.
        let mut networks: Vec<(u32, u8, usize)> = networks;
        networks.sort_by_key(|n| n.1);
        let first = |addr: u32, prefix: u8| addr & !u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let text: Vec<String> = networks.iter().map(|&(addr, prefix, _)| format!("{}/{prefix}", IpAddr::V4(first(addr, prefix).into()))).collect();
        let written: Vec<(&str, Value)> = text.iter().zip(&networks).map(|(text, n)| (text.as_str(), country(CODES[n.2]))).collect();
        let geo = Geo::empty().with(&[layer(&database(if wide { 6 } else { 4 }, 24, &written))]).unwrap();
        for addr in addrs.into_iter().chain(networks.iter().map(|n| n.0)) {
            let inside = |n: &&(u32, u8, usize)| first(addr, n.1) == first(n.0, n.1);
            let want = networks.iter().rev().find(inside).map(|n| CODES[n.2].to_owned());
            prop_assert_eq!(geo.spot(IpAddr::V4(addr.into())).code, want);
        }
    }
}
