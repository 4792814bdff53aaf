use model::{Location, NameTtl, RegionName, Verdict};

use super::{walk::walk, *};

fn member(id: u16, place: (f64, f64), standing: Standing, steady_ms: Option<u64>) -> Member {
    let region = RegionName::new(format!("r{id}")).unwrap();
    let location = Location { latitude: place.0, longitude: place.1 };
    Member {
        region,
        id,
        location,
        v4: Some([192, 0, 2, id as u8].into()),
        v6: None,
        standing,
        share: Share::whole(),
        stands_by: false,
        steady_ms,
    }
}

fn rules(take: usize, all_down: AllDown, ttl: (u32, u32)) -> Rules {
    Rules { policy: SteeringPolicy::Nearest, take, ttl: NameTtl { min: ttl.0, max: ttl.1 }, all_down }
}

const UP: Standing = Standing::Judged(Verdict::Up);
const DEGRADED: Standing = Standing::Judged(Verdict::Degraded);
const DOWN: Standing = Standing::Judged(Verdict::Down);
const DEMOTED: Standing = Standing::Demoted(Verdict::Up);

/// Members in order, each with its steady time, and what the walk makes of them.
fn check(members: &[(Standing, u64)], take: usize, all_down: AllDown, want: &str) {
    let members: Vec<_> =
        members.iter().enumerate().map(|(i, m)| member(i as u16 + 1, (0.0, 0.0), m.0, Some(m.1))).collect();
    let order: Vec<_> = (0..members.len()).collect();
    let got = walk(&members, &order, &rules(take, all_down, (1, 100)), &[]).unwrap();
    assert_eq!(format!("{:?} {:?} {}", got.chosen, got.basis, got.ttl.seconds), want);
}

#[test]
fn a_walk_consults_no_more_than_it_needs() {
    use AllDown::{FailClosed, FailOpen};
    check(&[(UP, 9000), (UP, 3000)], 1, FailOpen, "[0] Healthy 9");
    check(&[(UP, 9000), (UP, 3000)], 2, FailOpen, "[0, 1] Healthy 3");
    check(&[(UP, 9000), (UP, 3000), (UP, 2000)], 2, FailOpen, "[0, 1] Healthy 3");
    check(&[(DOWN, 4000), (UP, 9000), (UP, 2000)], 1, FailOpen, "[1] Healthy 4");
    check(&[(DEGRADED, 4000), (UP, 9000)], 1, FailOpen, "[0] Healthy 4");
    check(&[(UP, 9000), (DOWN, 2000)], 8, FailOpen, "[0] Healthy 2");
    check(&[(DEMOTED, 5000), (UP, 9000)], 1, FailOpen, "[1] Healthy 5");
    check(&[(DEMOTED, 5000), (DOWN, 4000)], 1, FailOpen, "[0] DemotionIgnored 4");
    check(&[(DOWN, 5000), (DOWN, 4000)], 1, FailOpen, "[0] FailOpen 4");
    check(&[(DOWN, 5000), (DOWN, 4000)], 1, FailClosed, "[] FailClosed 4");
    check(&[(UP, 9000)], 0, FailOpen, "[0] Healthy 9");
    check(&[], 1, FailOpen, "[] NoMembers 100");
}

#[test]
fn ttls_are_whole_seconds_inside_the_names_limits() {
    let check = |steady_ms: Option<u64>, ttl: (u32, u32), want: (u32, Limit)| {
        let members = [member(1, (0.0, 0.0), UP, steady_ms)];
        let got = walk(&members, &[0], &rules(1, AllDown::FailOpen, ttl), &[]).unwrap().ttl;
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

#[test]
fn of_equals_the_first_in_the_pool_wins() {
    let members = [(1, (10.0, 0.0)), (2, (-10.0, 0.0)), (3, (0.0, 1.0)), (4, (0.0, -1.0))]
        .map(|(id, at)| member(id, at, UP, None));
    let here = Location { latitude: 0.0, longitude: 0.0 };
    let order = |place, home: u16| {
        let home = Home { id: home, location: members.iter().find(|m| m.id == home).map(|m| m.location) };
        order_from(SteeringPolicy::Nearest, &members, place, &home)
    };
    assert_eq!(order(Some(here), 1), [2, 3, 0, 1]);
    assert_eq!(order(None, 2), [1, 2, 3, 0]);
    assert_eq!(order(None, 0), [0, 1, 2, 3], "a server that the world does not know keeps the pool's order");
}
