//! Policies: steps that mean something where they stand, references that lead somewhere, chains that end. And prefix lists.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Faults, checks::check_label};
use crate::{
    Clients, Policy, RegionName, SteeringPolicy, Step, World,
    errors::{KeyPath, did_you_mean},
    limits,
};

pub(super) fn check(world: &World, faults: &mut Faults) {
    let root = KeyPath::root().key("policy");
    faults.size(&root, "policies", world.policies.len(), 0..=World::POLICIES_MAX as u64);
    for (name, policy) in &world.policies {
        let path = root.key(name);
        check_label(name, &path, faults);
        if SteeringPolicy::SIMPLE.contains(&name.as_str()) {
            faults.add(path.clone(), format!("`{name}` is always there, and cannot be another policy's name"));
        }
        check_steps(world, policy, &path.key("step"), faults);
        check_end(world, name, &path.key("step"), faults);
    }
    check_lists(world, faults);
}

fn check_steps(world: &World, policy: &Policy, path: &KeyPath, faults: &mut Faults) {
    let (least, most) = (limits::STEPS.start(), limits::STEPS.end());
    if !limits::STEPS.contains(&(policy.steps.len() as u64)) {
        faults.add(path.clone(), format!("a policy has {least} to {most} steps, not {}", policy.steps.len()));
    }
    // What the steps so far have left to do.
    let (mut ordered_by, mut taken, mut fallback) = (None, false, false);
    for (i, step) in policy.steps.iter().enumerate() {
        let (path, kind) = (path.at(i), step.kind());
        for region in
            step.regions().into_iter().filter(|region| world.region(region).is_none()).collect::<BTreeSet<_>>()
        {
            let hint = did_you_mean(region.as_str(), world.regions.iter().map(|r| r.name.as_str()));
            faults.add_with(path.clone(), format!("there is no region `{region}`"), hint);
        }
        match step {
            Step::Fence { .. } | Step::Spill { .. } | Step::Trickle { .. } if taken => {
                let what = format!("`{kind}` behind `take` would come too late: members have been picked by then");
                faults.add_with(path.key("kind"), what, "put it before the first `take`".to_owned());
            }
            Step::Take { .. } => (ordered_by, taken) = (None, true),
            Step::Fallback { .. } if fallback => {
                faults.add(path.key("kind"), "a policy falls back once; the pool it falls back to may do so again");
            }
            Step::Fallback { .. } => fallback = true,
            _ => {}
        }
        if let Some(earlier) = ordered_by.filter(|_| step.orders_all() || matches!(step, Step::Map { .. })) {
            let what = format!("`{earlier}` has put all members in order: `{kind}` would change nothing");
            faults.add_with(path.key("kind"), what, "put a `take` between the two, or drop one".to_owned());
        } else if step.orders_all() {
            ordered_by = Some(kind);
        }
        check_step(world, step, &path, faults);
    }
}

fn check_step(world: &World, step: &Step, path: &KeyPath, faults: &mut Faults) {
    match step {
        Step::Fence { clients, regions, .. } => {
            check_some(regions.len(), &path.key("regions"), faults);
            clients
                .iter()
                .enumerate()
                .for_each(|(i, who)| check_clients(world, who, &path.key("clients").at(i), faults));
        }
        Step::Map { orders } => {
            faults.range(path.key("orders"), "the number of entries", orders.len() as u64, limits::MAP_ENTRIES);
            for (who, order) in orders {
                let path = path.key("orders").key(&who.to_string());
                check_clients(world, who, &path, faults);
                check_some(order.len(), &path, faults);
            }
        }
        Step::Latency { ms } => {
            faults.range(path.key("ms"), "the number of entries", ms.len() as u64, limits::MAP_ENTRIES);
            for (who, table) in ms {
                let path = path.key("ms").key(&who.to_string());
                check_clients(world, who, &path, faults);
                for (region, ms) in table {
                    faults.range(path.key(region.as_str()), "a round trip (ms)", (*ms).into(), limits::LATENCY_MS);
                }
            }
        }
        Step::Nearest { bias } => {
            for (region, percent) in
                bias.iter().filter(|(_, percent)| !limits::BIAS_PERCENT.contains(&(**percent).into()))
            {
                faults.add(path.key("bias").key(region.as_str()), format!("a bias is -99 to 99, not {percent}"));
            }
        }
        Step::Weighted { weights } | Step::Sticky { weights, .. } => {
            for (region, weight) in weights {
                faults.range(path.key("weights").key(region.as_str()), "a weight", (*weight).into(), limits::WEIGHT);
            }
            if !weights.is_empty() && weights.values().all(|weight| *weight == 0) {
                faults.add(path.key("weights"), "the weights are all zero: nobody would be sent anything");
            }
            if let Step::Sticky { max_load_percent: Some(percent), .. } = step {
                let at = path.key("max_load_percent");
                faults.range(at, "the most that a member is sent (%)", (*percent).into(), limits::MAX_LOAD_PERCENT);
            }
        }
        Step::Spill { low_permille: low, high_permille: high } => {
            faults.range(path.key("low_permille"), "a load (‰)", (*low).into(), limits::LOAD_PERMILLE);
            faults.range(path.key("high_permille"), "a load (‰)", (*high).into(), limits::LOAD_PERMILLE);
            if low >= high {
                let what = format!("the load from which everybody is sent elsewhere, {high} ‰, must be above {low} ‰");
                faults.add(path.key("high_permille"), what);
            }
        }
        Step::Trickle { permille, .. } => {
            faults.range(path.key("permille"), "a trickle (‰)", (*permille).into(), limits::TRICKLE_PERMILLE);
        }
        Step::Take { count } => {
            faults.range(path.key("count"), "the number of members", *count as u64, limits::STEP_TAKE);
        }
        Step::Fallback { pool, policy } => {
            if !world.pools.contains_key(pool) {
                let hint = did_you_mean(pool, world.pools.keys().map(String::as_str));
                faults.add_with(path.key("pool"), format!("there is no pool `{pool}`"), hint);
            }
            check_reference(world, policy, &path.key("policy"), faults);
        }
        Step::Failover { .. } | Step::Shuffle {} => {}
    }
}

fn check_some(count: usize, path: &KeyPath, faults: &mut Faults) {
    if count == 0 {
        faults.add(path.clone(), "a list without regions leads nowhere");
    }
}

fn check_clients(world: &World, clients: &Clients, path: &KeyPath, faults: &mut Faults) {
    let Clients::List(name) = clients else { return };
    if !world.prefix_lists.iter().any(|list| list.name == *name) {
        let hint = did_you_mean(name, world.prefix_lists.iter().map(|list| list.name.as_str()));
        faults.add_with(path.clone(), format!("there is no prefix list `{name}`"), hint);
    }
}

/// The policy is there.
pub(super) fn check_reference(world: &World, policy: &SteeringPolicy, path: &KeyPath, faults: &mut Faults) {
    let SteeringPolicy::Named(name) = policy else { return };
    if !world.policies.contains_key(name) {
        let known = world.policies.keys().map(String::as_str).chain(SteeringPolicy::SIMPLE);
        faults.add_with(path.clone(), format!("there is no policy `{name}`"), did_you_mean(name, known));
    }
}

/// Falling back ends, soon.
fn check_end(world: &World, name: &str, path: &KeyPath, faults: &mut Faults) {
    let mut way = vec![name];
    while let Some(SteeringPolicy::Named(next)) = way.last().and_then(|at| falls_back_to(world, at)) {
        if way.contains(&next.as_str()) {
            way.push(next);
            return faults.add(path.clone(), format!("falling back leads in a circle: {}", way.join(" → ")));
        }
        way.push(next);
        if way.len() > World::FALLBACKS_MAX {
            let most = World::FALLBACKS_MAX;
            return faults
                .add(path.clone(), format!("more than {most} policies fall back to each other: {}", way.join(" → ")));
        }
    }
}

fn falls_back_to<'w>(world: &'w World, name: &str) -> Option<&'w SteeringPolicy> {
    world.policies.get(name)?.steps.iter().find_map(|step| match step {
        Step::Fallback { policy, .. } => Some(policy),
        _ => None,
    })
}

fn check_lists(world: &World, faults: &mut Faults) {
    let root = KeyPath::root().key("prefix_list");
    faults.size(&root, "prefix lists", world.prefix_lists.len(), 0..=World::PREFIX_LISTS_MAX as u64);
    for (i, list) in world.prefix_lists.iter().enumerate() {
        let path = root.at(i);
        if let Err(error) = RegionName::new(list.name.as_str()) {
            faults.add(path.key("name"), format!("`{}` is not a name: {}", list.name, error.why));
        }
        if world.prefix_lists[..i].iter().any(|other| other.name == list.name) {
            faults.add(path.key("name"), format!("there is a prefix list `{}` already", list.name));
        }
        let path = path.key("prefixes");
        faults.range(path.clone(), "the number of networks", list.prefixes.len() as u64, limits::PREFIXES);
        for (i, text) in list.prefixes.iter().enumerate() {
            if let Err(why) = network(text) {
                faults.add(path.at(i), format!("`{text}` is not a network: {why}"));
            }
        }
    }
}

/// Reads `address/length`.
pub(crate) fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let how = || "it is written like 192.0.2.0/24 or 2001:db8::/32".to_owned();
    let (addr, length) = text.split_once('/').ok_or_else(how)?;
    let (addr, length): (IpAddr, u8) = (addr.parse().map_err(|_| how())?, length.parse().map_err(|_| how())?);
    let (bits, most) = match addr {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    if length > most {
        return Err(format!("its length is 0 to {most}"));
    }
    if bits.checked_shl(length.into()).unwrap_or(0) != 0 {
        return Err(format!("it has bits behind the first {length}"));
    }
    Ok((addr, length))
}
