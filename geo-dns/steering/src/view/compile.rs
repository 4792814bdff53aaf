//! Plan → View. All slowness lives here.

use std::{
    collections::{HashSet, hash_map::Entry},
    sync::Arc,
};

use model::{Plan, RecordData, RegionName, Steered, TypeNumber};

use crate::{
    geo::{ListsError, SharedOutcomes},
    name::{Name, NameMap, is_within, suffixes},
    rr::{RrSet, Rtype},
    service::Service,
    steer::{Home, Lacks, Source, Steering},
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
        /// `pool`, `policy`, `region` or `check`.
        what: &'static str,
        /// What is not there.
        missing: String,
    },
    /// Prefix lists that cannot be laid over what is known of places.
    #[error("the prefix lists are not usable: {0}")]
    Lists(#[from] ListsError),
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
    let lists = plan.world.prefix_lists.iter().map(|list| (list.name.clone(), list.prefixes.clone()));
    let geo = inputs.geo.with_lists(&lists.collect::<Vec<_>>())?;
    let shared = SharedOutcomes::new(&geo);
    let mut steerings = Steerings { plan, inputs, home: &home, known: Vec::new(), shared };
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
    flatten(plan, &mut zones);
    Ok(View {
        plan: plan.id,
        server_region: inputs.server_region.clone(),
        demoted: inputs.demoted.clone(),
        identity: identity(plan, &inputs.server_region),
        geo: geo.clone(),
        load_permille: inputs.load_permille.clone(),
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
    shared: SharedOutcomes<'p>,
}

impl<'p> Steerings<'p> {
    fn get(&mut self, zone: &str, steered: &'p Steered) -> Result<Arc<Steering>, CompileError> {
        let how = |s: &'p Steered| (&s.pool, &s.policy, &s.order, s.take, s.ttl, &s.https, &s.svcb, &s.targets);
        let alike = |other: &'p Steered| how(other) == how(steered);
        if let Some((_, known)) = self.known.iter().find(|(other, _)| alike(other)) {
            return Ok(known.clone());
        }
        let steering = Arc::new(self.settle(zone, steered)?);
        self.known.push((steered, steering.clone()));
        Ok(steering)
    }

    fn settle(&mut self, zone: &str, steered: &Steered) -> Result<Steering, CompileError> {
        let missing = |(what, missing): Lacks| CompileError::Missing {
            zone: zone.to_owned(),
            name: steered.name.clone(),
            what,
            missing,
        };
        let unusable =
            |text: &str, why: String| CompileError::Unusable { zone: zone.to_owned(), text: text.to_owned(), why };
        let mut members = Vec::new();
        let source = Source { plan: self.plan, inputs: self.inputs };
        let chain = source.chain(&steered.pool, &steered.policy, &steered.order, &mut members, 0).map_err(missing)?;
        for member in &mut members {
            if let Some(target) = steered.targets.get(&member.region) {
                member.target = Some(Name::parse(target, None).map_err(|why| unusable(target, why))?);
            }
        }
        let mut services = Vec::new();
        for (rtype, text) in [(Rtype::HTTPS, &steered.https), (Rtype::SVCB, &steered.svcb)] {
            let Some(text) = text else { continue };
            let wire = TypeNumber(rtype.0).wire(text).map_err(|why| unusable(text, why))?;
            let service = Service::parse(rtype, &wire);
            services.push(service.ok_or_else(|| unusable(text, "its target is not `.`, or it has hints".to_owned()))?);
        }
        Ok(Steering::settle((chain, members), (steered.ttl, steered.take), services, self.home, &mut self.shared))
    }
}

/// How many aliases are followed to the addresses of an ALIAS.
const MAX_ALIASES: usize = 8;

/// Gives each name with an ALIAS the addresses of its target, static or steered. Where the way leads nowhere it has none.
fn flatten(plan: &Plan, zones: &mut NameMap<Zone>) {
    if !plan.world.zones.iter().any(|zone| zone.records.iter().any(|r| matches!(r.data, RecordData::Alias(_)))) {
        return;
    }
    let lent: Vec<(Name, Name, Lent)> = zones
        .iter()
        .flat_map(|(origin, zone)| {
            let of = |(name, node): (&Name, &Node)| {
                let lent = lent(zones, node.flattened.as_ref()?)?;
                Some((origin.clone(), name.clone(), lent))
            };
            zone.nodes.iter().filter_map(of).collect::<Vec<_>>()
        })
        .collect();
    for (origin, name, (sets, steering)) in lent {
        let Some(node) = zones.get_mut(&origin).and_then(|zone| zone.nodes.get_mut(name.as_wire())) else { continue };
        node.sets.extend(sets);
        node.steering = steering;
    }
}

/// Addresses of another name: static ones, or how it is steered.
type Lent = (Vec<RrSet>, Option<Arc<Steering>>);

fn lent(zones: &NameMap<Zone>, target: &Name) -> Option<Lent> {
    let mut at = target.as_wire();
    for _ in 0..=MAX_ALIASES {
        let zone = suffixes(at).find_map(|suffix| zones.get(suffix))?;
        let node = zone.find(at).node()?;
        let next = node.flattened.as_ref().map(|target| target.as_wire());
        match next.or_else(|| node.alias().map(|(_, target)| target)) {
            Some(next) => at = next,
            None => {
                let addresses = [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| node.set(rtype).cloned());
                return Some((addresses.collect(), node.steering.clone()));
            }
        }
    }
    None
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
        let mut nodes = NameMap::default();
        nodes.reserve(source.records.len() + source.steered.len());
        Ok(Self { source, origin, serial: plan.id.version as u32, nodes })
    }

    fn finish(mut self, steerings: &mut Steerings<'p>) -> Result<Zone, CompileError> {
        let soa_ttl = self.source.soa.ttl.unwrap_or(self.source.ttl);
        let soa = RrSet { rtype: Rtype::SOA, ttl: soa_ttl, rdata: vec![self.soa()?] };
        let apex = self.origin.clone();
        self.put(apex.clone(), soa.clone());
        for server in &self.source.ns {
            let data = self.name(server)?.into_wire();
            self.put(apex.clone(), RrSet { rtype: Rtype::NS, ttl: self.source.ttl, rdata: vec![data] });
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
        self.drop_duplicates();
        self.check_conflicts()?;
        let has_ends = self.mark_ends();
        self.fill_gaps();
        // Room for a second type, which most names do not have, would be a third of what a name takes.
        self.nodes.values_mut().for_each(|node| node.sets.shrink_to_fit());
        self.nodes.shrink_to_fit();
        let hinfo = [&[7], b"RFC8482".as_slice(), &[0]].concat();
        Ok(Zone {
            text: self.origin.to_string(),
            index: 0,
            origin: self.origin,
            negative_ttl: self.source.soa.minimum.min(soa_ttl),
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
            RecordData::Cname(target) => (Rtype::CNAME, self.name(target)?.into_wire()),
            RecordData::Alias(target) => {
                let target = Name::parse(target, None).map_err(|why| self.unusable(target, why))?;
                if self.nodes.entry(owner).or_default().flattened.replace(target.into()).is_some() {
                    return Err(self.conflict(&record.name, "two ALIASes"));
                }
                return Ok(());
            }
            RecordData::Other { rtype, value } => {
                let number = TypeNumber::parse(rtype).map_err(|why| self.unusable(rtype, why))?;
                (Rtype(number.0), number.wire(value).map_err(|why| self.unusable(value, why))?.into())
            }
        };
        let ttl = record.ttl.unwrap_or(self.source.ttl);
        self.put(owner, RrSet { rtype, ttl, rdata: vec![data] });
        Ok(())
    }

    /// Adds a record to its set. The records of a set have one TTL (RFC 2181, 5.2): the least.
    fn put(&mut self, owner: Name, set: RrSet) {
        let node = self.nodes.entry(owner).or_default();
        match node.sets.iter_mut().find(|known| known.rtype == set.rtype) {
            Some(known) => {
                known.ttl = known.ttl.min(set.ttl);
                known.rdata.extend(set.rdata);
            }
            None => {
                // Room for one more and no further: most names never have more.
                node.sets.reserve_exact(1);
                node.sets.push(set);
            }
        }
    }

    /// A set has each record once.
    fn drop_duplicates(&mut self) {
        let sets = self.nodes.values_mut().flat_map(|node| &mut node.sets);
        for set in sets.filter(|set| set.rdata.len() > 1) {
            let mut seen = HashSet::with_capacity(set.rdata.len());
            let mut is_new = set.rdata.iter().map(|data| seen.insert(&data[..])).collect::<Vec<_>>().into_iter();
            set.rdata.retain(|_| is_new.next().unwrap_or(true));
            set.rdata.shrink_to_fit();
        }
    }

    fn check_conflicts(&self) -> Result<(), CompileError> {
        for (name, node) in &self.nodes {
            let addresses = node.set(Rtype::A).is_some() || node.set(Rtype::AAAA).is_some();
            let cname = node.set(Rtype::CNAME);
            let is_alias = cname.is_some() || node.steers(Rtype::CNAME).is_some();
            let others = node.sets.iter().filter(|set| set.rtype != Rtype::CNAME).count();
            let what = if is_alias
                && (others > 0 || node.flattened.is_some() || (cname.is_some() && node.steering.is_some()))
            {
                "a CNAME and other data"
            } else if node.flattened.is_some() && (addresses || node.steering.is_some()) {
                "an ALIAS and other addresses"
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
        let (mut glue, mut siblings) = (Vec::new(), Vec::new());
        for (i, server) in
            servers.rdata.iter().enumerate().filter(|(_, server)| is_within(server, self.origin.as_wire()))
        {
            let list = if is_within(server, name.as_wire()) { &mut glue } else { &mut siblings };
            let sets =
                self.nodes.get(&server[..]).into_iter().flat_map(|node| [Rtype::A, Rtype::AAAA].map(|t| node.set(t)));
            list.extend(sets.flatten().map(|set| (i, set.clone())));
        }
        Some(End::Delegation(Delegation { glue, siblings, servers }))
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
        let first = self.source.ns.first().map_or(self.source.origin.as_str(), String::as_str);
        let primary = if soa.primary.is_empty() { first } else { &soa.primary };
        let mail = if soa.mail.is_empty() {
            format!("hostmaster.{}", self.source.origin.trim_start_matches('.'))
        } else {
            soa.mail.clone()
        };
        let times = [self.serial, soa.refresh, soa.retry, soa.expire, soa.minimum];
        let times = times.map(u32::to_be_bytes).concat();
        Ok([self.name(primary)?.as_wire(), self.name(&mail)?.as_wire(), &times].concat().into())
    }

    fn owner(&self, text: &str) -> Result<Name, CompileError> {
        let name = Name::parse(text, Some(&self.origin)).map_err(|why| self.unusable(text, why))?;
        if !is_within(name.as_wire(), self.origin.as_wire()) {
            return Err(self.unusable(text, "it lies outside the zone".to_owned()));
        }
        Ok(name)
    }

    /// An absolute name.
    fn name(&self, text: &str) -> Result<Name, CompileError> {
        Name::parse(text, None).map_err(|why| self.unusable(text, why))
    }

    fn unusable(&self, text: &str, why: String) -> CompileError {
        CompileError::Unusable { zone: self.source.origin.clone(), text: text.to_owned(), why }
    }

    fn conflict(&self, name: &str, what: &'static str) -> CompileError {
        CompileError::Conflict { zone: self.source.origin.clone(), name: name.to_owned(), what }
    }
}
