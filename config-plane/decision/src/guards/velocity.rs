//! Velocity: how much automation may hold out at a time, and how often it may take something out.
//!
//! Counted is what automation holds out *net*: a region that has come back may leave again, and so may the next one. In each pool
//! one region may always go; more only as long as they are at most `max_removed_percent` of its weight. Health checks that go wrong
//! everywhere so cost one region in `velocity_window_s`, time enough for people to look (AWS, October 2025).
//!
//! Over the whole world removals are counted by minute, *gross*: what flaps uses them up.

use std::collections::BTreeMap;

use model::{Plan, Pool, RegionName, Subject, Verdict, Why};

use super::Wish;
use crate::Refusal;

const MINUTE_MS: u64 = 60_000;

pub(super) fn check(before: &Plan, after: &Plan, wish: Wish<'_>) -> Result<(), Refusal> {
    let removals = wish.changes.iter().filter(|change| change.to == Verdict::Down).count();
    if removals == 0 {
        return Ok(());
    }
    for (name, pool) in &after.world.pools {
        let newly_out = |m: &RegionName| before.serving_in(name, m).is_alive() && !after.serving_in(name, m).is_alive();
        if pool.members.iter().any(newly_out) {
            check_pool(after, (name, pool), wish)?;
        }
    }
    let max = after.world.automation.max_removals_per_hour;
    let lately: u32 = of_the_hour(&after.removals, wish.now_ms).map(|(_, made)| made).sum();
    let made = lately.saturating_add(u32::try_from(removals).unwrap_or(u32::MAX));
    if made > max { Err(Refusal::RemovalsPerHour { made, max }) } else { Ok(()) }
}

fn check_pool(after: &Plan, (name, pool): (&str, &Pool), wish: Wish<'_>) -> Result<(), Refusal> {
    let automation = &after.world.automation;
    let since_ms = wish.now_ms.saturating_sub(u64::from(automation.velocity_window_s) * 1000);
    let out: Vec<&RegionName> =
        pool.members.iter().filter(|m| is_out_since(after, wish, (name, m), since_ms)).collect();
    let weight_of = |members: &mut dyn Iterator<Item = &RegionName>| -> u64 {
        members.map(|member| u64::from(pool.weight(member))).sum()
    };
    let weight_out = weight_of(&mut out.iter().copied());
    let weight = weight_of(&mut pool.members.iter()).max(1);
    if out.len() <= 1 || weight_out * 100 <= u64::from(automation.max_removed_percent) * weight {
        return Ok(());
    }
    Err(Refusal::Velocity {
        pool: name.to_owned(),
        out_percent: u32::try_from((weight_out * 100).div_ceil(weight)).unwrap_or(u32::MAX),
        max_percent: automation.max_removed_percent,
        window_s: automation.velocity_window_s,
        out: out.into_iter().cloned().collect(),
    })
}

/// Whether automation took the member out at that time or later. A time in the future counts, since clocks may be set back.
fn is_out_since(plan: &Plan, wish: Wish<'_>, (pool, member): (&str, &RegionName), since_ms: u64) -> bool {
    let serving = plan.serving_in(pool, member);
    let fell = |subject: &Subject| {
        let state = plan.verdicts.get(subject).filter(|state| state.verdict == Verdict::Down);
        let seen_ms = wish.out_ms.get(subject).copied().unwrap_or(0);
        state.is_some_and(|state| state.since_ms.max(seen_ms) > since_ms)
    };
    let own = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: member.clone() });
    !serving.is_alive()
        && serving.why != Why::Override
        && (fell(&Subject::Region(member.clone())) || own.is_some_and(|subject| fell(&subject)))
}

/// Counts removals in the Plan, and forgets those of more than an hour ago.
pub(crate) fn note_removals(removals: &mut BTreeMap<u64, u32>, made: u32, now_ms: u64) {
    *removals = of_the_hour(removals, now_ms).collect();
    if made > 0 {
        let minute = removals.entry(now_ms / MINUTE_MS).or_default();
        *minute = minute.saturating_add(made);
    }
}

/// The last 60 minutes and the one that has begun. What lies in the future is moved to this minute: a clock that is set back
/// neither forgets removals nor remembers them for ever.
fn of_the_hour(removals: &BTreeMap<u64, u32>, now_ms: u64) -> impl Iterator<Item = (u64, u32)> {
    let this = now_ms / MINUTE_MS;
    let mut kept = BTreeMap::new();
    for (minute, made) in removals.range(this.saturating_sub(60)..) {
        let sum: &mut u32 = kept.entry((*minute).min(this)).or_default();
        *sum = sum.saturating_add(*made);
    }
    kept.into_iter()
}
