//! Plan → View. All slowness lives here.

use std::{collections::hash_map::Entry, sync::Arc};

use hickory_proto::rr::{self, RData, rdata};
use model::{Plan, RecordData, RegionName, Steered, TypeNumber, World};

use crate::{
    name::{Name, NameMap, hickory_name, is_within, suffixes},
    rr::{RrSet, Rtype, encode_rdata},
    steer::{Home, Member, Rules, Steering},
};

use super::{Delegation, End, Identity, Names, Node, View, ViewInputs, Zone};

/// Why a Plan cannot become a View. A validated World never gives one; a Plan from a later version might.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Something is written that is no name, or is too long.
    #[error("zone {zone}: `{text}` is not usable: {why}")]
    Unusable {
        /// Origin of the zone.
        zone: String,
        /// What is written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two things that cannot stand at one name.
    #[error("zone {zone}: `{name}` has {what}; keep one of them")]
    Conflict {
        /// Origin of the zone.
        zone: String,
        /// The name.
        name: String,
        /// What stands there.
        what: &'static str,
    },
    /// A steered name refers to something that the World does not have.
    #[error("zone {zone}: `{name}` refers to {what} `{missing}`, which the world does not have")]
    Missing {
        /// Origin of the zone.
        zone: String,
        /// The name.
        name: String,
        /// `pool`, `region` or `check`.
        what: &'static str,
        /// What is not there.
        missing: String,
    },
    /// Two zones with one origin.
    #[error("zone {zone} is there twice; put its names into one")]
    TwiceTheZone {
        /// Its origin.
        zone: String,
    },
}

pub(super) fn compile(plan: &Plan, inputs: &ViewInputs) -> Result<View, CompileError> {
    let home = plan.world.region(&inputs.server_region);
    let home = Home { id: home.map_or(0, |r| r.id), location: home.map(|r| r.location) };
    let mut steerings = Steerings { plan, inputs, home: &home, known: Vec::new() };
    let mut zones: NameMap<Zone> = NameMap::default();
    let mut names = Names::of(&plan.world);
    for zone in &plan.world.zones {
        let mut compiled = ZoneCompiler::new(zone, plan)?.finish(&mut steerings)?;
        compiled.index = names.zone(&compiled.text);
        match zones.entry(compiled.origin.clone()) {
            Entry::Occupied(_) => return Err(CompileError::TwiceTheZone { zone: zone.origin.clone() }),
            Entry::Vacant(free) => free.insert(compiled),
        };
    }
    Ok(View {
        plan: plan.id,
        server_region: inputs.server_region.clone(),
        demoted: inputs.demoted.clone(),
        identity: identity(plan, &inputs.server_region),
        geo: inputs.geo.clone(),
        home,
        depths: zones.keys().fold(0, |depths, origin| depths | 1 << suffixes(origin.as_wire()).count()),
        zones,
        names: Arc::new(names),
    })
}

fn identity(plan: &Plan, region: &RegionName) -> Identity {
    Identity {
        version: text_set(&format!("atoll {} plan {}", env!("CARGO_PKG_VERSION"), plan.id)),
        region: text_set(region.as_str()),
    }
}

/// One TXT record that nobody may keep.
pub(crate) fn text_set(text: &str) -> RrSet {
    texts_set(&[text.to_owned()])
}

/// The same with a string for each text, or several where it is longer than a string may be. Records of a set have no order;
/// strings of a record do.
pub(crate) fn texts_set(texts: &[String]) -> RrSet {
    RrSet { rtype: Rtype::TXT, ttl: 0, rdata: vec![texts.iter().flat_map(|text| text_data(text)).collect()] }
}

/// TXT data: strings of at most 255 bytes, of which there is at least one.
fn text_data(text: &str) -> Box<[u8]> {
    let mut data = Vec::with_capacity(text.len() + 1);
    let mut put = |chunk: &[u8]| {
        data.push(chunk.len() as u8);
        data.extend(chunk);
    };
    if text.is_empty() {
        put(&[]);
    }
    text.as_bytes().chunks(255).for_each(put);
    data.into()
}

/// Steered names that are steered alike share what is settled for them.
struct Steerings<'p> {
    plan: &'p Plan,
    inputs: &'p ViewInputs,
    home: &'p Home,
    known: Vec<(&'p Steered, Arc<Steering>)>,
}

impl<'p> Steerings<'p> {
    fn get(&mut self, zone: &str, steered: &'p Steered) -> Result<Arc<Steering>, CompileError> {
        let alike = |other: &Steered| {
            (&other.pool, other.policy, &other.order, other.take, other.ttl)
                == (&steered.pool, steered.policy, &steered.order, steered.take, steered.ttl)
        };
        if let Some((_, known)) = self.known.iter().find(|(other, _)| alike(other)) {
            return Ok(known.clone());
        }
        let steering = Arc::new(self.settle(zone, steered)?);
        self.known.push((steered, steering.clone()));
        Ok(steering)
    }

    fn settle(&self, zone: &str, steered: &Steered) -> Result<Steering, CompileError> {
        let world: &World = &self.plan.world;
        let missing = |what, missing: &str| CompileError::Missing {
            zone: zone.to_owned(),
            name: steered.name.clone(),
            what,
            missing: missing.to_owned(),
        };
        let pool = world.pools.get(&steered.pool).ok_or_else(|| missing("pool", &steered.pool))?;
        let check = match &pool.check {
            Some(name) => Some(world.checks.get(name).ok_or_else(|| missing("check", name))?),
            None => None,
        };
        let members = ordered(&steered.order, &pool.members)
            .map(|name| {
                let region = world.region(name).ok_or_else(|| missing("region", name.as_str()))?;
                Ok(Member::new(region, (&steered.pool, pool), check, self.plan, &self.inputs.demoted))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rules = Rules { policy: steered.policy, take: steered.take, ttl: steered.ttl, all_down: pool.all_down };
        Ok(Steering::settle(steered.pool.clone(), rules, members, self.home, &self.inputs.geo))
    }
}

/// The members in the written order. Those that it leaves out come last, in the pool's order: still better than nothing.
fn ordered<'w>(order: &'w [RegionName], members: &'w [RegionName]) -> impl Iterator<Item = &'w RegionName> {
    let first = order.iter().filter(|name| members.contains(name));
    first.chain(members.iter().filter(|name| !order.contains(name)))
}

struct ZoneCompiler<'p> {
    source: &'p model::Zone,
    origin: Name,
    serial: u32,
    nodes: NameMap<Node>,
}

impl<'p> ZoneCompiler<'p> {
    fn new(source: &'p model::Zone, plan: &Plan) -> Result<Self, CompileError> {
        let origin = Name::parse(&source.origin, None).map_err(|why| CompileError::Unusable {
            zone: source.origin.clone(),
            text: source.origin.clone(),
            why,
        })?;
        // Serials are compared in 32-bit circle arithmetic (RFC 1982), so that the lower half of the version serves.
        Ok(Self { source, origin, serial: plan.id.version as u32, nodes: NameMap::default() })
    }

    fn finish(mut self, steerings: &mut Steerings<'p>) -> Result<Zone, CompileError> {
        let soa = RrSet { rtype: Rtype::SOA, ttl: self.source.ttl, rdata: vec![self.soa()?] };
        let apex = self.origin.clone();
        self.put(&apex, soa.clone());
        for server in &self.source.ns {
            let data = self.encode(server, &RData::NS(rdata::NS(self.hickory_name(server)?)))?;
            self.put(&apex, RrSet { rtype: Rtype::NS, ttl: self.source.ttl, rdata: vec![data] });
        }
        for record in &self.source.records {
            self.put_static(record)?;
        }
        for steered in &self.source.steered {
            let owner = self.owner(&steered.name)?;
            let steering = steerings.get(&self.source.origin, steered)?;
            let node = self.nodes.entry(owner).or_default();
            if node.steering.replace(steering).is_some() {
                return Err(self.conflict(&steered.name, "two steered entries"));
            }
        }
        self.check_conflicts()?;
        let has_ends = self.mark_ends();
        self.fill_gaps();
        // Room for a second type, which most names do not have, would be a third of what a name takes.
        self.nodes.values_mut().for_each(|node| node.sets.shrink_to_fit());
        let hinfo = [&[7], b"RFC8482".as_slice(), &[0]].concat();
        Ok(Zone {
            text: self.origin.to_string(),
            index: 0,
            origin: self.origin,
            negative_ttl: self.source.soa.minimum.min(self.source.ttl),
            any: RrSet { rtype: Rtype::HINFO, ttl: self.source.ttl, rdata: vec![hinfo.into()] },
            soa,
            has_ends,
            has_wildcards: self.nodes.keys().any(|name| name.as_wire().starts_with(&[1, b'*'])),
            nodes: self.nodes,
        })
    }

    fn put_static(&mut self, record: &model::Record) -> Result<(), CompileError> {
        let owner = self.owner(&record.name)?;
        let (rtype, data) = match &record.data {
            RecordData::A(addr) => (Rtype::A, addr.octets().into()),
            RecordData::Aaaa(addr) => (Rtype::AAAA, addr.octets().into()),
            RecordData::Txt(text) if text.len() > 50_000 => {
                return Err(self.unusable(&record.name, format!("its text has {} bytes, 50000 fit", text.len())));
            }
            RecordData::Txt(text) => (Rtype::TXT, text_data(text)),
            RecordData::Cname(target) => {
                let alias = Name::parse(target, None).map_err(|why| self.unusable(target, why))?;
                let data = alias.as_wire().into();
                self.nodes.entry(owner.clone()).or_default().alias = Some(alias);
                (Rtype::CNAME, data)
            }
            RecordData::Other { rtype, value } => {
                let number = TypeNumber::parse(rtype).map_err(|why| self.unusable(rtype, why))?;
                (Rtype(number.0), number.wire(value).map_err(|why| self.unusable(value, why))?.into())
            }
        };
        let ttl = record.ttl.unwrap_or(self.source.ttl);
        self.put(&owner, RrSet { rtype, ttl, rdata: vec![data] });
        Ok(())
    }

    /// Adds a record to its set. The records of a set have one TTL (RFC 2181, 5.2): the least.
    fn put(&mut self, owner: &Name, set: RrSet) {
        let node = self.nodes.entry(owner.clone()).or_default();
        match node.sets.iter_mut().find(|known| known.rtype == set.rtype) {
            Some(known) => {
                known.ttl = known.ttl.min(set.ttl);
                known
                    .rdata
                    .extend(set.rdata.into_iter().filter(|data| !known.rdata.contains(data)).collect::<Vec<_>>());
            }
            None => node.sets.push(set),
        }
    }

    fn check_conflicts(&self) -> Result<(), CompileError> {
        for (name, node) in &self.nodes {
            let addresses = node.set(Rtype::A).is_some() || node.set(Rtype::AAAA).is_some();
            let cname = node.set(Rtype::CNAME);
            let what = if cname.is_some() && (node.sets.len() > 1 || node.steering.is_some()) {
                "a CNAME and other data"
            } else if cname.is_some_and(|set| set.rdata.len() > 1) {
                "two CNAMEs"
            } else if node.steering.is_some() && addresses {
                "static and steered addresses"
            } else if node.set(Rtype::DNAME).is_some_and(|set| set.rdata.len() > 1) {
                "two DNAMEs"
            } else if node.set(Rtype::DNAME).is_some() && node.set(Rtype::NS).is_some() && *name != self.origin {
                "a delegation and a DNAME"
            } else {
                continue;
            };
            return Err(self.conflict(&name.to_string(), what));
        }
        Ok(())
    }

    /// Notes the names at which the zone ends; says whether there are any.
    fn mark_ends(&mut self) -> bool {
        let ends: Vec<(Name, End)> =
            self.nodes.iter().filter_map(|(name, node)| Some((name.clone(), self.end(name, node)?))).collect();
        let any = !ends.is_empty();
        for (name, end) in ends {
            if let Some(node) = self.nodes.get_mut(name.as_wire()) {
                node.end = Some(Box::new(end));
            }
        }
        any
    }

    fn end(&self, name: &Name, node: &Node) -> Option<End> {
        if let Some(target) = node.set(Rtype::DNAME).and_then(|set| set.rdata.first()) {
            return Some(End::Dname(Name::from_wire(target)));
        }
        let servers = node.set(Rtype::NS).filter(|_| *name != self.origin)?.clone();
        let below = servers.rdata.iter().enumerate().filter(|(_, server)| is_within(server, name.as_wire()));
        let glue = below.flat_map(|(i, server)| {
            let node = self.nodes.get(&server[..]);
            node.into_iter().flat_map(move |node| {
                [Rtype::A, Rtype::AAAA].into_iter().filter_map(move |rtype| Some((i, node.set(rtype)?.clone())))
            })
        });
        Some(End::Delegation(Delegation { glue: glue.collect(), servers }))
    }

    /// Makes the names between others exist (RFC 8020): asked for, they have no data, which is not "no such name".
    fn fill_gaps(&mut self) {
        let gaps: Vec<Name> = self
            .nodes
            .keys()
            .flat_map(|name| suffixes(name.as_wire()).skip(1))
            .filter(|parent| is_within(parent, self.origin.as_wire()) && !self.nodes.contains_key(*parent))
            .map(Name::from_wire)
            .collect();
        for gap in gaps {
            self.nodes.entry(gap).or_default();
        }
    }

    fn soa(&self) -> Result<Box<[u8]>, CompileError> {
        let soa = &self.source.soa;
        let primary = self.source.ns.first().map_or(self.source.origin.as_str(), String::as_str);
        let mail = if soa.mail.is_empty() {
            format!("hostmaster.{}", self.source.origin.trim_start_matches('.'))
        } else {
            soa.mail.clone()
        };
        let data = rdata::SOA::new(
            self.hickory_name(primary)?,
            self.hickory_name(&mail)?,
            self.serial,
            circle(soa.refresh),
            circle(soa.retry),
            circle(soa.expire),
            soa.minimum,
        );
        self.encode(&mail, &RData::SOA(data))
    }

    fn owner(&self, text: &str) -> Result<Name, CompileError> {
        let name = Name::parse(text, Some(&self.origin)).map_err(|why| self.unusable(text, why))?;
        if !is_within(name.as_wire(), self.origin.as_wire()) {
            return Err(self.unusable(text, "it lies outside the zone".to_owned()));
        }
        Ok(name)
    }

    fn hickory_name(&self, text: &str) -> Result<rr::Name, CompileError> {
        hickory_name(text).map_err(|why| self.unusable(text, why))
    }

    fn encode(&self, text: &str, data: &RData) -> Result<Box<[u8]>, CompileError> {
        encode_rdata(data).map_err(|why| self.unusable(text, why))
    }

    fn unusable(&self, text: &str, why: String) -> CompileError {
        CompileError::Unusable { zone: self.source.origin.clone(), text: text.to_owned(), why }
    }

    fn conflict(&self, name: &str, what: &'static str) -> CompileError {
        CompileError::Conflict { zone: self.source.origin.clone(), name: name.to_owned(), what }
    }
}

/// SOA times are 31-bit numbers of seconds.
fn circle(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
