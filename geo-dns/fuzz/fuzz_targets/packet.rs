//! A packet from anybody goes in; an answer within its limit, or none, comes out.
#![no_main]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::OnceLock,
};

use libfuzzer_sys::fuzz_target;
use model::{Plan, PlanId, RegionName, World};
use steering::{Transport, View, ViewInputs, answer, refuse};

/// A name or a record of every kind, half of the regions' clients on their way elsewhere.
fn view() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(|| {
        let world =
            World::parse(include_str!("../../server/tests/clients/world.toml"), "world.toml").expect("a valid world");
        let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "fuzz", world);
        View::compile(&plan, &ViewInputs::new(RegionName::new("us-east").expect("a name"))).expect("it compiles")
    })
}

fuzz_target!(|packet: &[u8]| {
    let mut out = Vec::new();
    // Who asks follows from the packet, so that a find can be repeated.
    let client = packet.last_chunk::<4>().map_or(Ipv4Addr::LOCALHOST, |bytes| Ipv4Addr::from(*bytes));
    for client in [IpAddr::V4(client), IpAddr::V6(client.to_ipv6_mapped())] {
        for (transport, limit) in [(Transport::Udp, 1232), (Transport::Tcp, 65535)] {
            let draw = u64::from(u32::from_be_bytes(packet.first_chunk().copied().unwrap_or_default()));
            let outcome = answer(view(), packet, client, transport, &|| None, draw, &mut out);
            assert_eq!(outcome.rcode.is_none(), out.is_empty());
            assert!(out.len() <= limit, "{} bytes", out.len());
            if outcome.rcode.is_some() {
                assert_eq!(out[..2], packet[..2], "the id comes back");
                assert_eq!(out[2] & 0x80, 0x80, "it is a response");
            }
            let refused = refuse(packet, transport, &mut out);
            assert_eq!(refused.rcode.is_none(), outcome.rcode.is_none());
            assert!(out.len() <= 512);
        }
    }
});
