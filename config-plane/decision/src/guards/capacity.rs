//! Capacity: can what is left carry what users ask for? If not all of it: how much may be taken out?
//!
//! ```text
//!  Σ over regions that users are served by (capacity × share)  ×  capacity_used_percent  +  what is kept   ≥   Σ demand
//! ```
//!
//! A region that is being ramped up, drained or Degraded counts with the share that it is sent. What is not known is not guessed:
//! if any region that serves has no `capacity_rps`, or nothing was heard of what it carries, the guard says nothing, and
//! `min_healthy` alone holds automation back.
//!
//! **What does not fit is kept.** A region that falls is taken out as far as the others can carry its users; the rest of them go on
//! being sent to it ([`Kept`]). A region that is Down may answer none of them. To send them to the others as well would overload
//! those, and then nobody is answered: what cannot be carried is shed where it is lost already. So the region has no capacity in the
//! sum, and what it keeps is not asked of the others. Whole percents, rounded so that no more is taken out than fits; integers only.

use std::collections::BTreeSet;

use model::{Kept, Plan, RegionName, Subject, Verdict};

use crate::{Demand, Refusal};

/// What the regions of a Plan can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Of those that serve users, each by its share, requests per second.
    pub whole_rps: u64,
    /// What of it may be asked for, requests per second.
    pub usable_rps: u64,
}

impl Capacity {
    /// What a Plan's regions can carry; none if that of a serving one is not known.
    pub fn of(plan: &Plan) -> Option<Self> {
        let mut permille_rps = 0_u64;
        for region in &plan.world.regions {
            let share = u64::from(Sent::of(plan, &region.name).served_permille);
            if share > 0 {
                permille_rps = permille_rps.saturating_add(u64::from(region.capacity_rps?) * share);
            }
        }
        let whole_rps = permille_rps / 1000;
        let used = u64::from(plan.world.automation.capacity_used_percent);
        Some(Self { whole_rps, usable_rps: whole_rps.saturating_mul(used) / 100 })
    }
}

/// The greatest share of users that a region is sent in any of its pools, per mille.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    /// In pools in which it serves them.
    served_permille: u32,
    /// Kept for want of room, where it serves nowhere.
    kept_permille: u32,
}

impl Sent {
    fn of(plan: &Plan, region: &RegionName) -> Self {
        let mut sent = Self { served_permille: 0, kept_permille: 0 };
        for (pool, _) in plan.world.pools.iter().filter(|(_, pool)| pool.members.contains(region)) {
            let serving = plan.serving_in(pool, region);
            let greatest = if serving.is_alive() { &mut sent.served_permille } else { &mut sent.kept_permille };
            *greatest = (*greatest).max(serving.share_permille);
        }
        if sent.served_permille > 0 {
            sent.kept_permille = 0;
        }
        sent
    }
}

/// What a region keeps of what it was asked for, requests per second.
fn kept_rps(plan: &Plan, region: &RegionName) -> u64 {
    let share = u64::from(Sent::of(plan, region).kept_permille);
    if share == 0 {
        return 0;
    }
    let kept = plan.verdicts.iter().filter(|(subject, _)| subject.region() == region);
    let asked_rps = kept.filter_map(|(_, state)| state.kept).map(|kept| kept.asked_rps).max().unwrap_or(0);
    u64::from(asked_rps) * share / 1000
}

fn all_kept_rps(plan: &Plan) -> u64 {
    plan.world.regions.iter().map(|region| kept_rps(plan, &region.name)).sum()
}

/// What users ask for, requests per second; none if that is not known of a region that serves. A region that keeps some for want of
/// room counts with those, whatever it says itself: what it lost is with the others already.
fn asked_for(plan: &Plan, demand_rps: &Demand) -> Option<u64> {
    let sent = |region: &RegionName| Sent::of(plan, region);
    let mut serving = plan.world.regions.iter().filter(|region| sent(&region.name).served_permille > 0);
    let all_known = serving.all(|region| demand_rps.contains_key(&region.name));
    let measured = demand_rps.iter().filter(|(region, _)| sent(region).kept_permille == 0);
    let measured: u64 = measured.map(|(_, rps)| u64::from(*rps)).sum();
    all_known.then(|| measured.saturating_add(all_kept_rps(plan)))
}

/// What may be asked, of those that serve and by being kept, requests per second.
fn room_rps(plan: &Plan) -> Option<u64> {
    Some(Capacity::of(plan)?.usable_rps.saturating_add(all_kept_rps(plan)))
}

/// A change that lowers what can be carried must leave enough.
pub(super) fn check(before: &Plan, after: &Plan, demand_rps: &Demand) -> Result<(), Refusal> {
    let Some((was, left)) = room_rps(before).zip(room_rps(after)) else { return Ok(()) };
    let Some(demand) = asked_for(before, demand_rps) else { return Ok(()) };
    if left >= was || left >= demand {
        return Ok(());
    }
    let used_percent = after.world.automation.capacity_used_percent;
    Err(Refusal::Capacity { usable_rps: left, used_percent, demand_rps: demand })
}

/// What a subject must keep that falls in `after`, where it keeps nothing: none if all of its users can be carried, or if not even a
/// hundredth of them could.
pub(super) fn kept(before: &Plan, after: &Plan, subject: &Subject, demand_rps: &Demand, now_ms: u64) -> Option<Kept> {
    if check(before, after, demand_rps).is_ok() {
        return None;
    }
    let sent_permille = Sent::of(before, subject.region()).served_permille;
    let asked_rps = u64::from(*demand_rps.get(subject.region())?) * 1000;
    let asked_rps = u32::try_from(asked_rps.checked_div(sent_permille.into())?).unwrap_or(u32::MAX);
    let (demand, mut trial) = (asked_for(before, demand_rps)?, after.clone());
    let mut fits = |percent: u32| {
        keep(&mut trial, subject, Some(Kept { permille: percent * 10, asked_rps, at_ms: now_ms }));
        room_rps(&trial).is_none_or(|room| room >= demand)
    };
    let percent = least_percent(1..100, &mut fits)?;
    fits(percent);
    // Less than it was sent before, or nothing is taken out at all.
    (Sent::of(&trial, subject.region()).kept_permille < sent_permille).then_some(Kept {
        permille: percent * 10,
        asked_rps,
        at_ms: now_ms,
    })
}

/// To which part, per mille, what a subject keeps can be cut by now; none if to no less than it is. `asked_by` is the Plan that
/// demand was heard under: whom an earlier cut of the same step lets go is not with the others yet, and will be.
///
/// Where demand is not known for a moment it stays as it is; where capacity is no longer known at all, nothing is kept.
pub(super) fn cut(asked_by: &Plan, plan: &Plan, subject: &Subject, demand_rps: &Demand) -> Option<u32> {
    let kept = plan.verdicts.get(subject)?.kept?;
    if Capacity::of(plan).is_none() {
        return Some(0);
    }
    let (demand, mut trial) = (asked_for(asked_by, demand_rps)?, plan.clone());
    let percent = least_percent(0..kept.permille / 10, |percent| {
        keep(&mut trial, subject, Some(Kept { permille: percent * 10, ..kept }));
        room_rps(&trial).is_some_and(|room| room >= demand)
    })?;
    Some(percent * 10)
}

/// Writes what a subject keeps into a Plan.
pub(super) fn keep(plan: &mut Plan, subject: &Subject, kept: Option<Kept>) {
    if let Some(state) = plan.verdicts.get_mut(subject) {
        state.kept = kept.filter(|kept| kept.permille > 0);
    }
}

/// The least of these percents that fits; what fits, fits with more as well.
pub(super) fn least_percent(among: std::ops::Range<u32>, mut fits: impl FnMut(u32) -> bool) -> Option<u32> {
    let (mut low, mut high) = (among.start, among.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(middle) { high = middle } else { low = middle + 1 }
    }
    (low < among.end).then_some(low)
}

/// How much of the present capacity would be left if these regions died, percent, rounded down; none if it is not known.
///
/// For the words of a change of the World: it is about the World as such, so ramps, verdicts and overrides do not count.
pub fn capacity_left(plan: &Plan, dead: &BTreeSet<RegionName>) -> Option<u32> {
    let mut quiet = super::sketch(plan);
    quiet.overrides.clear();
    quiet.verdicts.clear();
    let whole = Capacity::of(&quiet)?.whole_rps;
    for region in dead {
        let state = model::SubjectState::new(Verdict::Down, 0, 0);
        quiet.verdicts.insert(Subject::Region(region.clone()), state);
    }
    let left = Capacity::of(&quiet)?.whole_rps;
    let percent = left.saturating_mul(100).checked_div(whole)?;
    u32::try_from(percent).ok()
}
