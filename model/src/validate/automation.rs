//! What automation may do, and the safety rules: numbers in range, ramps that rise, rules that can hold.

use std::collections::BTreeMap;

use super::{Faults, is_title, regions::check_region_list};
use crate::{
    Automation, SafetyRule, World,
    errors::{KeyPath, did_you_mean},
    limits,
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    check_automation(&world.automation, &KeyPath::root().key("automation"), faults);
    let path = KeyPath::root().key("safety");
    faults.size(&path, "safety rules", world.safety.len(), limits::SAFETY_RULES);
    let mut names = BTreeMap::new();
    for (i, rule) in world.safety.iter().enumerate() {
        let path = path.at(i);
        if !is_title(&rule.name) {
            faults.add(path.key("name"), "a rule's name has 1 to 64 characters and no line breaks");
        } else if let Some(first) = names.insert(rule.name.as_str(), i) {
            faults.add(path.key("name"), format!("`{}` is safety[{first}]'s name already", rule.name));
        }
        check_rule(world, rule, &path, faults);
    }
}

fn check_automation(automation: &Automation, path: &KeyPath, faults: &mut Faults) {
    let ranges = [
        ("max_removed_percent", "a share (percent)", automation.max_removed_percent, limits::SHARE_PERCENT),
        ("velocity_window_s", "a window (s)", automation.velocity_window_s, limits::VELOCITY_WINDOW_S),
        ("max_removals_per_hour", "removals in an hour", automation.max_removals_per_hour, limits::REMOVALS_PER_HOUR),
        (
            "common_mode_regions",
            "regions that fall together",
            automation.common_mode_regions,
            limits::COMMON_MODE_REGIONS,
        ),
        ("common_mode_window_s", "a window (s)", automation.common_mode_window_s, limits::COMMON_MODE_WINDOW_S),
        ("capacity_used_percent", "a share (percent)", automation.capacity_used_percent, limits::SHARE_PERCENT),
        ("degraded_percent", "a share (percent)", automation.degraded_percent, limits::SHARE_PERCENT),
        ("ramp_step_s", "a step (s)", automation.ramp_step_s, limits::RAMP_STEP_S),
    ];
    for (key, what, have, range) in ranges {
        faults.range(path.key(key), what, have.into(), range);
    }
    let (path, ramp) = (path.key("ramp_percent"), &automation.ramp_percent);
    faults.range(path.clone(), "the number of steps", ramp.len() as u64, limits::RAMP_STEPS);
    let mut before = 0;
    for (i, share) in ramp.iter().copied().enumerate() {
        faults.range(path.at(i), "a share on the way back (percent)", share.into(), limits::RAMP_PERCENT);
        if share <= before && i > 0 {
            faults.add(path.at(i), format!("a ramp grows from step to step: {share} % comes after {before} %"));
        }
        before = share;
    }
}

fn check_rule(world: &World, rule: &SafetyRule, path: &KeyPath, faults: &mut Faults) {
    let regions = rule.regions.len() as u64;
    if regions == 0 {
        faults.add(path.key("regions"), "a rule without regions says nothing");
    } else if !(1..=regions).contains(&rule.at_least.into()) {
        let what = format!("of {regions} regions 1 to {regions} can be made to serve, not {}", rule.at_least);
        faults.add(path.key("at_least"), what);
    }
    check_region_list(world, &rule.regions, &path.key("regions"), faults);
    let Some(name) = &rule.pool else { return };
    let Some(pool) = world.pools.get(name) else {
        let hint = did_you_mean(name, world.pools.keys().map(String::as_str));
        return faults.add_with(path.key("pool"), format!("there is no pool `{name}`"), hint);
    };
    for (i, region) in rule.regions.iter().enumerate() {
        if world.region(region).is_some() && !pool.members.contains(region) {
            let what = format!("`{region}` is not a member of pool `{name}`, so it would never be counted");
            faults.add(path.key("regions").at(i), what);
        }
    }
}
