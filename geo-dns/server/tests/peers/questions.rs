//! What is asked about a zone: its names, and names around them.

use std::collections::BTreeSet;

use hickory_proto::rr::RecordType;
use model::Zone;

use crate::ask::Ask;

pub(crate) const TYPES: [RecordType; 14] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::NS,
    RecordType::SOA,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::MX,
    RecordType::TXT,
    RecordType::SRV,
    RecordType::DS,
    RecordType::HTTPS,
    RecordType::Unknown(731),
    RecordType::Unknown(65_280),
    RecordType::ANY,
];

/// Names of a zone and around them, with their last dot: each name, one below it, one beside it, and every one above it.
pub(crate) fn names(zone: &Zone) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for record in &zone.records {
        let name = match record.name.as_str() {
            "@" => format!("{}.", zone.origin),
            owner => format!("{owner}.{}.", zone.origin),
        };
        names.insert(format!("nosuch.{name}"));
        names.insert(format!("no.such.{name}"));
        let mut above = name.as_str();
        while above.len() > zone.origin.len() {
            names.insert(above.to_owned());
            names.insert(format!("nosuch.{above}"));
            above = above.split_once('.').map_or("", |(_, above)| above);
        }
    }
    // Longer than names may be, with what was put before them.
    names.retain(|name| model::name_wire(name).is_ok());
    names
}

/// Every name with every type, and the types that the zone has beyond those.
pub(crate) fn all(zone: &Zone) -> Vec<Ask> {
    let others = zone.records.iter().filter_map(|record| Some(RecordType::from(record.data.number()?.0)));
    let types: BTreeSet<u16> = TYPES.into_iter().chain(others).map(u16::from).collect();
    let asks = names(zone).into_iter().flat_map(|name| {
        let of = move |rtype: &u16| Ask::new(&name, RecordType::from(*rtype));
        types.iter().map(of).collect::<Vec<_>>()
    });
    asks.collect()
}
