//! Which records answer a question. No packets here.

use std::net::IpAddr;

use crate::{
    name::AskedName,
    rr::{Rcode, Records, RrSet, Rtype},
    steer::SteeredAnswer,
    view::{Delegation, End, Found, Node, View, Zone},
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
    /// What is drawn by, where members are drawn.
    pub(crate) draw: u64,
}

/// What a question gets.
pub(crate) struct Decision<'v> {
    pub(crate) rcode: Rcode,
    /// The zone that the name asked for lies in; none outside our zones.
    pub(crate) zone: Option<&'v Zone>,
    /// The zone in which the way ends: another one if aliases led there.
    pub(crate) end_zone: Option<&'v Zone>,
    /// Aliases on the way, each the owner of the next; the first belongs to the name asked for.
    pub(crate) aliases: Aliases<'v>,
    /// The way goes on, but is not followed any further: a circle, or too many aliases.
    pub(crate) cut_short: bool,
    /// The records at the end of the way.
    pub(crate) records: Option<Records<'v>>,
    /// Where the way leads out of the zone: the servers to ask instead, and with how many bytes the last name lies below the cut.
    pub(crate) referral: Option<(usize, &'v Delegation)>,
    /// TTL of the SOA record that proves a "no", seconds.
    pub(crate) negative_ttl: Option<u32>,
    /// The steered answer, if the end of the way is steered.
    pub(crate) steered: Option<SteeredAnswer<'v>>,
    /// Length of the prefix around the client's place for which the answer holds.
    pub(crate) scope: u8,
    /// What the last lookup found.
    pub(crate) found: Found<'v>,
}

/// An alias that was followed.
#[derive(Clone, Copy)]
pub(crate) enum Alias<'v> {
    /// The name's own CNAME.
    Cname(&'v RrSet),
    /// A DNAME above the name, which has so many bytes in front of it. The CNAME that follows from it belongs to the answer.
    Dname(usize, &'v RrSet),
}

impl<'v> Alias<'v> {
    pub(crate) fn set(self) -> &'v RrSet {
        match self {
            Self::Cname(set) | Self::Dname(_, set) => set,
        }
    }
}

/// A few aliases, without an allocation.
#[derive(Default)]
pub(crate) struct Aliases<'v> {
    list: [Option<Alias<'v>>; MAX_ALIASES],
    len: usize,
}

impl<'v> Aliases<'v> {
    /// Takes one more, unless there is no room or it is a CNAME that is there already, which is a circle.
    fn push(&mut self, alias: Alias<'v>) -> bool {
        let circle = |set| self.iter().any(|known| std::ptr::eq(known.set(), set));
        if matches!(alias, Alias::Cname(set) if circle(set)) {
            return false;
        }
        let Some(slot) = self.list.get_mut(self.len) else { return false };
        *slot = Some(alias);
        self.len += 1;
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Alias<'v>> {
        self.list[..self.len].iter().copied().flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A step on the way.
enum Step<'v> {
    /// On, to another name: the target as it is written.
    Alias(Alias<'v>, &'v [u8]),
    /// Out of the zone.
    Referral(usize, &'v Delegation),
    /// This is the end, whatever was found.
    End,
}

/// Decides on a question of class IN. `name` is in wire form, lower case.
pub(crate) fn decide<'v>(view: &'v View, name: &[u8], rtype: Rtype, client: Client) -> Decision<'v> {
    let zone = zone_of(view, name, rtype);
    let mut decision = Decision {
        rcode: if zone.is_some() { Rcode::NoError } else { Rcode::Refused },
        zone,
        end_zone: zone,
        aliases: Aliases::default(),
        cut_short: false,
        records: None,
        referral: None,
        negative_ttl: None,
        steered: None,
        scope: 0,
        found: Found::Nothing,
    };
    // A made name has to live somewhere; nearly no way has one.
    let mut made;
    let mut current = name;
    // Out of our zones the resolver goes on by itself; a circle, or a chain that is too long, ends.
    let mut here = zone;
    while let Some(zone) = here {
        decision.end_zone = Some(zone);
        match decision.step(view, zone, current, rtype, client) {
            Step::Alias(alias, target) => {
                if !decision.aliases.push(alias) {
                    decision.cut_short = true;
                    return decision;
                }
                match alias {
                    Alias::Cname(_) => current = target,
                    Alias::Dname(front, _) => {
                        let Some(name) = AskedName::joined(&current[..front], target) else {
                            decision.rcode = Rcode::YxDomain;
                            return decision;
                        };
                        // It was asked for, as it were: who asks for CNAME is not led on (RFC 1034, 3.6.2).
                        if rtype == Rtype::CNAME {
                            return decision;
                        }
                        made = name;
                        current = made.as_wire();
                    }
                }
                here = zone_of(view, current, rtype);
            }
            Step::Referral(front, delegation) => {
                decision.referral = Some((front, delegation));
                return decision;
            }
            Step::End => {
                decision.conclude(view, zone, rtype, client);
                return decision;
            }
        }
    }
    decision
}

/// The innermost zone of ours around a name. Of a zone's own name, DS is its parent's to tell (RFC 4035, 3.1.4.1).
fn zone_of<'v>(view: &'v View, name: &[u8], rtype: Rtype) -> Option<&'v Zone> {
    let zone = view.zone_of(name)?;
    if rtype == Rtype::DS && name == zone.origin.as_wire() && name.len() > 1 {
        let parent = name.get(1 + usize::from(name[0])..).and_then(|parent| view.zone_of(parent));
        return parent.or(Some(zone));
    }
    Some(zone)
}

impl<'v> Decision<'v> {
    /// Looks up one name of the way.
    fn step(&mut self, view: &'v View, zone: &'v Zone, name: &[u8], rtype: Rtype, client: Client) -> Step<'v> {
        match zone.end_above(name, rtype) {
            Some((front, _, End::Delegation(delegation))) => return Step::Referral(front, delegation),
            Some((front, node, End::Dname(target))) => {
                if let Some(set) = node.set(Rtype::DNAME) {
                    return Step::Alias(Alias::Dname(front, set), target.as_wire());
                }
            }
            None => {}
        }
        self.found = zone.find(name);
        let steered = || self.found.node().and_then(|node| steered_alias(view, node, rtype, client));
        if let Some(answer) = steered()
            && let Some(target) = answer.variant.set.rdata.first()
        {
            self.steered = Some(answer);
            self.scope = self.scope.max(answer.scope);
            return Step::Alias(Alias::Cname(&answer.variant.set), target);
        }
        match self.found.node().and_then(|node| alias(node, rtype)) {
            Some((set, target)) => Step::Alias(Alias::Cname(set), target),
            None => Step::End,
        }
    }

    /// The end of the way.
    fn conclude(&mut self, view: &'v View, zone: &'v Zone, rtype: Rtype, client: Client) {
        match self.found.node() {
            Some(node) => self.conclude_at(view, zone, node, rtype, client),
            None => {
                self.rcode = Rcode::NxDomain;
                self.negative_ttl = Some(zone.negative_ttl);
            }
        }
    }

    /// The end of the way: a name that exists.
    fn conclude_at(&mut self, view: &'v View, zone: &'v Zone, node: &'v Node, rtype: Rtype, client: Client) {
        let steered = |rtype| node.steers(rtype)?.answer(&view.geo, rtype, client);
        if let Some(answer) = steered(Rtype::CNAME).or_else(|| steered(rtype)) {
            self.steered = Some(answer);
            self.records = Some(answer.records).filter(|records| !records.is_empty());
            self.scope = self.scope.max(answer.scope);
        } else if rtype == Rtype::ANY {
            // One set is enough of an answer (RFC 8482); of an alias it has to be the alias.
            let any = || (!node.is_empty()).then_some(&zone.any);
            self.records = node.set(Rtype::CNAME).or_else(any).map(Records::Set);
        } else {
            self.records = node.set(rtype).map(Records::Set);
        }
        if self.records.is_none() {
            // A "no" that health decided holds no longer than health does.
            let steady = self.steered.map_or(u32::MAX, |answer| answer.variant.negative_seconds());
            self.negative_ttl = Some(zone.negative_ttl.min(steady));
        }
    }
}

/// The alias that a name is for this client, and for whom else: not if the alias itself is asked for.
fn steered_alias<'v>(view: &View, node: &'v Node, rtype: Rtype, client: Client) -> Option<SteeredAnswer<'v>> {
    if matches!(rtype, Rtype::CNAME | Rtype::ANY) {
        return None;
    }
    node.steers(Rtype::CNAME)?.answer(&view.geo, Rtype::CNAME, client)
}

/// The alias to follow: not if the alias itself is asked for.
fn alias(node: &Node, rtype: Rtype) -> Option<(&RrSet, &[u8])> {
    if matches!(rtype, Rtype::CNAME | Rtype::ANY) {
        return None;
    }
    node.alias()
}
