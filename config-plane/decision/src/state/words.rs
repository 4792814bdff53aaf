//! A human's word: overrides, gates, forgiveness for flaps; said, taken back, and at their end.

use model::{Gate, GateScope, Override, Plan, Stages, Subject, Verdict};

use super::{Entry, Step};
use crate::{Command, Demand, Refusal, guards};

pub(super) fn set_override(plan: &Plan, command: &Command, entry: Entry<'_>) -> Step {
    let Command::SetOverride { subject, action, reason, who, lasts_ms, second, staging, demand_rps } = command else {
        return Ok(None);
    };
    guards::check_lifetime(*lasts_ms)?;
    let mut word = Override::new(subject.clone(), *action, (reason, who), entry.request.proposed_at_ms, *lasts_ms);
    let mut next = plan.clone();
    next.made_by = format!("override {subject} {action:?} by {who}: {reason}");
    next.overrides.retain(|o| o.subject != *subject);
    if !entry.is_guarded() {
        guards::known(plan, subject)?;
        next.overrides.push(word);
        next.overrides.sort_by(|a, b| a.subject.cmp(&b.subject));
        guards::check_pools(plan, &next)?;
        return Ok(Some(next));
    }
    guards::check_known_to_people(plan, subject)?;
    let is_broken_glass = guards::is_broken_glass(who, second.as_deref())?;
    guards::check_people_gate(plan, guards::Behind::Subject(subject), entry.now_ms(plan))?;
    check_drained(plan, &word, demand_rps, is_broken_glass)?;
    if let Some(staging) = staging {
        guards::check_staging(*action, staging, *lasts_ms)?;
        let mut shares = staging.shares_permille.iter().copied();
        word.share_permille = shares.next().unwrap_or(0);
        let next_at_ms = entry.now_ms(plan).saturating_add(staging.step_ms);
        let left_permille: Vec<u32> = shares.collect();
        let stages = || Stages { left_permille: left_permille.clone(), step_ms: staging.step_ms, next_at_ms };
        word.stages = (!left_permille.is_empty()).then(stages);
        next.made_by = format!("staged drain of {subject} by {who}: {reason}");
    }
    if let Some(second) = second {
        word.second = Some(second.trim().to_owned());
        next.made_by = format!("{} (glass broken with {})", next.made_by, second.trim());
    }
    next.overrides.push(word);
    next.overrides.sort_by(|a, b| a.subject.cmp(&b.subject));
    Ok(Some(next))
}

/// The guards, asked about the end of a staged drain: one that could not be finished is not begun.
fn check_drained(plan: &Plan, word: &Override, demand_rps: &Demand, is_broken_glass: bool) -> Result<(), Refusal> {
    let before = guards::sketch(plan);
    let mut after = before.clone();
    after.overrides.retain(|o| o.subject != word.subject);
    after.overrides.push(word.clone());
    guards::check_word(&before, &after, demand_rps, is_broken_glass)
}

pub(super) fn clear_override(plan: &Plan, subject: &Subject, (reason, who): (&str, &str), entry: Entry<'_>) -> Step {
    if plan.override_on(subject).is_none() {
        guards::check_known_to_people(plan, subject)?;
        return Ok(None);
    }
    let mut next = plan.clone();
    if entry.is_guarded() {
        guards::check_people_gate(plan, guards::Behind::Subject(subject), entry.now_ms(plan))?;
        end_words(&mut next, std::slice::from_ref(subject), entry.now_ms(plan));
        guards::check_word(plan, &next, &Demand::new(), true)?;
    } else {
        next.overrides.retain(|o| o.subject != *subject);
        guards::check_pools(plan, &next)?;
    }
    next.made_by = format!("override {subject} cleared by {who}: {reason}");
    Ok(Some(next))
}

/// Ends the overrides and opens the gates that are due.
pub(super) fn expire(plan: &Plan, now_ms: u64, entry: Entry<'_>) -> Option<Plan> {
    let ends =
        if entry.is_guarded() { guards::expirable(plan, now_ms) } else { guards::expirable_of_old(plan, now_ms) };
    let opens: Vec<GateScope> = guards::openable(plan, now_ms).cloned().collect();
    if ends.is_empty() && opens.is_empty() {
        return None;
    }
    let mut next = plan.clone();
    if entry.is_guarded() {
        end_words(&mut next, &ends, now_ms);
    } else {
        next.overrides.retain(|o| !ends.contains(&o.subject));
    }
    next.gates.retain(|gate| !opens.contains(&gate.scope));
    let words = ends.iter().map(ToString::to_string).chain(opens.iter().map(name_of));
    next.made_by = format!("override expired: {}", words.collect::<Vec<_>>().join(", "));
    Some(next)
}

/// Takes overrides away. What they had lowered comes back up the ramp, from where it was: automation's present view holds, not
/// the share of before the drain.
fn end_words(plan: &mut Plan, ends: &[Subject], now_ms: u64) {
    for subject in ends {
        let sent = plan.override_on(subject).map_or(1000, |o| o.share_permille);
        let first = guards::first_ramp_permille(&plan.world.automation, sent);
        let returning = plan.verdicts.get_mut(subject).filter(|state| state.verdict != Verdict::Down && sent < 1000);
        if let Some(state) = returning {
            (state.ramp_permille, state.ramp_at_ms) = (first, now_ms);
        }
    }
    plan.overrides.retain(|o| !ends.contains(&o.subject));
}

pub(super) fn set_gate(
    plan: &Plan,
    (scope, binds_people): (&GateScope, bool),
    (reason, who): (&str, &str),
    lasts_ms: u64,
    entry: Entry<'_>,
) -> Step {
    guards::check_lifetime(lasts_ms)?;
    check_scope(plan, scope)?;
    let set_at_ms = entry.request.proposed_at_ms;
    let gate = Gate {
        scope: scope.clone(),
        binds_people,
        reason: reason.trim().to_owned(),
        who: who.trim().to_owned(),
        set_at_ms,
        expires_at_ms: set_at_ms.saturating_add(lasts_ms),
    };
    let mut next = plan.clone();
    next.gates.retain(|other| other.scope != *scope);
    next.gates.push(gate);
    next.gates.sort_by(|a, b| a.scope.cmp(&b.scope));
    next.made_by = format!("{} closed by {who}: {reason}", name_of(scope));
    Ok(Some(next))
}

pub(super) fn clear_gate(plan: &Plan, scope: &GateScope, (reason, who): (&str, &str)) -> Step {
    check_scope(plan, scope)?;
    let mut next = plan.clone();
    next.gates.retain(|gate| gate.scope != *scope);
    if next.gates.len() == plan.gates.len() {
        return Ok(None);
    }
    next.made_by = format!("{} opened by {who}: {reason}", name_of(scope));
    Ok(Some(next))
}

fn check_scope(plan: &Plan, scope: &GateScope) -> Result<(), Refusal> {
    match scope {
        GateScope::Pool(pool) if !guards::knows_scope(&plan.world, scope) => {
            Err(Refusal::UnknownPool { pool: pool.clone(), known: plan.world.pools.keys().cloned().collect() })
        }
        GateScope::World | GateScope::Pool(_) => Ok(()),
    }
}

fn name_of(scope: &GateScope) -> String {
    match scope {
        GateScope::World => "the world's gate".into(),
        GateScope::Pool(pool) => format!("the gate of pool {pool}"),
    }
}

pub(super) fn clear_damping(plan: &Plan, subject: &Subject, (reason, who): (&str, &str), entry: Entry<'_>) -> Step {
    let state = guards::known(plan, subject)?;
    guards::check_people_gate(plan, guards::Behind::Subject(subject), entry.now_ms(plan))?;
    if state.penalty == 0 {
        return Ok(None);
    }
    let mut next = plan.clone();
    if let Some(state) = next.verdicts.get_mut(subject) {
        (state.penalty, state.penalty_at_ms) = (0, 0);
    }
    next.made_by = format!("damping of {subject} cleared by {who}: {reason}");
    Ok(Some(next))
}
