//! Walks members in order, takes those that may be named, and says for how long that holds.

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

/// Walks `order`, the indices of those members that have an address of the family in question.
pub(crate) fn walk(members: &[Member], order: &[usize], rules: &Rules) -> Walk {
    let passes: [(Basis, MayBeNamed); 3] = [
        (Basis::Healthy, |m| m.standing.healthy()),
        (Basis::DemotionIgnored, |m| m.standing.serves()),
        (Basis::FailOpen, |_| true),
    ];
    let mut basis = if order.is_empty() { Basis::NoMembers } else { Basis::FailClosed };
    let mut chosen = Vec::new();
    // A walk ends as soon as it has enough; whoever stands behind cannot change the answer and is not consulted.
    let mut consulted = order.len();
    for (pass, may_be_named) in passes {
        if pass == Basis::FailOpen && rules.all_down == AllDown::FailClosed {
            break;
        }
        let named = order.iter().enumerate().filter(|(_, i)| may_be_named(&members[**i]));
        let taken: Vec<(usize, usize)> = named.map(|(at, i)| (at, *i)).take(rules.take.max(1)).collect();
        if let Some(&(last, _)) = taken.last() {
            if pass == Basis::Healthy && taken.len() == rules.take.max(1) {
                consulted = last + 1;
            }
            basis = pass;
            chosen = taken.into_iter().map(|(_, i)| i).collect();
            break;
        }
    }
    let steady_ms = order[..consulted].iter().filter_map(|&i| members[i].steady_ms).min();
    Walk { chosen, basis, ttl: clamp(steady_ms, rules.ttl) }
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
