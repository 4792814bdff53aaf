//! Clients that stay with their member: rendezvous hashing with weights, and a bound on what one member is sent.
//!
//! A client's network falls into one of [`BUCKETS`] buckets, by a number that follows from the pool alone, so that all servers and
//! all names of a pool agree. For each bucket every member has a score that follows from the bucket, its region and its weight
//! ("highest random weight", Thaler and Ravishankar 1998); the members in the order of their scores are the bucket's order. If a
//! member leaves, its buckets alone go elsewhere, each to the member that is next in its own order.
//!
//! With a bound, no member is the first of more buckets than its weight says times the bound: the buckets choose one after the
//! other, and those that find their first choice full take the next one (bounded loads, Mirrokni and others 2018).

use model::RegionName;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::geo::ClientNetwork;

/// How many parts the clients are divided into: weights are kept to a thousandth.
pub(crate) const BUCKETS: usize = 1024;

/// How the clients of a pool are divided.
#[derive(Debug)]
pub(crate) struct Buckets {
    seed: u64,
    members: Vec<(usize, RegionName, u32)>,
    max_load_percent: Option<u32>,
}

impl Buckets {
    /// Members, each with its index, its region and its weight.
    pub(crate) fn new(
        pool: &str,
        members: impl Iterator<Item = (usize, RegionName, u32)>,
        max_load_percent: Option<u32>,
    ) -> Self {
        Self { seed: xxh3_64(format!("sticky//{pool}").as_bytes()), members: members.collect(), max_load_percent }
    }

    /// What tells networks apart.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// For each bucket these members, best first. Those of weight 0 come last.
    pub(crate) fn orders(&self, among: &[usize]) -> Vec<Vec<usize>> {
        let known = |i: &usize| self.members.iter().find(|(index, ..)| index == i);
        let members: Vec<_> = among.iter().filter_map(known).collect();
        let total: u64 = members.iter().map(|(.., weight)| u64::from(*weight)).sum();
        let mut room: Vec<u64> = members
            .iter()
            .map(|(.., weight)| match self.max_load_percent {
                Some(percent) if total > 0 => {
                    (BUCKETS as u64 * u64::from(*weight) * u64::from(percent)).div_ceil(total * 100)
                }
                _ => u64::MAX,
            })
            .collect();
        let order = |bucket: usize| {
            let mut scored: Vec<(f64, usize)> = members
                .iter()
                .enumerate()
                .map(|(at, (_, region, weight))| (score(bucket, region, *weight), at))
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut order: Vec<usize> = scored.into_iter().map(|(_, at)| at).collect();
            if let Some(best) = order.iter().position(|at| room[*at] > 0) {
                let best = order.remove(best);
                room[best] = room[best].saturating_sub(1);
                order.insert(0, best);
            }
            order.into_iter().map(|at| members[at].0).collect()
        };
        (0..BUCKETS).map(order).collect()
    }
}

/// The bucket of a network.
pub(crate) fn bucket(seed: u64, network: ClientNetwork) -> usize {
    // Below BUCKETS, whatever the hash.
    (xxh3_64_with_seed(&network.key.to_be_bytes(), seed) % BUCKETS as u64) as usize
}

/// The greater, the better: an exponential race, which each member wins as often as its weight says.
fn score(bucket: usize, region: &RegionName, weight: u32) -> f64 {
    let hash = xxh3_64_with_seed(region.as_str().as_bytes(), bucket as u64);
    // In (0, 1]: 53 bits, none of which is lost.
    let uniform = ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    if weight == 0 { f64::NEG_INFINITY } else { -f64::from(weight) / uniform.ln() }
}
