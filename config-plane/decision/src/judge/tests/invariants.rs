//! The invariants that the outages of others taught, each a test of its name, on a stage with the real judge and state machine.

use std::collections::BTreeMap;

use model::{Automation, Decision, OverrideAction, Plan, Pool, Verdict, Vote, World};
use proptest::prelude::*;

use super::stage::{EPOCH_MS, Say, Stage};
use crate::{
    Demand, Input,
    testkit::{name, plan, pool, subject, world},
};

const FIVE: [&str; 5] = ["ap", "eu", "sa", "us", "uw"];

fn all_say(stage: &mut Stage, observers: &[&str], about: &str, vote: Vote) {
    for observer in observers.iter().filter(|observer| **observer != about) {
        stage.say(observer, &Say::Vote(about.to_owned(), vote));
    }
}

/// Runs an hour; returns when automation took whom out, milliseconds of the stage.
fn removals_of_an_hour(stage: &mut Stage, mut each_second: impl FnMut(&mut Stage, u64)) -> Vec<(u64, String)> {
    let mut seen: BTreeMap<(u64, String), ()> = BTreeMap::new();
    stage.vote_period_ms = 1000;
    for second in 0..3600 {
        each_second(stage, second);
        stage.run_until((second + 1) * 1000);
        assert!(!stage.serving().is_empty());
        let plan = plan(&stage.state);
        let out = |d: &&Decision| d.to == Verdict::Down;
        seen.extend(
            plan.decisions.iter().filter(out).map(|d| ((d.proposed_at_ms - EPOCH_MS, d.subject.to_string()), ())),
        );
    }
    assert_eq!(stage.refused, Vec::<String>::new());
    seen.into_keys().collect()
}

#[test]
fn invariant_an_hour_of_votes_that_everybody_is_down_removes_nobody() {
    let mut stage = Stage::new(&FIVE);
    let removed = removals_of_an_hour(&mut stage, |stage, second| {
        if second == 10 {
            FIVE.iter().for_each(|about| all_say(stage, &FIVE, about, Vote::Down));
        }
    });
    assert_eq!(removed, []);
    assert_eq!(stage.serving().len(), 5, "common mode: it is the observers, or the backbone");
}

#[test]
fn invariant_at_most_one_region_is_removed_in_five_minutes_however_the_votes_come_in() {
    let mut stage = Stage::new(&FIVE);
    let removed = removals_of_an_hour(&mut stage, |stage, second| {
        // One after the other, too far apart for common mode.
        if second % 40 == 0 && second / 40 < 5 {
            all_say(stage, &FIVE, FIVE[usize::try_from(second / 40).unwrap()], Vote::Down);
        }
    });
    assert!(removed.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 300_000), "{removed:?}");
    assert_eq!(removed.len(), 4, "and the last one stays: {removed:?}");
    assert_eq!(stage.serving().len(), 1);
}

#[test]
fn invariant_at_most_34_percent_of_the_weight_is_removed_in_five_minutes() {
    let seven = ["aa", "bb", "cc", "dd", "ee", "ff", "gg"];
    let mut stage = Stage::new(&seven);
    let removed = removals_of_an_hour(&mut stage, |stage, second| {
        if second % 40 == 0 && second / 40 < 7 {
            all_say(stage, &seven, seven[usize::try_from(second / 40).unwrap()], Vote::Down);
        }
    });
    for (at, _) in &removed {
        let together = removed.iter().filter(|(other, _)| (*at..at + 300_000).contains(other)).count();
        assert!(together <= 2, "{together} of seven from {at} on: {removed:?}");
    }
    assert!(removed.len() > 2, "{removed:?}");
}

#[test]
fn invariant_losing_observers_changes_no_state_for_every_k_of_n() {
    for n in 3..=5 {
        let regions = &FIVE[..n];
        for silent in 0_u32..1 << n {
            let mut stage = Stage::new(regions);
            stage.run_until(2000);
            let before = plan(&stage.state).id;
            for (at, region) in regions.iter().enumerate().filter(|(at, _)| silent & (1 << at) != 0) {
                let say = if at % 2 == 0 { Say::Silence } else { Say::Vote(regions[0].into(), Vote::Unknown) };
                stage.say(region, &say);
            }
            stage.run_until(30_000);
            assert_eq!(plan(&stage.state).id, before, "{silent:b} of {n} silent");
        }
    }
}

#[test]
fn invariant_a_43_second_partition_moves_no_home_and_nothing_else_for_long() {
    let mut wide = world(&FIVE);
    wide.pools.insert("ledger".into(), Pool { home: Some(name("eu")), ..pool(&["eu", "us"]) });
    let mut stage = Stage::of(wide);
    stage.run_until(5000);
    let home = plan(&stage.state).homes.clone();
    let (east, west) = (["eu", "uw"], ["ap", "sa", "us"]);
    // The leader is in the west; it hears the west alone.
    east.iter().for_each(|cut| stage.say(cut, &Say::Silence));
    east.iter().for_each(|cut| all_say(&mut stage, &west, cut, Vote::Down));
    stage.run_until(48_000);
    assert_eq!(plan(&stage.state).homes, home);
    FIVE.iter().for_each(|about| all_say(&mut stage, &FIVE, about, Vote::Up));
    stage.run_until(120_000);
    assert_eq!(plan(&stage.state).homes, home);
    assert_eq!(stage.serving().len(), 5, "{:?}", stage.story);
}

#[test]
fn invariant_the_home_of_a_dead_region_stays_and_its_reads_go_elsewhere() {
    let mut wide = world(&FIVE);
    wide.pools.insert("ledger".into(), Pool { home: Some(name("eu")), ..pool(&["eu", "us"]) });
    let mut stage = Stage::of(wide);
    stage.run_until(1000);
    stage.say("eu", &Say::Silence);
    all_say(&mut stage, &FIVE, "eu", Vote::Down);
    stage.run_until(600_000);
    let plan = plan(&stage.state);
    assert!(!plan.serving_in("ledger", &name("eu")).serves);
    assert_eq!((plan.homes["ledger"].region.as_str(), plan.homes["ledger"].epoch), ("eu", 1));
}

/// What an observer that is not to be trusted says: when, of whom, what.
fn lies() -> impl Strategy<Value = Vec<(u64, usize, u8)>> {
    prop::collection::vec((0u64..60_000, 0usize..5, 0u8..4), 0..40)
}

fn vote(number: u8) -> Vote {
    [Vote::Up, Vote::Down, Vote::Unknown, Vote::Degraded][usize::from(number)]
}

fn capped(used_percent: u32) -> World {
    let mut capped = world(&FIVE);
    capped.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    let automation =
        Automation { capacity_used_percent: used_percent, max_removed_percent: 100, ..Automation::default() };
    World { automation, ..capped }
}

/// What is asked of a Plan's regions, and what they may be asked, thousandths of a request per second.
#[derive(Debug)]
struct Carried {
    alive: usize,
    room: u32,
    asked: u32,
}

impl Carried {
    /// Where a region that is named only for want of room serves nobody, and what it keeps is not asked of the others.
    fn of(plan: &Plan, rps: &BTreeMap<&str, u32>) -> Self {
        let (mut carried, mut alive_permille) = (Self { alive: 0, room: 0, asked: 0 }, 0);
        for (region, rps) in rps {
            let serving = plan.serving_in("web", &name(region));
            if serving.is_alive() {
                carried.alive += 1;
                alive_permille += serving.share_permille;
                carried.asked += rps * 1000;
            } else if let Some(kept) = plan.verdicts[&subject(region)].kept {
                carried.room += kept.asked_rps * kept.permille;
            }
        }
        carried.asked += carried.room;
        carried.room += alive_permille * 90;
        carried
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn invariant_one_regions_false_view_never_triggers_a_failover(n in 3usize..=5, mut lies in lies()) {
        let mut stage = Stage::new(&FIVE[..n]);
        let before = plan(&stage.state).id;
        lies.sort_unstable();
        for (at_ms, about, number) in lies {
            stage.run_until(at_ms);
            stage.say("eu", &Say::Vote(FIVE[about % n].into(), vote(number)));
        }
        stage.run_until(70_000);
        prop_assert_eq!(plan(&stage.state).id, before);
    }

    #[test]
    fn invariant_an_expired_override_is_gone_within_2_s_and_never_comes_back(
        lasts_ms in 1000u64..20_000,
        leaderless in prop::option::of((0u64..15_000, 0u64..15_000)),
        restarts in prop::collection::vec(0u64..40_000, 0..3),
        up in any::<bool>(),
    ) {
        let mut stage = Stage::new(&FIVE);
        let action = if up { OverrideAction::Up } else { OverrideAction::Down };
        stage.override_for("eu", action, lasts_ms);
        let is_led = |at_ms: u64| leaderless.is_none_or(|(from, for_ms)| !(from..from + for_ms).contains(&at_ms));
        let (mut led_since, mut gone) = (0, false);
        for step in 0..200 {
            let at_ms = step * 200;
            stage.run_until(at_ms);
            if restarts.iter().any(|restart| restart / 200 == step) {
                stage.restart();
            }
            stage.tell(Input::Leading(is_led(at_ms)));
            led_since = if is_led(at_ms) { led_since } else { at_ms };
            let held = plan(&stage.state).override_on(&subject("eu")).is_some();
            prop_assert!(!(gone && held), "it came back at {at_ms}");
            gone |= !held;
            prop_assert!(!held || at_ms <= lasts_ms.max(led_since) + 2000, "it still holds at {at_ms}");
            prop_assert!(held || at_ms >= lasts_ms, "it ended early, at {at_ms}");
        }
        prop_assert!(gone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn invariant_automation_never_drains_below_capacity(
        each in prop::collection::vec(20u32..120, 5),
        deaths in prop::collection::vec((0usize..5, any::<bool>()), 1..6),
    ) {
        let mut stage = Stage::of(capped(90));
        stage.vote_period_ms = 1000;
        stage.load_rps = FIVE.iter().zip(&each).map(|(region, rps)| (name(region), *rps)).collect::<Demand>();
        let rps: BTreeMap<&str, u32> = FIVE.iter().copied().zip(each.iter().copied()).collect();
        let mut at_ms = 1000;
        let mut last = Carried::of(&plan(&stage.state), &rps);
        let mut version = plan(&stage.state).id.version;
        for (region, dies) in deaths {
            stage.run_until(at_ms);
            // A region that is left out is not asked for anything any more: its users ask the others.
            all_say(&mut stage, &FIVE, FIVE[region], if dies { Vote::Down } else { Vote::Degraded });
            for _ in 0..80 {
                at_ms += 1000;
                stage.run_until(at_ms);
                let plan = plan(&stage.state);
                let now = Carried::of(&plan, &rps);
                let made = plan.id.version - version;
                // Of two changes in one step, the second one was made when the users of the first were with others already.
                let asked = if made > 1 { now.asked } else { last.asked };
                // Guards reckon in whole requests per second: in all, and for each region that may keep some.
                let rounding = 1000 * (1 + FIVE.len() - now.alive) as u32;
                // Who comes back in the same step brings all of its users and a part of its room.
                let returns = plan.decisions.iter().any(|d| d.version > version && d.to < d.from);
                let is_more = now.room >= last.room || returns;
                prop_assert!(is_more || now.room + rounding > asked, "{now:?} after {last:?}");
                version = plan.id.version;
                prop_assert!(now.alive > 0);
                last = now;
            }
        }
    }

    #[test]
    fn invariant_a_clock_stepped_by_an_hour_ends_no_window_early(
        step_at in 0u64..200_000,
        ahead in any::<bool>(),
        second_falls in 40_000u64..250_000,
    ) {
        let mut stage = Stage::new(&FIVE);
        stage.vote_period_ms = 1000;
        let mut events = [(1000, 0), (step_at, 1), (second_falls, 2)];
        events.sort_unstable();
        for (at_ms, what) in events {
            stage.run_until(at_ms);
            match what {
                0 => all_say(&mut stage, &FIVE, "eu", Vote::Down),
                1 => stage.stepped_ms = if ahead { 3_600_000 } else { -3_600_000 },
                _ => all_say(&mut stage, &FIVE, "us", Vote::Down),
            }
        }
        stage.run_until(300_000);
        prop_assert_eq!(stage.serving().len(), 4, "one region in five minutes: {:?}", stage.story);
        stage.run_until(310_000);
        prop_assert_eq!(stage.serving().len(), 3, "and then the next: {:?}", stage.story);
    }
}

/// Two regions are Down and keep some of their users for want of room. There is room for some more: each is let go of that much once,
/// not both at once, nor the second one while the users of the first are on their way.
#[test]
fn two_regions_that_keep_some_do_not_hand_the_same_room_away_twice() {
    let rps = BTreeMap::from([("ap", 57), ("eu", 27), ("sa", 84), ("us", 110), ("uw", 115)]);
    let mut stage = Stage::of(capped(90));
    stage.vote_period_ms = 1000;
    stage.load_rps = rps.iter().map(|(region, rps)| (name(region), *rps)).collect();
    stage.run_until(1000);
    all_say(&mut stage, &FIVE, "us", Vote::Down);
    stage.run_until(41_000);
    all_say(&mut stage, &FIVE, "eu", Vote::Down);
    let (mut last, mut cuts) = (Carried::of(&plan(&stage.state), &rps), 0);
    for second in 42..200 {
        stage.run_until(second * 1000);
        let now = Carried::of(&plan(&stage.state), &rps);
        let fits = now.room + 3000 > last.asked;
        assert!(now.room >= last.room || fits, "{now:?} after {last:?} at {second} s");
        cuts += usize::from(now.room < last.room);
        last = now;
    }
    assert!(cuts > 1, "room was handed out");
}
