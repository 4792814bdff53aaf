//! Names from which on a zone says nothing itself: delegations (NS below the apex) and DNAMEs.
//!
//! What would stand there would never be heard: a server answers with the delegation, or rewrites the name. Only the servers'
//! own addresses (glue) and DS have a place at a delegation.

use std::collections::BTreeMap;

use super::Faults;
use crate::{Record, RecordData, Zone, errors::KeyPath};

/// Why a zone ends at a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Delegation,
    Dname,
}

pub(super) fn check(zone: &Zone, path: &KeyPath, faults: &mut Faults) {
    let mut ends: BTreeMap<&str, End> = BTreeMap::new();
    for record in &zone.records {
        // Of the two at one name, which is a fault, the delegation is what a server goes by.
        match end(record) {
            Some(End::Delegation) => _ = ends.insert(&record.name, End::Delegation),
            Some(End::Dname) => _ = ends.entry(&record.name).or_insert(End::Dname),
            None => {}
        }
    }
    let mut dnames = BTreeMap::new();
    for (i, record) in zone.records.iter().enumerate() {
        let at = path.key("record").at(i);
        let own = end(record);
        if own.is_some() && record.name.starts_with('*') {
            let what = format!("a wildcard cannot be the owner of {} (RFC 4592, 4)", record.data.type_text());
            faults.add(at.key("name"), what);
        }
        if own == Some(End::Dname)
            && let Some(first) = dnames.insert(record.name.as_str(), i)
        {
            faults.add(at.clone(), format!("`{}` has a DNAME already, record[{first}]", record.name));
        }
        let glue = matches!(record.data, RecordData::A(_) | RecordData::Aaaa(_));
        let beside = glue || own == Some(End::Delegation) || record.data.number().is_some_and(|n| n.0 == 43);
        if ends.get(record.name.as_str()) == Some(&End::Delegation) && !beside {
            let what =
                format!("`{}` is delegated: beside NS only DS and addresses of servers stand there", record.name);
            faults.add(at.key("name"), what);
        }
        if let Some((above, end)) = above(&record.name, &ends).filter(|(_, end)| *end == End::Dname || !glue) {
            hidden(&record.name, above, end, &at, faults);
        }
    }
    for (i, steered) in zone.steered.iter().enumerate() {
        let delegated = ends.get_key_value(steered.name.as_str()).filter(|(_, end)| **end == End::Delegation);
        let here = delegated.map(|(name, end)| (*name, *end));
        if let Some((above, end)) = here.or_else(|| above(&steered.name, &ends)) {
            hidden(&steered.name, above, end, &path.key("steered").at(i), faults);
        }
    }
}

fn end(record: &Record) -> Option<End> {
    match record.data.number()? {
        RecordData::NS if record.name != "@" => Some(End::Delegation),
        RecordData::DNAME => Some(End::Dname),
        _ => None,
    }
}

/// The nearest name above at which the zone ends.
fn above<'n>(owner: &'n str, ends: &BTreeMap<&str, End>) -> Option<(&'n str, End)> {
    let mut rest = owner;
    while let Some((_, parent)) = rest.split_once('.') {
        rest = parent;
        if let Some(end) = ends.get(parent) {
            return Some((parent, *end));
        }
    }
    // A DNAME at the apex covers everything but the apex.
    (owner != "@").then(|| ends.get("@").map(|end| ("@", *end))).flatten()
}

fn hidden(owner: &str, above: &str, end: End, at: &KeyPath, faults: &mut Faults) {
    let what = match end {
        End::Delegation => format!("`{owner}` lies at or below `{above}`, which is delegated to other servers"),
        End::Dname => {
            format!("`{owner}` lies below `{above}`, whose DNAME speaks for everything there (RFC 6672, 2.4)")
        }
    };
    faults.add_with(at.key("name"), what, "nobody would ever be told of it; drop one of the two".to_owned());
}
