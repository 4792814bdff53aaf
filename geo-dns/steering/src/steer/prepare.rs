//! What a place settles of a chain: which fences hold, and in which order members come. Places for which all of this is the same
//! share their answers.

use std::collections::{BTreeMap, HashMap};

use model::{Clients, NoneLeft, RegionName};

use crate::geo::{Place, distance_km};

use super::{
    Chain, Home, Member,
    chain::{Rest, Stage},
};

/// A chain, for one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Prepared {
    /// The members that may be named, group by group: of a later one only if of the earlier ones nobody serves.
    pub(crate) tiers: Vec<Vec<usize>>,
    /// The members in the order of each stage.
    pub(crate) orders: Vec<Ordered>,
    pub(crate) fallback: Option<Box<Self>>,
}

/// Members in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ordered {
    /// Those that a map puts first.
    pub(crate) first: Vec<usize>,
    /// The others; in this order, unless they are drawn, or told apart by the client's network.
    pub(crate) rest: Vec<usize>,
}

/// A chain, for all places: what it comes to, and at which place to what. There may be very many places, and few ways to prepare.
#[derive(Debug, Default)]
pub(super) struct PreparedPlaces {
    pub(super) ways: Vec<Prepared>,
    /// By place, or a single one for all; the number of one of the ways.
    pub(super) by_place: Vec<u32>,
    known: HashMap<Prepared, u32>,
}

impl PreparedPlaces {
    /// The next place.
    pub(super) fn add(&mut self, prepared: Prepared) {
        let number = match self.known.get(&prepared) {
            Some(number) => *number,
            None => {
                let number = self.ways.len() as u32;
                self.ways.push(prepared.clone());
                self.known.insert(prepared, number);
                number
            }
        };
        self.by_place.push(number);
    }
}

impl Ordered {
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.first.iter().chain(&self.rest).copied()
    }
}

impl Prepared {
    /// Settles a chain for clients at `place`. Clients who are nowhere are taken to be at `home`.
    pub(crate) fn of(chain: &Chain, members: &[Member], place: &Place, home: &Home) -> Self {
        Self::within(chain, members, place, home, &[])
    }

    fn within(chain: &Chain, members: &[Member], place: &Place, home: &Home, bounds: &[&[RegionName]]) -> Self {
        let mut bounds = bounds.to_vec();
        let mut tiers = vec![chain.members.clone().collect::<Vec<_>>()];
        for fence in chain.fences.iter().filter(|fence| holds_for(&fence.clients, place)) {
            let open = fence.none_left == NoneLeft::Open;
            let split = |tier: Vec<usize>| {
                let inside = |i: &usize| fence.regions.contains(&members[*i].region);
                let (inside, outside): (Vec<_>, Vec<_>) = tier.into_iter().partition(inside);
                [inside, if open { outside } else { Vec::new() }]
            };
            tiers = tiers.into_iter().flat_map(split).filter(|tier| !tier.is_empty()).collect();
            if !open {
                bounds.push(&fence.regions);
            }
        }
        // A fence that is closed keeps its clients in whichever pool is asked.
        let inside = |i: &usize| bounds.iter().all(|regions| regions.contains(&members[*i].region));
        tiers.iter_mut().for_each(|tier| tier.retain(inside));
        tiers.retain(|tier| !tier.is_empty());
        let orders = chain.stages.iter().map(|stage| order(stage, chain, members, place, home)).collect();
        let fallback = chain.fallback.as_ref();
        let fallback = fallback.map(|next| Box::new(Self::within(next, members, place, home, &bounds)));
        Self { tiers, orders, fallback }
    }
}

/// Whether a place is among the clients; everybody is, if none are named.
pub(crate) fn holds_for(clients: &[Clients], place: &Place) -> bool {
    clients.is_empty() || clients.iter().any(|clients| is_of(clients, place))
}

/// Whether clients at a place are of a group.
pub(crate) fn is_of(clients: &Clients, place: &Place) -> bool {
    match clients {
        Clients::All => true,
        Clients::Continent(code) => place.continent == Some(*code),
        Clients::Country(code) => place.country == Some(*code),
        Clients::Subdivision(code, part) => {
            place.country == Some(*code) && place.subdivision.as_deref() == Some(part.as_str())
        }
        Clients::City(code, city) => {
            let is_it = |known: &str| known.eq_ignore_ascii_case(city);
            place.country == Some(*code) && place.city.as_deref().is_some_and(is_it)
        }
        Clients::Asn(number) => place.asn == Some(*number),
        Clients::List(name) => place.lists.iter().any(|list| **list == **name),
    }
}

/// The most specific entry that holds for a place.
pub(crate) fn entry<'e, T>(entries: &'e BTreeMap<Clients, T>, place: &Place) -> Option<(&'e Clients, &'e T)> {
    // Of two prefix lists the first by its name counts, so that the order of both is the same everywhere.
    let mut found: Option<(&Clients, &T)> = None;
    for (clients, value) in entries.iter().filter(|(clients, _)| is_of(clients, place)) {
        let is_second_list = matches!((found, clients), (Some((Clients::List(_), _)), Clients::List(_)));
        if !is_second_list {
            found = Some((clients, value));
        }
    }
    found
}

fn order(stage: &Stage, chain: &Chain, members: &[Member], place: &Place, home: &Home) -> Ordered {
    let mut first: Vec<usize> = Vec::new();
    for (_, order) in stage.maps.iter().filter_map(|map| entry(map, place)) {
        order.iter().for_each(|i| {
            if !first.contains(i) {
                first.push(*i);
            }
        });
    }
    let mut rest: Vec<usize> = chain.members.clone().filter(|i| !first.contains(i)).collect();
    match &stage.rest {
        Rest::AsTheyStand | Rest::Drawn(_) | Rest::Sticky(_) => {}
        Rest::Written(order) => {
            rest.sort_by_key(|i| order.iter().position(|other| other == i).unwrap_or(usize::MAX));
        }
        Rest::Nearest(bias) => by_distance(&mut rest, members, bias, place, home),
        Rest::Latency(tables) => {
            by_distance(&mut rest, members, &BTreeMap::new(), place, home);
            if let Some((_, table)) = entry(tables, place) {
                rest.sort_by_key(|i| table.get(i).copied().unwrap_or(u32::MAX));
            }
        }
    }
    Ordered { first, rest }
}

/// Great-circle distance, biased. A client who is nowhere is taken to be at the server that it reached: the server's own region
/// comes first, then the others by distance from it. Of equals the one that stands first in the pool wins, so that all servers
/// agree.
fn by_distance(rest: &mut [usize], members: &[Member], bias: &BTreeMap<usize, i8>, place: &Place, home: &Home) {
    let Some(from) = place.location.or(home.location) else { return };
    let rank = |i: usize| {
        let at_home = place.location.is_none() && members[i].id == home.id;
        let bias = bias.get(&i).copied().unwrap_or_default();
        (!at_home, biased(distance_km(from, members[i].location), bias))
    };
    rest.sort_by(|&a, &b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
}

/// What a distance counts as: Route 53's formula for geoproximity, so that a bias moved from there means the same.
pub(crate) fn biased(km: f64, bias: i8) -> f64 {
    let part = f64::from(bias) / 100.0;
    if bias > 0 { km * (1.0 - part) } else { km / (1.0 + part) }
}
