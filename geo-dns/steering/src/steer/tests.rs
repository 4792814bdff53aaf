use std::collections::BTreeMap;

use model::{AllDown, Clients, Location, NameTtl, RegionName, SteeringPolicy, Verdict};

use super::{
    chain::Stage,
    run::{Oracle, Question, Runner, Unknown, Walk},
    *,
};

fn member(id: u16, place: (f64, f64), standing: Standing, steady_ms: Option<u64>) -> Member {
    let region = RegionName::new(format!("r{id}")).unwrap();
    let location = Location { latitude: place.0, longitude: place.1 };
    Member {
        region,
        id,
        location,
        v4: Some([192, 0, 2, id as u8].into()),
        v6: None,
        target: None,
        standing,
        share: Share::whole(),
        stands_by: false,
        steady_ms,
    }
}

fn chain(members: usize, all_down: AllDown, panic_below: usize, rest: Rest) -> Chain {
    Chain {
        pool: "web".into(),
        policy: SteeringPolicy::Nearest,
        steps: Vec::new(),
        members: 0..members,
        all_down,
        panic_below,
        fences: Vec::new(),
        trickle: None,
        spill: BTreeMap::new(),
        stages: vec![Stage { rest, ..Stage::default() }],
        fallback: None,
    }
}

const UP: Standing = Standing::Judged(Verdict::Up);
const DEGRADED: Standing = Standing::Judged(Verdict::Degraded);
const DOWN: Standing = Standing::Judged(Verdict::Down);
const DEMOTED: Standing = Standing::Demoted(Verdict::Up);

/// Is asked nothing.
struct Mute;

impl Oracle for Mute {
    fn ask(&self, question: &Question) -> Result<u32, Unknown> {
        Err(Unknown(question.clone()))
    }
}

fn run(members: &[Member], chain: &Chain, take: usize, ttl: (u32, u32)) -> Walk {
    let home = Home { id: 0, location: None };
    let prepared = Prepared::of(chain, members, &Place::default(), &home);
    let ttl = NameTtl { min: ttl.0, max: ttl.1 };
    Runner::new(members, Rtype::A, ttl, take).run(chain, &prepared, &Mute).unwrap()
}

/// Members in order, each with its steady time, and what becomes of them.
fn check(members: &[(Standing, u64)], take: usize, all_down: AllDown, want: &str) {
    check_panic(members, take, all_down, 1, want);
}

fn check_panic(members: &[(Standing, u64)], take: usize, all_down: AllDown, panic_below: usize, want: &str) {
    let members: Vec<_> =
        members.iter().enumerate().map(|(i, m)| member(i as u16 + 1, (0.0, 0.0), m.0, Some(m.1))).collect();
    let got = run(&members, &chain(members.len(), all_down, panic_below, Rest::AsTheyStand), take, (1, 100));
    assert_eq!(format!("{:?} {:?} {}", got.chosen, got.basis, got.ttl.seconds), want);
}

#[test]
fn a_walk_consults_no_more_than_it_needs() {
    use AllDown::{FailClosed, FailOpen};
    check(&[(UP, 9000), (UP, 3000)], 1, FailOpen, "[0] FirstChoice 9");
    check(&[(UP, 9000), (UP, 3000)], 2, FailOpen, "[0, 1] FirstChoice 3");
    check(&[(UP, 9000), (UP, 3000), (UP, 2000)], 2, FailOpen, "[0, 1] FirstChoice 3");
    check(&[(DOWN, 4000), (UP, 9000), (UP, 2000)], 1, FailOpen, "[1] NextChoice 4");
    check(&[(DEGRADED, 4000), (UP, 9000)], 1, FailOpen, "[0] FirstChoice 4");
    check(&[(UP, 9000), (DOWN, 2000)], 8, FailOpen, "[0] FirstChoice 2");
    check(&[(DEMOTED, 5000), (UP, 9000)], 1, FailOpen, "[1] NextChoice 5");
    check(&[(DEMOTED, 5000), (DOWN, 4000)], 1, FailOpen, "[0] DemotionIgnored 4");
    check(&[(DOWN, 5000), (DOWN, 4000)], 1, FailOpen, "[0] FailOpen 4");
    check(&[(DOWN, 5000), (DOWN, 4000)], 1, FailClosed, "[] FailClosed 4");
    check(&[(UP, 9000)], 0, FailOpen, "[0] FirstChoice 9");
    check(&[], 1, FailOpen, "[] NoMembers 100");
}

#[test]
fn if_too_few_serve_health_is_not_believed() {
    use AllDown::{FailClosed, FailOpen};
    let one_of_three = [(DOWN, 4000), (UP, 9000), (DOWN, 2000)];
    check_panic(&one_of_three, 1, FailOpen, 1, "[1] NextChoice 4");
    check_panic(&one_of_three, 1, FailOpen, 2, "[0] Panic 2");
    check_panic(&one_of_three, 8, FailOpen, 2, "[0, 1, 2] Panic 2");
    check_panic(&one_of_three, 1, FailClosed, 2, "[] FailClosed 2");
    check_panic(&[(DOWN, 4000), (DOWN, 2000)], 1, FailOpen, 2, "[0] FailOpen 2");
    check_panic(&[(UP, 4000), (UP, 2000), (DOWN, 1000)], 1, FailOpen, 2, "[0] FirstChoice 4");
    check_panic(&[(DEMOTED, 4000), (UP, 2000)], 1, FailOpen, 2, "[0] Panic 2");
}

#[test]
fn ttls_are_whole_seconds_inside_the_names_limits() {
    let check = |steady_ms: Option<u64>, ttl: (u32, u32), want: (u32, Limit)| {
        let members = [member(1, (0.0, 0.0), UP, steady_ms)];
        let got = run(&members, &chain(1, AllDown::FailOpen, 1, Rest::AsTheyStand), 1, ttl).ttl;
        assert_eq!((got.seconds, got.limit), want, "{steady_ms:?} in {ttl:?}");
    };
    check(Some(1), (1, 30), (1, Limit::Physics));
    check(Some(0), (0, 30), (1, Limit::Physics));
    check(Some(1000), (1, 30), (1, Limit::Physics));
    check(Some(1001), (1, 30), (2, Limit::Physics));
    check(Some(1500), (20, 60), (20, Limit::NameMin));
    check(Some(60_000), (1, 30), (30, Limit::NameMax));
    check(Some(u64::MAX), (1, 30), (30, Limit::NameMax));
    check(None, (1, 30), (30, Limit::NameMax));
    check(None, (30, 1), (30, Limit::NameMax));
}

/// Four members around a point, the nearer two first.
fn around() -> [Member; 4] {
    [(1, (10.0, 0.0)), (2, (-10.0, 0.0)), (3, (0.0, 1.0)), (4, (0.0, -1.0))].map(|(id, at)| member(id, at, UP, None))
}

fn order(place: Option<Location>, home: u16, bias: &[(usize, i8)]) -> Vec<usize> {
    let members = around();
    let home = Home { id: home, location: members.iter().find(|m| m.id == home).map(|m| m.location) };
    let chain = chain(4, AllDown::FailOpen, 1, Rest::Nearest(bias.iter().copied().collect()));
    let place = Place { location: place, ..Place::default() };
    Prepared::of(&chain, &members, &place, &home).orders[0].iter().collect()
}

#[test]
fn of_equals_the_first_in_the_pool_wins() {
    let here = Location { latitude: 0.0, longitude: 0.0 };
    assert_eq!(order(Some(here), 1, &[]), [2, 3, 0, 1]);
    assert_eq!(order(None, 2, &[]), [1, 2, 3, 0]);
    assert_eq!(order(None, 0, &[]), [0, 1, 2, 3], "a server that the world does not know keeps the pool's order");
}

#[test]
fn a_bias_makes_a_regions_area_larger_or_smaller() {
    let here = Some(Location { latitude: 0.0, longitude: 0.0 });
    // 1112 km to the first two, 111 km to the others.
    assert_eq!(order(here, 0, &[(0, 89)]), [2, 3, 0, 1]);
    assert_eq!(order(here, 0, &[(0, 91)]), [0, 2, 3, 1]);
    assert_eq!(order(here, 0, &[(2, -1)]), [3, 2, 0, 1]);
    assert_eq!(order(here, 0, &[(2, -91)]), [3, 0, 1, 2]);
    for (bias, want) in [(0, 100.0), (50, 50.0), (99, 1.0), (-50, 200.0), (-75, 400.0)] {
        assert!((biased(100.0, bias) - want).abs() < 1e-9, "{bias}");
    }
}

#[test]
fn the_most_specific_entry_counts() {
    let texts = ["*", "europe", "DE", "DE-BE", "DE/berlin", "AS64500", "list:office", "list:partner", "US/Berlin"];
    let entries: BTreeMap<Clients, usize> =
        texts.iter().enumerate().map(|(n, text)| (text.parse().unwrap(), n)).collect();
    let check = |place: &Place, want: &str| {
        let found = entry(&entries, place).map(|(_, n)| texts[*n]);
        assert_eq!(found, Some(want), "{place:?}");
    };
    let mut place = Place::default();
    check(&place, "*");
    place.continent = Some(*b"EU");
    check(&place, "europe");
    place.country = Some(*b"DE");
    check(&place, "DE");
    place.subdivision = Some("BE".into());
    check(&place, "DE-BE");
    place.city = Some("Berlin".into());
    check(&place, "DE/berlin");
    place.asn = Some(64500);
    check(&place, "AS64500");
    place.lists = vec!["partner".into()];
    check(&place, "list:partner");
    place.lists = vec!["office".into(), "partner".into()];
    check(&place, "list:office");
    place.lists = vec!["other".into()];
    check(&place, "AS64500");
}

#[test]
fn grounds_stand_where_they_say() {
    for (i, basis) in Basis::ALL.into_iter().enumerate() {
        assert_eq!(basis.index(), i, "{}", basis.as_str());
    }
}
