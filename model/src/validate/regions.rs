//! Regions: numbers unique and in range, gateways distinct, places on this planet.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Faults, checks::check_reference};
use crate::{
    Region, RegionName, World,
    errors::{KeyPath, did_you_mean},
    limits,
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    let root = KeyPath::root();
    faults.size(&root.key("region"), "regions", world.regions.len(), limits::REGIONS);
    check_regions(world, &root.key("region"), faults);
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
        faults.range(path.key("id"), "a region's id", region.id.into(), limits::ID);
        if let Some(first) = ids.insert(region.id, i) {
            faults.add(path.key("id"), format!("{} is region[{first}]'s id already", region.id));
        }
        check_place(region, &path, faults);
        check_capacity(region, &path, faults);
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
    if !limits::PLACE_CHARS.contains(&(region.place.chars().count() as u64))
        || region.place.chars().any(char::is_control)
    {
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
    faults.range(path.key("gateway_port"), "a port", region.gateway_port.into(), limits::PORT);
    for (key, ip) in addresses(region) {
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
            faults.add(path.key(key), format!("{ip} is not an address that one place can have"));
        }
    }
}

fn check_capacity(region: &Region, path: &KeyPath, faults: &mut Faults) {
    match region.capacity_rps {
        Some(0) => faults.add_with(
            path.key("capacity_rps"),
            format!("zero capacity: region `{}` could not serve a single request", region.name),
            "leave the key out if nobody knows it; `atoll drain` takes a region out of answers".to_owned(),
        ),
        Some(rps) => faults.range(path.key("capacity_rps"), "requests per second", rps.into(), limits::CAPACITY_RPS),
        None => {}
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
