//! A world of two regions, a server for it, and a client.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use dns_server::{DnsConfig, DnsHandle, Heard, Views, start};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use model::{
    Location, Plan, PlanId, Pool, Record, RecordData, Region, RegionName, Soa, Steered, SteeringPolicy, World, Zone,
};
use steering::{View, ViewInputs, geo::Geo};

/// Long enough for anything that should come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

/// `www.shop.test` is steered: us-east 192.0.2.1, eu-west 192.0.2.2. `big` and `huge` are long texts.
pub(crate) fn plan(version: u64) -> Plan {
    let member = |name: &str, id: u8| Region {
        gateway_v4: Some([192, 0, 2, id].into()),
        ..Region::new(region(name), id.into(), Location { latitude: 50.0, longitude: f64::from(id) })
    };
    let text =
        |name: &str, length: usize| Record { name: name.into(), data: RecordData::Txt("x".repeat(length)), ttl: None };
    let www = Steered::to("www", "web", SteeringPolicy::Failover);
    let members = vec![region("us-east"), region("eu-west")];
    let zone = Zone {
        origin: "shop.test".into(),
        ttl: 300,
        soa: Soa::default(),
        ns: vec!["ns1.shop.test".into()],
        records: vec![text("big", 1000), text("huge", 40_000)],
        steered: vec![www],
    };
    let world = World {
        checks: BTreeMap::from([("web".into(), check())]),
        pools: BTreeMap::from([("web".into(), Pool::of(members, Some("web".into())))]),
        zones: vec![zone],
        ..World::of("test", vec![member("us-east", 1), member("eu-west", 2)])
    };
    Plan::new(PlanId { lineage: 7, version }, 0, "", world)
}

fn check() -> model::Check {
    let kind = model::CheckKind::Tcp;
    model::Check { kind, timeout_ms: 400, ..model::Check::default() }
}

/// For servers that never heard of a quorum.
pub(crate) fn never_heard() -> Heard {
    Arc::new(|| None)
}

/// A server on any port of 127.0.0.1.
pub(crate) fn serve(plan: Option<Plan>) -> DnsHandle {
    serve_with(plan, |_| ())
}

pub(crate) fn serve_with(plan: Option<Plan>, change: impl FnOnce(&mut DnsConfig)) -> DnsHandle {
    let inputs = ViewInputs { geo: Arc::new(Geo::empty()), ..ViewInputs::new(region("us-east")) };
    let views = Views::default();
    views.store(plan.map(|plan| Arc::new(View::compile(&plan, &inputs).unwrap())));
    let mut config = DnsConfig::new("127.0.0.1:0".parse().unwrap());
    change(&mut config);
    start(config, views, never_heard()).unwrap()
}

pub(crate) fn query(id: u16, name: &str, rtype: RecordType) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message.to_vec().unwrap()
}

/// Asks over UDP; blocks, so that it is called off the runtime.
pub(crate) fn ask_udp(server: SocketAddr, packet: &[u8]) -> Message {
    let socket = UdpSocket::bind(if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.send_to(packet, server).unwrap();
    let mut buffer = [0; 65535];
    let (length, from) = socket.recv_from(&mut buffer).expect("an answer in time");
    assert_eq!(from, server, "an answer comes from the address that was asked");
    Message::from_vec(&buffer[..length]).unwrap()
}

pub(crate) fn data(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}
