mod databases;
mod layers;
mod writer;

use std::net::IpAddr;

use proptest::prelude::*;

use super::{encode::EncodeError, *};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(text: &str) -> u64 {
    u32::from(text.parse::<std::net::Ipv4Addr>().unwrap()).into()
}

const PLACES: &str = "# places\nDE 52.50 13.37 Berlin\nFR 48.87 2.33 Paris # capital\nUS 41.85 -87.65 Chicago\n";

/// 2/8 France, 5.0/9 Germany, 5.128/9 France, 192.0.2.64/26 US; 2a00::/16 Germany, 2600::/12 US.
fn small() -> Geo {
    let v4 = vec![
        (v4("2.0.0.0"), v4("2.255.255.255"), *b"FR"),
        (v4("5.0.0.0"), v4("5.127.255.255"), *b"DE"),
        (v4("5.128.0.0"), v4("5.255.255.255"), *b"FR"),
        (v4("192.0.2.64"), v4("192.0.2.127"), *b"US"),
    ];
    let v6 = vec![
        (0x2001_0200_0000_0000, 0x2001_02ff_ffff_ffff, *b"US"),
        (0x2600_0000_0000_0000, 0x260f_ffff_ffff_ffff, *b"US"),
        (0x2a00_0000_0000_0000, 0x2a00_ffff_ffff_ffff, *b"DE"),
    ];
    Geo::from_parts(encode(&v4, &v6).unwrap(), PLACES).unwrap()
}

#[test]
fn addresses_lead_to_countries_and_to_the_widest_network_inside() {
    let geo = small();
    let check = |addr: &str, want: &str| {
        let spot = geo.spot(ip(addr));
        let got = format!("{} {} /{}", spot.code.unwrap_or("-".into()), spot.city.unwrap_or("-".into()), spot.prefix);
        assert_eq!(got, want, "{addr}");
    };
    check("2.0.0.0", "FR Paris /8");
    check("2.255.255.255", "FR Paris /8");
    check("5.1.2.3", "DE Berlin /9");
    check("5.128.0.0", "FR Paris /9");
    check("3.0.0.0", "- - /8");
    check("0.0.0.0", "- - /7");
    check("127.0.0.1", "- - /2");
    check("192.0.2.64", "US Chicago /26");
    check("192.0.2.63", "- - /26");
    check("192.0.2.128", "- - /25");
    check("255.255.255.255", "- - /3");
    check("2a00:1::1", "DE Berlin /16");
    check("2601::1", "US Chicago /12");
    check("2001:200::1", "US Chicago /24");
    check("fe80::1", "- - /1");
    check("::1", "- - /96");
    check("64:ff9b:0:0:1::", "- - /96");
}

#[test]
fn ipv4_inside_ipv6_is_looked_up_as_ipv4() {
    let geo = small();
    let check = |addr: &str, want: &str| {
        let spot = geo.spot(ip(addr));
        assert_eq!(format!("{} /{}", spot.code.unwrap_or("-".into()), spot.prefix), want, "{addr}");
    };
    check("::ffff:5.1.2.3", "DE /105");
    check("64:ff9b::5.1.2.3", "DE /105");
    check("::ffff:0:5.1.2.3", "DE /105");
    check("2002:0501:0203::1", "DE /25");
    // Teredo: server 65.54.227.120, port 40000, client 5.1.2.3 with its bits turned.
    check("2001:0:4136:e378:8000:63bf:fafe:fdfc", "DE /105");
    check("2001:1::1", "- /32");
}

#[test]
fn a_damaged_table_is_refused_or_leads_nowhere() {
    let good = encode(&vec![(0, 9, *b"DE")], &vec![(7 << 32, 9 << 32, *b"US")]).unwrap();
    assert!(Geo::from_parts(good.clone(), "").is_ok());
    for length in 0..good.len() {
        assert_eq!(Geo::from_parts(good[..length].to_vec(), "").unwrap_err(), TableError::Format, "cut to {length}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // Whatever it says then, it says it without a panic.
            if let Ok(geo) = Geo::from_parts(bad, "DE 1 1 X") {
                for addr in ["0.0.0.1", "255.1.1.1", "::1", "7::", "ffff::"] {
                    geo.spot(ip(addr));
                }
            }
        }
    }
}

#[test]
fn places_that_make_no_sense_are_errors_with_a_line() {
    let table = encode(&vec![(0, 9, *b"DE")], &Vec::new()).unwrap();
    for line in ["DE", "DE 1", "DE 1 2", "DE x 2 City", "DEU 1 2 City", "DE 91 2 City"] {
        let got = Geo::from_parts(table.clone(), &format!("# head\n{line}\n")).unwrap_err();
        assert_eq!(got, TableError::Place { line: 2 }, "{line}");
    }
}

#[test]
fn ranges_out_of_order_are_refused() {
    let none = Vec::new();
    let out_of_order = |first| Err(EncodeError::OutOfOrder { first });
    assert_eq!(encode(&vec![(5, 9, *b"DE"), (9, 12, *b"US")], &none), out_of_order(9));
    assert_eq!(encode(&vec![(5, 4, *b"DE")], &none), out_of_order(5));
    assert_eq!(encode(&vec![(5, 1 << 32, *b"DE")], &none), out_of_order(5));
    assert_eq!(encode(&none, &vec![(0, u64::MAX, *b"DE"), (1, 2, *b"DE")]), out_of_order(1));
    let many: Vec<_> = (0..300).map(|i| (i, i, [b'A' + (i / 26) as u8, b'A' + (i % 26) as u8])).collect();
    assert_eq!(encode(&many, &none), Err(EncodeError::TooManyCountries { count: 300 }));
}

#[test]
fn distances_are_great_circles() {
    let check = |a: (f64, f64), b: (f64, f64), want: f64| {
        let location = |(latitude, longitude)| Location { latitude, longitude };
        let got = distance_km(location(a), location(b));
        assert!((got - want).abs() < want * 0.005 + 0.01, "{a:?} to {b:?}: {got} km, expected {want}");
        assert!((got - distance_km(location(b), location(a))).abs() < 1e-6);
    };
    check((52.5, 13.4), (52.5, 13.4), 0.0);
    check((0.0, 0.0), (0.0, 180.0), 20_015.0);
    check((90.0, 0.0), (-90.0, 77.0), 20_015.0);
    check((51.5, -0.1), (40.7, -74.0), 5_570.0); // London to New York
    check((53.35, -6.26), (39.04, -77.49), 5_450.0); // Dublin to Virginia
    check((-36.8, 174.8), (21.3, -157.9), 7_090.0); // Auckland to Honolulu, across the date line
    check((70.0, 20.0), (70.0, 21.0), 38.0); // a degree is short up there
}

#[test]
fn the_embedded_table_knows_the_world() {
    let geo = Geo::embedded();
    assert!(COUNTRIES.len() <= 1_700_000, "{} bytes", COUNTRIES.len());
    let check = |addr: &str, country: &str| {
        assert_eq!(geo.spot(ip(addr)).code.as_deref().unwrap_or("-"), country, "{addr}");
    };
    check("128.101.101.101", "US"); // University of Minnesota
    check("131.188.1.1", "DE"); // University of Erlangen
    check("133.11.0.1", "JP"); // University of Tokyo
    check("2001:638::1", "DE"); // German research network
    check("127.0.0.1", "-");
    check("10.1.2.3", "-");
    check("fd00::1", "-");
    let countries = || (2..geo.places()).map(|i| geo.place(PlaceId(i as u32)));
    assert!(countries().count() > 240);
    assert!(countries().filter(|place| place.location.is_none()).count() <= 3, "nearly all countries have a location");
    for place in countries() {
        assert!(place.country.is_some() && place.continent.is_some(), "{place:?}");
    }
}

#[test]
fn every_address_in_a_network_has_its_country() {
    let geo = Geo::embedded();
    let mut addr = 0_u32;
    for _ in 0..20_000 {
        addr = addr.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let spot = geo.spot(IpAddr::V4(addr.into()));
        let place = geo.place_of(IpAddr::V4(addr.into()));
        let host = u32::MAX.checked_shr(spot.prefix.into()).unwrap_or(0);
        for near in [addr & !host, addr | host, addr ^ (host >> 1), addr ^ (host >> 7)] {
            assert_eq!(geo.place_of(IpAddr::V4(near.into())), place, "{addr:#x}/{}", spot.prefix);
        }
    }
}

/// Ranges at random, and what a plain search in them says.
fn ranges(max: u64) -> impl Strategy<Value = CountryRanges> {
    let range = (0..max, 0..40_u32, 0..4_u8);
    prop::collection::vec(range, 0..200).prop_map(move |mut raw| {
        raw.sort_unstable();
        let mut out = CountryRanges::new();
        for (first, size, country) in raw {
            let last = first.saturating_add(1 << size.min(30)).min(max);
            if out.last().is_none_or(|r| r.1 < first) {
                out.push((first, last, [b'A', b'A' + country]));
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn a_table_says_what_its_ranges_say(v4 in ranges(u32::MAX.into()), keys in prop::collection::vec(any::<u32>(), 50)) {
        let geo = Geo::from_parts(encode(&v4, &Vec::new()).unwrap(), "").unwrap();
        let edges = v4.iter().flat_map(|r| [r.0, r.1, r.0.saturating_sub(1), (r.1 + 1).min(u32::MAX.into())]);
        for key in keys.into_iter().map(u64::from).chain(edges) {
            let want = v4.iter().find(|r| (r.0..=r.1).contains(&key)).map(|r| String::from_utf8(r.2.to_vec()).unwrap());
            let addr = IpAddr::V4((key as u32).into());
            let spot = geo.spot(addr);
            prop_assert_eq!(&spot.code, &want);
            let host = u64::from(u32::MAX.checked_shr(spot.prefix.into()).unwrap_or(0));
            let (first, last) = (key & !host, key | host);
            let inside = v4.iter().filter(|r| r.1 >= first && r.0 <= last);
            for r in inside {
                prop_assert_eq!(Some(String::from_utf8(r.2.to_vec()).unwrap()), want.clone());
            }
        }
    }

    #[test]
    fn long_keys_survive_the_table(v6 in ranges(u64::MAX)) {
        let geo = Geo::from_parts(encode(&Vec::new(), &v6).unwrap(), "").unwrap();
        for r in &v6 {
            let addr = std::net::Ipv6Addr::from(u128::from(r.0) << 64 | 1);
            let got = geo.spot(IpAddr::V6(addr));
            let folded = fold::FOLDED_SPACE.iter().any(|f| (f.0..=f.1).contains(&r.0));
            prop_assert!(folded || got.code == Some(String::from_utf8(r.2.to_vec()).unwrap()));
        }
    }
}
