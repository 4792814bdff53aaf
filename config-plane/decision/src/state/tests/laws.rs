//! The laws at the head of `state.rs`, by drawing logs. That no state is a bad one is looked at in full in `exhaustive.rs`.

use std::collections::BTreeSet;

use model::{OverrideAction, Verdict};
use proptest::prelude::*;

use super::{TRIO, serving};
use crate::{
    state::*,
    testkit::{clear, decide, founded, plan, request, say, subject, world},
};

/// A command as a test draws it: which one, on which region, and from how old a Plan.
fn drawn() -> impl Strategy<Value = (u8, usize, u64, bool)> {
    (0u8..7, 0usize..3, 0u64..2, proptest::bool::weighted(0.2))
}

/// Builds a log by applying drawn commands; some requests are repeated under the same id.
fn log_of(draws: &[(u8, usize, u64, bool)]) -> (Vec<(u64, Request)>, Vec<Outcome>) {
    let mut state = founded(&TRIO);
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

fn command_of(state: &PlaneState, kind: u8, region: &str, age: u64) -> Command {
    let mut command = match kind {
        0 => decide(state, region, Verdict::Down),
        1 => decide(state, region, Verdict::Up),
        2 => say(region, OverrideAction::Down),
        3 => say(region, OverrideAction::Up),
        4 => clear(region),
        5 => Command::ExpireOverrides { now_ms: 40 * 600_000 },
        _ => {
            let mut world = world(&TRIO);
            world.name = format!("world {region}");
            Command::SetWorld { based_on: plan(state).id, world, reason: "a test".into(), who: "the test".into() }
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
        let (mut straight, mut restored) = (founded(&TRIO), founded(&TRIO));
        for (at, (index, entry)) in log.iter().enumerate() {
            if at == cut {
                restored = serde_json::from_str(&bytes(&restored)).unwrap();
            }
            prop_assert_eq!(straight.apply(*index, entry), restored.apply(*index, entry));
        }
        prop_assert_eq!(bytes(&straight), bytes(&restored));
    }

    #[test]
    fn versions_only_grow_and_a_repeated_request_is_answered_not_applied(draws in prop::collection::vec(drawn(), 1..60)) {
        let (log, outcomes) = log_of(&draws);
        let mut state = founded(&TRIO);
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
