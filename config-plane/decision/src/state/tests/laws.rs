//! The laws at the head of `state.rs`, by drawing logs. That no state is a bad one is looked at in full in `exhaustive.rs`.

use std::collections::BTreeSet;

use model::{GateScope, OverrideAction, Verdict, World};
use proptest::prelude::*;

use super::{TRIO, serving};
use crate::{
    Demand, Staging,
    state::*,
    testkit::{APART_MS, LINEAGE, clear, decide, name, plan, request, say, subject, world},
};

/// A command as a test draws it: which one, on which region, and from how old a Plan.
fn drawn() -> impl Strategy<Value = (u8, usize, u64, bool)> {
    (0u8..14, 0usize..3, 0u64..2, proptest::bool::weighted(0.2))
}

/// Builds a log by applying drawn commands; some requests are repeated under the same id.
fn log_of(draws: &[(u8, usize, u64, bool)]) -> (Vec<(u64, Request)>, Vec<Outcome>) {
    let mut state = settled();
    let (mut log, mut outcomes): (Vec<(u64, Request)>, Vec<Outcome>) = (vec![], vec![]);
    for (n, (kind, region, age, repeat)) in (2u64..).zip(draws) {
        let entry = match log.last() {
            Some((_, last)) if *repeat => last.clone(),
            _ => request(n, command_of(&state, *kind, TRIO[*region], *age)),
        };
        outcomes.push(state.apply(n, &entry));
        log.push((n, entry));
    }
    (log, outcomes)
}

/// A world of three with a home for the state of its pool.
fn homely() -> World {
    let mut homely = world(&TRIO);
    homely.pools.get_mut("web").unwrap().home = Some(name("us"));
    homely
}

fn settled() -> PlaneState {
    let mut state = PlaneState::new();
    let outcome = state.apply(1, &request(1, Command::Found { world: homely().into(), lineage: LINEAGE }));
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    state
}

fn command_of(state: &PlaneState, kind: u8, region: &str, age: u64) -> Command {
    let (reason, who) = ("a test".to_owned(), "the test".to_owned());
    let mut command = match kind {
        0 => decide(state, region, Verdict::Down),
        1 => decide(state, region, Verdict::Up),
        2 => say(region, OverrideAction::Down),
        3 => say(region, OverrideAction::Up),
        4 => clear(region),
        5 => Command::ExpireOverrides { now_ms: 40 * 600_000 },
        6 => decide(state, region, Verdict::Degraded),
        7 => Command::Advance { now_ms: 40 * APART_MS, demand_rps: Demand::new() },
        8 => Command::SetGate { scope: GateScope::World, binds_people: age == 0, reason, who, lasts_ms: 2 * APART_MS },
        9 => Command::ClearGate { scope: GateScope::World, reason, who },
        10 => Command::ClearDamping { subject: subject(region), reason, who },
        11 => Command::MoveHome {
            pool: "web".into(),
            to: name(region),
            epoch: plan(state).homes["web"].epoch - age,
            reason,
            who,
        },
        12 => {
            let mut command = say(region, OverrideAction::Down);
            if let Command::SetOverride { staging, second, .. } = &mut command {
                *staging = Some(Staging { shares_permille: vec![500, 0], step_ms: 1000 });
                *second = (age == 0).then(|| "another".into());
            }
            command
        }
        _ => {
            let mut world = homely();
            world.name = format!("world {region}");
            Command::SetWorld {
                based_on: plan(state).id,
                world: world.into(),
                reason: "a test".into(),
                who: "the test".into(),
            }
        }
    };
    if let Command::Decide { based_on, .. } | Command::SetWorld { based_on, .. } = &mut command {
        based_on.version -= age.min(based_on.version);
    }
    command
}

fn bytes(state: &PlaneState) -> String {
    serde_json::to_string(state).unwrap()
}

proptest! {
    #[test]
    fn the_same_log_gives_the_same_bytes_with_or_without_a_snapshot(
        draws in prop::collection::vec(drawn(), 1..40),
        cut in 0usize..40,
    ) {
        let (log, _) = log_of(&draws);
        let (mut straight, mut restored) = (settled(), settled());
        for (at, (index, entry)) in log.iter().enumerate() {
            if at == cut {
                restored = serde_json::from_str(&bytes(&restored)).unwrap();
            }
            prop_assert_eq!(straight.apply(*index, entry), restored.apply(*index, entry));
        }
        prop_assert_eq!(bytes(&straight), bytes(&restored));
    }

    #[test]
    fn invariant_a_replayed_or_reordered_proposal_changes_nothing(
        draws in prop::collection::vec(drawn(), 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let (log, _) = log_of(&draws);
        let mut state = settled();
        for (index, entry) in &log {
            state.apply(*index, entry);
        }
        let before = plan(&state);
        // Late copies under new names, in any order: of what is fenced by a Plan, or by an epoch.
        let fenced = |command: &Command| {
            matches!(command, Command::Decide { .. } | Command::SetWorld { .. } | Command::MoveHome { .. } | Command::Found { .. })
        };
        let last = log.last().map(|(index, _)| *index).unwrap_or(1);
        let late: Vec<&Command> = log.iter().map(|(_, entry)| &entry.command).filter(|command| fenced(command)).collect();
        for (n, at) in (1..).zip(&order).filter(|_| !late.is_empty()) {
            let command = at.get(&late);
            let based_on_now = match command {
                Command::Decide { based_on, .. } | Command::SetWorld { based_on, .. } => *based_on == before.id,
                Command::MoveHome { epoch, .. } => *epoch == before.homes["web"].epoch,
                _ => false,
            };
            if !based_on_now {
                state.apply(last + n, &request(last + n, (*command).clone()));
                prop_assert_eq!(&plan(&state), &before, "{:?}", command);
            }
        }
    }

    #[test]
    fn versions_only_grow_and_a_repeated_request_is_answered_not_applied(draws in prop::collection::vec(drawn(), 1..60)) {
        let (log, outcomes) = log_of(&draws);
        let mut state = settled();
        let mut first: BTreeMap<String, Outcome> = BTreeMap::new();
        for ((index, entry), outcome) in log.iter().zip(outcomes) {
            let before = plan(&state);
            prop_assert_eq!(&state.apply(*index, entry), &outcome);
            let after = plan(&state);
            let known = first.get(&entry.id.to_string());
            match (known, &outcome) {
                (Some(known), _) => {
                    prop_assert_eq!(known, &outcome);
                    prop_assert_eq!(&before, &after);
                }
                (None, Outcome::Applied(id)) => {
                    prop_assert_eq!(*id, after.id);
                    prop_assert_eq!(after.id.version, *index);
                    prop_assert!(after.id > before.id);
                    prop_assert!(after.made_at_ms >= before.made_at_ms);
                }
                (None, _) => prop_assert_eq!(&before, &after),
            }
            if let (None, Command::Decide { based_on, .. } | Command::SetWorld { based_on, .. }) = (known, &entry.command) {
                let refused = Outcome::Refused(Refusal::Stale { based_on: *based_on, current: before.id });
                prop_assert_eq!(*based_on != before.id, outcome == refused);
            }
            first.entry(entry.id.to_string()).or_insert(outcome);
            prop_assert!(!serving(&state).is_empty());
        }
        let named: BTreeSet<_> = plan(&state).verdicts.keys().cloned().collect();
        prop_assert_eq!(named, TRIO.iter().map(|region| subject(region)).collect::<BTreeSet<_>>());
    }
}
