//! Automation's word: verdicts change, each with its evidence.

use std::collections::BTreeMap;

use model::{Decision, Plan, Subject, SubjectState, Verdict};

use super::{Entry, Step};
use crate::{Change, Refusal, guards};

pub(super) fn decide(
    plan: &Plan,
    changes: &[Change],
    falling: &BTreeMap<Subject, u64>,
    now_ms: u64,
    entry: Entry<'_>,
) -> Step {
    let now_ms = if now_ms == 0 { entry.now_ms(plan) } else { now_ms };
    let wish = guards::Wish { changes, falling, out_ms: &BTreeMap::new(), now_ms, generation: entry.generation };
    check(plan, wish, entry)?;
    let decided = guards::decided(&guards::sketch(plan), wish).verdicts;
    let changes: Vec<&Change> = changes.iter().filter(|change| change.from != change.to).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    let mut next = plan.clone();
    for change in &changes {
        let state = match decided.get(&change.subject) {
            Some(state) if entry.is_guarded() => state.clone(),
            _ => SubjectState::new(change.to, now_ms, entry.index),
        };
        next.verdicts.insert(change.subject.clone(), SubjectState { version: entry.index, ..state });
        next.decisions.push(decision(change, entry));
    }
    let surplus = next.decisions.len().saturating_sub(Plan::DECISIONS_KEPT);
    next.decisions.drain(..surplus);
    if entry.is_guarded() {
        let removals = changes.iter().filter(|change| change.to == Verdict::Down).count();
        guards::note_removals(&mut next.removals, u32::try_from(removals).unwrap_or(u32::MAX), now_ms);
    }
    let words: Vec<String> = changes.iter().map(|change| in_words(change, &next)).collect();
    next.made_by = format!("decided: {}", words.join(", "));
    Ok(Some(next))
}

fn check(plan: &Plan, wish: guards::Wish<'_>, entry: Entry<'_>) -> Result<(), Refusal> {
    if entry.is_guarded() {
        guards::check_decision(plan, wish)
    } else {
        guards::check_decision_of_old(plan, wish.changes)
    }
}

fn in_words(change: &Change, next: &Plan) -> String {
    let (subject, to) = (&change.subject, change.to);
    match next.verdicts.get(subject).and_then(|state| state.kept) {
        Some(kept) => {
            format!("{subject} {to:?}, keeping {} % of its users, whom the others cannot carry", kept.permille / 10)
        }
        None => format!("{subject} {to:?}"),
    }
}

fn decision(change: &Change, entry: Entry<'_>) -> Decision {
    Decision {
        version: entry.index,
        subject: change.subject.clone(),
        from: change.from,
        to: change.to,
        proposed_at_ms: entry.request.proposed_at_ms,
        proposed_by: entry.request.proposed_by.clone(),
        evidence: change.evidence.clone(),
    }
}
