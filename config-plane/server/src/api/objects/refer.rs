//! Who refers to an object: as long as anybody does, it stays.

use model::{Clients, Policy, RegionName, Step, World};
use plane_client::{Problem, ProblemKind};

use super::kinds::Kind;
use crate::api::problem::No;

/// How many referrers are named.
const NAMED: usize = 20;

/// Refused while something refers to the object.
pub(super) fn check_free(kind: &Kind, name: &str, world: &World) -> Result<(), No> {
    let mut referrers = match kind.key {
        "region" => to_region(world, name),
        "check" => to_check(world, name),
        "pool" => to_pool(world, name),
        "policy" => to_policy(world, name),
        "prefix_list" => to_prefix_list(world, name),
        _ => Vec::new(),
    };
    if referrers.is_empty() {
        return Ok(());
    }
    let all = referrers.len();
    referrers.truncate(NAMED);
    let more = if all > NAMED { format!(" and {} more", all - NAMED) } else { String::new() };
    let message = format!("the {} `{name}` is still referred to by {}{more}", kind.noun, referrers.join(", "));
    let problem = Problem::new(ProblemKind::Refused, message).rule("referred").hint("change those first");
    Err(No(Problem { referrers: referrers.into(), ..problem }))
}

fn to_region(world: &World, name: &str) -> Vec<String> {
    let is = |region: &RegionName| region.as_str() == name;
    let pools = world.pools.iter().filter(|(_, pool)| {
        pool.members.iter().any(is) || pool.weights.keys().any(is) || pool.home.as_ref().is_some_and(is)
    });
    let rules = world.safety.iter().filter(|rule| rule.regions.iter().any(is));
    let is_named = |policy: &Policy| policy.steps.iter().any(|step| step.regions().into_iter().any(is));
    pools
        .map(|(pool, _)| format!("pool {pool}"))
        .chain(policies(world, is_named))
        .chain(names(world, |steered| steered.order.iter().chain(steered.targets.keys()).any(is)))
        .chain(rules.map(|rule| format!("safety rule {}", rule.name)))
        .collect()
}

fn to_check(world: &World, name: &str) -> Vec<String> {
    let is = |check: &Option<String>| check.as_deref() == Some(name);
    let regions =
        world.regions.iter().filter(|region| is(&region.check)).map(|region| format!("region {}", region.name));
    let pools = world.pools.iter().filter(|(_, pool)| is(&pool.check)).map(|(pool, _)| format!("pool {pool}"));
    regions.chain(pools).collect()
}

fn to_pool(world: &World, name: &str) -> Vec<String> {
    let rules = world.safety.iter().filter(|rule| rule.pool.as_deref() == Some(name));
    let falls_back = |step: &Step| matches!(step, Step::Fallback { pool, .. } if pool == name);
    let policies = policies(world, |policy| policy.steps.iter().any(falls_back));
    names(world, |steered| steered.pool == name)
        .chain(policies)
        .chain(rules.map(|rule| format!("safety rule {}", rule.name)))
        .collect()
}

fn to_policy(world: &World, name: &str) -> Vec<String> {
    let falls_back = |step: &Step| matches!(step, Step::Fallback { policy, .. } if policy.as_str() == name);
    let policies = policies(world, |policy| policy.steps.iter().any(falls_back));
    names(world, |steered| steered.policy.as_str() == name).chain(policies).collect()
}

fn to_prefix_list(world: &World, name: &str) -> Vec<String> {
    let is = |clients: &Clients| matches!(clients, Clients::List(list) if list == name);
    let speaks_of = |step: &Step| match step {
        Step::Fence { clients, .. } => clients.iter().any(is),
        Step::Map { orders } => orders.keys().any(is),
        Step::Latency { ms } => ms.keys().any(is),
        _ => false,
    };
    policies(world, |policy| policy.steps.iter().any(speaks_of)).collect()
}

/// The policies of which something is true.
fn policies(world: &World, is: impl Fn(&Policy) -> bool) -> impl Iterator<Item = String> {
    world.policies.iter().filter(move |(_, policy)| is(policy)).map(|(name, _)| format!("policy {name}"))
}

/// The steered names of which something is true, as users write them.
fn names(world: &World, is: impl Fn(&model::Steered) -> bool) -> impl Iterator<Item = String> {
    world.zones.iter().flat_map(move |zone| {
        let told = |steered: &model::Steered| match steered.name.as_str() {
            "@" => format!("name {}", zone.origin),
            name => format!("name {name}.{}", zone.origin),
        };
        zone.steered.iter().filter(|steered| is(steered)).map(told).collect::<Vec<_>>()
    })
}
