//! Capacity: can what is left carry what users ask for?
//!
//! ```text
//!  Σ over regions named in answers (capacity × share)  ×  capacity_used_percent   ≥   Σ demand
//! ```
//!
//! A region that is being ramped up, drained or Degraded counts with the share that it is sent. What is not known is not guessed:
//! if any region that serves has no `capacity_rps`, or nothing was heard of what it carries, the guard says nothing, and
//! `min_healthy` alone holds automation back.

use std::collections::BTreeSet;

use model::{Plan, RegionName, Subject, Verdict};

use crate::{Demand, Refusal};

/// What the regions of a Plan can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Of those named in answers, each by its share, requests per second.
    pub whole_rps: u64,
    /// What of it may be asked for, requests per second.
    pub usable_rps: u64,
}

impl Capacity {
    /// What a Plan's regions can carry; none if that of a serving one is not known.
    pub fn of(plan: &Plan) -> Option<Self> {
        let mut permille_rps = 0_u64;
        for region in &plan.world.regions {
            let share = u64::from(share_permille(plan, &region.name));
            if share > 0 {
                permille_rps = permille_rps.saturating_add(u64::from(region.capacity_rps?) * share);
            }
        }
        let whole_rps = permille_rps / 1000;
        let used = u64::from(plan.world.automation.capacity_used_percent);
        Some(Self { whole_rps, usable_rps: whole_rps.saturating_mul(used) / 100 })
    }
}

/// The greatest share that the region is sent in any of its pools, per mille: 0 if no users are sent there.
fn share_permille(plan: &Plan, region: &RegionName) -> u32 {
    let of_pool = plan.world.pools.iter().filter(|(_, pool)| pool.members.contains(region));
    of_pool.map(|(pool, _)| plan.serving_in(pool, region).share_permille).max().unwrap_or(0)
}

/// What users ask for, requests per second; none if that is not known of a region that serves.
fn asked_for(plan: &Plan, demand_rps: &Demand) -> Option<u64> {
    let serving = plan.world.regions.iter().filter(|region| share_permille(plan, &region.name) > 0);
    let all_known = serving.into_iter().all(|region| demand_rps.contains_key(&region.name));
    all_known.then(|| demand_rps.values().map(|rps| u64::from(*rps)).sum())
}

/// A change that lowers what can be carried must leave enough.
pub(super) fn check(before: &Plan, after: &Plan, demand_rps: &Demand) -> Result<(), Refusal> {
    let Some((was, left)) = Capacity::of(before).zip(Capacity::of(after)) else { return Ok(()) };
    let Some(demand) = asked_for(before, demand_rps) else { return Ok(()) };
    if left.usable_rps >= was.usable_rps || left.usable_rps >= demand {
        return Ok(());
    }
    let used_percent = after.world.automation.capacity_used_percent;
    Err(Refusal::Capacity { usable_rps: left.usable_rps, used_percent, demand_rps: demand })
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
