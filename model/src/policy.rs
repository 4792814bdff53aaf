//! Policies: chains of steps that pick members of a pool for a client. What each step does is said in `docs/dns.md`; here is how
//! it is written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Clients, RegionName};

/// A chain of steps. Names are steered by it, and other policies may fall back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The steps, in the order in which they are taken.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// A step of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Step {
    /// Keeps clients inside regions.
    Fence {
        /// Which clients; everybody if none are named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clients: Vec<Clients>,
        /// The regions they are kept in.
        regions: Vec<RegionName>,
        /// What is done if none of these serves.
        #[serde(default)]
        none_left: NoneLeft,
    },
    /// Orders by distance.
    Nearest {
        /// How much larger, in percent, the area of a region is made: −99 to 99.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        bias: BTreeMap<RegionName, i8>,
    },
    /// Puts regions first by where the client is; the most specific entry counts.
    Map {
        /// Which regions come first, best first.
        orders: BTreeMap<Clients, Vec<RegionName>>,
    },
    /// Orders by measured round trips; the most specific entry counts.
    Latency {
        /// Milliseconds from those clients to each region.
        ms: BTreeMap<Clients, BTreeMap<RegionName, u32>>,
    },
    /// Orders as written.
    Failover {
        /// The regions, best first; the pool's order if there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        order: Vec<RegionName>,
    },
    /// Draws an order for each answer, by weights.
    Weighted {
        /// Weights; the pool's if there are none.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        weights: BTreeMap<RegionName, u32>,
    },
    /// Draws an order for each answer, all alike.
    Shuffle {},
    /// The same members for the same clients, by weights.
    Sticky {
        /// Weights; the pool's if there are none.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        weights: BTreeMap<RegionName, u32>,
        /// The most that a member is sent, in percent of what its weight says; no bound if it is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_load_percent: Option<u32>,
    },
    /// Sends a part of the clients elsewhere while a region is loaded.
    Spill {
        /// Up to this load nobody is sent elsewhere, per mille of what the region can carry.
        low_permille: u32,
        /// From this load on everybody is.
        high_permille: u32,
    },
    /// Always sends a part of the clients to those who stand by.
    Trickle {
        /// How many of a thousand client networks.
        permille: u32,
        /// To whom; to the pool's members of weight 0 if nobody is named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<RegionName>,
    },
    /// Goes on with the first so many that serve.
    Take {
        /// How many.
        count: usize,
    },
    /// Another pool, when none of this one serves.
    Fallback {
        /// The pool.
        pool: String,
        /// How members of that pool are picked.
        #[serde(default)]
        policy: SteeringPolicy,
    },
}

impl Step {
    /// Its kind as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fence { .. } => "fence",
            Self::Nearest { .. } => "nearest",
            Self::Map { .. } => "map",
            Self::Latency { .. } => "latency",
            Self::Failover { .. } => "failover",
            Self::Weighted { .. } => "weighted",
            Self::Shuffle {} => "shuffle",
            Self::Sticky { .. } => "sticky",
            Self::Spill { .. } => "spill",
            Self::Trickle { .. } => "trickle",
            Self::Take { .. } => "take",
            Self::Fallback { .. } => "fallback",
        }
    }

    /// Whether nothing is left to be ordered after it.
    pub fn orders_all(&self) -> bool {
        matches!(
            self,
            Self::Nearest { .. }
                | Self::Failover { .. }
                | Self::Weighted { .. }
                | Self::Shuffle {}
                | Self::Sticky { .. }
                | Self::Latency { .. }
        )
    }

    /// The regions that it names.
    pub fn regions(&self) -> Vec<&RegionName> {
        match self {
            Self::Fence { regions, .. } | Self::Failover { order: regions } | Self::Trickle { to: regions, .. } => {
                regions.iter().collect()
            }
            Self::Nearest { bias } => bias.keys().collect(),
            Self::Weighted { weights } | Self::Sticky { weights, .. } => weights.keys().collect(),
            Self::Map { orders } => orders.values().flatten().collect(),
            Self::Latency { ms } => ms.values().flat_map(BTreeMap::keys).collect(),
            Self::Shuffle {} | Self::Spill { .. } | Self::Take { .. } | Self::Fallback { .. } => Vec::new(),
        }
    }
}

/// What a fence does with its clients if none of its regions serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoneLeft {
    /// Lets them out.
    #[default]
    Open,
    /// Keeps them in: what the pool says for the case that all are down is said of the regions inside.
    Closed,
}

/// How members are picked: in one of two simple ways, or by a policy of the World.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SteeringPolicy {
    /// By great-circle distance from the client's place.
    #[default]
    Nearest,
    /// In the order given.
    Failover,
    /// As this policy of the World says.
    Named(String),
}

impl SteeringPolicy {
    /// The names that no policy of a World can have.
    pub const SIMPLE: [&str; 2] = ["nearest", "failover"];

    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Nearest => Self::SIMPLE[0],
            Self::Failover => Self::SIMPLE[1],
            Self::Named(name) => name,
        }
    }
}

impl From<String> for SteeringPolicy {
    fn from(name: String) -> Self {
        match name.as_str() {
            "nearest" => Self::Nearest,
            "failover" => Self::Failover,
            _ => Self::Named(name),
        }
    }
}

impl From<SteeringPolicy> for String {
    fn from(policy: SteeringPolicy) -> Self {
        policy.as_str().to_owned()
    }
}

/// Networks under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixList {
    /// Its name; policies write `list:NAME`.
    pub name: String,
    /// Networks, `192.0.2.0/24` or `2001:db8::/32`.
    pub prefixes: Vec<String>,
}
