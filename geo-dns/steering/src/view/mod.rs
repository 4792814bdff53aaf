//! The View: a Plan compiled for answering. Made off the query path, swapped whole, never changed.

mod compile;
mod names;
mod zone;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use model::{Plan, PlanId, RegionName};

use crate::{
    geo::Geo,
    name::{NameMap, suffixes},
    rr::RrSet,
};

pub use compile::CompileError;
pub(crate) use compile::{text_set, texts_set};
pub use names::Names;
pub(crate) use zone::{Delegation, End, Found, Node, Zone};

/// What a View depends on besides the Plan.
#[derive(Debug, Clone)]
pub struct ViewInputs {
    /// The region of the answering server.
    pub server_region: RegionName,
    /// Regions that this server may leave out on its own region's evidence, since it hears no plane. Usually empty.
    pub demoted: BTreeSet<RegionName>,
    /// Where addresses are.
    pub geo: Arc<Geo>,
    /// What regions carry at present, per mille of what they can. A region of which nobody knows is never spared by a spill.
    pub load_permille: BTreeMap<RegionName, u32>,
}

impl ViewInputs {
    /// Nothing demoted, nothing known of loads, and the embedded country table.
    pub fn new(server_region: RegionName) -> Self {
        Self { server_region, demoted: BTreeSet::new(), geo: Geo::embedded(), load_permille: BTreeMap::new() }
    }
}

/// A Plan compiled for answering DNS queries.
pub struct View {
    pub(crate) plan: PlanId,
    pub(crate) server_region: RegionName,
    pub(crate) demoted: BTreeSet<RegionName>,
    pub(crate) home: crate::steer::Home,
    pub(crate) geo: Arc<Geo>,
    pub(crate) load_permille: BTreeMap<RegionName, u32>,
    pub(crate) zones: NameMap<Zone>,
    /// Bit N: there is a zone whose origin has N labels. Only parts of a name that are as long have to be looked for.
    pub(crate) depths: u128,
    pub(crate) identity: Identity,
    pub(crate) names: Arc<Names>,
}

/// What the server says of itself in class CH.
#[derive(Debug)]
pub(crate) struct Identity {
    /// `version.bind`, `version.server`.
    pub(crate) version: RrSet,
    /// `id.server`, `hostname.bind`.
    pub(crate) region: RrSet,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zones: Vec<_> = self.zones.values().map(|zone| (&zone.text, zone.nodes.len())).collect();
        f.debug_struct("View").field("plan", &self.plan).field("zones", &zones).finish_non_exhaustive()
    }
}

impl View {
    /// Compiles a Plan. Fails on a world that cannot be served as it is written, and says where; keep the View before it then.
    pub fn compile(plan: &Plan, inputs: &ViewInputs) -> Result<Self, CompileError> {
        compile::compile(plan, inputs)
    }

    /// The number of the Plan that it was made of.
    pub fn plan(&self) -> PlanId {
        self.plan
    }

    /// What the numbers in an [`crate::Outcome`] stand for.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Where it takes addresses to be: the inputs' locations, with the World's prefix lists over them.
    pub fn geo(&self) -> &Arc<Geo> {
        &self.geo
    }

    /// Regions left out by the server itself.
    pub fn demoted(&self) -> &BTreeSet<RegionName> {
        &self.demoted
    }

    /// `plan.atoll` in class CH: the Plan's number, and how old the plane's word on it is.
    pub(crate) fn freshness(&self, heard: Option<Duration>) -> RrSet {
        let heard = match heard {
            Some(ago) => format!("a quorum was heard {} s ago", ago.as_secs()),
            None => "no quorum was heard since the start".to_owned(),
        };
        text_set(&format!("plan {} {heard}", self.plan))
    }

    /// The innermost zone that a name lies in.
    pub(crate) fn zone_of(&self, name: &[u8]) -> Option<&Zone> {
        let labels = suffixes(name).count();
        let known = suffixes(name).enumerate().filter(|(i, _)| self.depths >> (labels - i) & 1 == 1);
        let zone = known.map(|(_, suffix)| suffix).find_map(|suffix| self.zones.get(suffix));
        zone.or_else(|| (self.depths & 1 == 1).then(|| self.zones.get([0].as_slice())).flatten())
    }
}
