//! Common mode: what falls together is not believed.
//!
//! When `common_mode_regions` fall within `common_mode_window_s` of each other, the likelier explanation is one fault of the
//! observers, of the backbone between them, or of a change that went everywhere: none of which is mended by taking regions out
//! (Facebook, October 2021). So none of them is taken out, for as long as they stay fallen, and people are called. They resolve it
//! by saying what is true with an override: whoever has a human's word on it is not counted any more.
//!
//! What counts is when a quorum first saw each of them fall. A region that came back is not fallen. Members of pools count for
//! their region.

use std::collections::BTreeMap;

use model::{Plan, RegionName, Subject, Verdict};

use super::Wish;
use crate::Refusal;

pub(super) fn check(plan: &Plan, wish: Wish<'_>) -> Result<(), Refusal> {
    let automation = &plan.world.automation;
    let window_ms = u64::from(automation.common_mode_window_s) * 1000;
    let falls = falls(plan, wish);
    for change in wish.changes.iter().filter(|change| change.to == Verdict::Down) {
        let Some(at_ms) = falls.get(change.subject.region()) else { continue };
        let together = falls.iter().filter(|(_, other_ms)| other_ms.abs_diff(*at_ms) <= window_ms);
        let regions: Vec<RegionName> = together.map(|(region, _)| (*region).clone()).collect();
        if regions.len() >= usize::try_from(automation.common_mode_regions).unwrap_or(usize::MAX) {
            return Err(Refusal::CommonMode { regions, window_s: automation.common_mode_window_s });
        }
    }
    Ok(())
}

/// When each region fell that is fallen and has no human's word on it, Unix milliseconds: what the Plan holds out, what is to be
/// taken out, and what else a quorum calls Down. Of several times of one region the latest.
fn falls<'a>(plan: &'a Plan, wish: Wish<'a>) -> BTreeMap<&'a RegionName, u64> {
    let held_out = plan.verdicts.iter().filter(|(_, state)| state.verdict == Verdict::Down);
    let held_out = held_out.map(|(subject, state)| (subject, state.since_ms));
    let wanted = wish.changes.iter().filter(|change| change.to == Verdict::Down);
    let wanted = wanted.map(|change| (&change.subject, change.evidence.quorum_at_ms));
    let seen = wish.falling.iter().map(|(subject, since_ms)| (subject, *since_ms));
    let mut falls = BTreeMap::new();
    for (subject, at_ms) in held_out.chain(wanted).chain(seen) {
        let about_region = Subject::Region(subject.region().clone());
        if plan.override_on(subject).is_some() || plan.override_on(&about_region).is_some() {
            continue;
        }
        let at_ms = at_ms.min(wish.now_ms);
        let latest = falls.entry(subject.region()).or_insert(at_ms);
        *latest = (*latest).max(at_ms);
    }
    falls
}
