//! ALIAS records: their addresses are another name's, so that name must be one of the World's own, and the way must end.

use std::collections::BTreeMap;

use super::Faults;
use crate::{RecordData, World, errors::KeyPath};

/// Longest chain of aliases that is looked through for addresses; a server follows as many.
const ALIASES_MAX: usize = 8;

/// What a name has to say of addresses.
enum Said<'w> {
    Addresses,
    On(&'w str),
    Nothing,
}

/// Everything at one name is looked at once, for all ALIAS records of the World.
pub(super) fn check(world: &World, faults: &mut Faults) {
    let is_alias = |data: &RecordData| matches!(data, RecordData::Alias(_));
    if !world.zones.iter().any(|zone| zone.records.iter().any(|record| is_alias(&record.data))) {
        return;
    }
    let names = names(world);
    for (z, zone) in world.zones.iter().enumerate() {
        for (i, record) in zone.records.iter().enumerate() {
            let RecordData::Alias(target) = &record.data else { continue };
            let path = KeyPath::root().key("zone").at(z).key("record").at(i);
            if let Some((what, hint)) = fault_of(world, &names, target) {
                faults.add_with(path.key("value"), what, hint);
            }
        }
    }
}

fn names(world: &World) -> BTreeMap<String, Said<'_>> {
    let mut names = BTreeMap::new();
    for zone in &world.zones {
        let full = |owner: &str| match owner {
            "@" => zone.origin.clone(),
            owner => format!("{owner}.{}", zone.origin),
        };
        for record in &zone.records {
            let said = match &record.data {
                RecordData::A(_) | RecordData::Aaaa(_) => Said::Addresses,
                RecordData::Cname(target) | RecordData::Alias(target) => Said::On(bare(target)),
                _ => Said::Nothing,
            };
            let known = names.entry(full(&record.name)).or_insert(Said::Nothing);
            if !matches!(said, Said::Nothing) {
                *known = said;
            }
        }
        for steered in zone.steered.iter() {
            names.insert(full(&steered.name), if steered.targets.is_empty() { Said::Addresses } else { Said::Nothing });
        }
    }
    names
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn fault_of(world: &World, names: &BTreeMap<String, Said<'_>>, target: &str) -> Option<(String, Option<String>)> {
    let mut at = bare(target);
    for _ in 0..=ALIASES_MAX {
        let inside = |origin: &str| at == origin || at.strip_suffix(origin).is_some_and(|front| front.ends_with('.'));
        if !world.zones.iter().any(|zone| inside(&zone.origin)) {
            let what = format!(
                "`{at}` lies in none of this world's zones: an ALIAS is answered with addresses that are known here"
            );
            return Some((what, Some("use a CNAME below the zone's own name, or write A and AAAA records".into())));
        }
        match found(names, at) {
            Some(Said::Addresses) => return None,
            Some(Said::On(next)) => at = next,
            Some(Said::Nothing) => return Some((format!("`{at}` has no addresses that could be given"), None)),
            None => return Some((format!("there is no name `{at}` in this world"), None)),
        }
    }
    Some((format!("`{target}` leads in a circle, or over more than {ALIASES_MAX} aliases"), None))
}

/// The name, or the wildcard that speaks for it.
fn found<'n, 'w>(names: &'n BTreeMap<String, Said<'w>>, name: &str) -> Option<&'n Said<'w>> {
    if let Some(said) = names.get(name) {
        return Some(said);
    }
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if let Some(said) = names.get(&format!("*.{parent}")) {
            return Some(said);
        }
        if names.contains_key(parent) {
            return None;
        }
        rest = parent;
    }
    None
}
