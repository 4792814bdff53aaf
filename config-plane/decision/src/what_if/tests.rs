//! What the answers are, on worlds that were arranged for the question.

use model::OverrideAction;

use super::*;
use crate::testkit::{APART_MS, LINEAGE, decide, founded, request, say, subject, world};

const TRIO: [&str; 3] = ["ap", "eu", "us"];
const FIVE: [&str; 5] = ["ap", "eu", "sa", "us", "uw"];
/// After the last request of a test, while its overrides hold.
const LATER_MS: u64 = 5 * APART_MS;

fn subjects(texts: &[&str]) -> BTreeSet<Subject> {
    let parse = |text: &&str| if text.contains('/') { text.parse().unwrap() } else { subject(text) };
    texts.iter().map(parse).collect()
}

fn told(what: &WhatIf) -> String {
    let decided: Vec<String> = what.decided.iter().map(|d| format!("{} {:?}", d.subject, d.to)).collect();
    let serving: Vec<String> = what
        .serving
        .iter()
        .map(|(pool, members)| {
            format!("{pool}: {}", members.iter().map(RegionName::as_str).collect::<Vec<_>>().join(" "))
        })
        .collect();
    let cannot: Vec<String> = what
        .cannot
        .iter()
        .map(|cannot| {
            let text = cannot.to_string();
            text.split(": ").take(2).collect::<Vec<_>>().join(": ").replace(" would stay in answers", "")
        })
        .collect();
    format!("[{}] {}; cannot [{}]", decided.join(", "), serving.join("; "), cannot.join("; "))
}

fn check(regions: &[&str], drained: &[&str], dead: &[&str], expected: &str) {
    let mut state = founded(regions);
    for (n, about) in (2..).zip(drained) {
        state.apply(n, &request(n, say(about, OverrideAction::Down)));
    }
    let before = state.clone();
    let what = what_if(&state, &subjects(dead), &Demand::new(), LATER_MS).unwrap();
    assert_eq!(state, before, "the live state is not touched");
    assert_eq!(told(&what), expected, "{dead:?} of {regions:?} with {drained:?} drained");
}

#[test]
fn the_answer_comes_from_the_judge_and_the_guards() {
    check(&TRIO, &[], &[], "[] web: ap eu us; cannot []");
    check(&TRIO, &[], &["eu"], "[region/eu Down] web: ap us; cannot []");
    check(
        &TRIO,
        &[],
        &["eu", "us"],
        "[] web: ap eu us; cannot [region/eu: 1 observers would see it, and 2 must; region/us: 1 observers would see it, and 2 must]",
    );
    check(
        &TRIO,
        &["ap", "us"],
        &["eu"],
        "[] web: eu; cannot [region/eu: never the last; nobody alive would serve pool `web`]",
    );
    check(&FIVE, &[], &["eu", "us"], "[] web: ap eu sa us uw; cannot [region/eu: common mode; region/us: common mode]");
}

#[test]
fn an_override_that_keeps_the_dead_in_answers_is_named() {
    let mut state = founded(&TRIO);
    state.apply(2, &request(2, say("eu", OverrideAction::Up)));
    let what = what_if(&state, &subjects(&["eu"]), &Demand::new(), LATER_MS).unwrap();
    assert_eq!(
        told(&what),
        "[region/eu Down] web: ap eu us; cannot [region/eu: the test keeps it there with an override]"
    );
}

/// A world whose regions can carry 100 requests/s each, with an inner pool that has a check of its own.
fn weighed() -> PlaneState {
    let mut wide = world(&TRIO);
    wide.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    let inner = model::Check { path: "/inner".into(), ..model::Check::default() };
    wide.checks.insert("inner".into(), inner);
    wide.pools.insert("api".into(), model::Pool { check: Some("inner".into()), ..crate::testkit::pool(&["eu", "us"]) });
    wide.regions.iter_mut().for_each(|region| region.check = Some("gateway".into()));
    let mut state = PlaneState::new();
    let outcome = state.apply(1, &request(1, Command::Found { world: wide.into(), lineage: LINEAGE }));
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    state
}

#[test]
fn a_member_can_die_alone() {
    let what = what_if(&weighed(), &subjects(&["pool/api/eu"]), &Demand::new(), LATER_MS).unwrap();
    assert_eq!(told(&what), "[pool/api/eu Down] api: us; web: ap eu us; cannot []");
    let what = what_if(&weighed(), &subjects(&["eu"]), &Demand::new(), LATER_MS).unwrap();
    assert_eq!(
        told(&what),
        "[region/eu Down] api: us; web: ap us; cannot []",
        "one decision for all that is in the region"
    );
}

#[test]
fn a_survey_asks_of_every_region_whether_its_loss_could_be_carried() {
    let demand = |each: u32| TRIO.iter().map(|region| (crate::testkit::name(region), each)).collect::<Demand>();
    let calm = survey(&weighed(), &demand(60), LATER_MS).unwrap();
    assert_eq!(calm.alarms().count(), 0, "180 of 180 usable: {calm:?}");
    assert!(calm.losses.values().all(|loss| loss.capacity_left_percent == Some(66)), "{calm:?}");
    let busy = survey(&weighed(), &demand(61), LATER_MS).unwrap();
    let words: Vec<String> = busy.alarms().map(|(region, cannot)| format!("{region}: {cannot}")).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert_eq!(words[1], "eu: 5 % of the users of region/eu would stay with it: the others could not carry them");
    let full = survey(&weighed(), &demand(90), LATER_MS).unwrap();
    let words: Vec<String> = full.alarms().map(|(region, cannot)| format!("{region}: {cannot}")).collect();
    assert!(words[1].starts_with("eu: region/eu would stay in answers: capacity:"), "{words:?}");
    let mut one_out = weighed();
    one_out.apply(2, &request(2, decide(&one_out, "eu", Verdict::Down)));
    let left: Vec<_> = survey(&one_out, &Demand::new(), LATER_MS).unwrap().losses.into_keys().collect();
    assert_eq!(left.iter().map(RegionName::as_str).collect::<Vec<_>>(), ["ap", "us"], "the dead one cannot die again");
}

#[test]
fn an_unknown_subject_is_refused() {
    let what = what_if(&founded(&TRIO), &subjects(&["mars"]), &Demand::new(), 0);
    assert!(matches!(what, Err(Refusal::UnknownSubject { .. })), "{what:?}");
    assert_eq!(what_if(&PlaneState::new(), &BTreeSet::new(), &Demand::new(), 0), Err(Refusal::NotFounded));
}
