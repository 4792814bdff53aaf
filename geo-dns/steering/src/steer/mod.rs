//! Steering of one name: which members it names, for whom, and for how long.
//!
//! Everything that does not depend on the client is settled when a View is compiled. Of the client only its place counts,
//! and, while a member serves only a part of the clients, its network. So a steered name is a small table: place → variant,
//! where a variant is a finished answer, or → a short tree of yes and no ("is this client in the member's share?") with
//! variants at its leaves. Places with the same answer share a variant, and an answer's scope may be as wide as the variant
//! is the same.
//!
//! ```text
//! members ─ order (nearest: per place · failover: as written) ─ walk (health, shares, take) ─ variant {records, TTL, why}
//! ```

mod family;
mod member;
mod order;
mod share;
mod walk;

#[cfg(test)]
mod tests;

use model::{AllDown, Location, NameTtl, SteeringPolicy};

use crate::{
    geo::{PlaceId, SharedOutcomes},
    rr::Rtype,
};

pub(crate) use family::{FamilyAnswers, Variant};
pub(crate) use member::{Member, Standing};
pub(crate) use order::order_from;
pub(crate) use share::Share;
pub(crate) use walk::{Basis, Limit, Ttl};

/// A steered name (or several that are steered alike), ready to be asked.
#[derive(Debug)]
pub(crate) struct Steering {
    pub(crate) pool: String,
    pub(crate) rules: Rules,
    /// Members in the order of the policy, or of the pool where the policy orders by distance.
    pub(crate) members: Vec<Member>,
    pub(crate) v4: FamilyAnswers,
    pub(crate) v6: FamilyAnswers,
}

/// What the World says about how to steer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) policy: SteeringPolicy,
    pub(crate) take: usize,
    pub(crate) ttl: NameTtl,
    pub(crate) all_down: AllDown,
}

impl Steering {
    /// The answers of a type that is steered.
    pub(crate) fn family(&self, rtype: Rtype) -> Option<&FamilyAnswers> {
        match rtype {
            Rtype::A => Some(&self.v4),
            Rtype::AAAA => Some(&self.v6),
            _ => None,
        }
    }

    /// Settles all answers. `home` is the place of the answering server: clients who are nowhere are taken to be there.
    pub(crate) fn settle(
        pool: String,
        rules: Rules,
        members: Vec<Member>,
        home: &Home,
        shared: &mut SharedOutcomes<'_>,
    ) -> Self {
        let geo = shared.geo();
        let order = |place| order_from(rules.policy, &members, place, home);
        let orders: Vec<Vec<usize>> = match rules.policy {
            SteeringPolicy::Failover => vec![order(None)],
            SteeringPolicy::Nearest => {
                (0..geo.places()).map(|i| order(geo.place(PlaceId(i as u32)).location)).collect()
            }
        };
        let v4 = FamilyAnswers::settle(&members, &rules, &orders, Rtype::A, shared);
        let v6 = FamilyAnswers::settle(&members, &rules, &orders, Rtype::AAAA, shared);
        Self { pool, rules, members, v4, v6 }
    }
}

/// The answering server's region.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Home {
    /// Its number; 0 if the World does not know the region.
    pub(crate) id: u16,
    pub(crate) location: Option<Location>,
}
