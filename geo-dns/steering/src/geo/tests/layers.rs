//! Layers over each other, and prefixes that somebody wrote down.

use std::{net::IpAddr, sync::Arc};

use proptest::prelude::*;

use super::{
    ip, small, v4,
    writer::{Value, country, database},
    *,
};

fn prefixes(text: &str) -> Layer {
    read_prefixes(text, "file test.txt").unwrap()
}

fn check(geo: &Geo, addr: &str, want: &str) {
    let place = geo.place(geo.place_of(ip(addr)));
    let country = place.country.map_or("-".to_owned(), |code| code.iter().map(|&b| char::from(b)).collect());
    let at = place.location.map_or("-".to_owned(), |l| format!("{:.1},{:.1}", l.latitude, l.longitude));
    let asn = place.asn.map_or(String::new(), |asn| format!(" AS{asn}"));
    let lists = if place.lists.is_empty() { String::new() } else { format!(" {}", place.lists.join("+")) };
    assert_eq!(format!("{country} {at}{asn}{lists} | {}", geo.source(place.source)), want, "{addr}");
}

#[test]
fn a_layer_replaces_what_it_speaks_of_and_leaves_the_rest() {
    let asn = database(4, 24, &[("5.1.0.0/16", Value::Map(vec![("asn", Value::U32(64500))]))]);
    let (asn, _) = read_mmdb(&asn, "file asn.mmdb").unwrap();
    let (cities, _) = read_mmdb(&database(6, 24, &[("5.1.1.0/24", country("US"))]), "file city.mmdb").unwrap();
    let written = prefixes(
        "# known resolvers\n\
         5.1.1.53 country=IN\n\
         5.1.1.54 location=10,20 # at sea\n\
         5.1.0.0/17 office\n\
         5.1.1.0/25 partners asn=64501\n\
         2a00:5::/32 office\n",
    );
    let geo = small().with(&[asn, cities, written]).unwrap();
    let embedded = "the embedded country table";
    check(&geo, "5.0.0.1", &format!("DE 52.5,13.4 | {embedded}"));
    check(&geo, "5.1.200.1", &format!("DE 52.5,13.4 AS64500 | {embedded}"));
    check(&geo, "5.1.2.1", &format!("DE 52.5,13.4 AS64500 office | {embedded}"));
    check(&geo, "5.1.1.200", "US 41.9,-87.7 AS64500 office | file city.mmdb");
    check(&geo, "5.1.1.1", "US 41.9,-87.7 AS64501 office+partners | file city.mmdb");
    check(&geo, "5.1.1.53", "IN - AS64501 office+partners | file test.txt");
    check(&geo, "5.1.1.54", "- 10.0,20.0 AS64501 office+partners | file test.txt");
    check(&geo, "2a00:5::1", &format!("DE 52.5,13.4 office | {embedded}"));
    check(&geo, "::ffff:5.1.1.53", "IN - AS64501 office+partners | file test.txt");
    check(&geo, "64:ff9b::5.1.1.53", "IN - AS64501 office+partners | file test.txt");
    check(&geo, "2002:0501:0135::", "IN - AS64501 office+partners | file test.txt");
    check(&geo, "127.0.0.1", &format!("- - | {embedded}"));
    assert_eq!(geo.spot(ip("5.1.1.53")).prefix, 32);
    assert_eq!(geo.spot(ip("5.1.1.200")).prefix, 25);
    assert_eq!(geo.spot(ip("2a00:5::1")).prefix, 32);
}

#[test]
fn what_is_merged_is_one_range() {
    let geo = small();
    let before = geo.ranges();
    // Every half of the same says the same.
    let halves = prefixes("5.0.0.0/10 country=FR\n5.64.0.0/10 country=FR\n");
    let geo = geo.with(&[halves]).unwrap();
    assert_eq!(geo.ranges(), before);
    assert_eq!(geo.spot(ip("5.1.1.1")).prefix, 9);
    assert!(geo.with(&[]).unwrap().ranges() == before && geo.bytes() > 0);
}

#[test]
fn lines_that_make_no_sense_are_errors_with_a_number() {
    let check = |line: &str, want: &str| {
        let got = read_prefixes(&format!("# head\n\n{line}\n"), "x").unwrap_err().to_string();
        assert!(got.starts_with("line 3: ") && got.contains(want), "{line}: {got}");
    };
    check("5.0.0.0/8", "write behind the network");
    check("5.0.0.1/8 office", "bits behind its length");
    check("2a00::1/32 office", "bits behind its length");
    check("2a00::1 office", "first 64 bits");
    check("2a00::/65 office", "first 64 bits");
    check("5.0.0.0/33 office", "0 to 32");
    check("5.0.0/8 office", "is not a network");
    check("office 5.0.0.0/8", "is not a network");
    check("::ffff:5.0.0.0/104 office", "looked up as the IPv4 address");
    check("5.0.0.0/8 Office", "not a name of a list");
    check("5.0.0.0/8 country=Germany", "two capital letters");
    check("5.0.0.0/8 subdivision=BY", "beside `country`");
    check("5.0.0.0/8 country=DE subdivision=Bayern", "BY of DE-BY");
    check("5.0.0.0/8 location=91,0", "degrees north and east");
    check("5.0.0.0/8 location=1", "degrees north and east");
    check("5.0.0.0/8 asn=0", "1 to 4294967295");
    check("5.0.0.0/8 town=x", "is not known");
    assert_eq!(read_prefixes("# nothing\n", "x").unwrap().ranges(), 2);
}

#[test]
fn the_worlds_lists_lie_on_top_and_are_made_once() {
    let base = Arc::new(small());
    let lists = |text: &str| vec![("office".to_owned(), vec![text.to_owned()])];
    let first = base.with_lists(&lists("5.1.0.0/16")).unwrap();
    assert_eq!(first.place(first.place_of(ip("5.1.1.1"))).lists, ["office".into()]);
    assert!(Arc::ptr_eq(&first, &first.with_lists(&lists("5.1.0.0/16")).unwrap()));
    let second = first.with_lists(&lists("5.2.0.0/16")).unwrap();
    assert!(second.place(second.place_of(ip("5.1.1.1"))).lists.is_empty(), "the former lists are gone");
    assert!(Arc::ptr_eq(&base, &second.with_lists(&[]).unwrap()));
    assert!(Arc::ptr_eq(&base, &second.without_lists()));
    let error = base.with_lists(&lists("5.1.0.1/16")).unwrap_err();
    assert_eq!(error.to_string(), "prefix list `office`: `5.1.0.1/16` has bits behind its length");
}

/// Networks inside and beside each other, each in a list of its own.
fn networks() -> impl Strategy<Value = Vec<(u32, u8)>> {
    let dense = (0..64_u32, 26..=32_u8).prop_map(|(addr, prefix)| (v4("5.1.1.0") as u32 | addr, prefix));
    let sparse = (any::<u32>(), 1..=32_u8);
    prop::collection::vec(prop_oneof![dense, sparse], 0..40).prop_map(|all| {
        all.into_iter()
            .map(|(addr, prefix)| (addr & !u32::MAX.checked_shr(prefix.into()).unwrap_or(0), prefix))
            .collect()
    })
}

/// An outcome for each place, as a policy might have it.
fn of_place(geo: &Geo, seed: u32, outcomes: u32) -> Box<[u32]> {
    (0..geo.places() as u32).map(|place| place.wrapping_mul(seed | 1) / 7 % outcomes).collect()
}

/// INVARIANT: everybody in a scope has the same outcome, and one bit wider somebody has another one.
fn scope_is_the_widest(geo: &Geo, outcomes: &Outcomes, addr: u32, noise: &[u32]) -> Result<(), TestCaseError> {
    let outcome = |addr: u32| outcomes.of(geo.place_of(IpAddr::V4(addr.into())));
    let (place, scope) = geo.scope(IpAddr::V4(addr.into()), outcomes);
    prop_assert_eq!(place, geo.place_of(IpAddr::V4(addr.into())));
    let host = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
    for near in noise.iter().map(|noise| addr & !host | noise & host).chain([addr & !host, addr | host]) {
        prop_assert_eq!(outcome(near), outcome(addr), "{:#x} in {:#x}/{}", near, addr, scope);
    }
    // Where one bit wider all are alike, too, the scope would have been too narrow: go over the ranges of the other half.
    if scope > 0 {
        let wider = host << 1 | 1;
        let (first, last) = (u64::from(addr & !wider), u64::from(addr | wider));
        let tiles = geo.tiles(Family::V4);
        let mut other = false;
        let mut starts = Vec::new();
        tiles.for_each_block(|block| starts.extend_from_slice(block));
        for (i, &(start, place)) in starts.iter().enumerate() {
            let end = starts.get(i + 1).map_or(u64::from(u32::MAX), |next| next.0 - 1);
            other |= start <= last && end >= first && outcomes.of(place) != outcome(addr);
        }
        prop_assert!(other, "{:#x}/{} could be wider", addr, scope);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn prefixes_say_what_a_search_in_them_says(networks in networks(), addrs in prop::collection::vec(any::<u32>(), 20)) {
        let text: String = networks
            .iter()
            .enumerate()
            .map(|(i, &(addr, prefix))| format!("{}/{prefix} l{i} asn={}\n", IpAddr::V4(addr.into()), i + 1))
            .collect();
        let geo = small().with(&[prefixes(&text)]).unwrap();
        let edges = networks.iter().flat_map(|&(addr, prefix)| {
            let last = addr | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            [addr, last, addr.wrapping_sub(1), last.wrapping_add(1)]
        });
        for addr in addrs.into_iter().chain(edges) {
            let around = || networks.iter().enumerate().filter(|(_, n)| (addr ^ n.0).checked_shr(32 - u32::from(n.1)).unwrap_or(0) == 0);
            let place = geo.place(geo.place_of(IpAddr::V4(addr.into())));
            let mut lists: Vec<Arc<str>> = around().map(|(i, _)| format!("l{i}").into()).collect();
            lists.sort();
            prop_assert_eq!(&place.lists, &lists);
            // The smallest counts; of the same twice, the one below.
            let smallest = around().max_by_key(|(i, n)| (n.1, *i)).map(|(i, _)| i as u32 + 1);
            prop_assert_eq!(place.asn, smallest);
        }
    }

    #[test]
    fn scopes_are_the_widest(networks in networks(), seed in any::<u32>(), outcomes in 2..5_u32, addr in any::<u32>(), noise in prop::collection::vec(any::<u32>(), 8)) {
        let text: String =
            networks.iter().enumerate().map(|(i, &(addr, prefix))| format!("{}/{prefix} asn={}\n", IpAddr::V4(addr.into()), i + 1)).collect();
        let geo = small().with(&[prefixes(&text)]).unwrap();
        let outcomes = geo.outcomes(of_place(&geo, seed, outcomes));
        for addr in networks.iter().map(|n| n.0).chain([addr, addr & 0x07ff_ffff]) {
            scope_is_the_widest(&geo, &outcomes, addr, &noise)?;
        }
    }
}

#[test]
fn scopes_are_the_widest_with_the_embedded_table_and_over_it() {
    let over = prefixes("5.1.1.0/24 office\n2a00:5::/32 country=DE\n");
    let embedded = Geo::embedded();
    for geo in [&embedded, &Arc::new(embedded.with(&[over]).unwrap())] {
        // Three continents lead elsewhere: as with three regions.
        let by_continent = (0..geo.places()).map(|i| match geo.place(PlaceId(i as u32)).continent {
            Some([b'E' | b'A', b'U' | b'F']) => 0,
            Some([b'A' | b'O', _]) => 1,
            _ => 2,
        });
        let outcomes = geo.outcomes(by_continent.collect());
        let mut addr = 7_u32;
        for _ in 0..60 {
            addr = addr.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scope_is_the_widest(geo, &outcomes, addr, &[addr.rotate_left(9), !addr]).unwrap();
        }
        assert!(outcomes.bytes() < 200_000, "{} bytes", outcomes.bytes());
    }
}
