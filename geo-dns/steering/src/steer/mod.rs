//! Steering of one name: which members it names, for whom, and for how long.
//!
//! Everything that does not depend on the client is settled when a View is compiled. Of the client only its place counts, and, while
//! a member serves only a part of the clients or clients are to stay with their member, its network. So a steered name is a small
//! table: place → variant, where a variant is a finished answer, or → a short tree of questions ("is this client in the member's
//! share?", "who is drawn?") with variants at its leaves. Places with the same answer share a variant, and an answer's scope may be
//! as wide as the variant is the same.
//!
//! ```text
//! policy ─ chain.rs ─▸ Chain ─ prepare.rs, by place ─▸ Prepared ─ run.rs, by what is known of a client ─▸ Walk ─▸ Variant
//!          steps, pools            orders, fences                 health, shares, spill, draws, take        {records, TTL, why}
//!                                                                 └─ family.rs grows the tree of questions ─┘
//! ```

mod chain;
mod draw;
mod family;
mod member;
mod prepare;
mod run;
mod service;
mod share;
mod sticky;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use model::{Location, NameTtl};

use crate::{
    geo::{ClientNetwork, Place, PlaceId, SharedOutcomes},
    rr::Rtype,
};

pub(crate) use chain::{Chain, Lacks, Rest, Source};
use family::What;
pub(crate) use family::{FamilyAnswers, Variant};
pub(crate) use member::{Member, Standing};
use prepare::PreparedPlaces;
pub(crate) use prepare::{Prepared, biased, entry, holds_for};
pub use run::Basis;
pub(crate) use run::{Limit, Ttl};
pub(crate) use service::Service;
pub(crate) use share::Share;

/// A steered name (or several that are steered alike), ready to be asked.
#[derive(Debug)]
pub(crate) struct Steering {
    pub(crate) chain: Chain,
    /// How many members an answer names.
    pub(crate) take: usize,
    /// Members of all pools of the chain, each pool's in its own order.
    pub(crate) members: Vec<Member>,
    families: Vec<(Rtype, FamilyAnswers)>,
}

/// What families are settled from.
struct Steered<'s> {
    chain: &'s Chain,
    members: &'s [Member],
    ttl: NameTtl,
    take: usize,
}

impl Steering {
    /// The answers of a type that is steered.
    pub(crate) fn family(&self, rtype: Rtype) -> Option<&FamilyAnswers> {
        self.families.iter().find(|(known, _)| *known == rtype).map(|(_, family)| family)
    }

    /// Settles all answers: CNAME if members stand for names, else A and AAAA, and the services beside them. `home` is the place of
    /// the answering server: clients who are nowhere are taken to be there.
    pub(crate) fn settle(
        (chain, members): (Chain, Vec<Member>),
        (ttl, take): (NameTtl, usize),
        services: &[Service],
        home: &Home,
        shared: &mut SharedOutcomes<'_>,
    ) -> Self {
        let geo = shared.geo();
        let mut places = PreparedPlaces::default();
        let mut add = |place: &Place| places.add(Prepared::of(&chain, &members, place, home));
        match chain.asks_places() {
            false => add(geo.place(PlaceId::NOWHERE)),
            true => (0..geo.places()).for_each(|number| add(geo.place(PlaceId(number as u32)))),
        }
        let steered = Steered { chain: &chain, members: &members, ttl, take };
        let mut settle = |rtype, what| (rtype, FamilyAnswers::settle(&steered, &places, what, shared));
        let own: &[Rtype] = match members.iter().any(|member| member.target.is_some()) {
            true => &[Rtype::CNAME],
            false => &[Rtype::A, Rtype::AAAA],
        };
        let mut families: Vec<_> = own.iter().map(|rtype| settle(*rtype, What::Own(*rtype))).collect();
        families.extend(services.iter().map(|service| settle(service.rtype, What::Hints(service))));
        Self { chain, take, members, families }
    }
}

/// The answering server's region.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Home {
    /// Its number; 0 if the World does not know the region.
    pub(crate) id: u16,
    pub(crate) location: Option<Location>,
}

/// The bucket that a client is in, of those that a sticky step divides clients into.
pub(crate) fn bucket_of(seed: u64, client: IpAddr) -> usize {
    sticky::bucket(seed, ClientNetwork::of(client))
}
