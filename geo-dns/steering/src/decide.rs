//! Which records answer a question. No packets here.

use std::net::IpAddr;

use crate::{
    name::{Name, is_within},
    rr::{Rcode, RrSet, Rtype},
    steer::{Steering, Variant},
    view::{Found, Node, View, Zone},
};

/// How many aliases are followed. A longer chain ends where it is; the resolver asks for the rest if it wants it.
const MAX_ALIASES: usize = 8;

/// Whom an answer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Whose place counts.
    pub(crate) place: IpAddr,
    /// Whether the answer has to say for whom else it holds.
    pub(crate) scoped: bool,
}

/// What a question gets.
pub(crate) struct Decision<'v> {
    pub(crate) rcode: Rcode,
    /// None outside our zones.
    pub(crate) zone: Option<&'v Zone>,
    /// Aliases on the way, each the owner of the next; the first belongs to the name asked for.
    pub(crate) aliases: Aliases<'v>,
    /// The records at the end of the way.
    pub(crate) records: Option<&'v RrSet>,
    /// TTL of the SOA record that proves a "no", seconds.
    pub(crate) negative_ttl: Option<u32>,
    /// The steered answer, if the end of the way is steered.
    pub(crate) steered: Option<(&'v Steering, &'v Variant)>,
    /// Length of the prefix around the client's place for which the answer holds.
    pub(crate) scope: u8,
    /// What the last lookup found.
    pub(crate) found: Found<'v>,
}

/// A few record sets, without an allocation.
#[derive(Default)]
pub(crate) struct Aliases<'v> {
    sets: [Option<&'v RrSet>; MAX_ALIASES],
    len: usize,
}

impl<'v> Aliases<'v> {
    /// Takes one more, unless there is no room or it is there already, which is a circle.
    fn push(&mut self, set: &'v RrSet) -> bool {
        if self.iter().any(|known| std::ptr::eq(known, set)) {
            return false;
        }
        let Some(slot) = self.sets.get_mut(self.len) else { return false };
        *slot = Some(set);
        self.len += 1;
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'v RrSet> {
        self.sets[..self.len].iter().copied().flatten()
    }
}

/// Decides on a question of class IN. `name` is in wire form, lower case.
pub(crate) fn decide<'v>(view: &'v View, name: &[u8], rtype: Rtype, client: Client) -> Decision<'v> {
    let mut decision = Decision {
        rcode: Rcode::Refused,
        zone: None,
        aliases: Aliases::default(),
        records: None,
        negative_ttl: None,
        steered: None,
        scope: 0,
        found: Found::Nothing,
    };
    let Some(zone) = view.zone_of(name) else { return decision };
    decision.zone = Some(zone);
    decision.rcode = Rcode::NoError;
    decision.found = zone.find(name);
    while let Some((set, target)) = decision.found.node().and_then(|node| alias(node, rtype)) {
        // Out of the zone, the resolver goes on by itself; a circle, or a chain that is too long, ends.
        if !decision.aliases.push(set) || !is_within(target, zone.origin.as_wire()) {
            return decision;
        }
        decision.found = zone.find(target);
    }
    match decision.found.node() {
        Some(node) => decision.conclude(view, zone, node, rtype, client),
        None => {
            decision.rcode = Rcode::NxDomain;
            decision.negative_ttl = Some(zone.negative_ttl);
        }
    }
    decision
}

/// The alias to follow: not if the alias itself is asked for.
fn alias(node: &Node, rtype: Rtype) -> Option<(&RrSet, &[u8])> {
    if matches!(rtype, Rtype::CNAME | Rtype::ANY) {
        return None;
    }
    node.set(Rtype::CNAME).zip(node.alias.as_ref().map(Name::as_wire))
}

impl<'v> Decision<'v> {
    /// The end of the way: a name that exists.
    fn conclude(&mut self, view: &'v View, zone: &'v Zone, node: &'v Node, rtype: Rtype, client: Client) {
        let steered = node.steering.as_deref().and_then(|s| Some((s, s.family(rtype)?)));
        if let Some((steering, family)) = steered {
            let variant = family.variant(&view.geo, client.place);
            self.steered = variant.map(|v| (steering, v));
            self.records = variant.map(|v| &v.set).filter(|set| !set.rdata.is_empty());
            self.scope = if client.scoped { family.scope(&view.geo, client.place) } else { 0 };
        } else if rtype == Rtype::ANY {
            // One set is enough of an answer (RFC 8482); of an alias it has to be the alias.
            self.records = node.set(Rtype::CNAME).or_else(|| (!node.is_empty()).then_some(&zone.any));
        } else {
            self.records = node.set(rtype);
        }
        if self.records.is_none() {
            // A "no" that health decided holds no longer than health does.
            let steady = self.steered.map_or(u32::MAX, |(_, variant)| variant.negative_seconds());
            self.negative_ttl = Some(zone.negative_ttl.min(steady));
        }
    }
}
