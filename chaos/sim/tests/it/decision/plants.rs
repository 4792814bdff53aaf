//! A checker that has never caught anything may be unable to: each planted bug must be caught soon, and as what it is.

use chaos_sim::{
    Plan,
    decision::{DecisionSim, Plant, Rule},
    survey,
};

/// Hours.
const HOURS: u64 = 2;

/// How many seeds may pass before a bug is caught.
const WITHIN: u64 = 30;

/// Looks from one seed on, near to one that has what the bug needs: most seeds have only some of everything.
fn check(plant: Plant, from: u64, rules: &[Rule]) {
    let sim = DecisionSim { plant: Some(plant), hours: HOURS, ..DecisionSim::default() };
    let found = survey(&sim, from..from + WITHIN, Plan { enough_failures: 1, ..Plan::default() }, |_, _| {});
    let Some(caught) = found.failures.first() else { panic!("{plant:?} was not caught in {} seeds", found.seeds) };
    assert!(rules.contains(&caught.violation.rule), "{plant:?} was caught as {}", caught.violation);
}

/// Whoever believes in too little takes out what serves.
const FALSE: [Rule; 3] = [Rule::NoFalseFailover, Rule::OneFalseViewChangesNothing, Rule::LostObserversChangeNothing];

#[test]
fn unknown_that_counts_as_down_is_caught() {
    check(Plant::UnknownIsDown, 0, &FALSE);
}

#[test]
fn a_quorum_of_one_is_caught() {
    check(Plant::QuorumOfOne, 0, &FALSE);
}

#[test]
fn a_fence_that_is_not_checked_is_caught() {
    check(Plant::NoFence, 30, &FALSE);
}

#[test]
fn a_last_member_that_is_taken_is_caught() {
    check(Plant::TakeTheLast, 0, &[Rule::NeverTheLast]);
}

#[test]
fn a_follower_that_goes_back_is_caught() {
    check(Plant::FollowerGoesBack, 0, &[Rule::VersionsOnlyGrow]);
}

#[test]
fn an_expiry_that_is_forgotten_is_caught() {
    check(Plant::ForgetExpiry, 0, &[Rule::SameLogSameState, Rule::OverridesHold]);
}

#[test]
fn a_clock_that_ends_windows_early_is_caught() {
    check(Plant::HastyClock, 30, &[Rule::Velocity, Rule::CommonMode, Rule::NoFlaps]);
}

#[test]
fn votes_that_come_late_are_caught() {
    check(Plant::SlowVotes, 0, &[Rule::FallsAreDecidedInTime]);
}

#[test]
fn a_member_with_an_opinion_of_its_own_is_caught() {
    check(Plant::OwnOpinion, 10, &[Rule::SameLogSameState, Rule::NoFalseFailover]);
}

/// No bug of the decision, but of how it was asked: until the simulation, probes tried one connection, and a handshake that loses a
/// packet waits for a second.
#[test]
fn probes_of_one_connection_are_caught_on_a_lossy_path() {
    check(Plant::OneConnection, 0, &FALSE);
}
