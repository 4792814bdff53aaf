//! The answers of one address family: A or AAAA.
//!
//! ```text
//! place ─▸ root ─▸ Ask { share, yes, no } ─▸ … ─▸ Answer(variant)       at most MAX_ASKS questions, each a hash of 8 bytes
//! ```
//!
//! Nearly always a root is an answer already. Nothing is allocated on the way, and every answer at its end is finished.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::{
    geo::{ClientNetwork, Geo, Outcomes, SharedOutcomes},
    rr::{RrSet, Rtype},
};

use super::{
    Basis, Member, Rules, Share, Ttl,
    walk::{Unknown, Walk, walk},
};

/// How many shares are asked about for one client. Of further members on its way every client is taken to be in the share: an
/// answer then names a member that should be spared, which is never wrong, only less gentle.
const MAX_ASKS: usize = 6;

/// The answers of one family. A and AAAA are judged apart, each on the members that have such an address.
#[derive(Debug)]
pub(crate) struct FamilyAnswers {
    variants: Vec<Variant>,
    /// Trees of questions: a step only leads to steps that stand before it.
    steps: Vec<Step>,
    /// Which places begin alike; none if all of them do.
    outcomes: Option<Arc<Outcomes>>,
    /// Where the way begins, by outcome of the client's place.
    roots: Box<[u32]>,
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

/// A step on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// The variant.
    Answer(u32),
    /// Is the client in this share?
    Ask { share: Share, yes: u32, no: u32 },
}

impl FamilyAnswers {
    /// Walks each order for this family. `orders` has one by place, or a single one for all.
    pub(super) fn settle(
        members: &[Member],
        rules: &Rules,
        orders: &[Vec<usize>],
        rtype: Rtype,
        shared: &mut SharedOutcomes<'_>,
    ) -> Self {
        let mut grower = Grower {
            members,
            rules,
            rtype,
            variants: Vec::new(),
            steps: Vec::new(),
            known_variants: HashMap::new(),
            known_steps: HashMap::new(),
        };
        let mut roots: HashMap<Vec<usize>, u32> = HashMap::new();
        let by_place: Vec<u32> = orders
            .iter()
            .map(|order| {
                let mut order = order.clone();
                order.retain(|&i| members[i].address(rtype).is_some());
                *roots.entry(order).or_insert_with_key(|order| grower.grow(order, &mut Vec::new()))
            })
            .collect();
        let (outcomes, roots) = shared.get(&by_place);
        Self { outcomes, roots, variants: grower.variants, steps: grower.steps }
    }

    fn root_for(&self, geo: &Geo, client: IpAddr) -> u32 {
        self.root(self.outcomes.as_ref().map_or(0, |outcomes| outcomes.of(geo.place_of(client))))
    }

    fn root(&self, outcome: u32) -> u32 {
        self.roots.get(outcome as usize).copied().unwrap_or_default()
    }

    /// The answer for a client. There always is one, possibly without records.
    pub(crate) fn variant(&self, geo: &Geo, client: IpAddr) -> Option<&Variant> {
        let mut at = self.root_for(geo, client);
        loop {
            at = match *self.steps.get(at as usize)? {
                Step::Answer(variant) => return self.variants.get(variant as usize),
                Step::Ask { share, yes, no } => {
                    if share.holds(ClientNetwork::of(client)) {
                        yes
                    } else {
                        no
                    }
                }
            };
        }
    }

    /// Whether the answer depends on the client's network beside its place: a member on its way has only a part of its share.
    pub(crate) fn tells_networks_apart(&self, geo: &Geo, client: IpAddr) -> bool {
        self.asks(self.root_for(geo, client))
    }

    fn asks(&self, root: u32) -> bool {
        matches!(self.steps.get(root as usize), Some(Step::Ask { .. }))
    }

    /// Length of the widest prefix around a client in which everybody gets the same answer.
    pub(crate) fn scope(&self, geo: &Geo, client: IpAddr) -> u8 {
        let (outcome, widest) = self.outcomes.as_ref().map_or((0, 0), |outcomes| {
            let (place, widest) = geo.scope(client, outcomes);
            (outcomes.of(place), widest)
        });
        if self.asks(self.root(outcome)) { widest.max(ClientNetwork::of(client).prefix) } else { widest }
    }
}

/// Grows the trees.
struct Grower<'m> {
    members: &'m [Member],
    rules: &'m Rules,
    rtype: Rtype,
    variants: Vec<Variant>,
    steps: Vec<Step>,
    known_variants: HashMap<(Vec<usize>, Basis, Ttl), u32>,
    known_steps: HashMap<Step, u32>,
}

impl Grower<'_> {
    /// The way to the answers of an order, once it is `told` in which shares the client is.
    fn grow(&mut self, order: &[usize], told: &mut Vec<(usize, bool)>) -> u32 {
        let depth = told.len();
        let step = loop {
            match walk(self.members, order, self.rules, told) {
                Ok(walk) => break Step::Answer(self.variant(walk)),
                Err(Unknown(member)) if told.len() >= MAX_ASKS => told.push((member, true)),
                Err(Unknown(member)) => {
                    let mut answered = |is_in| {
                        told.push((member, is_in));
                        let at = self.grow(order, told);
                        told.truncate(depth);
                        at
                    };
                    let (yes, no) = (answered(true), answered(false));
                    if yes == no {
                        // The question changes nothing, so that nobody is asked.
                        return yes;
                    }
                    break Step::Ask { share: self.members[member].share, yes, no };
                }
            }
        };
        self.step(step)
    }

    fn step(&mut self, step: Step) -> u32 {
        *self.known_steps.entry(step).or_insert_with(|| {
            self.steps.push(step);
            (self.steps.len() - 1) as u32
        })
    }

    fn variant(&mut self, walk: Walk) -> u32 {
        *self.known_variants.entry((walk.chosen.clone(), walk.basis, walk.ttl)).or_insert_with(|| {
            let rdata = walk.chosen.iter().filter_map(|&i| self.members[i].address(self.rtype)).map(octets).collect();
            let set = RrSet { rtype: self.rtype, ttl: walk.ttl.seconds, rdata };
            self.variants.push(Variant { set, chosen: walk.chosen, basis: walk.basis, ttl: walk.ttl });
            (self.variants.len() - 1) as u32
        })
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
