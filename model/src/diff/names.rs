//! Names of all zones: which are answered in another way, and which would have no address any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{NameCounts, fields, fields::short};
use crate::{AllDown, Policy, Pool, Record, RecordData, RegionName, Steered, Step, World};

/// What changes of names.
pub(super) struct Names {
    pub(super) counts: NameCounts,
    /// A line for each that comes, goes or says something else.
    pub(super) lines: Vec<String>,
    /// A line for each that would have no address any more.
    pub(super) empty: Vec<String>,
}

/// Everything that is said of one name.
#[derive(Default, PartialEq)]
struct Said<'w> {
    records: Vec<&'w Record>,
    steered: Option<&'w Steered>,
}

/// Whether there are IPv4 and IPv6 addresses.
type Families = [bool; 2];

/// One World's names, written in full, and what its pools can answer.
struct Side<'w> {
    names: BTreeMap<String, Said<'w>>,
    families: BTreeMap<&'w str, Families>,
}

impl Names {
    pub(super) fn between(before: &World, after: &World, serves: &dyn Fn(&str, &RegionName) -> bool) -> Self {
        let pools = changed_pools(before, after);
        let policies = changed_policies(before, after);
        let (was, now) = (Side::of(before, serves), Side::of(after, serves));
        let mut names = Self { counts: NameCounts::default(), lines: Vec::new(), empty: Vec::new() };
        for name in was.names.keys().filter(|name| !now.names.contains_key(*name)) {
            names.counts.go += 1;
            names.lines.push(format!("{} goes", short(name)));
        }
        for (name, said) in &now.names {
            match was.names.get(name) {
                None => {
                    names.counts.come += 1;
                    names.lines.push(format!("{} comes, {}", short(name), said.in_words()));
                }
                Some(old) => names.compare(name, (old, &was), (said, &now), (&pools, &policies)),
            }
        }
        names
    }

    fn compare(
        &mut self,
        name: &str,
        (old, was): (&Said<'_>, &Side<'_>),
        (new, now): (&Said<'_>, &Side<'_>),
        (pools, policies): (&BTreeSet<&str>, &BTreeSet<&str>),
    ) {
        let elsewhere =
            |steered: &Steered| pools.contains(steered.pool.as_str()) || policies.contains(steered.policy.as_str());
        let by_pool = new.steered.is_some_and(elsewhere);
        if old == new && !by_pool {
            return;
        }
        self.counts.change += 1;
        let changes = old.changes(new);
        if old != new {
            let changes =
                if changes.is_empty() { "the same records in another order".into() } else { changes.join(", ") };
            self.lines.push(format!("{}: {changes}", short(name)));
        }
        if let Some(lost) = lost((old, was), (new, now)) {
            self.counts.empty += 1;
            self.empty.push(format!("{} has no {lost} any more", short(name)));
        }
    }
}

/// Which addresses a name would have no more. What an alias leads to is another name's matter.
fn lost((old, was): (&Said<'_>, &Side<'_>), (new, now): (&Said<'_>, &Side<'_>)) -> Option<&'static str> {
    if new.is_alias() {
        return None;
    }
    let ([had_v4, had_v6], [has_v4, has_v6]) = (old.families(was), new.families(now));
    match (had_v4 && !has_v4, had_v6 && !has_v6) {
        (false, false) => (old.is_alias() && !has_v4 && !has_v6).then_some("address"),
        _ if !has_v4 && !has_v6 => Some("address"),
        (true, _) => Some("IPv4 address"),
        (_, true) => Some("IPv6 address"),
    }
}

/// The pools whose names are answered in another way: by other members, by other weights, or with other addresses.
fn changed_pools<'w>(before: &World, after: &'w World) -> BTreeSet<&'w str> {
    let changed = after.pools.iter().filter(|(name, now)| {
        let was = before.pools.get(*name);
        was.is_some_and(|was| {
            let said = (&was.members, &was.weights, was.all_down, was.panic_below)
                != (&now.members, &now.weights, now.all_down, now.panic_below);
            said || now.members.iter().any(|member| addresses(before, member) != addresses(after, member))
        })
    });
    changed.map(|(name, _)| name.as_str()).collect()
}

/// The policies that say something else, or that fall back to one that does.
fn changed_policies<'w>(before: &World, after: &'w World) -> BTreeSet<&'w str> {
    let changed = after.policies.iter().filter(|(name, now)| before.policies.get(*name).is_some_and(|was| was != *now));
    let mut names: BTreeSet<&str> = changed.map(|(name, _)| name.as_str()).collect();
    for _ in 0..World::FALLBACKS_MAX {
        let falls_back = |policy: &Policy| {
            policy
                .steps
                .iter()
                .any(|step| matches!(step, Step::Fallback { policy, .. } if names.contains(policy.as_str())))
        };
        let more: Vec<&str> =
            after.policies.iter().filter(|(_, policy)| falls_back(policy)).map(|(name, _)| name.as_str()).collect();
        names.extend(more);
    }
    names
}

fn addresses(world: &World, region: &RegionName) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    world.region(region).map_or((None, None), |region| (region.gateway_v4, region.gateway_v6))
}

impl<'w> Side<'w> {
    fn of(world: &'w World, serves: &dyn Fn(&str, &RegionName) -> bool) -> Self {
        let mut names: BTreeMap<String, Said<'w>> = BTreeMap::new();
        for zone in &world.zones {
            let full = |owner: &str| match owner {
                "@" => zone.origin.clone(),
                owner => format!("{owner}.{}", zone.origin),
            };
            for record in &zone.records {
                names.entry(full(&record.name)).or_default().records.push(record);
            }
            for steered in &zone.steered {
                names.entry(full(&steered.name)).or_default().steered = Some(steered);
            }
        }
        let families = world.pools.iter().map(|(name, pool)| (name.as_str(), families(world, name, pool, serves)));
        Self { names, families: families.collect() }
    }
}

/// Which addresses a pool has to give: those of the members that serve, or what it says for the case that none does.
fn families(world: &World, name: &str, pool: &Pool, serves: &dyn Fn(&str, &RegionName) -> bool) -> Families {
    let any_serves = pool.members.iter().any(|member| serves(name, member));
    let answered = |member: &&RegionName| match any_serves {
        true => serves(name, member),
        false => pool.all_down == AllDown::FailOpen,
    };
    let regions = pool.members.iter().filter(answered).filter_map(|member| world.region(member));
    regions.fold([false; 2], |[v4, v6], region| [v4 || region.gateway_v4.is_some(), v6 || region.gateway_v6.is_some()])
}

impl Said<'_> {
    fn families(&self, side: &Side<'_>) -> Families {
        if let Some(steered) = self.steered {
            return side.families.get(steered.pool.as_str()).copied().unwrap_or_default();
        }
        let has = |family: fn(&RecordData) -> bool| self.records.iter().any(|record| family(&record.data));
        [has(|data| matches!(data, RecordData::A(_))), has(|data| matches!(data, RecordData::Aaaa(_)))]
    }

    fn is_alias(&self) -> bool {
        self.records.iter().any(|record| matches!(record.data, RecordData::Cname(_) | RecordData::Alias(_)))
    }

    fn in_words(&self) -> String {
        let mut kinds: Vec<&str> = self.records.iter().map(|record| kind_and_value(record).0).collect();
        kinds.sort_unstable();
        kinds.dedup();
        match self.steered {
            Some(steered) => format!("steered to pool `{}`", steered.pool),
            None => kinds.join(", "),
        }
    }

    fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = match (self.steered, new.steered) {
            (Some(old), Some(new)) => fields::changes(old, new, &["name"]).into_iter().map(ttl_in_words).collect(),
            (Some(_), None) => vec!["is steered no more".to_owned()],
            (None, Some(new)) => vec![format!("is steered to pool `{}`", new.pool)],
            (None, None) => Vec::new(),
        };
        let (old, new) = (self.values(), new.values());
        let kinds: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for kind in kinds.into_iter().filter(|kind| old.get(kind) != new.get(kind)) {
            let told = |values: Option<&BTreeSet<String>>| match values {
                None => "(none)".to_owned(),
                Some(values) => short(&values.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
            };
            changes.push(format!("{kind} {} → {}", told(old.get(kind)), told(new.get(kind))));
        }
        changes
    }

    /// Values by type, each with its TTL where it has one of its own.
    fn values(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for record in &self.records {
            let (kind, value) = kind_and_value(record);
            let ttl = record.ttl.map(|ttl| format!(" (TTL {ttl})")).unwrap_or_default();
            values.entry(kind).or_default().insert(format!("{value}{ttl}"));
        }
        values
    }
}

/// The TTL is what people look for: `ttl.max 30 → 60` is `TTL 30 → 60`.
fn ttl_in_words(change: String) -> String {
    match (change.strip_prefix("ttl.max "), change.strip_prefix("ttl.min ")) {
        (Some(values), _) => format!("TTL {values}"),
        (_, Some(values)) => format!("least TTL {values}"),
        _ => change,
    }
}

fn kind_and_value(record: &Record) -> (&str, String) {
    (record.data.type_text(), record.data.value_text())
}
