//! Zones: names that are names, no two owners of the same answer, references that lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Faults, cuts,
    dns_name::{fault_of_absolute, fault_of_name, fault_of_owner, owner_within},
    policies,
    regions::check_region_list,
    service,
};
use crate::{
    Pool, Record, RecordData, Soa, Steered, SteeringPolicy, Step, TypeNumber, World, Zone,
    errors::{KeyPath, did_you_mean},
    limits,
    rdata::one_text,
};

/// Longest chain of aliases; resolvers give up at about as many.
const ALIASES_MAX: usize = 16;

pub(super) fn check(world: &World, zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    if let Some(fault) = fault_of_name(&zone.origin) {
        let hint = zone.origin.ends_with('.').then(|| format!("did you mean `{}`?", zone.origin.trim_end_matches('.')));
        faults.add_with(path.key("origin"), format!("`{}` is not an origin: {fault}", zone.origin), hint);
    }
    faults.range(path.key("ttl"), "a TTL (s)", zone.ttl.into(), limits::STATIC_TTL);
    faults.size(&path.key("record"), "records in a zone", zone.records.len(), 0..=World::NAMES_MAX as u64);
    faults.size(&path.key("steered"), "steered names in a zone", zone.steered.len(), 0..=World::NAMES_MAX as u64);
    check_soa(&zone.soa, zone, &path.key("soa"), faults);
    check_servers(zone, &path.key("ns"), faults);
    for (i, record) in zone.records.iter().enumerate() {
        check_record(record, zone, &path.key("record").at(i), faults);
    }
    check_records_together(zone, &path.key("record"), faults);
    check_aliases_end(zone, &path.key("record"), faults);
    cuts::check(zone, path, faults);
    for (i, steered) in zone.steered.iter().enumerate() {
        check_steered(world, steered, zone, &path.key("steered").at(i), faults);
    }
    check_steered_alone(zone, &path.key("steered"), faults);
}

fn check_soa(soa: &Soa, zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    if !soa.primary.is_empty()
        && let Some((what, hint)) = fault_of_absolute(&soa.primary, &zone.origin)
    {
        faults.add_with(path.key("primary"), what, hint);
    }
    if let Some(ttl) = soa.ttl {
        faults.range(path.key("ttl"), "a TTL (s)", ttl.into(), limits::STATIC_TTL);
    }
    if !soa.mail.is_empty() {
        let at = soa.mail.contains('@').then(|| format!("did you mean `{}`?", soa.mail.replace('@', ".")));
        if let Some((what, hint)) = fault_of_absolute(&soa.mail, &zone.origin) {
            faults.add_with(path.key("mail"), what, at.or(hint));
        }
    }
    for (key, have) in [("refresh", soa.refresh), ("retry", soa.retry), ("expire", soa.expire)] {
        faults.range(path.key(key), "seconds", have.into(), limits::SOA);
    }
    faults.range(path.key("minimum"), "the TTL of negative answers (s)", soa.minimum.into(), limits::NEGATIVE_TTL);
}

fn check_servers(zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    if zone.ns.is_empty() {
        faults.add(path.clone(), "a zone needs the name of a server at least");
    }
    faults.size(path, "servers of a zone", zone.ns.len(), 0..=World::REGIONS_MAX as u64);
    for (i, server) in zone.ns.iter().enumerate() {
        let path = path.at(i);
        if let Some((what, hint)) = fault_of_absolute(server, &zone.origin) {
            faults.add_with(path, what, hint);
        } else if zone.ns[..i].contains(server) {
            faults.add(path, format!("`{server}` is in the list already"));
        } else if let Some(owner) = owner_within(server, &zone.origin).filter(|owner| !has_address(zone, owner)) {
            let hint = format!("add an A or AAAA record of `{owner}`");
            faults.add_with(path, format!("`{server}` lies in this zone, which has no address for it"), hint);
        }
    }
}

fn has_address(zone: &Zone, owner: &str) -> bool {
    let fixed =
        |r: &Record| r.name == owner && matches!(r.data, RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Alias(_));
    zone.records.iter().any(fixed) || zone.steered.iter().any(|s| s.name == owner)
}

fn check_record(record: &Record, zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    if let Some((what, hint)) = fault_of_owner(&record.name, &zone.origin) {
        faults.add_with(path.key("name"), what, hint);
    }
    if let Some(ttl) = record.ttl {
        faults.range(path.key("ttl"), "a TTL (s)", ttl.into(), limits::STATIC_TTL);
    }
    match &record.data {
        RecordData::Cname(target) => {
            if let Some((what, hint)) = fault_of_absolute(target, &zone.origin) {
                faults.add_with(path.key("value"), what, hint);
            }
            if record.name == "@" {
                let what = "a CNAME cannot stand at the zone's own name, beside SOA and NS (RFC 1034, 3.6.2)";
                let hint = "write an ALIAS, or steer `@` with a [[zone.steered]]".to_owned();
                faults.add_with(path.key("type"), what, hint);
            }
        }
        RecordData::Alias(target) => {
            if record.ttl.is_some() {
                faults
                    .add(path.key("ttl"), "an ALIAS has none of its own: its addresses have the TTL of those they are");
            }
            if let Some((what, hint)) = fault_of_absolute(target, &zone.origin) {
                faults.add_with(path.key("value"), what, hint);
            }
        }
        RecordData::Txt(text) if !limits::TXT_BYTES.contains(&(text.len() as u64)) => {
            let most = limits::TXT_BYTES.end();
            faults.add(path.key("value"), format!("a text has 1 to {most} bytes, not {}", text.len()));
        }
        RecordData::Txt(_) | RecordData::A(_) | RecordData::Aaaa(_) => {}
        RecordData::Other { rtype, value } => check_other((rtype, value), record, path, faults),
    }
}

/// A type that has no form of its own in a World.
fn check_other((rtype, value): (&str, &str), record: &Record, path: &KeyPath, faults: &mut Faults) {
    let number = match TypeNumber::parse(rtype) {
        Ok(number) => number,
        Err(why) => return faults.add(path.key("type"), format!("`{rtype}` is not a type of record: {why}")),
    };
    let better = match number.0 {
        1 => Some("write type = \"A\""),
        5 => Some("write type = \"CNAME\""),
        16 if rtype == "TXT" || is_one_text(value) => Some("write type = \"TXT\""),
        28 => Some("write type = \"AAAA\""),
        6 => Some("the zone's `soa` says it"),
        2 if record.name == "@" => Some("the zone's `ns` says it"),
        46 | 47 | 50 | 51 => Some("such records come with signing"),
        _ => None,
    };
    if let Some(better) = better {
        faults.add_with(path.key("type"), format!("`{rtype}` cannot be written here"), better.to_owned());
    } else if let Err(why) = number.wire(value) {
        faults.add(path.key("value"), format!("`{value}` is not data of {rtype}: {why}"));
    }
}

/// Whether data of TXT, which may be several strings of any bytes, is what `type = "TXT"` would make of one text.
fn is_one_text(value: &str) -> bool {
    TypeNumber(16).wire(value).is_ok_and(|data| one_text(&data).is_some())
}

/// Rules between records of one owner: CNAME alone, ALIAS without other addresses, nothing twice, one TTL per set (RFC 2181, 5.2).
fn check_records_together(zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    let mut by_owner: Vec<(usize, &Record)> = zone.records.iter().enumerate().collect();
    by_owner.sort_by_key(|(_, record)| &record.name);
    for records in by_owner.chunk_by(|a, b| a.1.name == b.1.name) {
        let [(_, Record { name: owner, .. }), _, ..] = records else { continue };
        if let Some((at, _)) = records.iter().find(|(_, r)| matches!(r.data, RecordData::Cname(_))) {
            faults.add(path.at(*at).key("name"), format!("a CNAME stands alone: `{owner}` has other records, too"));
            continue;
        }
        let alias = records.iter().find(|(_, r)| matches!(r.data, RecordData::Alias(_)));
        let is_address = |r: &Record| matches!(r.data, RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Alias(_));
        if let Some((at, _)) = alias.filter(|_| records.iter().filter(|(_, r)| is_address(r)).count() > 1) {
            let what = format!("an ALIAS says all addresses of `{owner}`, which has others, too");
            faults.add(path.at(*at).key("name"), what);
            continue;
        }
        let (mut seen, mut ttls) = (BTreeSet::new(), BTreeMap::new());
        for (i, record) in records {
            let (rtype, data) = data_key(&record.data);
            // TXT and TYPE16 are two ways to write one type.
            let first = *ttls.entry(record.data.number()).or_insert(record.ttl);
            if !seen.insert((rtype, data)) {
                faults.add(path.at(*i), format!("`{owner}` has this very record already"));
            }
            if first != record.ttl {
                let what = format!("the {rtype} records of `{owner}` must have one TTL");
                faults.add(path.at(*i).key("ttl"), what);
            }
        }
    }
}

fn data_key(data: &RecordData) -> (&str, String) {
    (data.type_text(), data.value_text())
}

/// Aliases inside the zone lead somewhere, not in a circle.
fn check_aliases_end(zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    let aliases: BTreeMap<&str, &str> = zone
        .records
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Cname(target) => Some((record.name.as_str(), owner_within(target, &zone.origin)?)),
            _ => None,
        })
        .collect();
    for (i, record) in zone.records.iter().enumerate() {
        let mut at = Some(record.name.as_str());
        for _ in 0..=ALIASES_MAX {
            at = at.and_then(|owner| aliases.get(owner).copied());
        }
        if at.is_some() {
            let what = format!("the alias `{}` leads in a circle, or over more than {ALIASES_MAX} others", record.name);
            faults.add(path.at(i).key("value"), what);
        }
    }
}

fn check_steered(world: &World, steered: &Steered, zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    if let Some((what, hint)) = fault_of_owner(&steered.name, &zone.origin) {
        faults.add_with(path.key("name"), what, hint);
    }
    match world.pools.get(&steered.pool) {
        Some(pool) => {
            check_order(world, steered, pool, &path.key("order"), faults);
            check_fences(world, steered, pool, &path.key("policy"), faults);
        }
        None => {
            let hint = did_you_mean(&steered.pool, world.pools.keys().map(String::as_str));
            faults.add_with(path.key("pool"), format!("there is no pool `{}`", steered.pool), hint);
        }
    }
    policies::check_reference(world, &steered.policy, &path.key("policy"), faults);
    service::check(steered, path, faults);
    check_targets(world, steered, zone, path, faults);
    faults.range(path.key("take"), "the number of addresses in an answer", steered.take as u64, limits::TAKE);
    let (min, max) = (steered.ttl.min, steered.ttl.max);
    if !limits::STEERED_TTL.contains(&max.into()) {
        let most = limits::STEERED_TTL.end();
        let why = "resolvers go on naming a dead region for as long as they may keep the answer";
        let what = format!("the TTL of a steered name must be 1 to {most} s, not {max}: {why}");
        faults.add(path.key("ttl").key("max"), what);
    }
    if min > max {
        faults.add(path.key("ttl").key("min"), format!("the least TTL, {min} s, is above the greatest, {max} s"));
    }
}

fn check_order(world: &World, steered: &Steered, pool: &Pool, path: &KeyPath, faults: &mut Faults) {
    if steered.policy != SteeringPolicy::Failover && !steered.order.is_empty() {
        faults.add_with(
            path.clone(),
            "an order says nothing to this policy",
            "use policy = \"failover\", or drop it".to_owned(),
        );
        return;
    }
    check_region_list(world, &steered.order, path, faults);
    for (i, name) in steered.order.iter().enumerate() {
        if world.region(name).is_some() && !pool.members.contains(name) {
            let what = format!("`{name}` is not a member of pool `{}`", steered.pool);
            faults.add(path.at(i), what);
        }
    }
}

/// A fence that no member of the pool is inside of would keep its clients from everybody.
fn check_fences(world: &World, steered: &Steered, pool: &Pool, path: &KeyPath, faults: &mut Faults) {
    let SteeringPolicy::Named(name) = &steered.policy else { return };
    for step in world.policies.get(name).into_iter().flat_map(|policy| &policy.steps) {
        let Step::Fence { regions, .. } = step else { continue };
        if !regions.is_empty() && !regions.iter().any(|region| pool.members.contains(region)) {
            let what = format!("policy `{name}` has a fence that no member of pool `{}` is inside of", steered.pool);
            faults.add(path.clone(), what);
        }
    }
}

/// A name that is an alias by region.
fn check_targets(world: &World, steered: &Steered, zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    let at = path.key("targets");
    if steered.targets.is_empty() {
        return;
    }
    if steered.name == "@" {
        let what = "a CNAME cannot stand at the zone's own name, beside SOA and NS (RFC 1034, 3.6.2)";
        faults.add_with(at.clone(), what, "steer addresses there, or write an ALIAS".to_owned());
    }
    if steered.take != 1 {
        faults.add(path.key("take"), "a name has one CNAME: take = 1");
    }
    if steered.https.is_some() || steered.svcb.is_some() {
        faults.add(at.clone(), "a CNAME stands alone: the names it leads to have their own HTTPS and SVCB records");
    }
    if let Some(beside) = zone.records.iter().find(|record| record.name == steered.name) {
        let what = format!("a CNAME stands alone: `{}` has a {} record", steered.name, beside.data.type_text());
        faults.add(at.clone(), what);
    }
    for (region, target) in &steered.targets {
        let at = at.key(region.as_str());
        if world.region(region).is_none() {
            faults.add(at.clone(), format!("there is no region `{region}`"));
        }
        if let Some((what, hint)) = fault_of_absolute(target, &zone.origin) {
            faults.add_with(at, what, hint);
        }
    }
}

/// A steered name owns A and AAAA: no static ones beside it, no alias, no second steering.
fn check_steered_alone(zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    let rival = |data: &RecordData| {
        matches!(data, RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_) | RecordData::Alias(_))
    };
    let others = zone.records.iter().filter(|record| rival(&record.data));
    let rivals: BTreeMap<&str, &Record> = others.map(|record| (record.name.as_str(), record)).collect();
    let mut seen = BTreeMap::new();
    for (i, steered) in zone.steered.iter().enumerate() {
        let path = path.at(i).key("name");
        if let Some(first) = seen.insert(steered.name.as_str(), i) {
            faults.add(path.clone(), format!("`{}` is steered[{first}] already", steered.name));
        }
        for (number, key) in
            [(65, steered.https.as_ref().map(|_| "https")), (64, steered.svcb.as_ref().map(|_| "svcb"))]
        {
            let Some(key) = key else { continue };
            let is_rival = |r: &&Record| r.name == steered.name && r.data.number() == Some(TypeNumber(number));
            if zone.records.iter().any(|record| is_rival(&record)) {
                let what = format!("`{}` has a static record of this type, too", steered.name);
                faults.add_with(path.clone(), what, format!("drop the record, or `{key}`"));
            }
        }
        if let Some(record) = rivals.get(steered.name.as_str()) {
            let kind = data_key(&record.data).0;
            let what =
                format!("`{}` has a static {kind} record; a steered name owns its addresses alone", steered.name);
            faults.add_with(path, what, "drop the record, or the steering".to_owned());
        }
    }
}
