//! A checker that has never caught anything may be unable to: each planted bug must be caught soon, and as what it is.

use chaos_sim::{
    Plan, Simulation, shorten,
    state::{Plant, Rule, StateSim},
    survey,
};

fn check(plant: Plant, rules: &[Rule]) {
    let sim = StateSim { regions: None, plant: Some(plant) };
    let found = survey(&sim, 0..1000, Plan { enough_failures: 1, ..Plan::default() }, |_, _| {});
    let Some(caught) = found.failures.first() else { panic!("{plant:?} was not caught in {} seeds", found.seeds) };
    assert!(rules.contains(&caught.violation.rule), "{plant:?} was caught as {}", caught.violation);
    let scenario = sim.scenario(caught.seed);
    let mut tries = 0;
    let short = shorten(&sim, &scenario, caught.violation.rule, || {
        tries += 1;
        tries < 150
    });
    assert!(short.run.violation.is_some_and(|(_, violation)| violation.rule == caught.violation.rule), "{plant:?}");
    assert!(short.scenario.steps.len() < scenario.steps.len(), "{plant:?}: nothing could be left out");
}

#[test]
fn a_dropped_acknowledged_write_is_caught() {
    check(Plant::DropAcknowledgedWrite, &[Rule::NoLostUpdate]);
}

#[test]
fn a_resurrected_delete_is_caught() {
    check(Plant::ResurrectDelete, &[Rule::NoResurrection]);
}

#[test]
fn a_wrong_tie_break_is_caught() {
    check(Plant::WrongTieBreak, &[Rule::ConflictRulesHold]);
}

#[test]
fn an_acknowledgement_before_persistence_is_caught() {
    // Whoever follows such a token may notice before the region itself does.
    check(Plant::AcknowledgeBeforePersist, &[Rule::NoLostUpdate, Rule::SessionsSeeTheirWrites]);
}

#[test]
fn a_reused_identity_is_caught() {
    check(Plant::ReuseIdentity, &[Rule::DotsAreUnique]);
}

#[test]
fn a_dot_skipped_in_a_catch_up_is_caught() {
    check(Plant::SkipDotInCatchUp, &[Rule::NoLostUpdate]);
}
