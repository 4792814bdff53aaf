//! A million strangers: random and mutated packets get an answer that can be read, or none; never a panic, never too much.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};

use model::{Plan, PlanId, World};

pub(super) use super::luck::Luck;
use super::{
    luck::{corpus, packet, packets},
    world::*,
};
use crate::{Transport, View, answer};

const SEEDS: &[&str] = &[
    "www.shop.test A rd",
    "www.shop.test AAAA ecs=2a00::/48 do",
    "store.shop.test A ecs=5.1.2.0/24 edns=4096",
    "chain.shop.test TXT",
    "x.y.wild.shop.test TXT edns=1232",
    "huge.shop.test TXT edns=1232",
    "missing.in.shop.test SOA",
    "version.bind TXT ch",
    "plan.atoll TXT ch",
    "shop.test ANY",
    "www.cut.a.test A edns=1232",
    "host.old.a.test AAAA nsid ecs=2a00::/48",
    "x.turn.a.test A edns=4096",
    "back.b.test A",
];

fn judge(view: &View, packet: &[u8], client: IpAddr, transport: Transport, out: &mut Vec<u8>) {
    let outcome = answer(view, packet, client, transport, &|| None, 0, out);
    let limit = if transport == Transport::Udp { 1232 } else { 65535 };
    assert!(out.len() <= limit, "{} bytes for {packet:?}", out.len());
    assert_eq!(outcome.rcode.is_none(), out.is_empty());
    if outcome.rcode.is_some() && !ends_with_family_0(out) {
        let read = Message::from_vec(out).unwrap_or_else(|e| panic!("{e}: {out:?} for {packet:?}"));
        assert_eq!(read.metadata.message_type, MessageType::Response);
        assert_eq!(read.metadata.id.to_be_bytes(), packet[..2]);
    }
}

/// The world that real clients ask, in which the packets of the corpus have names.
fn asked() -> View {
    let text = include_str!("../../../server/tests/clients/world.toml");
    let world = World::parse(text, "world.toml").unwrap_or_else(|errors| panic!("{errors}"));
    view(&Plan::new(PlanId { lineage: 7, version: 1 }, 0, "test", world))
}

fn anybody(luck: &mut Luck) -> (IpAddr, Transport) {
    let client = if luck.below(2) == 0 {
        IpAddr::V4((luck.next() as u32).into())
    } else {
        IpAddr::V6((u128::from(luck.next()) << 64 | u128::from(luck.next())).into())
    };
    (client, if luck.below(4) == 0 { Transport::Tcp } else { Transport::Udp })
}

fn strangers_ask(view: &View, seeds: &[Vec<u8>], count: u64) {
    let mut luck = Luck(0x5eed_a701);
    let mut out = Vec::new();
    for _ in 0..count {
        let packet = packet(&mut luck, seeds);
        let (client, transport) = anybody(&mut luck);
        judge(view, &packet, client, transport, &mut out);
    }
    assert!(out.capacity() <= 65535, "the buffer has grown to {}", out.capacity());
}

#[test]
fn strangers_get_an_answer_or_silence() {
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|question| line(question).packet).collect();
    strangers_ask(&super::ends::ends(), &seeds, packets(200_000));
}

#[test]
fn so_do_real_clients_on_a_bad_line() {
    let (view, seeds, mut out) = (asked(), corpus(), Vec::new());
    assert!(seeds.len() > 40, "the corpus is there");
    for packet in &seeds {
        for transport in [Transport::Udp, Transport::Tcp] {
            judge(&view, packet, [127, 2, 0, 1].into(), transport, &mut out);
        }
    }
    strangers_ask(&view, &seeds, packets(100_000));
}
