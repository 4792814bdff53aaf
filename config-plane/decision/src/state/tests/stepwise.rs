//! What goes step by step or by hand alone: ramps, staged drains, homes, words on members.

use expect_test::expect;
use model::{GateScope, OverrideAction, Subject, Verdict};

use super::{
    super::*,
    bench::{Bench, FOUR, because, check, close, demand},
};
use crate::{
    Demand, Staging,
    testkit::{clear, decide, name, plan, pool, say, subject, world},
};

#[test]
fn a_return_is_ramped_and_so_is_the_end_of_a_drain() {
    let mut bench = Bench::of(world(&FOUR));
    let share = |bench: &Bench| plan(&bench.state).serving(&name("eu")).share_permille;
    let advance = |bench: &mut Bench| {
        let now_ms = bench.now_ms;
        bench.told(Command::Advance { now_ms, demand_rps: Demand::new() })
    };
    bench.decide("eu", Verdict::Down);
    check(advance(&mut bench), expect!["unchanged"]);
    bench.after(60_000).decide("eu", Verdict::Up);
    check(advance(bench.after(4999)), expect!["unchanged"]);
    check(advance(bench.after(1)), expect!["advanced: region/eu ramps up to 50 %"]);
    check(advance(bench.after(5000)), expect!["advanced: region/eu ramps up to 100 %"]);
    check(advance(bench.after(5000)), expect!["unchanged"]);
    bench.told(say("eu", OverrideAction::Down));
    bench.told(clear("eu"));
    assert_eq!(share(&bench), 100);
    bench.told(close(GateScope::World, false));
    check(advance(bench.after(5000)), expect!["unchanged"]);
    bench.told(say("eu", OverrideAction::Up));
    assert_eq!(share(&bench), 1000, "a human's word holds at once and in full");
}

fn staged(shares: &[u32], lasts_ms: u64) -> Command {
    let mut command = Command::set_override(subject("eu"), OverrideAction::Down, ("new disks", "maria"), lasts_ms);
    if let Command::SetOverride { staging, demand_rps, .. } = &mut command {
        *staging = Some(Staging { shares_permille: shares.to_vec(), step_ms: 10_000 });
        *demand_rps = demand(60);
    }
    command
}

#[test]
fn a_staged_drain_steps_when_due_and_stands_still_while_a_receiver_is_unwell_or_full() {
    let mut wide = world(&FOUR);
    wide.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    let mut bench = Bench::of(wide);
    check(bench.told(staged(&[500, 100, 0], 60_000)), expect!["staged drain of region/eu by maria: new disks"]);
    let advance = |bench: &mut Bench, each: u32| {
        let now_ms = bench.now_ms;
        bench.told(Command::Advance { now_ms, demand_rps: demand(each) })
    };
    check(advance(bench.after(9_999), 60), expect!["unchanged"]);
    check(advance(bench.after(1), 79), expect!["unchanged"]);
    check(advance(&mut bench, 75), expect!["advanced: region/eu is drained to 34 %"]);
    check(advance(bench.after(9_999), 60), expect!["unchanged"]);
    check(advance(bench.after(1), 60), expect!["advanced: region/eu is drained to 10 %"]);
    bench.decide("us", Verdict::Degraded);
    check(advance(bench.after(10_000), 60), expect!["unchanged"]);
    bench.decide("us", Verdict::Up);
    check(advance(&mut bench, 60), expect!["advanced: region/eu is drained to 0 %"]);
    assert_eq!(plan(&bench.state).override_on(&subject("eu")).unwrap().stages, None, "it is done");
    let wrong = |shares: &[u32], lasts_ms| Bench::of(world(&FOUR)).told(staged(shares, lasts_ms));
    for (shares, lasts_ms, why) in [
        (&[][..], 60_000, "there are none"),
        (&[500, 500, 0], 60_000, "they do not fall"),
        (&[1000, 0], 60_000, "they do not fall"),
        (&[500, 100], 60_000, "the last one is not 0"),
        (&[500, 0], 20_000, "the override ends before the drain does"),
    ] {
        let told = wrong(shares, lasts_ms);
        assert!(told.contains(why), "{shares:?}: {told}");
    }
}

#[test]
fn a_home_moves_by_command_alone_with_a_new_epoch_each_time() {
    let mut wide = world(&FOUR);
    wide.pools.insert("ledger".into(), model::Pool { home: Some(name("eu")), ..pool(&["eu", "us"]) });
    let mut bench = Bench::of(wide.clone());
    let home = |bench: &Bench| {
        let home = plan(&bench.state).homes["ledger"].clone();
        (home.region.to_string(), home.epoch)
    };
    let go = |pool: &str, to: &str, epoch: u64| {
        let (reason, who) = because();
        Command::MoveHome { pool: pool.into(), to: name(to), epoch, reason, who }
    };
    assert_eq!(home(&bench), ("eu".into(), 1));
    bench.decide("eu", Verdict::Down);
    assert_eq!(home(&bench), ("eu".into(), 1), "automation drains reads; the home stays");
    check(
        bench.told(go("ledger", "ap", 1)),
        expect!["the home of pool `ledger` cannot be ap: it must be a member that serves; these do: us"],
    );
    check(bench.told(go("ledger", "us", 1)), expect!["home of ledger moved to us by maria: a storm"]);
    assert_eq!(home(&bench), ("us".into(), 4));
    check(
        bench.told(go("ledger", "eu", 1)),
        expect![
            "fence: the home of pool `ledger` was to be moved from epoch 1, but it is at us since epoch 4: look again, then repeat it"
        ],
    );
    check(
        bench.told(go("web", "us", 1)),
        expect![[r#"pool `web` has no home: give it one in the World (`home = "REGION"`)"#]],
    );
    check(bench.told(go("shop", "us", 1)), expect!["there is no pool `shop` in this world; it has: ledger, web"]);

    let set = |bench: &Bench, home: &str| {
        let mut next = wide.clone();
        next.name = format!("with {home}");
        next.pools.get_mut("ledger").unwrap().home = Some(name(home));
        let (reason, who) = because();
        Command::SetWorld { based_on: plan(&bench.state).id, world: next.into(), reason, who }
    };
    check(bench.told(set(&bench, "us")), expect!["world changed by maria: a storm"]);
    assert_eq!(home(&bench), ("us".into(), 4), "writing down where it is moves nothing");
    check(
        bench.told(set(&bench, "eu")),
        expect![
            "the home of pool `ledger` is us, and a new World does not move it: keep it there, move it with `atoll home move` (which draws a new fencing epoch), then write the new one into the World"
        ],
    );
}

#[test]
fn a_word_on_a_member_leaves_the_region_to_its_other_pools() {
    let mut wide = world(&FOUR);
    wide.pools.insert("api".into(), pool(&["eu", "us"]));
    let mut bench = Bench::of(wide);
    let member: Subject = "pool/api/eu".parse().unwrap();
    let word = Command::set_override(member, OverrideAction::Down, ("a bad release", "maria"), 60_000);
    check(bench.told(word), expect!["override pool/api/eu Down by maria: a bad release"]);
    let serves = |pool: &str| plan(&bench.state).serving_in(pool, &name("eu")).serves;
    assert_eq!((serves("api"), serves("web")), (false, true));
    let last: Subject = "pool/api/us".parse().unwrap();
    let told = bench.told(Command::set_override(last, OverrideAction::Down, ("a bad release", "maria"), 60_000));
    assert!(told.starts_with("never the last: after this nobody would serve pool `api`"), "{told}");
    let told = bench.decide("us", Verdict::Down);
    assert!(told.starts_with("never the last: after this nobody would serve pool `api`"), "{told}");
    let stranger: Subject = "pool/api/sa".parse().unwrap();
    let told = bench.told(Command::set_override(stranger, OverrideAction::Down, ("a typo", "maria"), 60_000));
    assert!(told.starts_with("there is no `pool/api/sa`"), "{told}");
    let decided = decide(&bench.state, "eu", Verdict::Down);
    check(bench.told(decided), expect!["decided: region/eu Down"]);
}
