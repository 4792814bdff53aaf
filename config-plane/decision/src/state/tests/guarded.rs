//! Every guard in its own words, and what passes it.

use std::collections::BTreeMap;

use expect_test::expect;
use model::{GateScope, OverrideAction, SafetyRule, Subject, Verdict, Vote};

use super::{
    super::*,
    bench::{Bench, FOUR, because, check, close, demand},
};
use crate::{
    Penalty,
    testkit::{clear, decide_all, name, plan, pool, say, subject, world},
};

#[test]
fn a_closed_gate_holds_automation_and_people_too_if_it_says_so_until_it_opens() {
    let mut bench = Bench::of(world(&FOUR));
    check(bench.told(close(GateScope::World, false)), expect!["the world's gate closed by maria: a storm"]);
    let shut = expect![
        "gate: nothing in this world changes for 60 min more: maria closed it (a storm): ask them, or open it with `atoll gate open`"
    ];
    check(bench.decide("eu", Verdict::Down), shut);
    check(bench.told(say("eu", OverrideAction::Down)), expect!["override region/eu Down by the test: a test"]);
    check(bench.told(close(GateScope::World, true)), expect!["the world's gate closed by maria: a storm"]);
    assert!(bench.told(clear("eu")).starts_with("gate: nothing in this world"), "people are held back as well");
    let (reason, who) = because();
    let open = Command::ClearGate { scope: GateScope::World, reason, who };
    check(bench.told(open.clone()), expect!["the world's gate opened by maria: a storm"]);
    check(bench.told(open), expect!["unchanged"]);
    check(bench.told(clear("eu")), expect!["override region/eu cleared by the test: a test"]);

    check(
        bench.told(close(GateScope::Pool("web".into()), true)),
        expect!["the gate of pool web closed by maria: a storm"],
    );
    assert!(bench.decide("eu", Verdict::Down).starts_with("gate: nothing of pool `web` changes for 60 min more"));
    assert!(bench.told(say("eu", OverrideAction::Down)).starts_with("gate: nothing of pool `web`"));
    let now_ms = bench.after(3_600_000).now_ms;
    check(bench.told(Command::ExpireOverrides { now_ms }), expect!["override expired: the gate of pool web"]);
    check(bench.decide("eu", Verdict::Down), expect!["decided: region/eu Down"]);
    check(
        bench.told(close(GateScope::Pool("shop".into()), true)),
        expect!["there is no pool `shop` in this world; it has: web"],
    );
}

#[test]
fn the_world_can_keep_automations_hands_off_itself_or_off_a_pool() {
    let mut off = world(&FOUR);
    off.automation.enabled = false;
    check(
        Bench::of(off).decide("eu", Verdict::Down),
        expect![
            "gate: automation is off for this world: change it by hand (`atoll drain`, `atoll override`), or set `automation.enabled` in the World"
        ],
    );
    let mut by_hand = world(&FOUR);
    by_hand.pools.insert("ledger".into(), model::Pool { automation: false, ..pool(&["eu", "us"]) });
    let mut bench = Bench::of(by_hand);
    check(bench.decide("eu", Verdict::Down), expect!["decided: region/eu Down"]);
    let serves = |bench: &Bench, pool: &str| plan(&bench.state).serving_in(pool, &name("eu")).serves;
    assert_eq!(
        (serves(&bench, "web"), serves(&bench, "ledger")),
        (false, true),
        "a verdict counts where automation may act"
    );
    bench.told(say("eu", OverrideAction::Down));
    assert!(!serves(&bench, "ledger"), "and people act everywhere");
}

#[test]
fn a_subject_that_flaps_stays_out_until_it_was_quiet_or_somebody_forgives_it() {
    let mut bench = Bench::of(world(&FOUR));
    for _ in 0..2 {
        bench.decide("eu", Verdict::Down);
        check(bench.after(60_000).decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    }
    bench.decide("eu", Verdict::Down);
    let frozen = expect![
        "damping: `region/eu` flapped (penalty 2902) and stays out until that is below 750, for 30 min more: find the cause, then `atoll damping clear region/eu`"
    ];
    check(bench.decide("eu", Verdict::Up), frozen);
    let mut forgiven = Bench { state: bench.state.clone(), ..bench };
    let (reason, who) = because();
    let forgive = Command::ClearDamping { subject: subject("eu"), reason, who };
    check(forgiven.told(forgive.clone()), expect!["damping of region/eu cleared by maria: a storm"]);
    check(forgiven.told(forgive), expect!["unchanged"]);
    check(forgiven.decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    assert_eq!(plan(&forgiven.state).verdicts[&subject("eu")].penalty, 0);
    assert!(bench.after(20 * 60_000).decide("eu", Verdict::Up).starts_with("damping"), "not yet");
    check(bench.after(10 * 60_000).decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    assert!(Penalty::of(&plan(&bench.state).verdicts[&subject("eu")], bench.now_ms).left() < Penalty::RELEASE);
}

#[test]
fn never_the_last_holds_by_address_family_and_safety_rules_hold_for_everybody() {
    let mut wide = world(&FOUR);
    wide.regions[0].gateway_v6 = Some([0xfd00, 0, 0, 0, 0, 0, 0, 1].into());
    wide.regions[1].gateway_v6 = Some([0xfd00, 0, 0, 0, 0, 0, 0, 2].into());
    wide.safety.push(SafetyRule {
        name: "america".into(),
        at_least: 1,
        regions: vec![name("sa"), name("us")],
        pool: None,
    });
    let mut bench = Bench::of(wide);
    bench.told(say("eu", OverrideAction::Down));
    let family = "never the last: after this nobody would serve pool `web` over IPv6 (ap, eu): bring another of them back first (`atoll undrain`, `atoll override … up`)";
    assert_eq!(bench.told(say("ap", OverrideAction::Down)), family);
    assert_eq!(bench.decide("ap", Verdict::Down), family);
    bench.told(say("sa", OverrideAction::Down));
    let rule = "safety rule `america`: after this 0 of sa, us would serve, and at least 1 must: bring another of them back first, or change the rule";
    assert_eq!(bench.told(say("us", OverrideAction::Down)), rule);
    assert_eq!(bench.decide("us", Verdict::Down), rule);
    let mut stricter = plan(&bench.state).world.clone();
    stricter.safety[0].at_least = 2;
    let (reason, who) = because();
    let set = Command::SetWorld { based_on: plan(&bench.state).id, world: stricter, reason, who };
    assert!(bench.told(set).starts_with("safety rule `america`: after this 1 of sa, us"), "a rule begins by holding");
}

#[test]
fn automation_leaves_as_many_as_the_pool_wants_and_people_may_take_more() {
    let mut wide = world(&FOUR);
    wide.pools.get_mut("web").unwrap().min_healthy = 3;
    let mut bench = Bench::of(wide);
    bench.told(say("eu", OverrideAction::Down));
    check(
        bench.decide("us", Verdict::Down),
        expect![
            "min_healthy: after this 2 members would serve pool `web`, which wants 3: drain by hand if that is right, or lower `min_healthy`"
        ],
    );
    check(bench.told(say("us", OverrideAction::Down)), expect!["override region/us Down by the test: a test"]);
}

#[test]
fn nobody_drains_below_capacity_but_two_people_who_break_the_glass() {
    let mut wide = world(&FOUR);
    wide.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    let mut bench = Bench::of(wide);
    let too_little = "capacity: after this the regions left could carry 270 requests/s (90 % of what they have), and users ask for 272: add capacity, or break the glass with a second person (`--second NAME`)";
    let drain = |who: &str, second: Option<&str>| {
        let mut command = Command::set_override(subject("eu"), OverrideAction::Down, ("a fire", who), 60_000);
        if let Command::SetOverride { second: signed, demand_rps, .. } = &mut command {
            (*signed, *demand_rps) = (second.map(Into::into), demand(68));
        }
        command
    };
    assert_eq!(bench.told(drain("maria", None)), too_little);
    check(
        bench.told(drain("maria", Some(" Maria"))),
        expect!["break-glass takes two people, and `maria` is one: have somebody else sign as the second"],
    );
    check(
        bench.told(drain("maria", Some("ola"))),
        expect!["override region/eu Down by maria: a fire (glass broken with ola)"],
    );
    assert_eq!(plan(&bench.state).override_on(&subject("eu")).unwrap().second.as_deref(), Some("ola"));
    bench.told(clear("eu"));
    let mut half_known = demand(68);
    half_known.remove(&name("us"));
    check(bench.decide_under("eu", Verdict::Down, &half_known), expect!["decided: region/eu Down"]);
}

#[test]
fn a_region_that_is_ramped_up_counts_with_what_it_is_sent() {
    let mut wide = world(&FOUR);
    wide.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    let mut bench = Bench::of(wide);
    bench.decide("eu", Verdict::Down);
    check(bench.after(120_000).decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    assert_eq!(plan(&bench.state).serving(&name("eu")).share_permille, 100, "at the foot of the ramp");
    // 189 can be carried, and 200 are asked for.
    let told = bench.decide_under("us", Verdict::Down, &demand(50));
    assert!(told.starts_with("decided: region/us Down, keeping 22 %"), "{told}");
}

#[test]
fn automation_holds_out_one_region_or_a_third_of_the_weight_in_five_minutes() {
    let mut bench = Bench::of(world(&FOUR));
    bench.decide("eu", Verdict::Down);
    let velocity = "velocity: automation would hold 50 % of pool `web` out within 300 s (eu, us), and may hold 34 % or one region: look at the observers first, then drain by hand";
    assert_eq!(bench.after(60_000).decide("us", Verdict::Down), velocity);
    check(bench.told(say("us", OverrideAction::Down)), expect!["override region/us Down by the test: a test"]);
    bench.told(clear("us"));
    bench.decide("eu", Verdict::Up);
    check(bench.after(31_000).decide("us", Verdict::Down), expect!["decided: region/us Down"]);
    assert!(bench.after(31_000).decide("eu", Verdict::Down).starts_with("velocity"), "net, not gross");
    check(bench.after(270_000).decide("eu", Verdict::Down), expect!["decided: region/eu Down"]);

    let ten: Vec<String> = ('a'..='j').map(|letter| format!("{letter}{letter}")).collect();
    let mut many = Bench::of(world(&ten.iter().map(String::as_str).collect::<Vec<_>>()));
    for region in ["aa", "bb", "cc"] {
        assert_eq!(many.after(31_000).decide(region, Verdict::Down), format!("decided: region/{region} Down"));
    }
    assert!(many.after(31_000).decide("dd", Verdict::Down).starts_with("velocity: automation would hold 40 %"));
}

#[test]
fn automation_makes_so_many_removals_in_an_hour_however_they_come_back() {
    let mut wide = world(&FOUR);
    wide.automation.max_removals_per_hour = 4;
    let mut bench = Bench::of(wide);
    for region in ["ap", "eu", "sa", "us"] {
        bench.after(60_000).decide(region, Verdict::Down);
        bench.after(60_000).decide(region, Verdict::Up);
    }
    let told = "velocity: automation made 5 removals within the hour, and may make 4: something flaps; look at `atoll explain`, then drain by hand";
    assert_eq!(bench.after(50 * 60_000).decide("eu", Verdict::Down), told);
    check(bench.after(8 * 60_000).decide("eu", Verdict::Down), expect!["decided: region/eu Down"]);
    assert_eq!(plan(&bench.state).removals.values().sum::<u32>(), 2, "the first three are forgotten");
}

#[test]
fn what_falls_together_stays_until_somebody_says_what_is_true() {
    let mut bench = Bench::of(world(&FOUR));
    let both = |bench: &Bench| vec![bench.change("eu", Verdict::Down), bench.change("us", Verdict::Down)];
    let changes = both(&bench);
    // Velocity comes first in the order of guards; a wider one shows what common mode says.
    let mut wide = plan(&bench.state).world.clone();
    wide.automation.max_removed_percent = 100;
    let (reason, who) = because();
    bench.told(Command::SetWorld { based_on: plan(&bench.state).id, world: wide, reason, who });
    let together = "common mode: eu, us fell within 30 s of each other, so the observers or the backbone are taken to be at fault: look at them; if the regions are dead, say so with `atoll drain`";
    assert_eq!(bench.told(decide_all(&bench.state, changes)), together);
    let falling = BTreeMap::from([(subject("us"), bench.now_ms)]);
    let alone = |bench: &Bench, falling: &BTreeMap<Subject, u64>| Command::Decide {
        based_on: plan(&bench.state).id,
        changes: vec![bench.change("eu", Verdict::Down)],
        falling: falling.clone(),
        now_ms: bench.now_ms,
    };
    assert_eq!(bench.told(alone(&bench, &falling)), together, "what falls beside it counts");
    let earlier = BTreeMap::from([(subject("us"), bench.now_ms - 30_001)]);
    check(
        Bench { state: bench.state.clone(), ..bench }.told(alone(&bench, &earlier)),
        expect!["decided: region/eu Down"],
    );
    check(bench.told(say("us", OverrideAction::Down)), expect!["override region/us Down by the test: a test"]);
    check(bench.told(alone(&bench, &falling)), expect!["decided: region/eu Down"]);
}

#[test]
fn degraded_needs_votes_of_its_own_and_cuts_the_share() {
    let mut bench = Bench::of(world(&FOUR));
    let mut weak = bench.change("eu", Verdict::Degraded);
    weak.evidence.votes.insert(name("us"), Vote::Up);
    weak.evidence.votes.insert(name("sa"), Vote::Up);
    check(
        bench.told(decide_all(&bench.state, vec![weak])),
        expect!["quorum: 1 of 3 qualified observers call `region/eu` Degraded; 2 of at least 2 must"],
    );
    let mut mixed = bench.change("eu", Verdict::Degraded);
    mixed.evidence.votes.insert(name("us"), Vote::Down);
    check(bench.told(decide_all(&bench.state, vec![mixed])), expect!["decided: region/eu Degraded"]);
    assert_eq!(plan(&bench.state).serving(&name("eu")).share_permille, 500);
    let mut half_well = bench.change("eu", Verdict::Up);
    half_well.evidence.votes.values_mut().for_each(|vote| *vote = Vote::Degraded);
    assert!(bench.told(decide_all(&bench.state, vec![half_well])).starts_with("quorum: 0 of 3"));
    check(bench.decide("eu", Verdict::Up), expect!["decided: region/eu Up"]);
    assert_eq!(plan(&bench.state).serving(&name("eu")).share_permille, 1000, "it never left, so nothing is ramped");
}
