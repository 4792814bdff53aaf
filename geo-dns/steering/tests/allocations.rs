//! An answer allocates nothing: counted by the allocator itself, for every kind of question.
#![expect(
    unsafe_code,
    reason = "only an allocator sees every allocation, and implementing one is unsafe; it passes each call on"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use luck::Luck;
use model::{Plan, PlanId, RegionName, World};
use steering::{Transport, View, ViewInputs, answer};

#[path = "../src/tests/luck.rs"]
mod luck;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more; nobody measures there.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: each call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// A name by each way to be steered.
const NAMES: [&str; 4] = ["far.more.test", "drawn.more.test", "sticky.more.test", "lent.more.test"];

const POLICIES: &str = r#"
    [[zone.record]]
    name = "lent"
    type = "ALIAS"
    value = "drawn.more.test"
    [[zone.steered]]
    name = "drawn"
    pool = "web"
    policy = "drawn"
    take = 2
    https = "1 . alpn=h2"
    [[zone.steered]]
    name = "sticky"
    pool = "web"
    policy = "sticky"
    https = "1 . alpn=h2"
    [[zone.steered]]
    name = "far"
    pool = "web"
    policy = "sticky"
    targets = { us-east = "drawn.more.test", eu-west = "sticky.more.test", ap-south = "cdn.else.test" }
    [[policy.drawn.step]]
    kind = "map"
    orders = { europe = ["eu-west"], IE = ["us-east"], AS64500 = ["ap-south"] }
    [[policy.drawn.step]]
    kind = "latency"
    ms = { DE = { us-east = 10 } }
    [[policy.drawn.step]]
    kind = "take"
    count = 3
    [[policy.drawn.step]]
    kind = "weighted"
    weights = { us-east = 3, eu-west = 2, ap-south = 1 }
    [[policy.sticky.step]]
    kind = "fence"
    clients = ["asia"]
    regions = ["ap-south", "us-east"]
    none_left = "closed"
    [[policy.sticky.step]]
    kind = "trickle"
    permille = 100
    to = ["us-east"]
    [[policy.sticky.step]]
    kind = "spill"
    low_permille = 500
    high_permille = 900
    [[policy.sticky.step]]
    kind = "sticky"
    max_load_percent = 120
    [[policy.sticky.step]]
    kind = "fallback"
    pool = "web"
    policy = "drawn"
"#;

fn view() -> View {
    let records = r#"
        [[zone]]
        origin = "more.test"
        ns = ["ns.else.test"]
        [[zone.record]]
        name = "cut"
        type = "NS"
        value = "ns.cut.more.test"
        [[zone.record]]
        name = "ns.cut"
        type = "A"
        value = "192.0.2.1"
        [[zone.record]]
        name = "old"
        type = "DNAME"
        value = "shop.test"
        [[zone.record]]
        name = "alias"
        type = "CNAME"
        value = "www.shop.test"
        [[zone.record]]
        name = "*.wild"
        type = "MX"
        value = "10 mail.more.test"
    "#;
    let world = World::parse(&format!("{}{records}{POLICIES}", World::default_toml(3, 0)), "").expect("a valid world");
    let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "test", world);
    let name = |text: &str| RegionName::new(text).expect("a name");
    let inputs = ViewInputs { load_permille: [(name("eu-west"), 700)].into(), ..ViewInputs::new(name("us-east")) };
    View::compile(&plan, &inputs).expect("it compiles")
}

fn query(name: &str, rtype: u16, options: &[u8]) -> Vec<u8> {
    let mut packet = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    packet.extend((options.len() as u16).to_be_bytes());
    packet.extend(options);
    packet
}

#[test]
fn an_answer_allocates_nothing() {
    let view = view();
    let mut out = Vec::with_capacity(4096);
    let subnet = [0, 8, 0, 7, 0, 1, 24, 0, 87, 32, 10, 0, 3, 0, 0];
    for name in [
        "www.shop.test",
        "shop.test",
        "missing.shop.test",
        "www.old.more.test",
        "alias.more.test",
        "x.y.wild.more.test",
        "x.cut.more.test",
        "example.com",
    ]
    .into_iter()
    .chain(NAMES)
    {
        for rtype in [1, 2, 15, 28, 65, 252, 255] {
            for options in [&[][..], &subnet] {
                for transport in [Transport::Udp, Transport::Tcp] {
                    let packet = query(name, rtype, options);
                    let before = ALLOCATIONS.get();
                    let mut outcome = None;
                    for draw in 0..20 {
                        let client = [127, 0, 0, 1].into();
                        outcome = Some(answer(&view, &packet, client, transport, &|| None, draw, &mut out));
                    }
                    let made = ALLOCATIONS.get() - before;
                    assert!(outcome.is_some_and(|outcome| outcome.rcode.is_some()) && out.len() > 12);
                    assert_eq!(made, 0, "{name} type {rtype} over {}", transport.as_str());
                }
            }
        }
    }
    let before = ALLOCATIONS.get();
    drop(vec![0_u8; 10]);
    assert!(ALLOCATIONS.get() > before, "the counter counts");
}

/// Whether the packet may ask how old the Plan is: the one answer that is made when it is asked for.
fn asks_for_freshness(packet: &[u8]) -> bool {
    packet.windows(12).any(|bytes| bytes.eq_ignore_ascii_case(b"\x04plan\x05atoll\0"))
}

/// So memory cannot grow, however long strangers ask.
#[test]
fn what_strangers_send_costs_no_allocation_either() {
    let world =
        World::parse(include_str!("../../server/tests/clients/world.toml"), "world.toml").expect("a valid world");
    let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "test", world);
    let view =
        View::compile(&plan, &ViewInputs::new(RegionName::new("us-east").expect("a name"))).expect("it compiles");
    let (seeds, mut luck, mut out) = (luck::corpus(), Luck(0x0a11_0c8e), Vec::with_capacity(65_535));
    for nth in 0..luck::packets(100_000) {
        let packet = luck::packet(&mut luck, &seeds);
        if asks_for_freshness(&packet) {
            continue;
        }
        let client = (luck.next() as u32).to_be_bytes().into();
        let (transport, limit) = if nth % 4 == 0 { (Transport::Tcp, 65_535) } else { (Transport::Udp, 1232) };
        let before = ALLOCATIONS.get();
        answer(&view, &packet, client, transport, &|| None, 0, &mut out);
        assert_eq!(ALLOCATIONS.get() - before, 0, "for {packet:?}");
        assert!(out.len() <= limit, "{} bytes for {packet:?}", out.len());
    }
}
