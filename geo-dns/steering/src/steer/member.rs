//! A member of a pool, and how it stands.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use model::{Check, Location, Plan, Region, RegionName, Subject, Verdict, Why};

use crate::rr::Rtype;

/// A region that can serve a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) region: RegionName,
    pub(crate) id: u16,
    pub(crate) location: Location,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
    pub(crate) standing: Standing,
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
            Self::NotJudged => true,
            Self::Judged(verdict) | Self::Demoted(verdict) => verdict != Verdict::Down,
            Self::Overridden { serves } => serves,
        }
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
        pool: &str,
        check: Option<&Check>,
        plan: &Plan,
        demoted: &BTreeSet<RegionName>,
    ) -> Self {
        let standing = standing(region, pool, check, plan, demoted);
        let steady_ms = check.and_then(|check| {
            let probes = match standing {
                Standing::NotJudged | Standing::Overridden { .. } => return None,
                Standing::Judged(Verdict::Up | Verdict::Degraded) => check.down_after,
                Standing::Judged(Verdict::Down) | Standing::Demoted(_) => check.up_after,
            };
            Some(check.interval_ms.saturating_mul(probes.into()))
        });
        Self {
            region: region.name.clone(),
            id: region.id,
            location: region.location,
            v4: region.gateway_v4,
            v6: region.gateway_v6,
            standing,
            steady_ms,
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

/// An override beats the verdict and the local probes; a pool without a check hears only overrides.
fn standing(
    region: &Region,
    pool: &str,
    check: Option<&Check>,
    plan: &Plan,
    demoted: &BTreeSet<RegionName>,
) -> Standing {
    let serving = plan.serving_in(pool, &region.name);
    if serving.why == Why::Override {
        return Standing::Overridden { serves: serving.serves };
    }
    if check.is_none() {
        return Standing::NotJudged;
    }
    // Whether it serves is the Plan's to say; the verdict's name only adds colour.
    let told = plan.verdicts.get(&Subject::Region(region.name.clone())).map(|state| state.verdict);
    let verdict =
        if serving.serves { told.filter(|v| *v != Verdict::Down).unwrap_or(Verdict::Up) } else { Verdict::Down };
    if verdict != Verdict::Down && demoted.contains(&region.name) {
        return Standing::Demoted(verdict);
    }
    Standing::Judged(verdict)
}
