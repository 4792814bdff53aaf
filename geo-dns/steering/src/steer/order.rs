//! The order in which members are tried.

use model::{Location, SteeringPolicy};

use crate::geo::distance_km;

use super::{Home, Member};

/// Indices of `members` in the order for a client at `place` (None: nowhere).
///
/// Nearest: by great-circle distance. A client who is nowhere is taken to be at the server that it reached: the server's
/// own region comes first, then the others by distance from it. Of equals the one that stands first in the pool wins, so
/// that all servers agree.
pub(crate) fn order_from(
    policy: SteeringPolicy,
    members: &[Member],
    place: Option<Location>,
    home: &Home,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    if policy == SteeringPolicy::Failover {
        return order;
    }
    let Some(from) = place.or(home.location) else { return order };
    let ranks: Vec<(bool, f64)> = members
        .iter()
        .map(|member| {
            let at_home = place.is_none() && member.id == home.id;
            (!at_home, distance_km(from, member.location))
        })
        .collect();
    order.sort_by(|&a, &b| ranks[a].0.cmp(&ranks[b].0).then(ranks[a].1.total_cmp(&ranks[b].1)));
    order
}
