//! Out as far as the others can carry it: what a region keeps that falls, and what becomes of that.

use expect_test::expect;
use model::{OverrideAction, Verdict, Why};

use super::{
    super::*,
    bench::{Bench, FOUR, check, demand},
};
use crate::{
    Change,
    testkit::{clear, decide_all, name, plan, say, subject, world},
};

/// Four regions that can carry 90 requests/s each.
fn four_of_90() -> Bench {
    let mut wide = world(&FOUR);
    wide.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    Bench::of(wide)
}

#[test]
fn automation_takes_out_as_much_as_the_others_can_carry_and_the_rest_as_room_appears() {
    let mut bench = four_of_90();
    // 270 can be carried, 288 are asked for: 18 of the 72 of eu, a quarter of its users, stay with it.
    check(
        bench.decide_under("eu", Verdict::Down, &demand(72)),
        expect!["decided: region/eu Down, keeping 25 % of its users, whom the others cannot carry"],
    );
    let serving = |bench: &Bench| plan(&bench.state).serving_in("web", &name("eu"));
    assert_eq!(
        (serving(&bench).share_permille, serving(&bench).why, serving(&bench).is_alive()),
        (250, Why::Capacity, false)
    );
    // What eu says it carries is what it carried once; the others have 54 more between them.
    let advance = |bench: &mut Bench, each: u32| {
        let now_ms = bench.now_ms;
        let demand_rps = demand(each).into_iter().chain([(name("eu"), 72)]).collect();
        bench.told(Command::Advance { now_ms, demand_rps })
    };
    check(advance(bench.after(59_999), 60), expect!["unchanged"]);
    check(advance(bench.after(1), 90), expect!["unchanged"]);
    check(advance(&mut bench, 87), expect!["advanced: region/eu, which is Down, keeps 13 % of its users"]);
    check(advance(bench.after(60_000), 60), expect!["advanced: region/eu, which is Down, keeps 0 % of its users"]);
    assert_eq!((serving(&bench).serves, serving(&bench).why), (false, Why::Verdict));
    assert_eq!(plan(&bench.state).verdicts[&subject("eu")].kept, None);
    check(advance(bench.after(60_000), 60), expect!["unchanged"]);
}

#[test]
fn where_not_even_a_hundredth_fits_a_region_stays() {
    let mut bench = four_of_90();
    let told = bench.decide_under("eu", Verdict::Down, &demand(90));
    assert!(told.starts_with("capacity: after this the regions left could carry 270 requests/s"), "{told}");
    let told = bench.decide_under("eu", Verdict::Down, &demand(89));
    assert!(told.contains("keeping 97 % of its users"), "{told}");
}

#[test]
fn what_is_kept_for_want_of_room_serves_nobody_and_comes_back_no_lower() {
    let mut bench = four_of_90();
    bench.decide_under("eu", Verdict::Down, &demand(72));
    for region in ["ap", "sa"] {
        bench.told(say(region, OverrideAction::Down));
    }
    assert!(
        bench.told(say("us", OverrideAction::Down)).starts_with("never the last"),
        "eu is named, and does not count"
    );
    bench.told(clear("ap"));
    bench.told(clear("sa"));
    check(bench.after(60_000).decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    let state = plan(&bench.state).verdicts[&subject("eu")].clone();
    assert_eq!((state.kept, state.ramp_permille), (None, 250), "not below what it was sent");
}

#[test]
fn a_log_of_the_generation_before_takes_out_all_or_nothing() {
    let mut bench = four_of_90();
    let mut change = bench.change("eu", Verdict::Down);
    change.evidence.demand_rps = demand(72);
    let old = |bench: &mut Bench, change: Change| {
        let found = Request { generation: 1, ..crate::testkit::request(9, decide_all(&bench.state, vec![change])) };
        bench.state.apply(9, &found)
    };
    let mut of_old = Bench { state: old_world(), ..four_of_90() };
    assert!(matches!(old(&mut of_old, change.clone()), Outcome::Refused(Refusal::Capacity { .. })));
    assert!(matches!(old(&mut bench, change), Outcome::Applied(_)), "the log has seen the new one");
}

/// The same four regions, of a log of generation 1.
fn old_world() -> PlaneState {
    let world = plan(&four_of_90().state).world.clone();
    let found = crate::testkit::request(1, Command::Found { world, lineage: crate::testkit::LINEAGE });
    let mut state = PlaneState::new();
    state.apply(1, &Request { generation: 1, ..found });
    state
}
