//! Never the last: what must be left after any change, whoever makes it.
//!
//! - Every pool keeps a serving member, and so does every address family that it has addresses of: a name with a living IPv4
//!   member only is an outage to whoever has IPv6 only. A name's answers are its pool's members, so this holds by name.
//! - A pool (or family) of one member that it already had is let through: it has nobody to fail over to, fail-open answers name
//!   the same address as before, and refusing would keep a dead region in every other pool for its sake.
//! - A member that is Down and keeps some users for want of room elsewhere serves nobody, and does not count.
//! - Every safety rule of the World holds.
//! - Automation leaves `min_healthy` members.

use model::{Plan, Pool, RegionName, SafetyRule, World};

use super::check_pools;
use crate::{Family, Refusal, serving::serving_members};

/// Pools, families and safety rules.
pub(super) fn check(before: &Plan, after: &Plan) -> Result<(), Refusal> {
    check_pools(before, after)?;
    for name in after.world.pools.keys() {
        for family in [Family::V4, Family::V6] {
            check_family(before, after, name, family)?;
        }
    }
    after.world.safety.iter().try_for_each(|rule| check_rule(before, after, rule))
}

fn check_family(before: &Plan, after: &Plan, pool: &str, family: Family) -> Result<(), Refusal> {
    let members = addressed(&after.world, after.world.pools.get(pool), family);
    let was = addressed(&before.world, before.world.pools.get(pool), family);
    let alone = members.len() == 1 && members == was;
    let serves = |plan: &Plan, members: &[&RegionName]| members.iter().any(|m| plan.serving_in(pool, m).is_alive());
    let was_empty = !was.is_empty() && !serves(before, &was);
    if members.is_empty() || alone || was_empty || serves(after, &members) {
        return Ok(());
    }
    let members = members.into_iter().cloned().collect();
    Err(Refusal::LastAddress { pool: pool.to_owned(), family, members })
}

/// The members with an address of that family.
fn addressed<'w>(world: &'w World, pool: Option<&'w Pool>, family: Family) -> Vec<&'w RegionName> {
    let has = |region: &&RegionName| {
        world.region(region).is_some_and(|region| match family {
            Family::V4 => region.gateway_v4.is_some(),
            Family::V6 => region.gateway_v6.is_some(),
        })
    };
    pool.map(|pool| pool.members.iter().filter(has).collect()).unwrap_or_default()
}

fn check_rule(before: &Plan, after: &Plan, rule: &SafetyRule) -> Result<(), Refusal> {
    let left = serving_of(after, rule);
    let no_worse = before.world.safety.contains(rule) && left >= serving_of(before, rule);
    if left >= rule.at_least || no_worse {
        return Ok(());
    }
    let (name, at_least, regions) = (rule.name.clone(), rule.at_least, rule.regions.clone());
    Err(Refusal::SafetyRule { name, left, at_least, regions })
}

fn serving_of(plan: &Plan, rule: &SafetyRule) -> u32 {
    let serves = |region: &&RegionName| match &rule.pool {
        Some(pool) => plan.serving_in(pool, region).is_alive(),
        None => plan.serving(region).is_alive(),
    };
    count(rule.regions.iter().filter(serves))
}

/// Automation leaves every pool as many members as it wants, or as it found.
pub(super) fn check_min_healthy(before: &Plan, after: &Plan) -> Result<(), Refusal> {
    for (name, pool) in &after.world.pools {
        let (was, left) = (serving_members(before, name).len(), serving_members(after, name).len());
        let is_alone = pool.members.len() == 1;
        if left < was && !is_alone && left < usize::try_from(pool.min_healthy).unwrap_or(usize::MAX) {
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            return Err(Refusal::MinHealthy { pool: name.clone(), left, min: pool.min_healthy });
        }
    }
    Ok(())
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
