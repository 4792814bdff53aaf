//! The World: the desired configuration, as data. Parsing and validation are in `parse.rs` and `validate.rs`.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use crate::{
    Automation, Policy, PrefixList, Record, RegionName, SafetyRule, StatePolicy, SteeringPolicy, Step, Subject,
};

/// The whole desired configuration. Operators change it; the plane replicates it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Name of the world, for people.
    pub name: String,
    /// How quick failover is.
    #[serde(default)]
    pub profile: Profile,
    /// The regions, 1 to 64.
    #[serde(rename = "region")]
    pub regions: Vec<Region>,
    /// Checks by name.
    #[serde(rename = "check", default)]
    pub checks: BTreeMap<String, Check>,
    /// Pools by name.
    #[serde(rename = "pool", default)]
    pub pools: BTreeMap<String, Pool>,
    /// Policies by name.
    #[serde(rename = "policy", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, Policy>,
    /// Networks that policies speak of by name.
    #[serde(rename = "prefix_list", default, skip_serializing_if = "Vec::is_empty")]
    pub prefix_lists: Vec<PrefixList>,
    /// The zones that `geo-dns` answers for.
    #[serde(rename = "zone", default)]
    pub zones: Vec<Zone>,
    /// Limits and policies of the replicated state.
    #[serde(default, skip_serializing_if = "StatePolicy::is_default")]
    pub state: StatePolicy,
    /// How far automation may go.
    #[serde(default, skip_serializing_if = "Automation::is_default")]
    pub automation: Automation,
    /// What must hold after every change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub safety: Vec<SafetyRule>,
}

/// A set of timings for probing and deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Region killed → answers changed everywhere in 4 s at most (p99) on a quiet network.
    #[default]
    Default,
    /// 1.5 s, at the price of more probes and less patience.
    Fast,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::Fast => "fast",
        })
    }
}

/// A place that can serve alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// Its number, 1 to 65535: raft node id, and first half of every replica's identity. Never reused for another region.
    pub id: u16,
    /// Where it is, for people: `Dublin`.
    #[serde(default)]
    pub place: String,
    /// Where it is, for distances.
    pub location: Location,
    /// IPv4 address users reach it at; what A answers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_v4: Option<Ipv4Addr>,
    /// IPv6 address users reach it at; what AAAA answers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_v6: Option<Ipv6Addr>,
    /// Port of the gateway.
    #[serde(default = "default_gateway_port")]
    pub gateway_port: u16,
    /// Name of the check that judges the gateway. If none is given, the check on which all pools of the region agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What the region can carry, requests per second. Unknown: the capacity guard leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_rps: Option<u32>,
}

fn default_gateway_port() -> u16 {
    8080
}

impl Region {
    /// A region with nothing but a name, a number and a place on the map.
    pub fn new(name: RegionName, id: u16, location: Location) -> Self {
        Self {
            name,
            id,
            place: String::new(),
            location,
            gateway_v4: None,
            gateway_v6: None,
            gateway_port: default_gateway_port(),
            check: None,
            capacity_rps: None,
        }
    }

    /// The gateway's socket address, IPv4 first.
    pub fn gateway(&self) -> Option<SocketAddr> {
        let v4 = self.gateway_v4.map(|ip| SocketAddr::new(ip.into(), self.gateway_port));
        v4.or_else(|| self.gateway_v6.map(|ip| SocketAddr::new(ip.into(), self.gateway_port)))
    }
}

/// Degrees north and east.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// −90 to 90.
    pub latitude: f64,
    /// −180 to 180.
    pub longitude: f64,
}

/// How a member is probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// Path of an HTTP check; 2xx is good.
    #[serde(default = "default_check_path")]
    pub path: String,
    /// Time from one probe's start to the next one's, 100 to 60 000 ms.
    #[serde(default = "default_interval_ms")]
    pub interval_ms: u64,
    /// A probe without an answer after this long has failed, 50 to 60 000 ms.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Failures in a row (by gdnsd's rule: successes in between only slow the count) that turn Up into Down, 1 to 100.
    #[serde(default = "default_down_after")]
    pub down_after: u32,
    /// Successes in a row that turn Down into Up, 1 to 1000.
    #[serde(default = "default_up_after")]
    pub up_after: u32,
    /// Port; the gateway's if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Host name that is sent along: the `Host` of HTTP, the authority of gRPC, and the name that a certificate must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Service asked about, of a gRPC check; empty asks about the whole server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Name of the program of an exec check, in the node's directory of checks, and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A certificate that ends within so many days makes the member Degraded, 0 to 365; 0 never does.
    #[serde(default = "default_certificate_days", skip_serializing_if = "is_default_certificate_days")]
    pub certificate_days: u32,
    /// Share of failed requests, in percent, from which what the gateway itself tells of its traffic makes the member Degraded,
    /// 0 to 100; 0 never does.
    #[serde(default = "default_errors_percent", skip_serializing_if = "is_default_errors_percent")]
    pub errors_percent: u32,
}

fn default_certificate_days() -> u32 {
    7
}
fn is_default_certificate_days(days: &u32) -> bool {
    *days == default_certificate_days()
}
fn default_errors_percent() -> u32 {
    20
}
fn is_default_errors_percent(percent: &u32) -> bool {
    *percent == default_errors_percent()
}

fn default_check_path() -> String {
    "/healthz".into()
}
fn default_interval_ms() -> u64 {
    500
}
fn default_timeout_ms() -> u64 {
    1000
}
fn default_down_after() -> u32 {
    3
}
fn default_up_after() -> u32 {
    6
}

impl Default for Check {
    fn default() -> Self {
        Self {
            kind: CheckKind::Http,
            path: default_check_path(),
            interval_ms: default_interval_ms(),
            timeout_ms: default_timeout_ms(),
            down_after: default_down_after(),
            up_after: default_up_after(),
            port: None,
            host: None,
            service: String::new(),
            command: Vec::new(),
            certificate_days: default_certificate_days(),
            errors_percent: default_errors_percent(),
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// A TCP connection opens.
    Tcp,
    /// `GET path` answers 2xx.
    Http,
    /// The same over TLS; the certificate must be one that the node trusts, for the check's `host`.
    Https,
    /// `grpc.health.v1.Health/Check` answers SERVING, over cleartext HTTP/2.
    Grpc,
    /// A program on the observer ends with 0 (Up), 1 (Degraded) or anything else (Down).
    Exec,
}

/// Members in regions that can serve one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The regions whose gateways are members.
    pub members: Vec<RegionName>,
    /// Name of the check; none means that members are never judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What is answered when every member is down.
    #[serde(default)]
    pub all_down: AllDown,
    /// Relative weights of members, 0 to 1000; one that is not named has [`Pool::WEIGHT`]. A member of weight 0 stands by: it is
    /// named when no other one serves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<RegionName, u32>,
    /// Automation leaves at least so many members serving, 1 to the number of members.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub min_healthy: u32,
    /// If fewer members than this serve, health is not believed: answers are given as if all members were down. 1 to the number of
    /// members.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub panic_below: u32,
    /// Whether automation may take members out and bring them back.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub automation: bool,
    /// The one region that may write, of a pool whose state has a home. Automation never moves it; it is moved by a command, which
    /// draws a new fencing epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<RegionName>,
}

fn one() -> u32 {
    1
}
fn is_one(n: &u32) -> bool {
    *n == 1
}
fn yes() -> bool {
    true
}
fn is_yes(yes: &bool) -> bool {
    *yes
}

impl Pool {
    /// The weight of a member about which nothing is said.
    pub const WEIGHT: u32 = 100;

    /// Members, each judged by `check`, all of one weight, and everything else as by default.
    pub fn of(members: Vec<RegionName>, check: Option<String>) -> Self {
        Self {
            members,
            check,
            all_down: AllDown::default(),
            weights: BTreeMap::new(),
            min_healthy: 1,
            panic_below: 1,
            automation: true,
            home: None,
        }
    }

    /// The weight of a member.
    pub fn weight(&self, region: &RegionName) -> u32 {
        self.weights.get(region).copied().unwrap_or(Self::WEIGHT)
    }
}

/// What is answered when every member is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllDown {
    /// As if all were up: a frozen verdict beats an empty answer.
    #[default]
    FailOpen,
    /// No data. Only where somebody wrote it down.
    FailClosed,
}

/// A zone and its names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Its origin without the last dot: `shop.test`.
    pub origin: String,
    /// Default TTL of static records, seconds.
    #[serde(default = "default_zone_ttl")]
    pub ttl: u32,
    /// Start of authority.
    #[serde(default)]
    pub soa: Soa,
    /// Names of the servers, absolute; the NS records of the apex.
    pub ns: Vec<String>,
    /// Static records.
    #[serde(rename = "record", default)]
    pub records: Vec<Record>,
    /// Steered names.
    #[serde(rename = "steered", default)]
    pub steered: Vec<Steered>,
}

fn default_zone_ttl() -> u32 {
    300
}

/// Start of authority; the serial is the Plan's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Soa {
    /// Name of the primary server, absolute; empty means the first of the zone's `ns`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub primary: String,
    /// Mailbox of the responsible person in DNS form; empty means `hostmaster.ORIGIN`.
    pub mail: String,
    /// Seconds.
    pub refresh: u32,
    /// Seconds.
    pub retry: u32,
    /// Seconds.
    pub expire: u32,
    /// TTL of negative answers, seconds.
    pub minimum: u32,
    /// TTL of the SOA record itself, seconds; the zone's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}

impl Default for Soa {
    fn default() -> Self {
        let (primary, mail) = (String::new(), String::new());
        Self { primary, mail, refresh: 3600, retry: 600, expire: 1_209_600, minimum: 30, ttl: None }
    }
}

/// A steered name: its A and AAAA answers depend on who asks and on who lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steered {
    /// Owner relative to the origin; `@` is the apex.
    pub name: String,
    /// The pool that serves it.
    pub pool: String,
    /// How members are picked.
    pub policy: SteeringPolicy,
    /// Order for `failover`; the pool's order if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<RegionName>,
    /// How many addresses an answer names, 1 to 8.
    #[serde(default = "default_take")]
    pub take: usize,
    /// Limits of the TTL.
    #[serde(default)]
    pub ttl: NameTtl,
    /// Data of an HTTPS record beside the addresses, without hints: those are the addresses that the client would be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Data of an SVCB record, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svcb: Option<String>,
    /// Names by region. If there are any, the name is an alias of the picked member's one, and has no addresses of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<RegionName, String>,
}

impl Steered {
    /// A name that is steered to a pool, everything else as by default.
    pub fn to(name: &str, pool: &str, policy: SteeringPolicy) -> Self {
        Self {
            name: name.to_owned(),
            pool: pool.to_owned(),
            policy,
            order: Vec::new(),
            take: default_take(),
            ttl: NameTtl::default(),
            https: None,
            svcb: None,
            targets: BTreeMap::new(),
        }
    }
}

fn default_take() -> usize {
    1
}

/// Limits of a steered TTL, seconds. Physics decides inside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NameTtl {
    /// Never less.
    pub min: u32,
    /// Never more.
    pub max: u32,
}

impl Default for NameTtl {
    fn default() -> Self {
        Self { min: 1, max: 30 }
    }
}

impl World {
    /// A world of these regions, and of nothing else.
    pub fn of(name: &str, regions: Vec<Region>) -> Self {
        Self {
            name: name.to_owned(),
            profile: Profile::default(),
            regions,
            checks: BTreeMap::new(),
            pools: BTreeMap::new(),
            policies: BTreeMap::new(),
            prefix_lists: Vec::new(),
            zones: Vec::new(),
            state: StatePolicy::default(),
            automation: Automation::default(),
            safety: Vec::new(),
        }
    }

    /// The region of that name.
    pub fn region(&self, name: &RegionName) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == *name)
    }

    /// What each region carries of what it can, per mille, of what users ask of them, requests per second. Regions whose capacity is
    /// not known are not in it.
    pub fn load_permille(&self, demand_rps: &BTreeMap<RegionName, u32>) -> BTreeMap<RegionName, u32> {
        let load = |region: &Region| {
            let (rps, most) = (u64::from(*demand_rps.get(&region.name)?), u64::from(region.capacity_rps?));
            let permille = (rps * 1000).checked_div(most)?;
            Some((region.name.clone(), u32::try_from(permille).unwrap_or(u32::MAX)))
        };
        self.regions.iter().filter_map(load).collect()
    }

    /// Whether a policy sends clients elsewhere by load.
    pub fn spills(&self) -> bool {
        self.policies.values().any(|policy| policy.steps.iter().any(|step| matches!(step, Step::Spill { .. })))
    }

    /// The check that a region's gateway is judged by, with its name: its own, or the one on which all pools agree that it is a
    /// member of (validation asks for that). None means that it is never judged.
    pub fn check_of(&self, region: &RegionName) -> Option<(&str, &Check)> {
        let own = self.region(region).and_then(|region| region.check.as_deref());
        let of_pools =
            || self.pools.values().filter(|pool| pool.members.contains(region)).find_map(|p| p.check.as_deref());
        let (name, check) = self.checks.get_key_value(own.or_else(of_pools)?)?;
        Some((name.as_str(), check))
    }

    /// The check of one pool's member, if it has a verdict of its own: the pool's, where that is another one than the region's.
    pub fn member_check(&self, pool: &str, region: &RegionName) -> Option<(&str, &Check)> {
        let name = self.pools.get(pool)?.check.as_deref()?;
        if self.check_of(region).is_some_and(|(of_region, _)| of_region == name) {
            return None;
        }
        self.checks.get_key_value(name).map(|(name, check)| (name.as_str(), check))
    }

    /// Everything that has a verdict: each region, and each pool's member with a check of its own, with the check if there is one.
    pub fn subjects(&self) -> impl Iterator<Item = (Subject, Option<&Check>)> {
        let regions = self
            .regions
            .iter()
            .map(|region| (Subject::Region(region.name.clone()), self.check_of(&region.name).map(|(_, check)| check)));
        let members = self.pools.iter().flat_map(move |(name, pool)| {
            pool.members.iter().filter_map(move |region| {
                let (_, check) = self.member_check(name, region)?;
                // Validation holds pools' names to the rule of region names.
                let pool = RegionName::new(name.as_str()).ok()?;
                Some((Subject::Member { pool, region: region.clone() }, Some(check)))
            })
        });
        regions.chain(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_what_is_asked_for_by_what_can_be_carried() {
        let region = |name: &str, id, capacity_rps| Region {
            capacity_rps,
            ..Region::new(RegionName::new(name).unwrap(), id, Location { latitude: 0.0, longitude: 0.0 })
        };
        let world = World::of("test", vec![region("a", 1, Some(200)), region("b", 2, None), region("c", 3, Some(1))]);
        let rps = |pairs: &[(&str, u32)]| {
            pairs.iter().map(|(name, rps)| (RegionName::new(*name).unwrap(), *rps)).collect::<BTreeMap<_, _>>()
        };
        let loads = world.load_permille(&rps(&[("a", 170), ("b", 9), ("c", u32::MAX), ("elsewhere", 5)]));
        assert_eq!(loads, rps(&[("a", 850), ("c", u32::MAX)]));
        assert_eq!(world.load_permille(&rps(&[])), rps(&[]));
    }
}
