//! A member of a pool, and how it stands.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use model::{Check, Location, Plan, Pool, Region, RegionName, Serving, Subject, Verdict, Why};

use crate::{name::Name, rr::Rtype};

use super::Share;

/// A region that can serve a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) region: RegionName,
    pub(crate) id: u16,
    pub(crate) location: Location,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
    /// The name it stands for, of a steered alias.
    pub(crate) target: Option<Name>,
    pub(crate) standing: Standing,
    /// Which part of the clients it is sent.
    pub(crate) share: Share,
    /// It weighs nothing in its pool: it is named when no other one serves.
    pub(crate) stands_by: bool,
    /// Earliest time in which probes alone could change the standing, milliseconds. None if no probe ever will.
    pub(crate) steady_ms: Option<u64>,
}

/// Whether a member may be named, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its pool has no check, and no human has spoken.
    NotJudged,
    /// The quorum's verdict.
    Judged(Verdict),
    /// The quorum's verdict lets it serve, but this server hears no plane and its own region's probes see the member down.
    Demoted(Verdict),
    /// The quorum's verdict is Down, and a part of its clients is sent there all the same, since the others cannot carry them.
    Kept,
    /// A human's word: named or left out.
    Overridden {
        /// The word.
        serves: bool,
    },
}

impl Standing {
    /// Whether the Plan would have it named.
    pub(crate) fn serves(self) -> bool {
        match self {
            Self::NotJudged | Self::Kept => true,
            Self::Judged(verdict) | Self::Demoted(verdict) => verdict != Verdict::Down,
            Self::Overridden { serves } => serves,
        }
    }

    /// Whether it may be named to clients outside of its share.
    pub(crate) fn takes_others(self) -> bool {
        self.healthy() && self != Self::Kept
    }

    /// Whether it is named as long as there is a better one or none at all.
    pub(crate) fn healthy(self) -> bool {
        self.serves() && !matches!(self, Self::Demoted(_))
    }
}

impl Member {
    /// A region as a member of a pool with that check.
    pub(crate) fn new(
        region: &Region,
        (name, pool): (&str, &Pool),
        check: Option<&Check>,
        plan: &Plan,
        demoted: &BTreeSet<RegionName>,
    ) -> Self {
        let serving = plan.serving_in(name, &region.name);
        let standing = standing(region, (name, serving), check, plan, demoted);
        let share = match standing {
            // Nobody has judged it, so that nobody can have cut its share.
            Standing::NotJudged => Share::whole(),
            _ => Share::of(serving.share_permille, name, &region.name),
        };
        let of_region = plan.world.check_of(&region.name).map(|(_, check)| check);
        // Where the region is judged by another check than the pool's, either of the two can change it.
        let steady_ms = check.and_then(|check| {
            [Some(check), of_region].into_iter().flatten().filter_map(|c| steady_ms(standing, c)).min()
        });
        Self {
            region: region.name.clone(),
            id: region.id,
            location: region.location,
            v4: region.gateway_v4,
            v6: region.gateway_v6,
            target: None,
            standing,
            share,
            stands_by: pool.weight(&region.name) == 0,
            steady_ms,
        }
    }

    /// Whether it can be named in records of a type.
    pub(crate) fn has(&self, rtype: Rtype) -> bool {
        match rtype {
            Rtype::CNAME => self.target.is_some(),
            rtype => self.address(rtype).is_some(),
        }
    }

    /// What a record of a type says of it, as it goes onto the wire.
    pub(crate) fn data(&self, rtype: Rtype) -> Option<Box<[u8]>> {
        match rtype {
            Rtype::A => self.v4.map(|v4| v4.octets().into()),
            Rtype::AAAA => self.v6.map(|v6| v6.octets().into()),
            Rtype::CNAME => self.target.as_ref().map(|name| name.as_wire().into()),
            _ => None,
        }
    }

    /// Its address for A or AAAA.
    pub(crate) fn address(&self, rtype: Rtype) -> Option<IpAddr> {
        match rtype {
            Rtype::A => self.v4.map(IpAddr::V4),
            Rtype::AAAA => self.v6.map(IpAddr::V6),
            _ => None,
        }
    }
}

/// How soon probes by that check could change the standing, milliseconds; none if a human's word holds it.
fn steady_ms(standing: Standing, check: &Check) -> Option<u64> {
    let probes = match standing {
        Standing::NotJudged | Standing::Overridden { .. } => return None,
        Standing::Judged(Verdict::Up | Verdict::Degraded) => check.down_after,
        Standing::Judged(Verdict::Down) | Standing::Kept | Standing::Demoted(_) => check.up_after,
    };
    Some(check.interval_ms.saturating_mul(probes.into()))
}

/// An override beats the verdict and the local probes; a pool without a check hears only overrides.
fn standing(
    region: &Region,
    (pool, serving): (&str, Serving),
    check: Option<&Check>,
    plan: &Plan,
    demoted: &BTreeSet<RegionName>,
) -> Standing {
    if serving.why == Why::Override {
        return Standing::Overridden { serves: serving.serves };
    }
    if check.is_none() {
        return Standing::NotJudged;
    }
    if serving.why == Why::Capacity {
        return if serving.serves { Standing::Kept } else { Standing::Judged(Verdict::Down) };
    }
    let verdict = if serving.serves { colour(region, pool, plan) } else { Verdict::Down };
    if verdict != Verdict::Down && demoted.contains(&region.name) {
        return Standing::Demoted(verdict);
    }
    Standing::Judged(verdict)
}

/// Up or Degraded: the lesser word of the region's verdict and of its own as a member. Whether it serves at all is the Plan's
/// to say.
fn colour(region: &Region, pool: &str, plan: &Plan) -> Verdict {
    let as_member = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: region.name.clone() });
    let subjects = [Some(Subject::Region(region.name.clone())), as_member].into_iter().flatten();
    let told = subjects.filter_map(|subject| plan.verdicts.get(&subject)).map(|state| state.verdict);
    told.filter(|verdict| *verdict != Verdict::Down).max().unwrap_or(Verdict::Up)
}
