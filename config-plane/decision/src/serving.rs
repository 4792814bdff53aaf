//! Who serves a pool under a Plan: the sets that the "never the last" guard protects.

use model::{Plan, RegionName};

/// The members of a pool that serve the users whom the Plan sends them, in the pool's order. Empty for an unknown pool.
pub fn serving_members<'p>(plan: &'p Plan, pool: &str) -> Vec<&'p RegionName> {
    let members = plan.world.pools.get(pool).map(|p| p.members.as_slice()).unwrap_or_default();
    members.iter().filter(|m| plan.serving_in(pool, m).is_alive()).collect()
}

/// The first pool (by name) that the step from `before` to `after` would leave without a serving member.
///
/// A pool of one member that it already had is let through: it has nobody to fail over to, fail-open answers name the same
/// address as before, and refusing would keep a dead region in every other pool for its sake.
pub fn emptied_pool<'p>(before: Option<&Plan>, after: &'p Plan) -> Option<&'p str> {
    after.world.pools.iter().find_map(|(name, pool)| {
        let alone = pool.members.len() == 1
            && before.and_then(|plan| plan.world.pools.get(name)).is_some_and(|was| was.members == pool.members);
        (!alone && serving_members(after, name).is_empty()).then_some(name.as_str())
    })
}
