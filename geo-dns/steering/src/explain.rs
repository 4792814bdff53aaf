//! Why a client gets the answer it gets: the same decision, told instead of packed.

mod steps;

use std::net::IpAddr;

use hickory_proto::{
    rr::{RData, RecordType},
    serialize::binary::{BinDecoder, Restrict},
};
use model::{SteeringPolicy, Verdict};
use serde::Serialize;

use crate::{
    decide::{Client, Decision, decide},
    geo::{ClientNetwork, Place},
    name::{self, Name},
    rr::{Rcode, Records, Rtype},
    steer::{Basis, Chain, Limit, Member, Prepared, Share, Standing, SteeredAnswer, Steering, Variant},
    view::{Found, View},
};

/// An answer and its reasons. Serializes to the JSON of `atoll explain dns --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainAnswer {
    /// The name asked for, without the last dot.
    pub name: String,
    /// The type asked for.
    pub rtype: String,
    /// Whom the answer is for.
    pub client: IpAddr,
    /// The region of the answering server.
    pub server_region: String,
    /// The Plan that the answer rests on, `lineage:version`.
    pub plan: String,
    /// `NOERROR`, `NXDOMAIN` or `REFUSED`.
    pub rcode: &'static str,
    /// Origin of the zone; none outside of all zones.
    pub zone: Option<String>,
    /// What the lookup found, in words.
    pub matched: String,
    /// Aliases on the way.
    pub aliases: Vec<String>,
    /// Data of the records, in the order of the answer.
    pub answers: Vec<String>,
    /// How long it may be kept; none for a refusal.
    pub ttl: Option<Clamp>,
    /// For whom else it holds: a network in the client's family, and why it is that wide.
    pub scope: Clamp,
    /// Where the client is taken to be.
    pub place: PlaceExplained,
    /// How the name is steered, if it is.
    pub steering: Option<SteeringExplained>,
}

/// A number and what set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clamp {
    /// Seconds of a TTL, bits of a prefix.
    pub value: u32,
    /// Why.
    pub reason: String,
}

/// Where a client is taken to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlaceExplained {
    /// ISO 3166 code.
    pub country: Option<String>,
    /// What ISO 3166-2 puts behind it.
    pub subdivision: Option<String>,
    /// The city, or the one that stands for the country if only that is known.
    pub city: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Number of the autonomous system that announces the address.
    pub asn: Option<u32>,
    /// The named prefix lists that the address is in.
    pub lists: Vec<String>,
    /// The network around the client that lies in this place whole, as `address/length`.
    pub network: String,
    /// Which source knows the place: the embedded table, a file, or the World.
    pub source: String,
    /// Where this comes from, or what is done without it.
    pub reason: String,
}

/// How a name is steered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SteeringExplained {
    /// The pool.
    pub pool: String,
    /// `nearest`, `failover`, or the name of a policy.
    pub policy: String,
    /// How many addresses an answer names at most.
    pub take: usize,
    /// Which members could be chosen, in words.
    pub basis: &'static str,
    /// What each step of the policy did, and why.
    pub steps: Vec<StepExplained>,
    /// The members in the order for this client.
    pub members: Vec<MemberExplained>,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepExplained {
    /// Its kind: `fence`, `nearest`, …
    pub step: &'static str,
    /// The pool it picks from.
    pub pool: String,
    /// Whom it ordered, kept or dropped, and why.
    pub reason: String,
}

/// What became of a member.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberExplained {
    /// Its region.
    pub region: String,
    /// Its address of the family asked for.
    pub address: Option<IpAddr>,
    /// Great-circle distance from where the client is taken to be, kilometres.
    pub distance_km: Option<f64>,
    /// `up`, `degraded`, `down`, `demoted`, `override up`, `override down` or `not judged`.
    pub standing: &'static str,
    /// Which part of the clients it is sent, per mille: 0 if it does not serve.
    pub share_permille: u32,
    /// It weighs nothing in its pool: it is named when no other one serves.
    pub stands_by: bool,
    /// Whether the answer names it.
    pub named: bool,
    /// Why.
    pub reason: String,
}

impl SteeringExplained {
    /// It in words, line by line: the pool, its policy's steps, its members.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("pool {} by {}, {}, takes {}", self.pool, self.policy, self.basis, self.take)];
        lines.extend(self.steps.iter().map(|step| {
            let pool = if step.pool == self.pool { String::new() } else { format!(" in pool {}", step.pool) };
            format!("step {}{pool}: {}", step.step, step.reason)
        }));
        lines.extend(self.members.iter().map(|member| {
            let distance = member.distance_km.map(|km| format!(", {km:.0} km")).unwrap_or_default();
            let mark = if member.named { "→" } else { " " };
            format!("{mark} {} ({}{distance}): {}", member.region, member.standing, member.reason)
        }));
        lines
    }
}

/// Why there is nothing to explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Not a name.
    #[error("`{name}` is no domain name: {why}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The draw for which an answer is told where members are drawn.
const DRAW: u64 = 0;

/// Decides as [`crate::answer`] would for a client at that address, and tells why.
pub fn explain(view: &View, name: &str, client: IpAddr, rtype: Rtype) -> Result<ExplainAnswer, ExplainError> {
    let wire = Name::parse(name, None).map_err(|why| ExplainError::Name { name: name.to_owned(), why })?;
    let decision = decide(view, wire.as_wire(), rtype, Client { place: client, scoped: true, draw: DRAW });
    Ok(ExplainAnswer {
        name: wire.to_string(),
        rtype: rtype.to_string(),
        client,
        server_region: view.server_region.to_string(),
        plan: view.plan.to_string(),
        rcode: decision.rcode.as_str(),
        zone: decision.zone.map(|zone| zone.text.clone()),
        matched: matched(&decision, rtype),
        aliases: decision.aliases.iter().flat_map(|alias| texts(Records::Set(alias.set()))).collect(),
        answers: decision.records.map(texts).unwrap_or_default(),
        ttl: ttl(&decision),
        scope: scope(view, &decision, client, rtype),
        place: place(view, client),
        steering: decision.steered.map(|answer| steered(view, client, rtype, answer)),
    })
}

impl PlaceExplained {
    /// Where the client is taken to be, and who says so.
    fn in_words(&self) -> String {
        let subdivision =
            self.country.iter().zip(&self.subdivision).map(|(country, part)| format!("{country}-{part}")).next();
        let ground = [self.city.clone(), subdivision.or_else(|| self.country.clone())].into_iter().flatten();
        let lists = self.lists.iter().map(|list| format!("list {list}"));
        let known: Vec<String> = ground.chain(self.asn.map(|asn| format!("AS{asn}"))).chain(lists).collect();
        if known.is_empty() || self.latitude.is_none() {
            return known.into_iter().chain([self.reason.clone()]).collect::<Vec<_>>().join(", ");
        }
        format!("{}, by {}", known.join(", "), self.reason)
    }
}

impl ExplainAnswer {
    /// The steps in words, a line each, from what the name is to the TTL and the scope.
    pub fn steps(&self) -> Vec<String> {
        let mut steps = vec![format!("{} {} is {}", self.name, self.rtype, self.matched)];
        steps.extend(self.aliases.iter().map(|alias| format!("alias {alias}")));
        steps.push(format!("client {}: {}", self.client, self.place.in_words()));
        steps.extend(self.steering.iter().flat_map(SteeringExplained::lines));
        steps.extend(self.ttl.iter().map(|ttl| format!("ttl {}: {}", ttl.value, ttl.reason)));
        steps.push(format!("scope /{}: {}", self.scope.value, self.scope.reason));
        steps
    }

    /// The whole of it for those who see nothing else: who answers from what, the steps, the answer.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} answers {} from plan {}", self.server_region, self.rcode, self.plan)];
        lines.extend(self.steps().into_iter().map(|step| step.replace('→', ">")));
        lines.extend(self.answers.iter().map(|answer| format!("answer {answer}")));
        lines
    }
}

fn matched(decision: &Decision<'_>, rtype: Rtype) -> String {
    // Of a steered name that is asked for another type nothing is steered, and it is no static name for that.
    let steers = decision.found.node().is_some_and(|node| node.steering.is_some()) && decision.records.is_none();
    let what = if decision.steered.is_some() || steers { "a steered name" } else { "a static name" };
    let loose_end = decision.records.is_none() && decision.negative_ttl.is_none();
    match decision.found {
        _ if decision.zone.is_none() => "no zone of this world".to_owned(),
        _ if decision.referral.is_some() => "a name that is delegated to other servers".to_owned(),
        _ if decision.rcode == Rcode::YxDomain => "a DNAME that makes the name too long".to_owned(),
        _ if loose_end => "an alias that leads out of the zones, or in a circle".to_owned(),
        Found::Nothing => "no such name".to_owned(),
        Found::Exact(node) if node.is_empty() => "a name without data between other names".to_owned(),
        _ if decision.records.is_none() && decision.steered.is_none() => format!("{what} without {rtype} records"),
        Found::Exact(_) => what.to_owned(),
        Found::Wildcard(_, parent) => format!("{what}, through the wildcard *.{}", name::display(parent)),
    }
}

fn ttl(decision: &Decision<'_>) -> Option<Clamp> {
    let clamp = |value, reason: &str| Some(Clamp { value, reason: reason.to_owned() });
    if let Some((_, delegation)) = decision.referral {
        return clamp(delegation.servers.ttl, "as the delegation says");
    }
    match (decision.negative_ttl, decision.steered, decision.records) {
        (Some(seconds), Some(answer), _) if answer.variant.negative_seconds() <= seconds => {
            clamp(seconds, "until a member could come back")
        }
        (Some(seconds), ..) => clamp(seconds, "the zone's TTL of negative answers"),
        (None, Some(answer), _) => {
            let reason = match answer.ttl.limit {
                Limit::Physics => "the earliest moment at which probes could change a member that was looked at",
                Limit::NameMin => "the name's minimum; a member that was looked at could change earlier",
                Limit::NameMax => "the name's maximum; no member that was looked at could change earlier",
            };
            clamp(answer.ttl.seconds, reason)
        }
        (None, None, Some(records)) => clamp(records.ttl(), "as the record says"),
        (None, None, None) => {
            decision.aliases.iter().last().and_then(|alias| clamp(alias.set().ttl, "as the alias says"))
        }
    }
}

fn scope(view: &View, decision: &Decision<'_>, client: IpAddr, rtype: Rtype) -> Clamp {
    let steering = decision.steered.map(|answer| answer.steering);
    let shared_out = steering.is_some_and(|steering| steering.tells_networks_apart(&view.geo, rtype, client));
    let reason = match (steering, decision.scope) {
        (None, _) => "the same for everybody",
        (Some(_), 1..) if shared_out => {
            "the network by which clients are told apart: a member has a part of them, or they stay with theirs"
        }
        (Some(steering), 0) if steering.chain.policy == SteeringPolicy::Failover => "failover asks for nobody's place",
        (Some(steering), 0) if !steering.chain.asks_places() => "the policy asks for nobody's place",
        (Some(_), 0) => "every place leads to this answer at present",
        (Some(_), _) => "the widest network around the client in which every place leads to this answer",
    };
    Clamp { value: decision.scope.into(), reason: reason.to_owned() }
}

fn place(view: &View, client: IpAddr) -> PlaceExplained {
    let spot = view.geo.spot(client);
    let reason = match (&spot.code, spot.location) {
        (_, Some(_)) => spot.source.clone(),
        (Some(code), None) => format!("{} has no place for {code}: taken to be at this server", spot.source),
        (None, None) => "no country has this address: taken to be at this server".to_owned(),
    };
    PlaceExplained {
        country: spot.code,
        subdivision: spot.subdivision,
        city: spot.city,
        latitude: spot.location.map(|l| l.latitude),
        longitude: spot.location.map(|l| l.longitude),
        asn: spot.asn,
        lists: spot.lists,
        network: format!("{}/{}", masked(client, spot.prefix), spot.prefix),
        source: spot.source,
        reason,
    }
}

/// The first address of the network.
fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn steered(view: &View, client: IpAddr, rtype: Rtype, answer: SteeredAnswer<'_>) -> SteeringExplained {
    let SteeredAnswer { steering, variant, .. } = answer;
    let place = view.geo.place(view.geo.place_of(client));
    let prepared = Prepared::of(&steering.chain, &steering.members, place, &view.home);
    let asked = Asked { view, client, rtype, place, steering, variant };
    let (mut steps, mut members) = (Vec::new(), Vec::new());
    let mut next = Some((&steering.chain, &prepared));
    while let Some((chain, prepared)) = next {
        steps.extend(steps::of(&asked, chain, prepared));
        members.extend(asked.members(chain, prepared));
        // What was not fallen back to is not told of.
        let is_fallback = variant.basis == Basis::Fallback && !variant.chosen.iter().any(|i| chain.members.contains(i));
        next = chain.fallback.as_deref().zip(prepared.fallback.as_deref()).filter(|_| is_fallback);
    }
    SteeringExplained {
        pool: steering.chain.pool.clone(),
        policy: steering.chain.policy.as_str().to_owned(),
        take: steering.take,
        basis: basis(variant.basis),
        steps,
        members,
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::FirstChoice | Basis::NextChoice => "members that serve",
        Basis::Spilled => "members that serve: a better placed one is loaded",
        Basis::Trickled => "members that stand by: this client is one of those that always go there",
        Basis::Standby => "members that stand by: no other one serves",
        Basis::OutsideFence => "members outside of the fence: none inside serves",
        Basis::Fallback => "members of the pool that is fallen back to: none of the first serves",
        Basis::DemotionIgnored => {
            "members that the plan lets serve: leaving out those this server sees down would empty the answer"
        }
        Basis::Panic => "all members: too few serve for health to be believed",
        Basis::FailOpen => "all members: every one is down, and the pool fails open",
        Basis::FailClosed => "none: every member is down, and the pool fails closed",
        Basis::ClosedFence => "none: no member lies inside of the fence, which is closed",
        Basis::NoMembers => "none: no member has an address of this family",
    }
}

/// An answer that is told.
struct Asked<'v> {
    view: &'v View,
    client: IpAddr,
    rtype: Rtype,
    place: &'v Place,
    steering: &'v Steering,
    variant: &'v Variant,
}

impl Asked<'_> {
    fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.client)
    }

    fn distance_km(&self, member: &Member) -> Option<f64> {
        let from = self.place.location.or(self.view.home.location)?;
        Some(crate::geo::distance_km(from, member.location))
    }

    /// The address told of a member: for records with both families in them the first it has.
    fn address(&self, member: &Member) -> Option<IpAddr> {
        match self.rtype {
            Rtype::A | Rtype::AAAA => member.address(self.rtype),
            _ => member.address(Rtype::A).or(member.address(Rtype::AAAA)),
        }
    }

    fn lacks(&self, member: &Member) -> Option<String> {
        if self.steering.steers(Rtype::CNAME) {
            return member.target.is_none().then(|| "it stands for no name".to_owned());
        }
        self.address(member).is_none().then(|| match self.rtype {
            Rtype::A | Rtype::AAAA => format!("it has no {} address", self.rtype),
            _ => "it has no address".to_owned(),
        })
    }

    /// A chain's members, in order; if they are drawn, or another order holds for each client, those who are named come first.
    fn members(&self, chain: &Chain, prepared: &Prepared) -> Vec<MemberExplained> {
        let named = self.variant.chosen.iter().copied().filter(|i| chain.members.contains(i));
        let order: Vec<usize> = prepared.orders.first().map(|order| order.iter().collect()).unwrap_or_default();
        let is_fixed = chain.stages.len() == 1 && chain.stages.iter().all(|stage| stage.rest.is_fixed());
        let order: Vec<usize> = match is_fixed {
            true => order,
            false => named.clone().chain(order.into_iter().filter(|i| !self.variant.chosen.contains(i))).collect(),
        };
        order
            .into_iter()
            .map(|i| {
                let member = &self.steering.members[i];
                MemberExplained {
                    region: member.region.to_string(),
                    address: self.address(member),
                    distance_km: self.distance_km(member).map(f64::round),
                    standing: standing(member.standing),
                    share_permille: if member.standing.serves() { member.share.permille() } else { 0 },
                    stands_by: member.stands_by,
                    named: self.variant.chosen.contains(&i),
                    reason: self.reason(chain, prepared, i),
                }
            })
            .collect()
    }

    fn reason(&self, chain: &Chain, prepared: &Prepared, i: usize) -> String {
        let (member, basis) = (&self.steering.members[i], self.variant.basis);
        if let Some(lacks) = self.lacks(member) {
            return format!("left out: {lacks}");
        }
        let beyond = (!member.share.holds(self.network())).then(|| share(member, self.client));
        if self.variant.chosen.contains(&i) {
            let by_policy = match &chain.policy {
                SteeringPolicy::Nearest => "among the nearest that serve".to_owned(),
                SteeringPolicy::Failover => "among the first in the order that serve".to_owned(),
                SteeringPolicy::Named(name) => format!("policy {name} puts it first of those that serve"),
            };
            return match (basis, beyond) {
                (Basis::FailOpen, _) => "named though it is down: all are".to_owned(),
                (Basis::Panic, _) => "named whether it serves or not: too few do".to_owned(),
                (Basis::DemotionIgnored, _) => {
                    "named though this server sees it down: otherwise nobody would be".to_owned()
                }
                (_, Some(beyond)) => format!("named, though {beyond}: nobody else would be"),
                (Basis::Standby, _) => "named: it stands by, and no other one serves".to_owned(),
                (Basis::Trickled, _) => "named: this client is one of those that are always sent to it".to_owned(),
                (Basis::OutsideFence, _) => "named: it is outside of the fence, and nobody inside serves".to_owned(),
                (_, None) if !member.share.is_whole() => format!("named: {by_policy}; {}", share(member, self.client)),
                (_, None) => format!("named: {by_policy}"),
            };
        }
        match member.standing {
            Standing::Judged(Verdict::Down) => return "left out: the quorum's verdict is down".to_owned(),
            Standing::Overridden { serves: false } => return "left out: an override takes it out".to_owned(),
            Standing::Demoted(_) => {
                return "left out: this server hears no plane, and its own region's probes see it down".to_owned();
            }
            _ => {}
        }
        let inside = prepared.tiers.first().is_some_and(|tier| tier.contains(&i));
        if !inside && !matches!(basis, Basis::OutsideFence | Basis::FailOpen | Basis::Panic) {
            return "left out: it is outside of the fence".to_owned();
        }
        if member.stands_by && !matches!(basis, Basis::Standby | Basis::Trickled) {
            return "not needed: it stands by (weight 0), and others serve".to_owned();
        }
        if let Some(beyond) = beyond {
            return format!("left out: {beyond}");
        }
        match chain.spill.get(&i).filter(|kept| !kept.holds(self.network())) {
            Some(_) if basis == Basis::Spilled => "left out: it is loaded, and others serve".to_owned(),
            _ => format!("not needed: {} better placed", self.steering.take),
        }
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::NotJudged => "not judged",
        Standing::Judged(Verdict::Up) => "up",
        Standing::Judged(Verdict::Degraded) => "degraded",
        Standing::Judged(Verdict::Down) => "down",
        Standing::Kept => "down, kept in part",
        Standing::Demoted(_) => "demoted",
        Standing::Overridden { serves: true } => "override up",
        Standing::Overridden { serves: false } => "override down",
    }
}

/// What share a member has, why, and on which side of it the client is.
fn share(member: &Member, client: IpAddr) -> String {
    let why = match member.standing {
        Standing::Judged(Verdict::Degraded) => "it is degraded",
        Standing::Overridden { .. } => "an override says so",
        Standing::Kept => "it is down and the others cannot carry all",
        _ => "it is on its way back",
    };
    format!("its share is {} of 1000 clients since {why}, and {}", member.share.permille(), side(member.share, client))
}

/// On which side of a share a client is.
fn side(share: Share, client: IpAddr) -> String {
    let number = share.number(ClientNetwork::of(client));
    let side = if number < share.permille() { "is one of them" } else { "is none of them" };
    format!("this client, number {number}, {side}")
}

/// Data of records in presentation form.
fn texts(records: Records<'_>) -> Vec<String> {
    let text = |rtype: Rtype, data: &[u8]| {
        let length = u16::try_from(data.len()).ok()?;
        let read = RData::read(&mut BinDecoder::new(data), RecordType::from(rtype.0), Restrict::new(length)).ok()?;
        Some(read.to_string())
    };
    match records {
        Records::Set(set) => set.rdata.iter().filter_map(|data| text(set.rtype, data)).collect(),
        Records::Service(hinted) => {
            let mut data = Vec::new();
            hinted.write(&mut data);
            text(hinted.service.rtype, &data).into_iter().collect()
        }
    }
}
