//! A checker that has never caught anything may be unable to: each planted bug must be caught soon, and as what it is.

use chaos_sim::{
    Plan, survey,
    traffic::{Kind, Plant, Rule, TrafficSim},
};

/// How many seeds may pass before a bug is caught.
const WITHIN: u64 = 30;

fn check(plant: Plant, kind: Kind, rules: &[Rule]) {
    let sim = TrafficSim { kind: Some(kind), plant: Some(plant) };
    let found = survey(&sim, 0..WITHIN, Plan { enough_failures: 1, ..Plan::default() }, |_, _| {});
    let Some(caught) = found.failures.first() else { panic!("{plant:?} was not caught in {} seeds", found.seeds) };
    assert!(rules.contains(&caught.violation.rule), "{plant:?} was caught as {}", caught.violation);
}

#[test]
fn failures_that_look_fast_are_caught() {
    check(Plant::NoPenalty, Kind::FailingOne, &[Rule::SucceedsSoon]);
}

#[test]
fn failures_that_are_not_told_are_caught() {
    check(Plant::Deaf, Kind::DeadOne, &[Rule::SucceedsSoon]);
}

#[test]
fn a_pool_that_asks_nobody_when_most_are_sick_is_caught() {
    check(Plant::NoPanic, Kind::AllSick, &[Rule::AlwaysSent]);
}

#[test]
fn members_that_are_blamed_for_a_route_are_caught() {
    check(Plant::BlameAnyway, Kind::BuggyRoute, &[Rule::NobodyIsBlamedForARoute]);
}

#[test]
fn retries_without_a_budget_are_caught() {
    check(Plant::BoundlessRetries, Kind::Storm, &[Rule::RetriesWithinBudget]);
}

#[test]
fn a_new_worker_with_a_whole_share_is_caught() {
    check(Plant::NoSlowStart, Kind::Added, &[Rule::RampIsKept]);
}

#[test]
fn a_list_that_comes_late_is_caught() {
    check(Plant::OldList, Kind::Reload, &[Rule::NobodyWhoMustNotBe]);
}

#[test]
fn tickets_that_are_lost_are_caught() {
    check(Plant::LostTickets, Kind::SlowOne, &[Rule::CountsAreTrue]);
}

#[test]
fn a_first_byte_that_is_told_too_early_is_caught() {
    check(Plant::HastyFirstByte, Kind::SlowOne, &[Rule::QuickSoon]);
}

#[test]
fn probes_that_never_end_are_caught() {
    check(Plant::LostProbes, Kind::Storm, &[Rule::CountsAreTrue, Rule::Recovers]);
}

#[test]
fn members_that_do_not_exist_are_caught() {
    check(Plant::Phantoms, Kind::Storm, &[Rule::NeverTheLast]);
}

#[test]
fn cookies_that_name_the_slot_beside_are_caught() {
    check(Plant::OtherCookies, Kind::Sticky, &[Rule::CookiesAreKept]);
}

#[test]
fn cookies_that_are_forgotten_now_and_then_are_caught() {
    check(Plant::ForgottenCookies, Kind::Sticky, &[Rule::CookiesAreKept]);
}

#[test]
fn ejected_members_that_are_tried_at_once_are_caught() {
    check(Plant::NoTimeOut, Kind::Sticky, &[Rule::LeftOutIsLeftOut]);
}

#[test]
fn a_breaker_that_opens_too_late_is_caught() {
    check(Plant::Stubborn, Kind::Upstream, &[Rule::OpensInTime]);
}

#[test]
fn a_breaker_that_opens_too_soon_is_caught() {
    check(Plant::Touchy, Kind::Upstream, &[Rule::OpensForACause]);
}

#[test]
fn a_breaker_that_is_not_told_is_caught() {
    check(Plant::Deaf, Kind::Upstream, &[Rule::OpensInTime]);
}

#[test]
fn a_breaker_that_lets_ten_probes_through_is_caught() {
    check(Plant::ManyProbes, Kind::Upstream, &[Rule::ProbesAreFew]);
}

#[test]
fn a_breaker_without_a_ramp_is_caught() {
    check(Plant::NoRamp, Kind::Upstream, &[Rule::ComesBack]);
}

#[test]
fn a_breaker_that_tells_half_of_the_time_is_caught() {
    check(Plant::HalfRetryAfter, Kind::Upstream, &[Rule::RetryAfterIsTrue]);
}
