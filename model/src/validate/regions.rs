//! Regions, checks and pools: numbers unique and in range, gateways distinct, references that lead somewhere.

use std::{collections::BTreeMap, net::IpAddr};

use super::Faults;
use crate::{
    Check, Pool, Region, RegionName, World,
    errors::{KeyPath, did_you_mean},
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    let root = KeyPath::root();
    faults.size(&root.key("region"), "regions", world.regions.len(), 1..=World::REGIONS_MAX);
    faults.size(&root.key("check"), "checks", world.checks.len(), 0..=World::POOLS_MAX);
    faults.size(&root.key("pool"), "pools", world.pools.len(), 0..=World::POOLS_MAX);
    check_regions(world, &root.key("region"), faults);
    for (name, check) in &world.checks {
        let path = root.key("check").key(name);
        check_label(name, &path, faults);
        check_check(check, &path, faults);
    }
    for (name, pool) in &world.pools {
        let path = root.key("pool").key(name);
        check_label(name, &path, faults);
        check_pool(world, pool, &path, faults);
    }
    check_one_check_per_region(world, faults);
}

fn check_regions(world: &World, path: &KeyPath, faults: &mut Faults) {
    let (mut names, mut ids, mut gateways) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (i, region) in world.regions.iter().enumerate() {
        let path = path.at(i);
        if let Some(check) = &region.check {
            check_reference(world, check, &path.key("check"), faults);
        }
        if let Some(first) = names.insert(&region.name, i) {
            faults.add(path.key("name"), format!("`{}` is region[{first}]'s name already", region.name));
        }
        faults.range(path.key("id"), "a region's id", region.id.into(), 1..=u16::MAX.into());
        if let Some(first) = ids.insert(region.id, i) {
            faults.add(path.key("id"), format!("{} is region[{first}]'s id already", region.id));
        }
        check_place(region, &path, faults);
        for (key, ip) in addresses(region) {
            if let Some(first) = gateways.insert((ip, region.gateway_port), i) {
                let what = format!("{ip} port {} is region[{first}]'s gateway already", region.gateway_port);
                faults.add(path.key(key), what);
            }
        }
    }
}

fn addresses(region: &Region) -> impl Iterator<Item = (&'static str, IpAddr)> {
    let v4 = region.gateway_v4.map(|ip| ("gateway_v4", IpAddr::from(ip)));
    v4.into_iter().chain(region.gateway_v6.map(|ip| ("gateway_v6", IpAddr::from(ip))))
}

fn check_place(region: &Region, path: &KeyPath, faults: &mut Faults) {
    if region.place.chars().count() > 64 || region.place.chars().any(char::is_control) {
        faults.add(path.key("place"), "a place has at most 64 characters and no line breaks");
    }
    let at = region.location;
    for (key, have, most) in [("latitude", at.latitude, 90.0), ("longitude", at.longitude, 180.0)] {
        if !(-most..=most).contains(&have) {
            // The usual slip is the order of the two.
            let swapped = key == "latitude" && (-90.0..=90.0).contains(&at.longitude) && have.abs() <= 180.0;
            let hint = swapped.then(|| "are latitude and longitude swapped?".to_owned());
            faults.add_with(
                path.key("location").key(key),
                format!("{key} must be {} to {most}, not {have}", -most),
                hint,
            );
        }
    }
    if region.gateway().is_none() {
        let what = format!("region `{}` has no gateway, so nobody could be sent there", region.name);
        faults.add_with(path.clone(), what, "add `gateway_v4 = \"…\"` or `gateway_v6 = \"…\"`".to_owned());
    }
    faults.range(path.key("gateway_port"), "a port", region.gateway_port.into(), 1..=u16::MAX.into());
    for (key, ip) in addresses(region) {
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
            faults.add(path.key(key), format!("{ip} is not an address that one place can have"));
        }
    }
}

/// Names of checks and pools stand in metrics and command lines, so they obey the rule of region names.
fn check_label(name: &str, path: &KeyPath, faults: &mut Faults) {
    if let Err(error) = RegionName::new(name) {
        faults.add(path.clone(), format!("`{name}` cannot be a name: {}", error.why));
    }
}

fn check_check(check: &Check, path: &KeyPath, faults: &mut Faults) {
    faults.range(path.key("interval_ms"), "an interval (ms)", check.interval_ms, 100..=60_000);
    faults.range(path.key("timeout_ms"), "a timeout (ms)", check.timeout_ms, 50..=60_000);
    faults.range(path.key("down_after"), "failures", check.down_after.into(), 1..=100);
    faults.range(path.key("up_after"), "successes", check.up_after.into(), 1..=1000);
    if check.timeout_ms > 10 * check.interval_ms {
        let what = "a timeout of more than ten intervals would pile up unanswered probes";
        faults.add(path.key("timeout_ms"), what);
    }
    let printable = check.path.bytes().all(|b| b.is_ascii_graphic());
    if !check.path.starts_with('/') || !printable || check.path.len() > 512 {
        let hint = (!check.path.starts_with('/') && printable).then(|| format!("did you mean `/{}`?", check.path));
        let what =
            format!("`{}` is not a path: it begins with `/`, without spaces, 512 characters at most", check.path);
        faults.add_with(path.key("path"), what, hint);
    }
}

fn check_pool(world: &World, pool: &Pool, path: &KeyPath, faults: &mut Faults) {
    if pool.members.is_empty() {
        faults.add(path.key("members"), "a pool without members can serve nobody");
    }
    check_region_list(world, &pool.members, &path.key("members"), faults);
    if let Some(check) = &pool.check {
        check_reference(world, check, &path.key("check"), faults);
    }
}

fn check_reference(world: &World, check: &str, path: &KeyPath, faults: &mut Faults) {
    if !world.checks.contains_key(check) {
        let hint = did_you_mean(check, world.checks.keys().map(String::as_str));
        faults.add_with(path.clone(), format!("there is no check `{check}`"), hint);
    }
}

/// Every name in the list is a region's, and none stands twice.
pub(super) fn check_region_list(world: &World, list: &[RegionName], path: &KeyPath, faults: &mut Faults) {
    for (i, name) in list.iter().enumerate() {
        if world.region(name).is_none() {
            let hint = did_you_mean(name.as_str(), world.regions.iter().map(|r| r.name.as_str()));
            faults.add_with(path.at(i), format!("there is no region `{name}`"), hint);
        } else if list[..i].contains(name) {
            faults.add(path.at(i), format!("`{name}` is in the list already"));
        }
    }
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
