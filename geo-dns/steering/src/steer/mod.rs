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
mod share;
mod sticky;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use model::{Location, NameTtl};

use crate::{
    decide::Client,
    geo::{ClientNetwork, Geo, Place, PlaceId, SharedOutcomes},
    rr::{Records, Rtype},
    service::{Hinted, Service},
};

pub(crate) use chain::{Chain, Lacks, Rest, Source};
pub(crate) use family::{FamilyAnswers, Variant};
pub(crate) use member::{Member, Standing};
use prepare::PreparedPlaces;
pub(crate) use prepare::{Prepared, biased, entry, holds_for};
pub use run::Basis;
pub(crate) use run::{Limit, Ttl};
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
    services: Vec<Service>,
}

/// What a client is answered of a steered name, and why.
#[derive(Clone, Copy)]
pub(crate) struct SteeredAnswer<'v> {
    pub(crate) steering: &'v Steering,
    /// Who is named. Of a record with both families in it: who is in the first of them that names anybody.
    pub(crate) variant: &'v Variant,
    pub(crate) ttl: Ttl,
    pub(crate) records: Records<'v>,
    /// Length of the widest prefix around the client in which everybody gets the same answer, or is drawn from the same. 0 if the
    /// client asks for no scope.
    pub(crate) scope: u8,
}

/// What families are settled from.
struct Steered<'s> {
    chain: &'s Chain,
    members: &'s [Member],
    ttl: NameTtl,
    take: usize,
}

impl Steering {
    /// Whether a type is steered.
    pub(crate) fn steers(&self, rtype: Rtype) -> bool {
        self.family(rtype).is_some() || self.service(rtype).is_some()
    }

    fn family(&self, rtype: Rtype) -> Option<&FamilyAnswers> {
        self.families.iter().find(|(known, _)| *known == rtype).map(|(_, family)| family)
    }

    fn service(&self, rtype: Rtype) -> Option<&Service> {
        self.services.iter().find(|service| service.rtype == rtype)
    }

    /// What a client is answered who asks for a type; none if it is not steered.
    pub(crate) fn answer(&self, geo: &Geo, rtype: Rtype, client: Client) -> Option<SteeredAnswer<'_>> {
        let of = |rtype| self.family(rtype)?.answer(geo, client);
        if let Some((variant, scope)) = of(rtype) {
            let records = Records::Set(&variant.set);
            return Some(SteeredAnswer { steering: self, variant, ttl: variant.ttl, records, scope });
        }
        let service = self.service(rtype)?;
        let ((v4, scope_v4), (v6, scope_v6)) = (of(Rtype::A)?, of(Rtype::AAAA)?);
        let ttl = if v6.ttl.seconds < v4.ttl.seconds { v6.ttl } else { v4.ttl };
        let hinted = Hinted { service, ttl: ttl.seconds, v4: &v4.set, v6: &v6.set };
        Some(SteeredAnswer {
            steering: self,
            variant: if v4.chosen.is_empty() && !v6.chosen.is_empty() { v6 } else { v4 },
            ttl,
            records: Records::Service(hinted),
            // Of two networks around one client the longer prefix is the one inside the other.
            scope: scope_v4.max(scope_v6),
        })
    }

    /// Whether the answer depends on the client's network beside its place.
    pub(crate) fn tells_networks_apart(&self, geo: &Geo, rtype: Rtype, client: IpAddr) -> bool {
        let of = |rtype| self.family(rtype).is_some_and(|family| family.tells_networks_apart(geo, client));
        match self.service(rtype) {
            Some(_) => of(Rtype::A) || of(Rtype::AAAA),
            None => of(rtype),
        }
    }

    /// Settles all answers: CNAME if members stand for names, else A and AAAA. `home` is the place of the answering server: clients
    /// who are nowhere are taken to be there.
    pub(crate) fn settle(
        (chain, members): (Chain, Vec<Member>),
        (ttl, take): (NameTtl, usize),
        services: Vec<Service>,
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
        let own: &[Rtype] = match members.iter().any(|member| member.target.is_some()) {
            true => &[Rtype::CNAME],
            false => &[Rtype::A, Rtype::AAAA],
        };
        let settle = |rtype: &Rtype| (*rtype, FamilyAnswers::settle(&steered, &places, *rtype, shared));
        let families = own.iter().map(settle).collect();
        Self { chain, take, members, families, services }
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
