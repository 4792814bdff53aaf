//! A pool and the steps that pick among its members, as far as they can be settled without knowing the client.
//!
//! ```text
//! policy ─▸ fences, trickle, spill ─▸ stage (maps, one order, take) ─▸ stage … ─▸ fallback: the chain of another pool
//! ```
//!
//! Members of all pools of a chain stand in one list; a chain knows which part of it is its own.

use std::{collections::BTreeMap, ops::Range};

use model::{AllDown, Clients, NoneLeft, Plan, Pool, RegionName, SteeringPolicy, Step, World};

use crate::view::ViewInputs;

use super::{Member, Share, sticky::Buckets};

/// A pool, and how its members are picked.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) pool: String,
    pub(crate) policy: SteeringPolicy,
    /// The steps as they are written.
    pub(crate) steps: Vec<Step>,
    /// Its members' place in the list.
    pub(crate) members: Range<usize>,
    pub(crate) all_down: AllDown,
    /// If fewer members serve, it counts as down.
    pub(crate) panic_below: usize,
    pub(crate) fences: Vec<Fence>,
    pub(crate) trickle: Option<Trickle>,
    /// The part of the clients that a loaded member keeps.
    pub(crate) spill: BTreeMap<usize, Share>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) fallback: Option<Box<Self>>,
}

/// Keeps clients inside regions.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) clients: Vec<Clients>,
    pub(crate) regions: Vec<RegionName>,
    pub(crate) none_left: NoneLeft,
}

/// A part of the clients that always goes to some members.
#[derive(Debug)]
pub(crate) struct Trickle {
    pub(crate) share: Share,
    pub(crate) to: Vec<usize>,
}

/// Steps up to a `take`, or to the end.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// What puts some members first.
    pub(crate) maps: Vec<BTreeMap<Clients, Vec<usize>>>,
    /// What orders the others.
    pub(crate) rest: Rest,
    /// How many are left; all if none is said.
    pub(crate) take: Option<usize>,
}

/// How the members of a stage are put in order that no map puts first.
#[derive(Debug, Default)]
pub(crate) enum Rest {
    /// As they stand in the pool, or behind a `take` as they were taken.
    #[default]
    AsTheyStand,
    /// As written.
    Written(Vec<usize>),
    /// By distance, each with its bias.
    Nearest(BTreeMap<usize, i8>),
    /// By measured round trips, then by distance.
    Latency(BTreeMap<Clients, BTreeMap<usize, u32>>),
    /// Drawn for each answer, by weights.
    Drawn(BTreeMap<usize, u32>),
    /// By the client's network.
    Sticky(Buckets),
}

/// What the World lacks: what it is, and its name.
pub(crate) type Lacks = (&'static str, String);

/// What a chain is built from.
pub(crate) struct Source<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) inputs: &'p ViewInputs,
}

impl Source<'_> {
    /// Builds the chain of a pool, and puts its members into the list. `order` is the one of the simple policy `failover`.
    pub(crate) fn chain(
        &self,
        pool: &str,
        policy: &SteeringPolicy,
        order: &[RegionName],
        members: &mut Vec<Member>,
        depth: usize,
    ) -> Result<Chain, Lacks> {
        let world: &World = &self.plan.world;
        let found = world.pools.get(pool).ok_or_else(|| ("pool", pool.to_owned()))?;
        let own = self.members(pool, found, members)?;
        let steps = match policy {
            SteeringPolicy::Nearest => vec![Step::Nearest { bias: BTreeMap::new() }],
            SteeringPolicy::Failover => vec![Step::Failover { order: order.to_vec() }],
            SteeringPolicy::Named(name) => {
                world.policies.get(name).ok_or_else(|| ("policy", name.clone()))?.steps.clone()
            }
        };
        let mut chain = Chain {
            pool: pool.to_owned(),
            policy: policy.clone(),
            members: own,
            all_down: found.all_down,
            panic_below: found.panic_below as usize,
            fences: Vec::new(),
            trickle: None,
            spill: BTreeMap::new(),
            stages: vec![Stage::default()],
            fallback: None,
            steps: Vec::new(),
        };
        for step in &steps {
            self.add(&mut chain, step, found, members, depth)?;
        }
        chain.steps = steps;
        Ok(chain)
    }

    fn members(&self, name: &str, pool: &Pool, members: &mut Vec<Member>) -> Result<Range<usize>, Lacks> {
        let world: &World = &self.plan.world;
        let check = match &pool.check {
            Some(name) => Some(world.checks.get(name).ok_or_else(|| ("check", name.clone()))?),
            None => None,
        };
        let first = members.len();
        for region in &pool.members {
            let region = world.region(region).ok_or_else(|| ("region", region.to_string()))?;
            members.push(Member::new(region, (name, pool), check, self.plan, &self.inputs.demoted));
        }
        Ok(first..members.len())
    }

    fn add(
        &self,
        chain: &mut Chain,
        step: &Step,
        pool: &Pool,
        members: &mut Vec<Member>,
        depth: usize,
    ) -> Result<(), Lacks> {
        let own = chain.members.clone();
        let at = |region: &RegionName| own.clone().find(|i| members[*i].region == *region);
        let all = |regions: &[RegionName]| regions.iter().filter_map(at).collect::<Vec<_>>();
        let weights = |said: &BTreeMap<RegionName, u32>| -> BTreeMap<usize, u32> {
            let weight = |i: usize| match said.is_empty() {
                true => pool.weight(&members[i].region),
                false => said.get(&members[i].region).copied().unwrap_or_default(),
            };
            own.clone().map(|i| (i, weight(i))).collect()
        };
        let rest = match step {
            Step::Fence { clients, regions, none_left } => {
                chain.fences.push(Fence { clients: clients.clone(), regions: regions.clone(), none_left: *none_left });
                return Ok(());
            }
            Step::Trickle { permille, to } => {
                let to = match to.is_empty() {
                    true => own.clone().filter(|i| members[*i].stands_by).collect(),
                    false => all(to),
                };
                chain.trickle =
                    Some(Trickle { share: Share::seeded(*permille, &format!("trickle//{}", chain.pool)), to });
                return Ok(());
            }
            Step::Spill { low_permille, high_permille } => {
                chain.spill = self.spill(&chain.pool, own.clone(), members, *low_permille, *high_permille);
                return Ok(());
            }
            Step::Take { count } => {
                if let Some(stage) = chain.stages.last_mut() {
                    stage.take = Some((*count).max(1));
                }
                chain.stages.push(Stage::default());
                return Ok(());
            }
            Step::Fallback { pool, policy } => {
                // A validated World ends sooner; one of a later version may think otherwise.
                if depth >= World::FALLBACKS_MAX {
                    return Ok(());
                }
                chain.fallback = Some(Box::new(self.chain(pool, policy, &[], members, depth + 1)?));
                return Ok(());
            }
            Step::Map { orders } => {
                let map = orders.iter().map(|(clients, order)| (clients.clone(), all(order))).collect();
                if let Some(stage) = chain.stages.last_mut() {
                    stage.maps.push(map);
                }
                return Ok(());
            }
            Step::Nearest { bias } => {
                Rest::Nearest(bias.iter().filter_map(|(region, bias)| Some((at(region)?, *bias))).collect())
            }
            Step::Latency { ms } => {
                let table = |table: &BTreeMap<RegionName, u32>| {
                    table.iter().filter_map(|(region, ms)| Some((at(region)?, *ms))).collect()
                };
                Rest::Latency(ms.iter().map(|(clients, ms)| (clients.clone(), table(ms))).collect())
            }
            // Those that the order leaves out come last, as they stand in the pool: still better than nothing.
            Step::Failover { order } => Rest::Written(all(order)),
            Step::Weighted { weights: said } => Rest::Drawn(weights(said)),
            Step::Shuffle {} => Rest::Drawn(own.clone().map(|i| (i, 1)).collect()),
            Step::Sticky { weights: said, max_load_percent } => {
                let members = weights(said).into_iter().map(|(i, weight)| (i, members[i].region.clone(), weight));
                Rest::Sticky(Buckets::new(&chain.pool, members, *max_load_percent))
            }
        };
        if let Some(stage) = chain.stages.last_mut() {
            stage.rest = rest;
        }
        Ok(())
    }

    /// Which part of its clients each member keeps whose load is known and above the low mark.
    fn spill(&self, pool: &str, own: Range<usize>, members: &[Member], low: u32, high: u32) -> BTreeMap<usize, Share> {
        let kept = |load: u32| match load {
            load if load <= low => None,
            load if load >= high => Some(0),
            // It is below the high mark, which is above the low one.
            load => Some((u64::from(high - load) * 1000 / u64::from(high - low)) as u32),
        };
        own.filter_map(|i| {
            let region = &members[i].region;
            let permille = kept(*self.inputs.load_permille.get(region)?)?;
            Some((i, Share::seeded(permille, &format!("spill/{pool}/{region}"))))
        })
        .collect()
    }
}

impl Chain {
    /// Whether it matters where the client is.
    pub(crate) fn asks_places(&self) -> bool {
        let by_stage =
            |stage: &Stage| !stage.maps.is_empty() || matches!(stage.rest, Rest::Nearest(_) | Rest::Latency(_));
        self.fences.iter().any(|fence| !fence.clients.is_empty())
            || self.stages.iter().any(by_stage)
            || self.fallback.as_ref().is_some_and(|next| next.asks_places())
    }
}
