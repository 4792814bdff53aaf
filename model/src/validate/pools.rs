//! Pools: members that are there, weights of members only, and one check that judges each region.

use std::collections::BTreeMap;

use super::{
    Faults,
    checks::{check_label, check_reference},
    regions::check_region_list,
};
use crate::{
    Pool, RegionName, World,
    errors::{KeyPath, did_you_mean},
    limits,
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    let root = KeyPath::root().key("pool");
    faults.size(&root, "pools", world.pools.len(), 0..=World::POOLS_MAX as u64);
    for (name, pool) in &world.pools {
        let path = root.key(name);
        check_label(name, &path, faults);
        check_pool(world, pool, &path, faults);
    }
    check_one_check_per_region(world, faults);
}

fn check_pool(world: &World, pool: &Pool, path: &KeyPath, faults: &mut Faults) {
    if pool.members.is_empty() {
        faults.add(path.key("members"), "a pool without members can serve nobody");
    }
    check_region_list(world, &pool.members, &path.key("members"), faults);
    if let Some(check) = &pool.check {
        check_reference(world, check, &path.key("check"), faults);
    }
    check_weights(pool, &path.key("weights"), faults);
    let most = pool.members.len() as u64;
    if most > 0 && !(1..=most).contains(&pool.min_healthy.into()) {
        let what = format!("of {most} members 1 to {most} can be kept serving, not {}", pool.min_healthy);
        faults.add(path.key("min_healthy"), what);
    }
    if most > 0 && !(1..=most).contains(&pool.panic_below.into()) {
        let what = format!("of {most} members 1 to {most} can be asked for, not {}", pool.panic_below);
        faults.add(path.key("panic_below"), what);
    }
    if let Some(home) = pool.home.as_ref().filter(|home| !pool.members.contains(*home)) {
        not_a_member(pool, home, &path.key("home"), faults);
    }
}

fn check_weights(pool: &Pool, path: &KeyPath, faults: &mut Faults) {
    for (region, weight) in &pool.weights {
        let path = path.key(region.as_str());
        if !pool.members.contains(region) {
            not_a_member(pool, region, &path, faults);
        }
        faults.range(path, "a weight", (*weight).into(), limits::WEIGHT);
    }
    if !pool.members.is_empty() && pool.members.iter().all(|member| pool.weight(member) == 0) {
        let hint = "a member of weight 0 stands by for the others; give one of them more".to_owned();
        faults.add_with(path.clone(), "the weights are all zero: nobody would be sent anything", hint);
    }
}

fn not_a_member(pool: &Pool, region: &RegionName, path: &KeyPath, faults: &mut Faults) {
    let hint = did_you_mean(region.as_str(), pool.members.iter().map(RegionName::as_str));
    faults.add_with(path.clone(), format!("`{region}` is not a member of this pool"), hint);
}

/// A region has one gateway and one verdict, so one check judges it: its own, or the one on which its pools agree.
fn check_one_check_per_region(world: &World, faults: &mut Faults) {
    let mut judged: BTreeMap<&RegionName, (&str, &str)> = BTreeMap::new();
    for (name, pool) in &world.pools {
        let Some(check) = pool.check.as_deref() else { continue };
        let unsaid = |member: &&RegionName| world.region(member).is_none_or(|region| region.check.is_none());
        for member in pool.members.iter().filter(unsaid) {
            let (first_pool, first) = *judged.entry(member).or_insert((name, check));
            if first != check {
                let what = format!(
                    "pool `{first_pool}` judges region `{member}` by check `{first}`, this one by `{check}`: which one judges the region itself?"
                );
                let hint = format!("give region `{member}` a `check` of its own");
                faults.add_with(KeyPath::root().key("pool").key(name).key("check"), what, hint);
                break;
            }
        }
    }
}
