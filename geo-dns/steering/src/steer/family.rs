//! The answers of one type: A, AAAA, or CNAME.
//!
//! ```text
//! place ─▸ root ─▸ Ask { share, yes, no } ─▸ … ─▸ Answer(variant)
//!                  Bucket { 1024 ways }            a hash of 8 bytes each
//!                  Draw { members by weight }      a multiplication each
//! ```
//!
//! Nearly always a root is an answer already. Nothing is allocated on the way, and every answer at its end is finished. What a draw
//! decides is no matter of the client: a scope speaks of places and networks alone.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::{
    decide::Client,
    geo::{ClientNetwork, Geo, Outcomes, PlaceId, SharedOutcomes},
    rr::{RrSet, Rtype},
};

use super::{
    Basis, Chain, Prepared, PreparedPlaces, Share, Steered, Ttl, draw,
    run::{Oracle, Question, Runner, Unknown, Walk},
    sticky::{self, BUCKETS},
};

/// How many shares are asked about for one client. Of further members on its way every client is taken to be in the share: an
/// answer then names a member that should be spared, which is never wrong, only less gentle.
const MAX_ASKS: usize = 6;

/// How many ways there are from one root at most. Where questions have made so many, what else would be asked is taken to follow
/// from the answers before.
const MAX_WAYS: usize = 1 << 14;

/// The answers of one type. A and AAAA are judged apart, each on the members that have such an address.
#[derive(Debug)]
pub(crate) struct FamilyAnswers {
    variants: Vec<Variant>,
    /// Trees of questions: a step only leads to steps that stand before it.
    steps: Vec<Step>,
    /// By step: what it is to the client.
    seen: Vec<Seen>,
    /// Where the buckets of a step lead.
    buckets: Vec<Box<[u32]>>,
    /// Up to which point of a draw one is led where.
    draws: Vec<Box<[(u64, u32)]>>,
    /// Which places begin alike; none if all of them do.
    outcomes: Option<Arc<Outcomes>>,
    /// Where the way begins, by outcome of the client's place.
    roots: Box<[u32]>,
    /// At which places the same is answered, on whichever ground; none if it is the same at all of them.
    alike: Option<Arc<Outcomes>>,
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

/// A step as clients see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Equal where the same records are answered, on whichever ground: a scope need not tell those apart.
    class: u32,
    /// Whether it depends on the client's network which records are answered.
    apart: bool,
}

/// A step on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// The variant.
    Answer(u32),
    /// Is the client in this share?
    Ask { share: Share, yes: u32, no: u32 },
    /// In which bucket is it? The number of a list in `buckets`.
    Bucket { seed: u64, list: u32 },
    /// Who is drawn? The number of a list in `draws`.
    Draw { salt: u32, list: u32 },
}

impl FamilyAnswers {
    /// Runs the chain for each way in which places prepare it.
    pub(super) fn settle(
        steered: &Steered<'_>,
        places: &PreparedPlaces,
        rtype: Rtype,
        shared: &mut SharedOutcomes<'_>,
    ) -> Self {
        let runner = Runner::new(steered.members, rtype, steered.ttl, steered.take);
        let mut grower = Grower { chain: steered.chain, runner, grown: Grown::default() };
        let grown: Vec<u32> = places.ways.iter().map(|way| grower.grow(way, &mut Vec::new(), 1)).collect();
        let root = |way: &u32| grown.get(*way as usize).copied().unwrap_or_default();
        let by_place: Vec<u32> = places.by_place.iter().map(root).collect();
        let Grown { variants, steps, seen, buckets, draws, .. } = grower.grown;
        let class = |root: &u32| seen.get(*root as usize).map_or(0, |seen| seen.class);
        let classes: Vec<u32> = by_place.iter().map(class).collect();
        let (outcomes, roots) = shared.get(&by_place);
        let (alike, _) = shared.get(&classes);
        Self { variants, steps, seen, buckets, draws, outcomes, roots, alike }
    }

    fn root(&self, place: PlaceId) -> u32 {
        let outcome = self.outcomes.as_ref().map_or(0, |outcomes| outcomes.of(place));
        self.roots.get(outcome as usize).copied().unwrap_or_default()
    }

    /// The answer for a client, of which there always is one, possibly without records; and the length of the widest prefix around
    /// the client in which everybody gets the same answer, or is drawn from the same. 0 if the client asks for no scope.
    pub(crate) fn answer(&self, geo: &Geo, client: Client) -> Option<(&Variant, u8)> {
        let asks_places = self.outcomes.is_some();
        let (place, widest) = match (&self.alike, client.scoped) {
            (Some(alike), true) => geo.scope(client.place, alike),
            _ if asks_places => (geo.place_of(client.place), 0),
            _ => (PlaceId::NOWHERE, 0),
        };
        let root = self.root(place);
        let variant = self.variant(root, client)?;
        let apart = client.scoped && self.seen.get(root as usize).is_some_and(|seen| seen.apart);
        Some((variant, if apart { widest.max(ClientNetwork::of(client.place).prefix) } else { widest }))
    }

    fn variant(&self, root: u32, client: Client) -> Option<&Variant> {
        let network = || ClientNetwork::of(client.place);
        let mut at = root;
        loop {
            at = match *self.steps.get(at as usize)? {
                Step::Answer(variant) => return self.variants.get(variant as usize),
                Step::Ask { share, yes, no } => {
                    if share.holds(network()) {
                        yes
                    } else {
                        no
                    }
                }
                Step::Bucket { seed, list } => {
                    *self.buckets.get(list as usize)?.get(sticky::bucket(seed, network()))?
                }
                Step::Draw { salt, list } => {
                    let ways = self.draws.get(list as usize)?;
                    let point = draw::point(client.draw, salt, ways.last()?.0);
                    ways.iter().find(|(upto, _)| point < *upto)?.1
                }
            };
        }
    }

    /// Whether the answer depends on the client's network beside its place.
    pub(crate) fn tells_networks_apart(&self, geo: &Geo, client: IpAddr) -> bool {
        self.seen.get(self.root(geo.place_of(client)) as usize).is_some_and(|seen| seen.apart)
    }
}

/// Grows the trees.
struct Grower<'m> {
    chain: &'m Chain,
    runner: Runner<'m>,
    grown: Grown,
}

/// What has grown so far.
#[derive(Default)]
struct Grown {
    variants: Vec<Variant>,
    steps: Vec<Step>,
    seen: Vec<Seen>,
    buckets: Vec<Box<[u32]>>,
    draws: Vec<Box<[(u64, u32)]>>,
    known_variants: HashMap<Walk, u32>,
    known_steps: HashMap<Step, u32>,
    known_classes: HashMap<Class, u32>,
    known_buckets: HashMap<Box<[u32]>, u32>,
    known_draws: HashMap<Box<[(u64, u32)]>, u32>,
}

/// What makes steps the same to clients.
#[derive(PartialEq, Eq, Hash)]
enum Class {
    /// The records, and the ground as far as it is told.
    Answer(RrSet, Option<Basis>),
    /// Where the answers to a question lead.
    Fork(Question, Vec<u32>),
}

/// What is known of a client while a tree grows.
struct Told<'t>(&'t [(Question, u32)]);

impl Oracle for Told<'_> {
    fn ask(&self, question: &Question) -> Result<u32, Unknown> {
        let known = self.0.iter().find(|(known, _)| known == question);
        known.map(|(_, answer)| *answer).ok_or_else(|| Unknown(question.clone()))
    }
}

impl Grower<'_> {
    /// The way to the answers of a prepared chain, once this much is `told` of the client. There are `ways` like this one.
    fn grow(&mut self, prepared: &Prepared, told: &mut Vec<(Question, u32)>, ways: usize) -> u32 {
        let depth = told.len();
        let question = loop {
            let oracle = Told(told);
            match self.runner.run(self.chain, prepared, &oracle) {
                Ok(walk) => {
                    let variant = self.variant(walk);
                    return self.grown.leaf(variant);
                }
                Err(Unknown(question)) => match self.taken_for_granted(&question, told, ways) {
                    Some(answer) => told.push((question, answer)),
                    None => break question,
                },
            }
        };
        let branches = branches(&question);
        let mut leads_to = Vec::with_capacity(branches);
        let taken = told.len();
        for answer in 0..branches as u32 {
            told.push((question.clone(), answer));
            leads_to.push(self.grow(prepared, told, ways * branches));
            told.truncate(taken);
        }
        told.truncate(depth);
        self.grown.fork(question, leads_to)
    }

    fn taken_for_granted(&self, question: &Question, told: &[(Question, u32)], ways: usize) -> Option<u32> {
        let asks = told.iter().filter(|(question, _)| matches!(question, Question::In(_))).count();
        match question {
            Question::In(_) => (asks >= MAX_ASKS || ways * 2 > MAX_WAYS).then_some(1),
            _ if ways * branches(question) <= MAX_WAYS => None,
            _ => {
                let sum = told.iter().fold(told.len(), |sum, (_, answer)| sum.wrapping_mul(31) + *answer as usize);
                Some((sum % branches(question).max(1)) as u32)
            }
        }
    }

    fn variant(&mut self, walk: Walk) -> u32 {
        let next = self.grown.variants.len() as u32;
        let (members, rtype) = (self.runner.members, self.runner.rtype);
        *self.grown.known_variants.entry(walk).or_insert_with_key(|Walk { chosen, basis, ttl }| {
            let rdata = chosen.iter().filter_map(|i| members[*i].data(rtype)).collect();
            let set = RrSet { rtype, ttl: ttl.seconds, rdata };
            self.grown.variants.push(Variant { set, chosen: chosen.clone(), basis: *basis, ttl: *ttl });
            next
        })
    }
}

/// How many answers there are to a question.
fn branches(question: &Question) -> usize {
    match question {
        Question::In(_) => 2,
        Question::Bucket(_) => BUCKETS,
        Question::Draw { among, .. } => among.len(),
    }
}

impl Grown {
    /// The end of a way.
    fn leaf(&mut self, variant: u32) -> u32 {
        let class = match self.variants.get(variant as usize) {
            // Of members that serve nobody is told which choice they were.
            Some(v) => Class::Answer(v.set.clone(), Some(v.basis).filter(|basis| basis.is_told())),
            None => return 0,
        };
        let class = self.class(class);
        self.step(Step::Answer(variant), Seen { class, apart: false })
    }

    /// A step at which a question is asked, unless nothing depends on it.
    fn fork(&mut self, question: Question, leads_to: Vec<u32>) -> u32 {
        let first = leads_to.first().copied().unwrap_or_default();
        if leads_to.iter().all(|other| *other == first) {
            // The question changes nothing, so that nobody is asked.
            return first;
        }
        let behind: Vec<Seen> = leads_to.iter().filter_map(|step| self.seen.get(*step as usize).copied()).collect();
        let classes: Vec<u32> = behind.iter().map(|seen| seen.class).collect();
        let apart = behind.iter().any(|seen| seen.apart);
        let seen = match classes.first() {
            Some(class) if classes.iter().all(|other| other == class) => Seen { class: *class, apart },
            _ => {
                let asks = !matches!(question, Question::Draw { .. });
                Seen { class: self.class(Class::Fork(question.clone(), classes)), apart: apart || asks }
            }
        };
        let step = match question {
            Question::In(share) => Step::Ask { share, yes: leads_to.get(1).copied().unwrap_or(first), no: first },
            Question::Bucket(seed) => {
                Step::Bucket { seed, list: listed(&mut self.buckets, &mut self.known_buckets, leads_to.into()) }
            }
            Question::Draw { salt, among } => {
                let mut upto = 0;
                let ways = among.iter().zip(leads_to).map(|((_, weight), step)| {
                    upto += u64::from(*weight);
                    (upto, step)
                });
                Step::Draw { salt, list: listed(&mut self.draws, &mut self.known_draws, ways.collect()) }
            }
        };
        self.step(step, seen)
    }

    fn class(&mut self, class: Class) -> u32 {
        let next = self.known_classes.len() as u32;
        *self.known_classes.entry(class).or_insert(next)
    }

    fn step(&mut self, step: Step, seen: Seen) -> u32 {
        *self.known_steps.entry(step).or_insert_with(|| {
            self.steps.push(step);
            self.seen.push(seen);
            (self.steps.len() - 1) as u32
        })
    }
}

/// The number of a list; equal ones have one.
fn listed<T: Clone + Eq + std::hash::Hash>(
    lists: &mut Vec<Box<[T]>>,
    known: &mut HashMap<Box<[T]>, u32>,
    list: Box<[T]>,
) -> u32 {
    *known.entry(list.clone()).or_insert_with(|| {
        lists.push(list);
        (lists.len() - 1) as u32
    })
}

impl Variant {
    /// For how long the absence of records holds, seconds: for good if no member has such an address.
    pub(crate) fn negative_seconds(&self) -> u32 {
        if self.basis == Basis::NoMembers { u32::MAX } else { self.ttl.seconds }
    }
}
