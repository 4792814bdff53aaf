//! The World: the desired configuration, as data. Parsing and validation are in `parse.rs` and `validate.rs`.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use crate::{RegionName, StatePolicy};

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
    /// The zones that `geo-dns` answers for.
    #[serde(rename = "zone", default)]
    pub zones: Vec<Zone>,
    /// Limits and policies of the replicated state.
    #[serde(default, skip_serializing_if = "StatePolicy::is_default")]
    pub state: StatePolicy,
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
}

fn default_gateway_port() -> u16 {
    8080
}

impl Region {
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
}

impl Default for Soa {
    fn default() -> Self {
        Self { mail: String::new(), refresh: 3600, retry: 600, expire: 1_209_600, minimum: 30 }
    }
}

/// A static record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Owner relative to the origin; `@` is the apex, `*` a wildcard.
    pub name: String,
    /// Type and data.
    #[serde(flatten)]
    pub data: RecordData,
    /// TTL in seconds; the zone's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}

/// Type and data of a static record: `type = "A"`, `value = "192.0.2.1"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value")]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa(Ipv6Addr),
    /// Alias, absolute name.
    #[serde(rename = "CNAME")]
    Cname(String),
    /// Text; longer ones are cut into strings of 255 bytes.
    #[serde(rename = "TXT")]
    Txt(String),
}

/// A steered name: its A and AAAA answers depend on who asks and on who lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steered {
    /// Owner relative to the origin; `@` is the apex.
    pub name: String,
    /// The pool that serves it.
    pub pool: String,
    /// How members are put in order.
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
}

fn default_take() -> usize {
    1
}

/// How members are put in order. A chain of one step for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeringPolicy {
    /// By great-circle distance from the client's place.
    Nearest,
    /// In the order given.
    Failover,
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
    /// The region of that name.
    pub fn region(&self, name: &RegionName) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == *name)
    }

    /// The check that a region is judged by, with its name: the one of the pools that it is a member of. Validation allows
    /// only one, since a region has one verdict. None means that it is never judged.
    pub fn check_of(&self, region: &RegionName) -> Option<(&str, &Check)> {
        let pools = self.pools.values().filter(|pool| pool.members.contains(region));
        let name = pools.filter_map(|pool| pool.check.as_deref()).next()?;
        self.checks.get_key_value(name).map(|(name, check)| (name.as_str(), check))
    }
}
