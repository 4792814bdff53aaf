//! The guards: pure questions about a Plan and a wish. `apply` asks them at the one place where Plans are made; the judge and
//! `what-if` ask the same functions on a copy, so that nobody proposes what would be refused.
//!
//! Order within a decision: subject known, named once, from the verdict in force, carried by a quorum; then, for the whole of
//! it, never the last member.

use std::collections::BTreeSet;

use model::{Override, OverrideAction, Plan, Subject, SubjectState, Verdict, Vote};

use crate::{Change, Refusal, quorum::Quorum, serving::emptied_pool};

/// Longest `reason` and `who`, characters.
pub(crate) const SIGNATURE_MAX: usize = 200;

/// Shortest life of an override, milliseconds.
const LIFE_MIN_MS: u64 = 1000;

/// Whether a decision may be made on this Plan.
pub fn check_change(plan: &Plan, changes: &[Change]) -> Result<(), Refusal> {
    let mut named = BTreeSet::new();
    for change in changes {
        let state = known(plan, &change.subject)?;
        if !named.insert(&change.subject) {
            return Err(Refusal::NamedTwice { subject: change.subject.clone() });
        }
        if state.verdict != change.from {
            return Err(Refusal::OtherVerdict {
                subject: change.subject.clone(),
                believed: change.from,
                actual: state.verdict,
            });
        }
        check_evidence(plan, change)?;
    }
    check_nobody_last(plan, &with_verdicts(plan, changes))
}

/// The subject's state, or a refusal that lists what there is.
pub(crate) fn known<'p>(plan: &'p Plan, subject: &Subject) -> Result<&'p SubjectState, Refusal> {
    plan.verdicts.get(subject).ok_or_else(|| Refusal::UnknownSubject {
        subject: subject.clone(),
        known: plan.verdicts.keys().cloned().collect(),
    })
}

/// The votes that are written down must carry what is wanted: counted here again, from the World's own size.
fn check_evidence(plan: &Plan, change: &Change) -> Result<(), Refusal> {
    let votes = change.evidence.votes.iter();
    let opinions: Vec<Vote> = votes
        .filter(|(observer, vote)| {
            *observer != change.subject.region() && **vote != Vote::Unknown && plan.world.region(observer).is_some()
        })
        .map(|(_, vote)| *vote)
        .collect();
    let agree = opinions.iter().filter(|vote| agrees(**vote, change.to)).count();
    let (qualified, sight) = (opinions.len(), Quorum::of(plan.world.regions.len()).sight);
    let needed = Quorum::high(qualified.max(sight));
    if qualified >= sight && agree >= needed {
        return Ok(());
    }
    Err(Refusal::WeakEvidence {
        subject: change.subject.clone(),
        to: change.to,
        agree,
        needed,
        qualified,
        qualified_needed: sight,
    })
}

/// Whether a vote speaks for a verdict. A degraded member serves, so it speaks for Up as well.
pub(crate) fn agrees(vote: Vote, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Up => matches!(vote, Vote::Up | Vote::Degraded),
        Verdict::Degraded => vote == Vote::Degraded,
        Verdict::Down => vote == Vote::Down,
    }
}

/// A copy of the Plan with other verdicts; only what `serving` reads is changed.
fn with_verdicts(plan: &Plan, changes: &[Change]) -> Plan {
    let mut after = plan.clone();
    for change in changes {
        if let Some(state) = after.verdicts.get_mut(&change.subject) {
            state.verdict = change.to;
        }
    }
    after
}

/// Never the last: every pool keeps a serving member.
pub(crate) fn check_nobody_last(before: &Plan, after: &Plan) -> Result<(), Refusal> {
    match emptied_pool(Some(before), after) {
        None => Ok(()),
        Some(pool) => Err(Refusal::LastMember {
            pool: pool.to_owned(),
            members: after.world.pools.get(pool).map(|p| p.members.clone()).unwrap_or_default(),
        }),
    }
}

/// A human's word says why and who, in one line each.
pub(crate) fn check_signature(reason: &str, who: &str) -> Result<(), Refusal> {
    for (field, text) in [("reason", reason), ("who", who)] {
        let fits =
            !text.trim().is_empty() && text.chars().count() <= SIGNATURE_MAX && !text.chars().any(char::is_control);
        if !fits {
            return Err(Refusal::Unsigned { field: field.to_owned(), max: SIGNATURE_MAX });
        }
    }
    Ok(())
}

/// A human's word expires.
pub(crate) fn check_lifetime(lasts_ms: u64) -> Result<(), Refusal> {
    if (LIFE_MIN_MS..=Override::MAX_LIFE_MS).contains(&lasts_ms) {
        return Ok(());
    }
    Err(Refusal::Lifetime { lasts_ms, max_ms: Override::MAX_LIFE_MS })
}

/// Whether the override on a subject may end: an `up` that alone keeps a pool in answers stays until another member serves.
pub fn check_override_removal(plan: &Plan, subject: &Subject) -> Result<(), Refusal> {
    let mut after = plan.clone();
    after.overrides.retain(|o| o.subject != *subject);
    check_nobody_last(plan, &after)
}

/// The subjects whose overrides are due at `now_ms` and may end together.
///
/// Drains end first, since they only bring members back; then each `up`, in order of subject, as long as nobody's pool is left
/// empty. One that must be held back is not in the list, and is asked about again when the Plan has changed.
pub fn expirable(plan: &Plan, now_ms: u64) -> Vec<Subject> {
    let mut due: Vec<&Override> = plan.overrides.iter().filter(|o| o.expires_at_ms <= now_ms).collect();
    due.sort_by_key(|o| (o.action != OverrideAction::Down, o.subject.clone()));
    let (mut after, mut ends) = (plan.clone(), Vec::new());
    for subject in due.into_iter().map(|o| &o.subject) {
        if check_override_removal(&after, subject).is_ok() {
            after.overrides.retain(|o| o.subject != *subject);
            ends.push(subject.clone());
        }
    }
    ends
}
