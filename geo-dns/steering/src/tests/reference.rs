//! The lookup against a naive model of it, written from RFC 1034 (4.3.2), 4592, 6672 and 8020: random zones, random questions.
//!
//! The model knows records as texts, walks down from the zone's origin label by label and looks at every record for every
//! question. It shares nothing with the View but the World.

use std::collections::BTreeSet;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, Record, RecordType},
};
use model::{RecordData, Soa, World, Zone};

use super::{packets::Luck, world::*};
use crate::{Transport, View, answer};

/// How many questions; `ATOLL_REFERENCE_QUESTIONS=1000000` for the long run.
fn questions() -> usize {
    std::env::var("ATOLL_REFERENCE_QUESTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

const QUESTIONS_PER_WORLD: usize = 100;

/// An owner, a type, and data where it is a name.
type Row = (String, u16, String);

/// What is answered.
#[derive(Debug, PartialEq)]
struct Reply {
    rcode: ResponseCode,
    authoritative: bool,
    /// In order by owner and type; sets are in any order.
    answers: Vec<Row>,
    authorities: BTreeSet<Row>,
    additional: BTreeSet<Row>,
}

/// A zone of the model.
struct Naive {
    origin: String,
    rows: Vec<Row>,
}

impl Naive {
    fn of(zone: &Zone) -> Self {
        let origin = zone.origin.clone();
        let mut rows = vec![(origin.clone(), 6, String::new())];
        rows.extend(zone.ns.iter().map(|server| (origin.clone(), 2, server.clone())));
        rows.extend(zone.records.iter().map(|record| {
            let owner = if record.name == "@" { origin.clone() } else { format!("{}.{origin}", record.name) };
            let number = record.data.number().unwrap().0;
            let data = if has_name(number) { record.data.value_text() } else { String::new() };
            (owner, number, data)
        }));
        Self { origin, rows }
    }

    fn at(&self, owner: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.0 == owner).collect()
    }

    fn has(&self, owner: &str, rtype: u16) -> bool {
        self.at(owner).iter().any(|row| row.1 == rtype)
    }

    /// Whether there is data at a name or below it.
    fn exists(&self, name: &str) -> bool {
        self.rows.iter().any(|row| within(&row.0, name))
    }

    fn set(&self, node: &str, rtype: u16, owner: &str) -> Vec<Row> {
        let rows = self.at(node).into_iter().filter(|row| row.1 == rtype);
        rows.map(|row| (owner.to_owned(), row.1, row.2.clone())).collect()
    }
}

fn has_name(rtype: u16) -> bool {
    matches!(rtype, 2 | 5)
}

fn within(name: &str, origin: &str) -> bool {
    name == origin || name.strip_suffix(origin).is_some_and(|front| front.ends_with('.'))
}

fn zone_of<'z>(zones: &'z [Naive], name: &str, rtype: u16) -> Option<&'z Naive> {
    let nearest = |skip: &str| {
        let around = zones.iter().filter(|zone| within(name, &zone.origin) && zone.origin != skip);
        around.max_by_key(|zone| zone.origin.len())
    };
    let zone = nearest("")?;
    if rtype == 43 && zone.origin == name { nearest(name).or(Some(zone)) } else { Some(zone) }
}

/// Answers by the book.
fn by_the_book(zones: &[Naive], asked: &str, rtype: u16) -> Reply {
    let mut reply = Reply {
        rcode: ResponseCode::NoError,
        authoritative: true,
        answers: Vec::new(),
        authorities: BTreeSet::new(),
        additional: BTreeSet::new(),
    };
    let (mut name, mut followed, mut seen) = (asked.to_owned(), 0, BTreeSet::new());
    loop {
        let Some(zone) = zone_of(zones, &name, rtype) else {
            if followed == 0 {
                (reply.rcode, reply.authoritative) = (ResponseCode::Refused, false);
            }
            return reply;
        };
        // Step 3: down from the origin.
        let front = name.strip_suffix(zone.origin.as_str()).unwrap().trim_end_matches('.');
        let labels: Vec<&str> = if front.is_empty() { Vec::new() } else { front.split('.').collect() };
        let mut node = zone.origin.clone();
        let mut dname = None;
        for depth in 0..=labels.len() {
            if depth > 0 {
                let below = format!("{}.{node}", labels[labels.len() - depth]);
                if !zone.exists(&below) {
                    let wildcard = format!("*.{node}");
                    if !zone.exists(&wildcard) {
                        reply.rcode = ResponseCode::NXDomain;
                        reply.authorities.extend(zone.set(&zone.origin, 6, &zone.origin));
                        return reply;
                    }
                    node = wildcard;
                    break;
                }
                node = below;
            }
            // 3b: a cut.
            if node != zone.origin && zone.has(&node, 2) && !(node == name && rtype == 43) {
                let servers = zone.set(&node, 2, &node);
                for server in servers.iter().map(|row| &row.2).filter(|server| within(server, &zone.origin)) {
                    reply.additional.extend(zone.set(server, 1, server));
                }
                reply.authorities.extend(servers);
                reply.authoritative = followed > 0;
                return reply;
            }
            if node != name && zone.has(&node, 39) {
                dname = Some(node.clone());
                break;
            }
        }
        let alias = match dname {
            Some(owner) => {
                if followed == 8 {
                    return reply;
                }
                let target = zone_target(zone, &owner);
                let made = format!("{}.{target}", name.strip_suffix(&format!(".{owner}")).unwrap());
                reply.answers.extend(zone.set(&owner, 39, &owner));
                reply.answers.push((name.clone(), 5, made.clone()));
                if rtype == 5 {
                    return reply;
                }
                Some(made)
            }
            None if zone.has(&node, 5) && !matches!(rtype, 5 | 255) => {
                let set = zone.set(&node, 5, &name);
                if followed == 8 || !seen.insert(node.clone()) {
                    return reply;
                }
                let target = set[0].2.clone();
                reply.answers.extend(set);
                Some(target)
            }
            None => None,
        };
        if let Some(target) = alias {
            (name, followed) = (target, followed + 1);
            continue;
        }
        let found = match rtype {
            255 if zone.has(&node, 5) => zone.set(&node, 5, &name),
            // RFC 8482 instead of everything there is.
            255 if !zone.at(&node).is_empty() => vec![(name.clone(), 13, String::new())],
            _ => zone.set(&node, rtype, &name),
        };
        if found.is_empty() {
            reply.authorities.extend(zone.set(&zone.origin, 6, &zone.origin));
        }
        reply.answers.extend(found);
        return reply;
    }
}

/// The model's rows keep no data of DNAMEs, which all lead to one place.
fn zone_target<'z>(zone: &Naive, owner: &str) -> &'z str {
    assert!(zone.has(owner, 39));
    DNAME_TARGET
}

const DNAME_TARGET: &str = "b.z";

fn row(record: &Record) -> Row {
    let rtype = u16::from(record.record_type());
    let name = |text: &str| text.trim_end_matches('.').to_lowercase();
    let data = if has_name(rtype) { name(&record.data.to_string()) } else { String::new() };
    (name(&record.name.to_string()), rtype, data)
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    // Within the records of one owner and type the order says nothing.
    let mut at = 0;
    while at < rows.len() {
        let same = rows[at..].iter().take_while(|row| (&row.0, row.1) == (&rows[at].0, rows[at].1)).count();
        rows[at..at + same].sort();
        at += same;
    }
    rows
}

fn asked_for_real(view: &View, name: &str, rtype: u16) -> Reply {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::from(rtype)));
    let packet = message.to_vec().unwrap();
    let (mut out, mut short) = (Vec::new(), Vec::new());
    answer(view, &packet, [127, 0, 0, 1].into(), Transport::Tcp, &|| None, 0, &mut out);
    let outcome = answer(view, &packet, [127, 0, 0, 1].into(), Transport::Udp, &|| None, 0, &mut short);
    assert!(outcome.truncated || short == out, "UDP and TCP say the same of {name}");
    let read = Message::from_vec(&out).unwrap();
    Reply {
        rcode: read.metadata.response_code,
        authoritative: read.metadata.authoritative,
        answers: sorted(read.answers.iter().map(row).collect()),
        authorities: read.authorities.iter().map(row).collect(),
        additional: read.additionals.iter().map(row).collect(),
    }
}

fn any_name(luck: &mut Luck) -> String {
    let labels = 1 + luck.below(3);
    let label = |luck: &mut Luck| ["a", "b", "c"][luck.below(3)];
    let name: Vec<&str> = (0..labels).map(|_| label(luck)).collect();
    name.join(".")
}

fn any_record(luck: &mut Luck) -> model::Record {
    let absolute = |luck: &mut Luck| format!("{}.{}", any_name(luck), ["t", "a.t", "z", "else.where"][luck.below(4)]);
    let other = |rtype: &str, value: String| RecordData::Other { rtype: rtype.into(), value };
    let data = match luck.below(9) {
        0..=2 => RecordData::A([192, 0, 2, luck.below(3) as u8].into()),
        3 => RecordData::Txt("x".into()),
        4 | 5 => RecordData::Cname(absolute(luck)),
        6 => other("NS", absolute(luck)),
        7 => other("DNAME", DNAME_TARGET.into()),
        _ => other("DS", "1 8 2 ab".into()),
    };
    let name = match luck.below(4) {
        0 => format!("*.{}", any_name(luck)),
        1 if luck.below(4) == 0 => ["@", "*"][luck.below(2)].into(),
        _ => any_name(luck),
    };
    model::Record { name, data, ttl: None }
}

/// Zones `t`, `a.t` and `z`, with random records as far as they may stand together.
fn any_world(luck: &mut Luck) -> World {
    let mut world = World { zones: Vec::new(), ..World::clone(&plan().world) };
    for origin in ["t", "z", "a.t"] {
        let (soa, ns) = (Soa::default(), vec!["ns.else.where".to_owned()]);
        world.zones.push(Zone { origin: origin.into(), ttl: 60, soa, ns, records: Vec::new(), steered: Vec::new() });
        if luck.below(2) == 0 && origin == "z" {
            break;
        }
    }
    for _ in 0..luck.below(24) {
        let (zone, record) = (luck.below(world.zones.len()), any_record(luck));
        world.zones[zone].records.push(record);
        if world.validate().is_err() {
            world.zones[zone].records.pop();
        } else if luck.below(2) == 0 {
            with_glue(&mut world, zone);
        }
    }
    world
}

/// If the latest record is a delegation, a further server of it that lies below it.
fn with_glue(world: &mut World, zone: usize) {
    let Zone { origin, records, .. } = &mut world.zones[zone];
    let Some(cut) = records.last().filter(|record| record.data.type_text() == "NS").map(|r| r.name.clone()) else {
        return;
    };
    let data = RecordData::Other { rtype: "NS".into(), value: format!("c.{cut}.{origin}") };
    records.push(model::Record { name: cut.clone(), data, ttl: None });
    let glue = RecordData::A([192, 0, 2, 9].into());
    records.push(model::Record { name: format!("c.{cut}"), data: glue, ttl: None });
    if world.validate().is_err() {
        let records = &mut world.zones[zone].records;
        records.truncate(records.len() - 2);
    }
}

#[test]
fn random_zones_are_answered_by_the_book() {
    let mut luck = Luck(0x0da7_a5ea);
    let mut kinds = BTreeSet::new();
    for _ in 0..questions().div_ceil(QUESTIONS_PER_WORLD) {
        let mut plan = plan();
        plan.world = any_world(&mut luck).into();
        let (view, naive) = (view(&plan), plan.world.zones.iter().map(Naive::of).collect::<Vec<_>>());
        for _ in 0..QUESTIONS_PER_WORLD {
            let mut name = format!("{}.{}", any_name(&mut luck), ["t", "a.t", "z", "z.t"][luck.below(4)]);
            match luck.below(12) {
                0 => name = format!("*.{name}"),
                1 => name = ["t", "z", "a.t", "q"][luck.below(4)].into(),
                _ => {}
            }
            let rtype = [1, 1, 1, 2, 5, 6, 16, 39, 43, 255][luck.below(10)];
            let mut want = by_the_book(&naive, &name, rtype);
            want.answers = sorted(want.answers);
            let got = asked_for_real(&view, &name, rtype);
            let kind = (u16::from(got.rcode), got.authoritative, got.answers.len().min(3), got.additional.len().min(1));
            kinds.insert(kind);
            let written = || serde_json::to_string_pretty(&plan.world.zones).unwrap();
            assert_eq!(got, want, "{name} type {rtype} of {}", written());
        }
    }
    // Refused, no such name and no data with and without aliases before, referrals with and without glue, …
    assert!(kinds.len() >= 12, "only {} kinds of answers came up: {kinds:?}", kinds.len());
}
