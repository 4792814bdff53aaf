//! Zones of one server: no origin twice, and no name that two of them would answer for.
//!
//! A zone inside another one is right as long as the outer one has nothing at or below the inner one's origin: the inner one
//! answers there, so what the outer one says would never be heard. The exception is what joins the two (RFC 1034, 4.2): a
//! delegation, NS records in the outer zone, which others read; one server that holds both needs none for its own answers.

use std::collections::BTreeMap;

use super::{Faults, dns_name::owner_within};
use crate::{RecordData, Zone, errors::KeyPath};

pub(super) fn check(zones: &[Zone], path: &KeyPath, faults: &mut Faults) {
    let mut origins: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, zone) in zones.iter().enumerate() {
        if let Some(first) = origins.insert(zone.origin.as_str(), i) {
            faults.add(path.at(i).key("origin"), format!("`{}` is zone[{first}]'s origin already", zone.origin));
        }
    }
    for (i, inner) in zones.iter().enumerate() {
        let mut around = inner.origin.as_str();
        while let Some((_, parent)) = around.split_once('.') {
            around = parent;
            let Some(outer) = origins.get(parent).and_then(|at| zones.get(*at).map(|zone| (*at, zone))) else {
                continue;
            };
            check_pair(inner, outer, &path.at(i).key("origin"), faults);
        }
    }
}

fn check_pair(inner: &Zone, (at, outer): (usize, &Zone), path: &KeyPath, faults: &mut Faults) {
    let Some(within) = owner_within(&inner.origin, &outer.origin) else { return };
    if outer.records.iter().any(|record| record.name == within && record.data.number() == Some(RecordData::NS)) {
        // What may stand at a delegation and below is looked at in `cuts.rs`.
        return;
    }
    let rival = |owner: &str| owner == within || owner.strip_suffix(within).is_some_and(|rest| rest.ends_with('.'));
    let records = outer.records.iter().map(|record| record.name.as_str());
    let steered = outer.steered.iter().map(|steered| steered.name.as_str());
    let Some(name) = records.chain(steered).find(|owner| rival(owner)) else { return };
    let what = format!(
        "zone `{}` lies inside zone[{at}], `{}`, which has `{name}` there itself: nobody would ever be told of it",
        inner.origin, outer.origin
    );
    let hint = format!(
        "move `{name}` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one"
    );
    faults.add_with(path.clone(), what, hint);
}
