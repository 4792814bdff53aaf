//! Where a pool's state is at home, and the fencing epoch that goes with it.
//!
//! Law: a home moves by [`Command::MoveHome`](crate::Command::MoveHome) and by nothing else, and each move draws an epoch greater
//! than any before it: the index of its log entry. So a region that was cut off and still thinks it is the home holds a smaller
//! epoch, and the data layer refuses its writes. Automation may take the home's region out of answers; that drains reads only.

use model::{Home, Plan, RegionName};

use super::{Entry, Step};
use crate::{Refusal, guards, serving::serving_members};

/// Homes as the World wants them, where there are none yet; homes of pools without one are dropped.
pub(super) fn settle(plan: &mut Plan, entry: Entry<'_>) {
    if !entry.is_guarded() {
        return;
    }
    let Plan { homes, world, .. } = plan;
    homes.retain(|pool, _| world.pools.get(pool).is_some_and(|pool| pool.home.is_some()));
    for (name, pool) in &world.pools {
        if let Some(region) = &pool.home {
            let home = || Home { region: region.clone(), epoch: entry.index };
            homes.entry(name.clone()).or_insert_with(home);
        }
    }
}

/// A new World leaves homes where they are: it names the one before, or the one in force, which stays a member.
pub(super) fn check_stay(before: &Plan, after: &Plan) -> Result<(), Refusal> {
    for (name, home) in &before.homes {
        let Some(pool) = after.world.pools.get(name) else { continue };
        let Some(wanted) = &pool.home else { continue };
        let was = before.world.pools.get(name).and_then(|pool| pool.home.as_ref());
        let stays = (was == Some(wanted) || home.region == *wanted) && pool.members.contains(&home.region);
        if !stays {
            return Err(Refusal::HomeMoves { pool: name.clone(), home: home.region.clone() });
        }
    }
    Ok(())
}

pub(super) fn move_home(
    plan: &Plan,
    (pool, to): (&str, &RegionName),
    epoch: u64,
    (reason, who): (&str, &str),
    entry: Entry<'_>,
) -> Step {
    if !plan.world.pools.contains_key(pool) {
        let known = plan.world.pools.keys().cloned().collect();
        return Err(Refusal::UnknownPool { pool: pool.to_owned(), known });
    }
    let home = plan.homes.get(pool).ok_or_else(|| Refusal::NoHome { pool: pool.to_owned() })?;
    if home.epoch != epoch {
        let (actual, region) = (home.epoch, home.region.clone());
        return Err(Refusal::OtherEpoch { pool: pool.to_owned(), believed: epoch, actual, region });
    }
    guards::check_people_gate(plan, guards::Behind::Pool(pool), entry.now_ms(plan))?;
    if home.region == *to {
        return Ok(None);
    }
    let serving = serving_members(plan, pool);
    if !serving.contains(&to) {
        let serving = serving.into_iter().cloned().collect();
        return Err(Refusal::HomeNotServing { pool: pool.to_owned(), region: to.clone(), serving });
    }
    let mut next = plan.clone();
    next.homes.insert(pool.to_owned(), Home { region: to.clone(), epoch: entry.index });
    next.made_by = format!("home of {pool} moved to {to} by {who}: {reason}");
    Ok(Some(next))
}
