//! The names that all servers serve, and the words in which each of them is told.
//!
//! Steered names lead to one of three regions by where the client is. Each server has location data of its kind: Atoll its country
//! table, gdnsd a list of 892 networks that alternate between the regions, Knot 221 networks for each name.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use model::{Check, Plan, PlanId, Pool, Record, RecordData, RegionName, Soa, Steered, SteeringPolicy, World, Zone};

/// Steered names `w0` and on.
pub(super) const STEERED: usize = 100;
/// Static names `s0` and on, of the load; a World may have more of them.
pub(super) const STATIC: usize = 1000;
/// Where they are.
pub(super) const ZONE: &str = "bench.test";

/// Most names that a zone of a World may have.
const NAMES_PER_ZONE: usize = 10_000;

/// What a load asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// A steered name, by a resolver.
    Steered,
    /// A steered name, for a client's network.
    SteeredEcs,
    /// A name with an address.
    Static,
    /// A name that does not exist.
    NxDomain,
}

impl Question {
    pub(super) const ALL: [Self; 4] = [Self::SteeredEcs, Self::Steered, Self::Static, Self::NxDomain];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Steered => "steered",
            Self::SteeredEcs => "steered, client subnet",
            Self::Static => "static",
            Self::NxDomain => "NXDOMAIN",
        }
    }

    /// The names that are asked for, without the zone.
    pub(super) fn labels(self) -> Vec<String> {
        match self {
            Self::Steered | Self::SteeredEcs => (0..STEERED).map(|i| format!("w{i}")).collect(),
            // A stride that has no factor in common with their number: neighbours in a zone are not neighbours in time.
            Self::Static => (0..STATIC).map(|i| format!("s{}", i * 387 % STATIC)).collect(),
            Self::NxDomain => (0..STATIC).map(|i| format!("n{}", i * 387 % STATIC)).collect(),
        }
    }

    /// Data of the client subnet option: 87.32.10.0/24, an address in use in Europe.
    pub(super) fn subnet(self) -> Option<[u8; 7]> {
        (self == Self::SteeredEcs).then_some([0, 1, 24, 0, 87, 32, 10])
    }
}

/// A Plan of three regions with the names of the load, and more static names in further zones until there are `names` in all.
pub(super) fn plan(version: u64, names: usize) -> anyhow::Result<Plan> {
    let mut world = World::parse(&World::default_toml(3, 0), "world.toml")?;
    let members: Vec<RegionName> = world.regions.iter().map(|region| region.name.clone()).collect();
    let check = "bench".to_owned();
    world.checks = BTreeMap::from([(check.clone(), Check::default())]);
    world.pools = BTreeMap::from([("www".to_owned(), Pool::of(members, Some(check)))]);
    let mut first = zone(ZONE.to_owned(), STATIC.min(names));
    first.steered = (0..STEERED).map(|i| Steered::to(&format!("w{i}"), "www", SteeringPolicy::Nearest)).collect();
    world.zones = vec![first];
    let mut left = names.saturating_sub(STATIC);
    while left > 0 {
        let here = left.min(NAMES_PER_ZONE);
        world.zones.push(zone(format!("z{}.test", world.zones.len()), here));
        left -= here;
    }
    Ok(Plan::new(PlanId { lineage: 1, version }, 0, "bench", world))
}

fn zone(origin: String, names: usize) -> Zone {
    let record = |i: usize| Record {
        name: format!("s{i}"),
        data: RecordData::A([198, 51, 100, (i % 250) as u8 + 1].into()),
        ttl: None,
    };
    let soa = Soa { minimum: 60, ..Soa::default() };
    Zone {
        ns: vec!["ns.example.net".into()],
        origin,
        ttl: 300,
        soa,
        records: (0..names).map(record).collect(),
        steered: Vec::new(),
    }
}

/// The zone as a file, with a line for each steered name.
fn zone_file(steered: impl Fn(usize) -> String) -> String {
    let mut text = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 900 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n".to_owned();
    for i in 0..STATIC {
        let _ = writeln!(text, "s{i} A 198.51.100.{}", i % 250 + 1);
    }
    for i in 0..STEERED {
        let _ = writeln!(text, "w{i} {}", steered(i));
    }
    text
}

/// Networks of an IPv4 address's first byte that belong to nobody's region.
fn is_special(first: usize) -> bool {
    matches!(first, 10 | 127)
}

/// gdnsd's configuration and zone.
pub(super) fn for_gdnsd(dir: &Path, port: u16) -> [(&'static str, String); 2] {
    let mut nets = String::new();
    for i in (4..4 * 224).filter(|i| !is_special(i / 4)) {
        let order = ["us, eu, ap", "eu, us, ap", "ap, us, eu"][i % 3];
        let _ = writeln!(nets, "{}.{}.0.0/10 => [{order}]", i / 4, i % 4 * 64);
    }
    let dir = dir.display();
    let config = format!(
        "options => {{ listen => 127.0.0.1, dns_port => {port}, udp_threads => 1, tcp_threads => 1,\n\
         run_dir => {dir}/run, state_dir => {dir}/state }}\n\
         plugins => {{ geoip => {{\n\
         maps => {{ m => {{ datacenters => [us, eu, ap], nets => {{\n{nets}}} }} }}\n\
         resources => {{ www => {{ map => m, service_types => up,\n\
         dcmap => {{ us => 192.0.2.1, eu => 192.0.2.2, ap => 192.0.2.3 }} }} }}\n\
         }} }}\n"
    );
    [("config", config), ("zones/bench.test", zone_file(|_| "60 DYNA geoip!www".to_owned()))]
}

/// Knot's configuration, zone and steering.
pub(super) fn for_knot(dir: &Path, port: u16) -> [(&'static str, String); 3] {
    let mut networks = String::new();
    for i in 0..STEERED {
        let _ = writeln!(networks, "w{i}.{ZONE}:\n  - net: 0.0.0.0/0\n    A: 192.0.2.1");
        for first in (1..224).filter(|first| !is_special(*first)) {
            let _ = writeln!(networks, "  - net: {first}.0.0.0/8\n    A: 192.0.2.{}", first % 3 + 1);
        }
    }
    let dir = dir.display();
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: {dir}/run\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  edns-client-subnet: on\n\
         database:\n  storage: {dir}/db\n\
         mod-geoip:\n  - id: geo\n    config-file: {dir}/geo.yml\n    ttl: 60\n    mode: subnet\n\
         zone:\n  - domain: {ZONE}\n    file: {dir}/zone\n    zonefile-load: whole\n    journal-content: none\n    \
         module: mod-geoip/geo\n"
    );
    [("knot.conf", config), ("geo.yml", networks), ("zone", zone_file(|_| "60 A 192.0.2.1".to_owned()))]
}

#[cfg(test)]
mod tests {
    use steering::{Rcode, Transport, View, ViewInputs, answer};

    use super::{super::packets::packet, *};

    #[test]
    fn the_view_gives_each_question_its_kind_of_answer() {
        let plan = plan(1, 25_000).unwrap();
        plan.world.validate().unwrap();
        let view = View::compile(&plan, &ViewInputs::new(RegionName::new("us-east").unwrap())).unwrap();
        for question in Question::ALL {
            for label in question.labels() {
                let mut out = Vec::new();
                let query = packet(&label, question.subnet());
                let outcome = answer(&view, &query, [127, 0, 0, 1].into(), Transport::Udp, &|| None, 0, &mut out);
                let region = outcome.region.map(ToString::to_string);
                let wanted = match question {
                    Question::Steered => (Rcode::NoError, Some("us-east")),
                    Question::SteeredEcs => (Rcode::NoError, Some("eu-west")),
                    Question::Static => (Rcode::NoError, None),
                    Question::NxDomain => (Rcode::NxDomain, None),
                };
                assert_eq!((outcome.rcode, region.as_deref()), (Some(wanted.0), wanted.1), "{label}");
            }
        }
    }

    #[test]
    fn all_names_are_there() {
        let names = |plan: &Plan| plan.world.zones.iter().map(|zone| zone.records.len()).sum::<usize>();
        for wanted in [1000, 1001, 11_000, 100_000] {
            assert_eq!(names(&plan(1, wanted).unwrap()), wanted);
        }
    }
}
