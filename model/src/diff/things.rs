//! Regions, checks, pools, zones and rules: things with a name each.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{DiffGroup, fields, fields::short};
use crate::{Pool, RegionName, World};

/// Things of one kind, by name.
type Things<'w, T> = BTreeMap<&'w str, &'w T>;

fn listed<'w, T>(things: &'w [T], name: impl Fn(&'w T) -> &'w str) -> Things<'w, T> {
    things.iter().map(|thing| (name(thing), thing)).collect()
}

fn keyed<T>(things: &BTreeMap<String, T>) -> Things<'_, T> {
    things.iter().map(|(name, thing)| (name.as_str(), thing)).collect()
}

/// What changes, kind by kind; the names of the zones are told elsewhere.
pub(super) fn groups(before: &World, after: &World) -> Vec<DiffGroup> {
    let regions = (listed(&before.regions, |r| r.name.as_str()), listed(&after.regions, |r| r.name.as_str()));
    let zones = (listed(&before.zones, |zone| zone.origin.as_str()), listed(&after.zones, |zone| zone.origin.as_str()));
    let safety = (listed(&before.safety, |rule| rule.name.as_str()), listed(&after.safety, |rule| rule.name.as_str()));
    let prefixes = (
        listed(&before.state.prefixes, |prefix| prefix.starts_with.as_str()),
        listed(&after.state.prefixes, |prefix| prefix.starts_with.as_str()),
    );
    let mut state = of_all("state: ", &before.state, &after.state, &["prefix"]);
    state.extend(of_things("prefix", prefixes, &["starts_with"]));
    let lists = (
        listed(&before.prefix_lists, |list| list.name.as_str()),
        listed(&after.prefix_lists, |list| list.name.as_str()),
    );
    let groups = [
        ("world", of_all("", before, after, &ELSEWHERE)),
        ("regions", of_things("region", regions, &["name"])),
        ("checks", of_things("check", (keyed(&before.checks), keyed(&after.checks)), &[])),
        ("pools", of_pools(&keyed(&before.pools), &keyed(&after.pools))),
        ("policies", of_things("policy", (keyed(&before.policies), keyed(&after.policies)), &[])),
        ("prefix lists", of_things("list", lists, &["name"])),
        ("zones", of_things("zone", zones, &["origin", "record", "steered"])),
        ("automation", of_all("", &before.automation, &after.automation, &[])),
        ("safety rules", of_things("rule", safety, &["name"])),
        ("state", state),
    ];
    groups.into_iter().filter_map(|(what, lines)| DiffGroup::of(what, lines.into_iter())).collect()
}

/// The keys of a World that have a group of their own.
const ELSEWHERE: [&str; 9] =
    ["region", "check", "pool", "policy", "prefix_list", "zone", "automation", "safety", "state"];

/// A line for each key that changes.
fn of_all<T: Serialize>(start: &str, before: &T, after: &T, without: &[&str]) -> Vec<String> {
    fields::changes(before, after, without).into_iter().map(|change| format!("{start}{change}")).collect()
}

/// A line for each thing that comes, goes, or changes.
fn of_things<T: Serialize + PartialEq>(
    kind: &str,
    (before, after): (Things<'_, T>, Things<'_, T>),
    without: &[&str],
) -> Vec<String> {
    let mut lines = comings_and_goings(kind, &before, &after);
    for (name, now) in &after {
        let Some(was) = before.get(name).filter(|was| *was != now) else { continue };
        let changes = fields::changes(*was, *now, without);
        if !changes.is_empty() {
            lines.push(format!("{kind} `{}`: {}", short(name), changes.join(", ")));
        }
    }
    lines
}

fn comings_and_goings<T>(kind: &str, before: &Things<'_, T>, after: &Things<'_, T>) -> Vec<String> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| format!("{kind} `{}` goes", short(name)));
    let come = after.keys().filter(|name| !before.contains_key(*name));
    gone.chain(come.map(|name| format!("{kind} `{}` comes", short(name)))).collect()
}

fn of_pools(before: &Things<'_, Pool>, after: &Things<'_, Pool>) -> Vec<String> {
    let mut lines = comings_and_goings("pool", before, after);
    for (name, now) in after {
        let Some(was) = before.get(name).filter(|was| *was != now) else { continue };
        let mut changes = of_members(was, now);
        changes.extend(fields::changes(*was, *now, &["members"]));
        lines.push(format!("pool `{name}` {}", changes.join(", ")));
    }
    lines
}

fn of_members(was: &Pool, now: &Pool) -> Vec<String> {
    let (lost, won) = (missing(was, now), missing(now, was));
    let mut changes = Vec::new();
    if !lost.is_empty() {
        changes.push(format!("loses {}", short(&lost.join(", "))));
    }
    if !won.is_empty() {
        changes.push(format!("gains {}", short(&won.join(", "))));
    }
    if changes.is_empty() && was.members != now.members {
        changes.push("has its members in another order".into());
    }
    changes
}

/// The members of one pool that another one lacks.
fn missing<'p>(these: &'p Pool, those: &Pool) -> Vec<&'p str> {
    these.members.iter().filter(|member| !those.members.contains(member)).map(RegionName::as_str).collect()
}
