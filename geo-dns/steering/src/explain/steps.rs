//! What each step of a policy did for a client, in words.

use std::collections::BTreeMap;

use model::{NoneLeft, RegionName, Step};

use super::{Asked, StepExplained, side};
use crate::steer::{Chain, Prepared, Rest, biased, bucket_of, entry, holds_for};

/// The steps of one chain.
pub(super) fn of(asked: &Asked<'_>, chain: &Chain, prepared: &Prepared) -> Vec<StepExplained> {
    let mut stage = 0;
    let mut told = |step: &Step| {
        let reason = Told { asked, chain, prepared, stage }.step(step);
        stage += usize::from(matches!(step, Step::Take { .. }));
        StepExplained { step: step.kind(), pool: chain.pool.clone(), reason }
    };
    chain.steps.iter().map(&mut told).collect()
}

struct Told<'a> {
    asked: &'a Asked<'a>,
    chain: &'a Chain,
    prepared: &'a Prepared,
    /// How many `take`s came before.
    stage: usize,
}

impl Told<'_> {
    fn step(&self, step: &Step) -> String {
        match step {
            Step::Fence { clients, .. } if !holds_for(clients, self.asked.place) => {
                "it is not for clients of this place".to_owned()
            }
            Step::Fence { regions, none_left, .. } => {
                let inside = |i: &usize| regions.contains(&self.asked.steering.members[*i].region);
                let (inside, outside): (Vec<usize>, Vec<usize>) = self.chain.members.clone().partition(inside);
                let (inside, outside) = (self.names(&inside), self.names(&outside));
                match none_left {
                    NoneLeft::Open => format!("keeps the client inside {inside}; if none of these serves, {outside}"),
                    NoneLeft::Closed => format!("keeps the client inside {inside}, never {outside}"),
                }
            }
            Step::Nearest { .. } => self.nearest(),
            Step::Map { orders } => match entry(orders, self.asked.place) {
                Some((clients, order)) => format!("`{clients}` holds for the client: {} first", regions(order)),
                None => "no entry holds for the client".to_owned(),
            },
            Step::Latency { ms } => match entry(ms, self.asked.place) {
                Some((clients, table)) => self.latency(&clients.to_string(), table),
                None => format!("no entry holds for the client, so that distance decides: {}", self.nearest()),
            },
            Step::Failover { .. } => self.names(&self.ordered()),
            Step::Weighted { .. } | Step::Shuffle {} => self.drawn(),
            Step::Sticky { max_load_percent, .. } => self.sticky(*max_load_percent),
            Step::Spill { low_permille, high_permille } => self.spill(*low_permille, *high_permille),
            Step::Trickle { permille, .. } => match &self.chain.trickle {
                Some(trickle) => {
                    let to = self.names(&trickle.to);
                    format!(
                        "{permille} of 1000 clients are sent to {to}, and {}",
                        side(trickle.share, self.asked.client)
                    )
                }
                None => String::new(),
            },
            Step::Take { count } => format!("goes on with the first {count} that serve"),
            Step::Fallback { pool, policy } => {
                let here = self.asked.variant.chosen.iter().any(|i| self.chain.members.contains(i));
                let is_used = self.asked.variant.basis == crate::steer::Basis::Fallback && !here;
                let policy = policy.as_str();
                match is_used {
                    true => format!("none of pool {} serves: pool {pool} by {policy}", self.chain.pool),
                    false => {
                        format!("pool {pool} by {policy} would be next if none of pool {} served", self.chain.pool)
                    }
                }
            }
        }
    }

    fn rest(&self) -> Option<&Rest> {
        self.chain.stages.get(self.stage).map(|stage| &stage.rest)
    }

    /// Members as this stage orders them.
    fn ordered(&self) -> Vec<usize> {
        self.prepared.orders.get(self.stage).map(|order| order.rest.clone()).unwrap_or_default()
    }

    fn names(&self, members: &[usize]) -> String {
        list(members.iter().map(|i| self.asked.steering.members[*i].region.to_string()))
    }

    fn nearest(&self) -> String {
        let none = BTreeMap::new();
        let bias = match self.rest() {
            Some(Rest::Nearest(bias)) => bias,
            _ => &none,
        };
        let told = |i: usize| {
            let member = &self.asked.steering.members[i];
            let Some(km) = self.asked.distance_km(member) else { return member.region.to_string() };
            match bias.get(&i).copied().unwrap_or_default() {
                0 => format!("{} {km:.0} km", member.region),
                percent => format!("{} {km:.0} km, biased by {percent} % to {:.0}", member.region, biased(km, percent)),
            }
        };
        list(self.ordered().into_iter().map(told))
    }

    fn latency(&self, clients: &str, table: &BTreeMap<RegionName, u32>) -> String {
        let told = |i: usize| {
            let region = &self.asked.steering.members[i].region;
            match table.get(region) {
                Some(ms) => format!("{region} {ms} ms"),
                None => format!("{region} unknown"),
            }
        };
        format!("`{clients}` holds for the client: {}", list(self.ordered().into_iter().map(told)))
    }

    fn drawn(&self) -> String {
        let Some(Rest::Drawn(weights)) = self.rest() else { return String::new() };
        let told = |i: usize| {
            let weight = weights.get(&i).copied().unwrap_or_default();
            format!("{} {weight}", self.asked.steering.members[i].region)
        };
        let weights = list(self.ordered().into_iter().map(told));
        format!("drawn anew for each answer, by weights {weights}: this is one draw of many")
    }

    fn sticky(&self, max_load_percent: Option<u32>) -> String {
        let Some(Rest::Sticky(buckets)) = self.rest() else { return String::new() };
        let bound =
            max_load_percent.map_or_else(String::new, |percent| format!(", none more than {percent} % of its part"));
        let bucket = bucket_of(buckets.seed(), self.asked.client);
        format!("the client's network is in bucket {bucket} of 1024, which stays with its member{bound}")
    }

    fn spill(&self, low: u32, high: u32) -> String {
        let loads = &self.asked.view.load_permille;
        let told = |i: usize| {
            let region = &self.asked.steering.members[i].region;
            let load = loads.get(region)?;
            let Some(kept) = self.chain.spill.get(&i) else {
                return Some(format!("{region} carries {load} ‰, not more than {low} ‰: it keeps all clients"));
            };
            Some(match kept.permille() {
                0 => format!("{region} carries {load} ‰, {high} ‰ or more: all clients are sent elsewhere"),
                permille => {
                    let side = side(*kept, self.asked.client);
                    format!(
                        "{region} carries {load} ‰, between {low} and {high} ‰: it keeps {permille} of 1000 clients, and {side}"
                    )
                }
            })
        };
        let told: Vec<String> = self.chain.members.clone().filter_map(told).collect();
        if told.is_empty() { "no load is known: nobody is sent elsewhere".to_owned() } else { told.join("; ") }
    }
}

fn regions(order: &[RegionName]) -> String {
    list(order.iter().map(RegionName::to_string))
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
}
