//! The state space of five regions, looked at in full: every combination of verdicts and overrides that obeys the invariants, and
//! every command on each. What comes out obeys them as well; so by induction no sequence of commands, however long and from
//! whomever, breaks one.
//!
//! The world: five regions in `web`, two of them with IPv6 addresses and in a pool of their own, the other three bound by a safety
//! rule of two. Regions of one kind are alike to the guards, so combinations that differ in names alone are looked at once.
//! The oracle below does not ask the guards: it reads verdicts and overrides itself.

use std::collections::BTreeSet;

use model::{GateScope, Override, OverrideAction, SafetyRule, Verdict};

use super::super::*;
use crate::{
    Demand, Staging,
    testkit::{APART_MS, LINEAGE, change, clear, decide, decide_all, name, plan, pool, request, say, subject, world},
};

const FIVE: [&str; 5] = ["ap", "eu", "sa", "us", "uw"];
const TWINS: [&str; 2] = ["ap", "eu"];
const BOUND: [&str; 3] = ["sa", "us", "uw"];

/// The index, and so the time, of the commands.
const INDEX: u64 = 10;
const RECENT_MS: u64 = INDEX * APART_MS - 100_000;

/// What one region may be in: its verdict, whether that is recent, and a human's word.
type Local = (Verdict, bool, Option<OverrideAction>);

const LOCALS: [Local; 10] = {
    use OverrideAction::{Down as Out, Up as In};
    use Verdict::{Degraded, Down, Up};
    [
        (Up, false, None),
        (Degraded, false, None),
        (Down, false, None),
        (Down, true, None),
        (Up, false, Some(In)),
        (Degraded, false, Some(In)),
        (Down, true, Some(In)),
        (Up, false, Some(Out)),
        (Degraded, false, Some(Out)),
        (Down, false, Some(Out)),
    ]
};

fn base() -> PlaneState {
    let mut wide = world(&FIVE);
    for region in wide.regions.iter_mut().filter(|region| TWINS.contains(&region.name.as_str())) {
        region.gateway_v6 = Some([0xfd00, 0, 0, 0, 0, 0, 0, region.id].into());
    }
    wide.pools.insert("pair".into(), model::Pool { home: Some(name("ap")), ..pool(&TWINS) });
    let regions = BOUND.map(name).to_vec();
    wide.safety.push(SafetyRule { name: "two".into(), at_least: 2, regions, pool: Some("web".into()) });
    let mut state = PlaneState::new();
    let outcome = state.apply(1, &request(1, Command::Found { world: wide.into(), lineage: LINEAGE }));
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    state
}

/// Every choice of `n` of the ten local states, in no order.
fn choices(n: usize) -> Vec<Vec<usize>> {
    let mut chosen = vec![Vec::new()];
    for _ in 0..n {
        let longer = |so_far: &Vec<usize>| {
            let so_far = so_far.clone();
            let from = so_far.last().copied().unwrap_or(0);
            (from..LOCALS.len()).map(move |next| so_far.iter().copied().chain([next]).collect())
        };
        chosen = chosen.iter().flat_map(longer).collect();
    }
    chosen
}

fn arranged(base: &PlaneState, locals: &[usize]) -> PlaneState {
    let mut plan = Plan::clone(&plan(base));
    for (region, local) in FIVE.iter().zip(locals) {
        let (verdict, recent, word) = LOCALS[*local];
        let about = subject(region);
        let state = plan.verdicts.get_mut(&about).unwrap();
        state.verdict = verdict;
        state.since_ms = if recent { RECENT_MS } else { 0 };
        plan.overrides.extend(word.map(|action| Override::new(about, action, ("a test", "the test"), 0, 1)));
    }
    PlaneState { plan: Some(Arc::new(plan)), ..base.clone() }
}

/// Who serves, read from verdicts and overrides.
fn serving(plan: &Plan) -> BTreeSet<&str> {
    let serves = |region: &&&str| match plan.override_on(&subject(region)) {
        Some(word) => word.share_permille > 0,
        None => plan.verdicts[&subject(region)].verdict != Verdict::Down,
    };
    FIVE.iter().filter(serves).copied().collect()
}

/// What automation holds out, lately.
fn held_out_lately(plan: &Plan) -> usize {
    let out = |region: &&&str| {
        let state = &plan.verdicts[&subject(region)];
        plan.override_on(&subject(region)).is_none() && state.verdict == Verdict::Down && state.since_ms >= RECENT_MS
    };
    FIVE.iter().filter(out).count()
}

fn is_sound(plan: &Plan) -> Result<(), String> {
    let serving = serving(plan);
    let members = |pool: &str| plan.world.pools.get(pool).map(|p| p.members.clone()).unwrap_or_default();
    for pool in plan.world.pools.keys() {
        if !members(pool).iter().any(|member| serving.contains(member.as_str())) {
            return Err(format!("pool {pool} is empty, and so is each name that it serves"));
        }
    }
    if !TWINS.iter().any(|twin| serving.contains(twin)) {
        return Err("nobody serves over IPv6".into());
    }
    let bound = BOUND.iter().filter(|region| serving.contains(*region)).count();
    if bound < 2 { Err(format!("the safety rule is broken: {bound} of 2")) } else { Ok(()) }
}

fn every_command(state: &PlaneState) -> Vec<Command> {
    use Verdict::{Degraded, Down, Up};
    let because = || ("a test".to_owned(), "the test".to_owned());
    let (reason, who) = because();
    let all = |to| decide_all(state, FIVE.iter().map(|region| change(state, region, to)).collect());
    let mut commands = vec![
        all(Down),
        all(Up),
        all(Degraded),
        Command::ExpireOverrides { now_ms: INDEX * APART_MS },
        Command::Advance { now_ms: INDEX * APART_MS, demand_rps: Demand::new() },
        Command::SetGate { scope: GateScope::World, binds_people: true, reason, who, lasts_ms: 60_000 },
    ];
    for region in FIVE {
        commands.extend([Down, Up, Degraded].map(|to| decide(state, region, to)));
        commands.extend([OverrideAction::Down, OverrideAction::Up].map(|action| say(region, action)));
        commands.push(clear(region));
        let mut glass = say(region, OverrideAction::Down);
        if let Command::SetOverride { second, staging, .. } = &mut glass {
            *second = Some("another".into());
            *staging = Some(Staging { shares_permille: vec![500, 0], step_ms: 1000 });
        }
        commands.push(glass);
        let (reason, who) = because();
        commands.push(Command::ClearDamping { subject: subject(region), reason, who });
        let (reason, who) = because();
        commands.push(Command::MoveHome { pool: "pair".into(), to: name(region), epoch: 1, reason, who });
        let mut smaller = plan(state).world.clone();
        smaller.pools.insert("web".into(), pool(&FIVE.into_iter().filter(|r| *r != region).collect::<Vec<_>>()));
        let (reason, who) = because();
        commands.push(Command::SetWorld { based_on: plan(state).id, world: smaller, reason, who });
    }
    let pairs = FIVE.iter().flat_map(|a| FIVE.iter().filter(move |b| a < *b).map(move |b| (a, b)));
    commands.extend(pairs.map(|(a, b)| decide_all(state, vec![change(state, a, Down), change(state, b, Down)])));
    commands
}

/// Looks at every `of`-th state from the `part`-th on, so that the work can be shared.
fn look(part: usize, of: usize) {
    let base = base();
    let (mut states, mut applied, mut refused) = (0_u64, 0_u64, 0_u64);
    let all = choices(2).into_iter().flat_map(|twins| {
        choices(3).into_iter().map(move |bound| twins.iter().copied().chain(bound).collect::<Vec<_>>())
    });
    for locals in all.skip(part).step_by(of) {
        let start = arranged(&base, &locals);
        let before = plan(&start);
        if is_sound(&before).is_err() || held_out_lately(&before) > 1 {
            continue;
        }
        states += 1;
        for command in every_command(&start) {
            let mut after = start.clone();
            match after.apply(INDEX, &request(INDEX, command.clone())) {
                Outcome::Refused(_) => refused += 1,
                _ => applied += 1,
            }
            let after = plan(&after);
            if let Err(broken) = is_sound(&after) {
                panic!("{broken}: {command:?} on {before:?}");
            }
            let is_automation = matches!(command, Command::Decide { .. } | Command::Advance { .. });
            assert!(!is_automation || held_out_lately(&after) <= 1, "velocity: {command:?} on {before:?}");
            let moved = before.homes != after.homes;
            assert!(!moved || matches!(command, Command::MoveHome { .. }), "a home moved: {command:?} on {before:?}");
        }
    }
    assert!(
        states > 1000 && applied > states && refused > states,
        "{states} states, {applied} changes, {refused} refusals"
    );
}

#[test]
fn invariant_no_command_in_any_state_of_five_regions_empties_a_name_a_pool_or_a_family_or_breaks_a_rule_or_velocity() {
    look(0, 2);
}

#[test]
fn invariant_no_command_in_any_state_of_five_regions_breaks_anything_in_the_other_half_either() {
    look(1, 2);
}
