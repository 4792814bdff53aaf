//! Walks members in order, takes those that may be named, and says for how long that holds.
//!
//! ```text
//! those that serve, as their shares allow ─▸ those that serve, shares or not ─▸ those that stand by, likewise
//!                          ─▸ those that only this server doubts ─▸ all of them (fail open) or none (fail closed)
//! ```
//!
//! The first of these that finds anybody is the answer: neither a share nor a weight ever empties one.

use model::{AllDown, NameTtl};

use super::{Member, Rules};

/// What came of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Indices of the members to name, best first.
    pub(crate) chosen: Vec<usize>,
    pub(crate) basis: Basis,
    pub(crate) ttl: Ttl,
}

/// Which members could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Basis {
    /// The healthy ones.
    Healthy,
    /// None of the others serves: those that stand by for them.
    Standby,
    /// All healthy ones had been demoted locally, which never empties an answer: those the Plan lets serve.
    DemotionIgnored,
    /// All are down, and the pool fails open: all of them.
    FailOpen,
    /// All are down, and the pool fails closed: none.
    FailClosed,
    /// There are none with an address of this family.
    NoMembers,
}

/// A TTL and what set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ttl {
    /// Seconds.
    pub(crate) seconds: u32,
    pub(crate) limit: Limit,
}

/// What set a TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// The earliest moment at which a member that was looked at could change.
    Physics,
    /// Physics would allow less, the name's minimum does not.
    NameMin,
    /// Physics would allow more (or never changes by itself), the name's maximum does not.
    NameMax,
}

type MayBeNamed = fn(&Member) -> bool;

/// Who may be named, from the first resort to the last, and whether shares count.
const PASSES: [(Basis, bool, MayBeNamed); 7] = [
    (Basis::Healthy, true, |m| m.standing.healthy() && !m.stands_by),
    (Basis::Healthy, false, |m| m.standing.takes_others() && !m.stands_by),
    (Basis::Standby, true, |m| m.standing.healthy() && m.stands_by),
    (Basis::Standby, false, |m| m.standing.takes_others() && m.stands_by),
    (Basis::DemotionIgnored, false, |m| m.standing.serves() && !m.stands_by),
    (Basis::DemotionIgnored, false, |m| m.standing.serves()),
    (Basis::FailOpen, false, |_| true),
];

/// What a walk cannot go on without: whether the client is in the share of this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) usize);

/// Walks `order`, the indices of those members that have an address of the family in question. `told` says whether the client is
/// in the share of a member, as far as that is known.
pub(crate) fn walk(
    members: &[Member],
    order: &[usize],
    rules: &Rules,
    told: &[(usize, bool)],
) -> Result<Walk, Unknown> {
    let take = rules.take.max(1);
    let mut basis = if order.is_empty() { Basis::NoMembers } else { Basis::FailClosed };
    let mut chosen = Vec::new();
    // A walk ends as soon as it has enough; whoever stands behind cannot change the answer and is not consulted.
    let mut consulted = order.len();
    for (at, (pass, shares_count, may_be_named)) in PASSES.into_iter().enumerate() {
        if pass == Basis::FailOpen && rules.all_down == AllDown::FailClosed {
            break;
        }
        let mut last = 0;
        for (place, &i) in order.iter().enumerate().filter(|(_, i)| may_be_named(&members[**i])) {
            if shares_count && !in_share(members, i, told)? {
                continue;
            }
            chosen.push(i);
            last = place;
            if chosen.len() == take {
                break;
            }
        }
        if !chosen.is_empty() {
            basis = pass;
            if at == 0 && chosen.len() == take {
                consulted = last + 1;
            }
            break;
        }
    }
    let steady_ms = order[..consulted].iter().filter_map(|&i| members[i].steady_ms).min();
    Ok(Walk { chosen, basis, ttl: clamp(steady_ms, rules.ttl) })
}

fn in_share(members: &[Member], i: usize, told: &[(usize, bool)]) -> Result<bool, Unknown> {
    if members[i].share.is_whole() {
        return Ok(true);
    }
    told.iter().find(|(known, _)| *known == i).map(|(_, is_in)| *is_in).ok_or(Unknown(i))
}

/// Whole seconds, rounded up, inside the name's limits.
fn clamp(steady_ms: Option<u64>, limits: NameTtl) -> Ttl {
    let physics = steady_ms.map(|ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
    match physics {
        Some(seconds) if seconds < limits.min => Ttl { seconds: limits.min, limit: Limit::NameMin },
        Some(seconds) if seconds <= limits.max => Ttl { seconds, limit: Limit::Physics },
        _ => Ttl { seconds: limits.max.max(limits.min), limit: Limit::NameMax },
    }
}
