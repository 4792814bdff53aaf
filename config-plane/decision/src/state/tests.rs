//! What each command does, and every refusal in its own words. The laws are in `tests/laws.rs`.

mod bench;
mod exhaustive;
mod fitting;
mod golden;
mod guarded;
mod laws;
mod stepwise;

use expect_test::{Expect, expect};
use model::{OverrideAction, Vote};

use model::{Override, PlanId, Verdict, World};

use super::*;
use crate::{
    Change, serving_members,
    testkit::{
        LINEAGE, change, clear, decide, decide_from, evidence, founded, name, plan, pool, request, say, subject, world,
    },
};

const TRIO: [&str; 3] = ["ap", "eu", "us"];

fn serving(state: &PlaneState) -> Vec<String> {
    serving_members(&plan(state), "web").iter().map(ToString::to_string).collect()
}

/// Applies the commands in order to a founded world of three; the last outcome is what is expected.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(commands: impl FnOnce(&mut dyn FnMut(&dyn Fn(&PlaneState) -> Command)), expected: Expect) {
    let mut state = founded(&TRIO);
    let (mut index, mut last) = (1, String::new());
    commands(&mut |command| {
        index += 1;
        last = match state.apply(index, &request(index, command(&state))) {
            Outcome::Applied(id) => format!("plan {id} by {}; serving {:?}", plan(&state).made_by, serving(&state)),
            Outcome::Unchanged(id) => format!("plan {id} still stands"),
            Outcome::Refused(refusal) => refusal.to_string(),
        };
    });
    expected.assert_eq(&last);
}

#[test]
fn a_decision_takes_a_region_out_and_brings_it_back() {
    check(
        |apply| apply(&|s| decide(s, "eu", Verdict::Down)),
        expect![[r#"plan a7011:2 by decided: region/eu Down; serving ["ap", "us"]"#]],
    );
    check(
        |apply| {
            apply(&|s| decide(s, "eu", Verdict::Down));
            apply(&|s| decide(s, "eu", Verdict::Up));
        },
        expect![[r#"plan a7011:3 by decided: region/eu Up; serving ["ap", "eu", "us"]"#]],
    );
    check(|apply| apply(&|s| decide(s, "eu", Verdict::Up)), expect!["plan a7011:1 still stands"]);
}

#[test]
fn the_fence_refuses_what_was_made_from_another_plan() {
    let stale = |s: &PlaneState| decide_from(PlanId { version: 1, ..plan(s).id }, vec![change(s, "us", Verdict::Down)]);
    let foreign =
        |s: &PlaneState| decide_from(PlanId { lineage: 0xbad, ..plan(s).id }, vec![change(s, "us", Verdict::Down)]);
    check(
        |apply| {
            apply(&|_| say("eu", OverrideAction::Down));
            apply(&stale);
        },
        expect![
            "fence: the change was made from Plan a7011:1, but Plan a7011:2 is in force: look again, then repeat it"
        ],
    );
    check(
        |apply| apply(&foreign),
        expect![
            "fence: Plan bad:1 belongs to another lineage than Plan a7011:1, which is in force: its sender must rejoin this world"
        ],
    );
    check(
        |apply| apply(&|_| Command::Found { world: world(&TRIO).into(), lineage: 9 }),
        expect!["this world was founded already, with lineage a7011: change it with `atoll apply`"],
    );
}

#[test]
fn nothing_but_founding_is_possible_before_founding() {
    let mut state = PlaneState::new();
    for command in [say("eu", OverrideAction::Down), clear("eu"), Command::ExpireOverrides { now_ms: 0 }] {
        assert_eq!(state.apply(1, &request(1, command)), Outcome::Refused(Refusal::NotFounded));
    }
    let mut wrong = world(&TRIO);
    wrong.regions[1].id = 1;
    let outcome = state.apply(2, &request(2, Command::Found { world: wrong.into(), lineage: LINEAGE }));
    assert!(matches!(outcome, Outcome::Refused(Refusal::InvalidWorld { .. })), "{outcome:?}");
    assert!(state.plan().is_none());
}

#[test]
fn a_decision_must_be_well_formed_and_carried_by_a_quorum() {
    let twice =
        |s: &PlaneState| decide_from(plan(s).id, vec![change(s, "eu", Verdict::Down), change(s, "eu", Verdict::Down)]);
    let lonely = |s: &PlaneState| {
        let mut one = change(s, "eu", Verdict::Down);
        one.evidence.votes.insert(name("us"), Vote::Unknown);
        decide_from(plan(s).id, vec![one])
    };
    let split = |s: &PlaneState| {
        let mut one = change(s, "eu", Verdict::Down);
        one.evidence.votes.insert(name("us"), Vote::Up);
        decide_from(plan(s).id, vec![one])
    };
    let own_word = |s: &PlaneState| {
        let mut one = change(s, "eu", Verdict::Down);
        one.evidence.votes = [(name("us"), Vote::Down), (name("eu"), Vote::Down), (name("xx"), Vote::Down)].into();
        decide_from(plan(s).id, vec![one])
    };
    let mistaken = |s: &PlaneState| {
        let one = Change { from: Verdict::Down, to: Verdict::Up, ..change(s, "eu", Verdict::Up) };
        decide_from(plan(s).id, vec![one])
    };
    check(|apply| apply(&twice), expect!["the decision names `region/eu` twice: send one change per subject"]);
    check(
        |apply| apply(&lonely),
        expect!["quorum: 1 of 1 qualified observers call `region/eu` Down; 2 of at least 2 must"],
    );
    check(
        |apply| apply(&split),
        expect!["quorum: 1 of 2 qualified observers call `region/eu` Down; 2 of at least 2 must"],
    );
    check(
        |apply| apply(&own_word),
        expect!["quorum: 1 of 1 qualified observers call `region/eu` Down; 2 of at least 2 must"],
    );
    check(
        |apply| apply(&mistaken),
        expect!["the decision takes `region/eu` for Down, but it is Up: look again, then repeat it"],
    );
    check(
        |apply| apply(&|s| decide(s, "mars", Verdict::Down)),
        expect!["there is no `region/mars` in this world; it has: region/ap, region/eu, region/us"],
    );
}

#[test]
fn the_last_member_stays_whoever_asks() {
    check(
        |apply| {
            apply(&|s| decide(s, "eu", Verdict::Down));
            apply(&|_| say("ap", OverrideAction::Down));
            apply(&|s| decide(s, "us", Verdict::Down));
        },
        expect![
            "never the last: after this nobody would serve pool `web` (ap, eu, us): bring another member back first (`atoll undrain`, `atoll override … up`)"
        ],
    );
    check(
        |apply| {
            apply(&|s| decide(s, "eu", Verdict::Down));
            apply(&|s| decide(s, "ap", Verdict::Down));
            apply(&|_| say("us", OverrideAction::Down));
        },
        expect![
            "never the last: after this nobody would serve pool `web` (ap, eu, us): bring another member back first (`atoll undrain`, `atoll override … up`)"
        ],
    );
    check(
        |apply| {
            apply(&|s| decide(s, "eu", Verdict::Down));
            apply(&|_| say("eu", OverrideAction::Up));
            apply(&|_| say("ap", OverrideAction::Down));
            apply(&|_| say("us", OverrideAction::Down));
            apply(&|_| clear("eu"));
        },
        expect![
            "never the last: after this nobody would serve pool `web` (ap, eu, us): bring another member back first (`atoll undrain`, `atoll override … up`)"
        ],
    );
}

#[test]
fn a_human_word_says_why_and_who_and_expires() {
    let word = |reason: &str, who: &str, lasts_ms| {
        Command::set_override(subject("eu"), OverrideAction::Down, (reason, who), lasts_ms)
    };
    check(
        |apply| apply(&|_| word("kernel update", "maria", 60_000)),
        expect![[r#"plan a7011:2 by override region/eu Down by maria: kernel update; serving ["ap", "us"]"#]],
    );
    check(
        |apply| apply(&|_| word("  ", "maria", 60_000)),
        expect!["`reason` must have 1 to 200 characters and no line breaks: it is what others read in `atoll explain`"],
    );
    check(
        |apply| apply(&|_| word("kernel update", "a\nb", 60_000)),
        expect!["`who` must have 1 to 200 characters and no line breaks: it is what others read in `atoll explain`"],
    );
    check(
        |apply| apply(&|_| word("kernel update", "maria", 999)),
        expect![
            "an override lasts from 1 second to 259200000 ms (72 hours), not 999 ms: renew it if it still holds by then"
        ],
    );
    check(
        |apply| apply(&|_| word("kernel update", "maria", Override::MAX_LIFE_MS + 1)),
        expect![
            "an override lasts from 1 second to 259200000 ms (72 hours), not 259200001 ms: renew it if it still holds by then"
        ],
    );
    check(
        |apply| apply(&|_| say("mars", OverrideAction::Up)),
        expect!["there is no `region/mars` in this world; it has: region/ap, region/eu, region/us"],
    );
    check(|apply| apply(&|_| clear("eu")), expect!["plan a7011:1 still stands"]);
}

#[test]
fn an_override_hides_a_verdict_and_its_end_shows_the_present_one() {
    let mut state = founded(&TRIO);
    state.apply(2, &request(2, say("eu", OverrideAction::Up)));
    state.apply(3, &request(3, decide(&state, "eu", Verdict::Down)));
    assert_eq!(serving(&state), TRIO, "a human's word holds");
    assert_eq!(
        plan(&state).verdicts[&subject("eu")].verdict,
        Verdict::Down,
        "and automation keeps watching beneath it"
    );
    let expires_at_ms = plan(&state).overrides[0].expires_at_ms;
    let early = state.apply(4, &request(4, Command::ExpireOverrides { now_ms: expires_at_ms - 1 }));
    assert_eq!(early, Outcome::Unchanged(plan(&state).id));
    state.apply(5, &request(5, Command::ExpireOverrides { now_ms: expires_at_ms }));
    assert_eq!(serving(&state), ["ap", "us"]);
}

#[test]
fn an_expired_word_that_alone_keeps_a_pool_alive_holds_until_another_member_serves() {
    let mut state = founded(&["eu", "us", "xx"]);
    for (n, command) in [(2, say("xx", OverrideAction::Down)), (3, say("eu", OverrideAction::Up))] {
        state.apply(n, &request(n, command));
    }
    state.apply(4, &request(4, decide(&state, "eu", Verdict::Down)));
    state.apply(5, &request(5, decide(&state, "xx", Verdict::Down)));
    state.apply(6, &request(6, decide(&state, "us", Verdict::Down)));
    assert_eq!(serving(&state), ["eu"], "by override alone");
    let expire = Command::ExpireOverrides { now_ms: u64::MAX };
    state.apply(7, &request(7, expire.clone()));
    assert_eq!(plan(&state).overrides.len(), 1, "the drain ended, the last one's `up` did not");
    state.apply(8, &request(8, decide(&state, "us", Verdict::Up)));
    state.apply(9, &request(9, expire));
    assert_eq!((serving(&state), plan(&state).overrides.len()), (vec!["us".to_owned()], 0));
}

#[test]
fn a_pool_of_one_holds_no_other_pool_back() {
    let mut state = founded(&TRIO);
    let mut wide = world(&TRIO);
    wide.pools.insert("eu-only".into(), pool(&["eu"]));
    let set = |state: &PlaneState, world: World| Command::SetWorld {
        based_on: plan(state).id,
        world: world.into(),
        reason: "a test".into(),
        who: "the test".into(),
    };
    state.apply(2, &request(2, set(&state, wide.clone())));
    state.apply(3, &request(3, decide(&state, "eu", Verdict::Down)));
    assert_eq!(serving(&state), ["ap", "us"]);
    wide.pools.insert("web".into(), pool(&["eu"]));
    let outcome = state.apply(4, &request(4, set(&state, wide)));
    assert!(matches!(outcome, Outcome::Refused(Refusal::LastMember { .. })), "a pool cannot shrink to a dead member");
}

#[test]
fn a_new_world_keeps_verdicts_and_numbers() {
    let set = |regions: &'static [&'static str], ids: &'static [u16]| {
        move |s: &PlaneState| {
            let mut next = world(regions);
            for (region, id) in next.regions.iter_mut().zip(ids) {
                region.id = *id;
            }
            Command::SetWorld { based_on: plan(s).id, world: next.into(), reason: "growth".into(), who: "maria".into() }
        }
    };
    check(|apply| apply(&set(&TRIO, &[1, 2, 3])), expect!["plan a7011:1 still stands"]);
    check(
        |apply| {
            apply(&|s| decide(s, "eu", Verdict::Down));
            apply(&set(&["ap", "eu", "us", "sa"], &[1, 2, 3, 4]));
        },
        expect![[r#"plan a7011:3 by world changed by maria: growth; serving ["ap", "us", "sa"]"#]],
    );
    check(
        |apply| apply(&set(&["ap", "eu", "sa"], &[1, 2, 3])),
        expect!["region id 3 belongs to `us` and cannot become `sa`'s: give `sa` an id that was never used"],
    );
    check(
        |apply| apply(&set(&TRIO, &[1, 2, 9])),
        expect!["region `us` has id 3 and cannot change it to 9: put 3 back, or add a region of another name"],
    );
    check(
        |apply| apply(&set(&TRIO, &[1, 1, 3])),
        expect![[r#"
        the world is not valid:
          region[1].id: 1 is region[0]'s id already"#]],
    );
    check(
        |apply| {
            apply(&set(&["ap", "eu"], &[1, 2]));
            apply(&set(&["ap", "eu", "sa"], &[1, 2, 3]));
        },
        expect!["region id 3 belongs to `us` and cannot become `sa`'s: give `sa` an id that was never used"],
    );
}

#[test]
fn refused_requests_and_decisions_are_kept_in_bounded_number() {
    let mut state = founded(&TRIO);
    let mut index = 1;
    let mut apply = |state: &mut PlaneState, command: Command| {
        index += 1;
        state.apply(index, &request(index, command))
    };
    for _ in 0..40 {
        apply(&mut state, say("mars", OverrideAction::Up));
        let down = decide(&state, "eu", Verdict::Down);
        apply(&mut state, down);
        let up = decide(&state, "eu", Verdict::Up);
        apply(&mut state, up);
    }
    assert_eq!(state.refused().count(), PlaneState::REFUSED_KEPT);
    assert_eq!(state.refused().next_back().map(|r| r.kind.as_str()), Some("set_override"));
    assert_eq!(plan(&state).decisions.len(), Plan::DECISIONS_KEPT);
    assert_eq!(plan(&state).decisions.last().map(|d| d.version), Some(plan(&state).id.version));
}

#[test]
fn requests_and_outcomes_keep_their_form_in_the_log() {
    let state = founded(&TRIO);
    let entry = request(7, decide(&state, "eu", Verdict::Down));
    expect![[r#"{"id":"00000000000000000000000000000007","proposed_at_ms":4200000,"proposed_by":"us","command":{"decide":{"based_on":{"lineage":684049,"version":1},"changes":[{"subject":"region/eu","from":"up","to":"down","evidence":{"votes":{"ap":"down","us":"down"},"needed":2,"qualified":2,"first_probe_ms":null,"quorum_at_ms":0}}]}},"generation":3}"#]].assert_eq(&serde_json::to_string(&entry).unwrap());
    let refusal = Outcome::Refused(Refusal::LastMember { pool: "web".into(), members: vec![name("eu")] });
    expect![[r#"{"refused":{"rule":"last_member","pool":"web","members":["eu"]}}"#]]
        .assert_eq(&serde_json::to_string(&refusal).unwrap());
    let told = evidence(&world(&TRIO), &subject("eu"), Vote::Down);
    assert_eq!(told.qualified, 2);
}
