//! A world to ask about, and a way to ask in one line.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, sync::Arc};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{
        DNSClass, Name, Record, RecordType,
        rdata::opt::{ClientSubnet, EdnsCode, EdnsOption},
    },
};
use model::{
    AllDown, Check, Location, NameTtl, Override, OverrideAction, Plan, PlanId, Pool, RecordData, Region, RegionName,
    Soa, Steered, SteeringPolicy, Subject, SubjectState, Verdict, World, Zone,
};

use crate::{
    Outcome, Transport, View, ViewInputs, answer,
    geo::{CountryRanges, Geo, encode},
};

pub(crate) fn region_name(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

/// 2/8 France, 3/8 US, 5.0/9 Germany, 5.128/9 France, 49/8 India; 2600::/12 US, 2a00::/16 Germany.
pub(crate) fn geo() -> Arc<Geo> {
    let v4: CountryRanges = vec![
        (0x0200_0000, 0x02ff_ffff, *b"FR"),
        (0x0300_0000, 0x03ff_ffff, *b"US"),
        (0x0500_0000, 0x057f_ffff, *b"DE"),
        (0x0580_0000, 0x05ff_ffff, *b"FR"),
        (0x3100_0000, 0x31ff_ffff, *b"IN"),
    ];
    let v6: CountryRanges = vec![
        (0x2600_0000_0000_0000, 0x260f_ffff_ffff_ffff, *b"US"),
        (0x2a00_0000_0000_0000, 0x2a00_ffff_ffff_ffff, *b"DE"),
    ];
    let places = "DE 52.50 13.37 Berlin\nFR 48.87 2.33 Paris\nIN 22.53 88.37 Kolkata\nUS 41.85 -87.65 Chicago\n";
    Arc::new(Geo::from_parts(encode(&v4, &v6).unwrap(), places).unwrap())
}

/// Three regions (`ap-south` without IPv6), pools and names for every case.
pub(crate) fn plan() -> Plan {
    let regions = vec![
        region("us-east", 1, (39.04, -77.49), true),
        region("eu-west", 2, (53.35, -6.26), true),
        region("ap-south", 3, (19.08, 72.88), false),
    ];
    let verdict = SubjectState::new(Verdict::Up, 0, 1);
    let verdicts = regions.iter().map(|r| (Subject::Region(r.name.clone()), verdict.clone())).collect();
    let world = World {
        checks: BTreeMap::from([("web".into(), check())]),
        pools: pools(),
        zones: zones(),
        ..World::of("test", regions)
    };
    Plan { verdicts, ..Plan::new(PlanId { lineage: 0xabc, version: 42 }, 0, "test", world) }
}

fn region(name: &str, id: u16, place: (f64, f64), v6: bool) -> Region {
    Region {
        gateway_v4: Some([198, 51, 100, id as u8].into()),
        gateway_v6: v6.then(|| [0x2001, 0xdb8, id, 0, 0, 0, 0, 1].into()),
        gateway_port: 443,
        ..Region::new(region_name(name), id, Location { latitude: place.0, longitude: place.1 })
    }
}

/// Up may change after 1.5 s, down after 5 s.
fn check() -> Check {
    Check { timeout_ms: 400, up_after: 10, ..Check::default() }
}

fn pools() -> BTreeMap<String, Pool> {
    let pool = |check: Option<&str>, all_down| Pool {
        all_down,
        ..Pool::of(["us-east", "eu-west", "ap-south"].map(region_name).into(), check.map(str::to_owned))
    };
    BTreeMap::from([
        ("web".into(), pool(Some("web"), AllDown::FailOpen)),
        ("closed".into(), pool(Some("web"), AllDown::FailClosed)),
        ("free".into(), pool(None, AllDown::FailOpen)),
    ])
}

fn steered(name: &str, pool: &str, policy: SteeringPolicy, order: &[&str], take: usize) -> Steered {
    Steered { order: order.iter().map(|r| region_name(r)).collect(), take, ..Steered::to(name, pool, policy) }
}

fn record(name: &str, data: RecordData) -> model::Record {
    model::Record { name: name.into(), data, ttl: None }
}

fn zones() -> Vec<Zone> {
    use SteeringPolicy::{Failover, Nearest};
    let cname = |target: &str| RecordData::Cname(target.into());
    let txt = |text: &str| RecordData::Txt(text.into());
    let zone = |origin: &str| Zone {
        origin: origin.into(),
        ttl: 300,
        soa: Soa::default(),
        ns: vec![format!("ns1.{origin}"), format!("ns2.{origin}")],
        records: Vec::new(),
        steered: Vec::new(),
    };
    let mut shop = zone("shop.test");
    shop.records = vec![
        record("ns1", RecordData::A([192, 0, 2, 1].into())),
        record("ns2", RecordData::A([192, 0, 2, 2].into())),
        model::Record { ttl: Some(60), ..record("ns2", RecordData::A([192, 0, 2, 3].into())) },
        record("@", txt("v=spf1 -all")),
        record("static", RecordData::Aaaa("2001:db8::80".parse().unwrap())),
        record("store", cname("www.shop.test.")),
        record("chain", cname("store.shop.test")),
        record("out", cname("cdn.example.net.")),
        record("nowhere", cname("missing.shop.test.")),
        record("loop", cname("loop.shop.test.")),
        record("a.b.c", txt("deep")),
        record("*.wild", txt("any")),
        record("host.wild", RecordData::A([192, 0, 2, 9].into())),
        record("*.alias", cname("www.shop.test.")),
        record("big", txt(&"x".repeat(700))),
        record("huge", txt(&"y".repeat(3000))),
        record("empty", txt("")),
    ];
    shop.steered = vec![
        steered("www", "web", Nearest, &[], 1),
        steered("@", "web", Nearest, &[], 1),
        steered("two", "web", Nearest, &[], 2),
        steered("all", "web", Nearest, &[], 8),
        steered("fo", "web", Failover, &["eu-west", "us-east"], 1),
        steered("closed", "closed", Nearest, &[], 1),
        steered("free", "free", Nearest, &[], 1),
        steered("*.apps", "web", Nearest, &[], 1),
        Steered { ttl: NameTtl { min: 20, max: 60 }, ..steered("slow", "web", Nearest, &[], 1) },
        Steered { ttl: NameTtl { min: 0, max: 1 }, ..steered("quick", "web", Nearest, &[], 1) },
    ];
    let mut inner = zone("in.shop.test");
    inner.records = vec![record("www", txt("inner"))];
    vec![shop, inner]
}

/// Sets verdicts: `down("eu-west us-east")`.
pub(crate) fn down(plan: &mut Plan, regions: &str) {
    for name in regions.split_whitespace() {
        plan.verdicts.get_mut(&Subject::Region(region_name(name))).unwrap().verdict = Verdict::Down;
    }
}

/// Brings regions to a share, per mille, as a ramp does: `ramp("eu-west", 100)`.
pub(crate) fn ramp(plan: &mut Plan, region: &str, permille: u32) {
    plan.verdicts.get_mut(&Subject::Region(region_name(region))).unwrap().ramp_permille = permille;
}

pub(crate) fn set_override(plan: &mut Plan, region: &str, action: OverrideAction) {
    plan.overrides.push(Override::new(Subject::Region(region_name(region)), action, ("test", "test"), 0, 1));
}

/// The View of a server in `us-east`.
pub(crate) fn view(plan: &Plan) -> View {
    view_with(plan, "us-east", "")
}

pub(crate) fn view_with(plan: &Plan, server_region: &str, demoted: &str) -> View {
    let demoted = demoted.split_whitespace().map(region_name).collect();
    let inputs = ViewInputs { demoted, geo: geo(), ..ViewInputs::new(region_name(server_region)) };
    View::compile(plan, &inputs).unwrap()
}

/// A question in one line: `NAME TYPE [@client] [ecs=net/len] [edns=size] [do] [rd] [nsid] [ch] [tcp] [draw=number]`. The client is 127.0.0.1
/// unless given.
pub(crate) struct Line {
    pub(crate) packet: Vec<u8>,
    pub(crate) client: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) draw: u64,
}

pub(crate) fn line(text: &str) -> Line {
    let mut words = text.split_whitespace();
    let name = Name::from_ascii(format!("{}.", words.next().unwrap().trim_end_matches('.'))).unwrap();
    let rtype: crate::Rtype = words.next().unwrap().parse().unwrap();
    let mut query = Query::query(name, RecordType::from(rtype.0));
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    let mut edns: Option<Edns> = None;
    let mut out = Line { packet: Vec::new(), client: [127, 0, 0, 1].into(), transport: Transport::Udp, draw: 0 };
    for word in words {
        if let Some(addr) = word.strip_prefix('@') {
            out.client = addr.parse().unwrap();
        } else if let Some(net) = word.strip_prefix("ecs=") {
            let subnet: ClientSubnet = net.parse().unwrap();
            edns.get_or_insert_default().options_mut().insert(EdnsOption::Subnet(subnet));
        } else if let Some(draw) = word.strip_prefix("draw=") {
            out.draw = draw.parse().unwrap();
        } else if let Some(size) = word.strip_prefix("edns=") {
            edns.get_or_insert_default().set_max_payload(size.parse().unwrap());
        } else {
            match word {
                "nsid" => {
                    let option = EdnsOption::Unknown(3, Vec::new());
                    edns.get_or_insert_default().options_mut().insert(option);
                }
                "do" => _ = edns.get_or_insert_default().set_dnssec_ok(true),
                "rd" => message.metadata.recursion_desired = true,
                "ch" => _ = query.set_query_class(DNSClass::CH),
                "tcp" => out.transport = Transport::Tcp,
                _ => panic!("what is `{word}`?"),
            }
        }
    }
    message.add_query(query);
    if let Some(edns) = edns {
        message.set_edns(edns);
    }
    out.packet = message.to_vec().unwrap();
    out
}

/// Asks, and returns the outcome and the raw answer.
pub(crate) fn ask<'v>(view: &'v View, question: &str) -> (Outcome<'v>, Vec<u8>) {
    let line = line(question);
    let mut out = Vec::new();
    let outcome = answer(view, &line.packet, line.client, line.transport, &|| None, line.draw, &mut out);
    (outcome, out)
}

/// Whether the answer repeats a client subnet of family 0, "no address", which `dig +subnet=0` sends and hickory-proto
/// does not read.
pub(crate) fn ends_with_family_0(packet: &[u8]) -> bool {
    packet.ends_with(&[0, 8, 0, 4, 0, 0, 0, 0])
}

/// The answer in a few lines, as hickory-proto reads it.
pub(crate) fn show(packet: &[u8]) -> String {
    let message = Message::from_vec(packet).expect("hickory reads every answer");
    let mut text = message.metadata.response_code.to_str().to_owned();
    for (flag, on) in [
        ("aa", message.metadata.authoritative),
        ("tc", message.metadata.truncation),
        ("rd", message.metadata.recursion_desired),
        ("ra", message.metadata.recursion_available),
    ] {
        text += &if on { format!(" {flag}") } else { String::new() };
    }
    text.push('\n');
    for (section, records) in
        [("", &message.answers), ("authority ", &message.authorities), ("additional ", &message.additionals)]
    {
        for record in records {
            let _ = writeln!(text, "{section}{}", show_record(record));
        }
    }
    if let Some(edns) = &message.edns {
        let _ = write!(text, "edns {}", edns.max_payload());
        text += if edns.flags().dnssec_ok { " do" } else { "" };
        if let Some(EdnsOption::Subnet(s)) = edns.option(EdnsCode::Subnet) {
            let _ = write!(text, " ecs={}/{} scope /{}", s.addr(), s.source_prefix(), s.scope_prefix());
        }
        if let Some(EdnsOption::NSID(identity)) = edns.option(EdnsCode::NSID) {
            let _ = write!(text, " nsid={}", String::from_utf8_lossy(identity.as_ref()));
        }
        if let Some(EdnsOption::Unknown(_, reason)) = edns.option(EdnsCode::Unknown(15)) {
            let number = u16::from_be_bytes([reason[0], reason[1]]);
            let _ = write!(text, " ede={number} ({})", String::from_utf8_lossy(&reason[2..]));
        }
        text.push('\n');
    }
    text
}

fn show_record(record: &Record) -> String {
    let data = record.data.to_string();
    let data = if data.len() > 60 && record.record_type() == RecordType::TXT {
        format!("({} characters)", data.len())
    } else {
        data
    };
    format!("{} {} {} {data}", record.name, record.ttl, record.record_type())
}
