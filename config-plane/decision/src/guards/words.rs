//! What a human's word must be: signed, with an end; staged sensibly; signed twice if it is to break the glass. And when it ends.

use model::{Gate, GateScope, Override, OverrideAction, Plan, Stages, Subject};

use super::{check_pools, left, sketch};
use crate::{Refusal, Staging};

/// Longest `reason` and `who`, characters.
const SIGNATURE_MAX: usize = 200;

/// Shortest life of an override, milliseconds.
const LIFE_MIN_MS: u64 = 1000;

/// Shortest and longest stage of a drain, milliseconds.
const STAGE_MS: std::ops::RangeInclusive<u64> = 1000..=86_400_000;

/// A human's word says why and who, in one line each.
pub(crate) fn check_signature(reason: &str, who: &str) -> Result<(), Refusal> {
    check_line("reason", reason)?;
    check_line("who", who)
}

fn check_line(field: &str, text: &str) -> Result<(), Refusal> {
    let fits = !text.trim().is_empty() && text.chars().count() <= SIGNATURE_MAX && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Refusal::Unsigned { field: field.to_owned(), max: SIGNATURE_MAX }) }
}

/// A human's word expires.
pub(crate) fn check_lifetime(lasts_ms: u64) -> Result<(), Refusal> {
    if (LIFE_MIN_MS..=Override::MAX_LIFE_MS).contains(&lasts_ms) {
        return Ok(());
    }
    Err(Refusal::Lifetime { lasts_ms, max_ms: Override::MAX_LIFE_MS })
}

/// Whether the glass is broken: by two people, not by one who signs twice.
pub(crate) fn is_broken_glass(who: &str, second: Option<&str>) -> Result<bool, Refusal> {
    let Some(second) = second else { return Ok(false) };
    check_line("second", second)?;
    if second.trim().to_lowercase() == who.trim().to_lowercase() {
        return Err(Refusal::OnePerson { who: who.trim().to_owned() });
    }
    Ok(true)
}

/// The stages of a drain, as the guards want them.
pub(crate) fn check_staging(action: OverrideAction, staging: &Staging, lasts_ms: u64) -> Result<(), Refusal> {
    let shares = &staging.shares_permille;
    let takes_ms = u64::try_from(shares.len()).ok().and_then(|n| n.checked_mul(staging.step_ms));
    let why = if action != OverrideAction::Down {
        "only a drain has stages"
    } else if shares.is_empty() || shares.len() > Stages::MAX {
        "there are none, or too many"
    } else if shares[0] >= 1000 || shares.windows(2).any(|pair| pair[0] <= pair[1]) {
        "they do not fall"
    } else if shares.last() != Some(&0) {
        "the last one is not 0"
    } else if !STAGE_MS.contains(&staging.step_ms) {
        "a stage is too short or too long"
    } else if takes_ms.is_none_or(|takes_ms| takes_ms >= lasts_ms) {
        "the override ends before the drain does"
    } else {
        return Ok(());
    };
    Err(Refusal::Stages { why: why.to_owned(), max: Stages::MAX })
}

/// The subjects whose overrides are due at `now_ms` and may end together.
///
/// Drains end first, since they only bring members back; then each `up`, in order of subject, as long as nobody's pool is left
/// empty and every safety rule holds. One that must be held back is not in the list, and is asked about again when the Plan has
/// changed.
pub fn expirable(plan: &Plan, now_ms: u64) -> Vec<Subject> {
    expirable_by(plan, now_ms, left::check)
}

/// The same by the guards of generation 0: pools alone.
pub(crate) fn expirable_of_old(plan: &Plan, now_ms: u64) -> Vec<Subject> {
    expirable_by(plan, now_ms, check_pools)
}

fn expirable_by(plan: &Plan, now_ms: u64, check: impl Fn(&Plan, &Plan) -> Result<(), Refusal>) -> Vec<Subject> {
    let mut due: Vec<&Override> = plan.overrides.iter().filter(|o| o.expires_at_ms <= now_ms).collect();
    if due.is_empty() {
        return Vec::new();
    }
    due.sort_by_key(|o| (o.action != OverrideAction::Down, o.subject.clone()));
    let (mut now, mut ends) = (sketch(plan), Vec::new());
    for subject in due.into_iter().map(|o| &o.subject) {
        let mut next = now.clone();
        next.overrides.retain(|o| o.subject != *subject);
        if check(&now, &next).is_ok() {
            now = next;
            ends.push(subject.clone());
        }
    }
    ends
}

/// The gates that open by themselves at `now_ms`.
pub fn openable(plan: &Plan, now_ms: u64) -> impl Iterator<Item = &GateScope> {
    plan.gates.iter().filter(move |gate: &&Gate| gate.expires_at_ms <= now_ms).map(|gate| &gate.scope)
}
