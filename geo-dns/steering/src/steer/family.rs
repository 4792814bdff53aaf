//! The answers of one address family: A or AAAA.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    geo::{Country, Geo, NOWHERE},
    rr::{RrSet, Rtype},
};

use super::{Basis, Member, Rules, Ttl, walk::walk};

/// The answers of one family. A and AAAA are judged apart, each on the members that have such an address.
#[derive(Debug)]
pub(crate) struct FamilyAnswers {
    variants: Vec<Variant>,
    /// Index of the variant by country; empty if there is only one.
    by_country: Box<[u16]>,
}

/// A finished answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Variant {
    /// The records, best first; none if nothing may be named.
    pub(crate) set: RrSet,
    /// The members they belong to.
    pub(crate) chosen: Vec<usize>,
    pub(crate) basis: Basis,
    pub(crate) ttl: Ttl,
}

impl FamilyAnswers {
    /// Walks each order for this family. `orders` has one by country, or a single one for all.
    pub(super) fn settle(members: &[Member], rules: &Rules, orders: &[Vec<usize>], rtype: Rtype) -> Self {
        let mut variants = Vec::new();
        let mut known: HashMap<(Vec<usize>, Basis, Ttl), u16> = HashMap::new();
        let mut variant_for = |order: &Vec<usize>| {
            let mut order = order.clone();
            order.retain(|&i| members[i].address(rtype).is_some());
            let walk = walk(members, &order, rules);
            *known.entry((walk.chosen.clone(), walk.basis, walk.ttl)).or_insert_with(|| {
                let rdata = walk.chosen.iter().filter_map(|&i| members[i].address(rtype)).map(octets).collect();
                let set = RrSet { rtype, ttl: walk.ttl.seconds, rdata };
                variants.push(Variant { set, chosen: walk.chosen, basis: walk.basis, ttl: walk.ttl });
                (variants.len() - 1) as u16
            })
        };
        let by_country: Box<[u16]> = orders.iter().map(&mut variant_for).collect();
        Self { by_country: if variants.len() > 1 { by_country } else { Box::default() }, variants }
    }

    fn index(&self, country: Country) -> usize {
        self.by_country.get(usize::from(country)).copied().unwrap_or_default().into()
    }

    /// The answer for a client. There always is one, possibly without records.
    pub(crate) fn variant(&self, geo: &Geo, client: IpAddr) -> Option<&Variant> {
        let country = if self.by_country.is_empty() { NOWHERE } else { geo.country(client) };
        self.variants.get(self.index(country))
    }

    /// Length of the widest prefix around a client in which everybody gets the same answer.
    pub(crate) fn scope(&self, geo: &Geo, client: IpAddr) -> u8 {
        if self.by_country.is_empty() {
            return 0;
        }
        let own = self.index(geo.country(client));
        geo.prefix_where(client, |country| self.index(country) == own)
    }
}

impl Variant {
    /// For how long the absence of records holds, seconds: for good if no member has such an address.
    pub(crate) fn negative_seconds(&self) -> u32 {
        if self.basis == Basis::NoMembers { u32::MAX } else { self.ttl.seconds }
    }
}

fn octets(addr: IpAddr) -> Box<[u8]> {
    match addr {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}
