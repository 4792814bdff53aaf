//! A million strangers: random and mutated packets get an answer that can be read, or none; never a panic, never too much.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};

use super::world::*;
use crate::{Transport, View, answer};

/// How many packets; `ATOLL_FUZZ_PACKETS=1000000` for the long run.
fn packets() -> u64 {
    std::env::var("ATOLL_FUZZ_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000)
}

/// A small generator with a seed, so that a failure can be repeated (xorshift64*).
pub(super) struct Luck(pub(super) u64);

impl Luck {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

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

fn mutate(luck: &mut Luck, packet: &mut Vec<u8>) {
    for _ in 0..1 + luck.below(4) {
        let at = luck.below(packet.len());
        match luck.below(6) {
            0 | 1 => packet.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (luck.next() % 8)),
            2 => packet.iter_mut().skip(at).take(1).for_each(|b| *b = luck.next() as u8),
            3 => packet.truncate(at),
            4 => packet.insert(at, luck.next() as u8),
            _ => {
                let piece = packet[at..(at + luck.below(16)).min(packet.len())].to_vec();
                packet.extend(piece);
            }
        }
    }
}

fn packet(luck: &mut Luck, seeds: &[Vec<u8>]) -> Vec<u8> {
    if luck.below(8) == 0 {
        return (0..luck.below(600)).map(|_| luck.next() as u8).collect();
    }
    let mut packet = seeds[luck.below(seeds.len())].clone();
    mutate(luck, &mut packet);
    packet
}

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

#[test]
fn strangers_get_an_answer_or_silence() {
    let view = super::ends::ends();
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|question| line(question).packet).collect();
    let mut luck = Luck(0x5eed_a701);
    let mut out = Vec::new();
    for _ in 0..packets() {
        let packet = packet(&mut luck, &seeds);
        let client = if luck.below(2) == 0 {
            IpAddr::V4((luck.next() as u32).into())
        } else {
            IpAddr::V6((u128::from(luck.next()) << 64 | u128::from(luck.next())).into())
        };
        let transport = if luck.below(4) == 0 { Transport::Tcp } else { Transport::Udp };
        judge(&view, &packet, client, transport, &mut out);
    }
    assert!(out.capacity() <= 65535, "the buffer has grown to {}", out.capacity());
}
