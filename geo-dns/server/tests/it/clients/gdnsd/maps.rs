//! The same networks and the same regions in gdnsd and in our server: the same place for everybody, and scopes as wide.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr, sync::Arc};

use dns_server::{DnsConfig, DnsHandle, Views, start};
use hickory_proto::{
    op::Message,
    rr::{
        RecordType,
        rdata::opt::{ClientSubnet, EdnsCode, EdnsOption},
    },
};
use steering::{
    View, ViewInputs,
    geo::{Geo, distance_km, encode},
};

use super::Gdnsd;
use crate::{
    clients::{ask, installed, plan, question},
    world::{never_heard, region},
};

/// Countries, their places, and where each leads: an order of all three regions each.
const PLACES: [(&str, f64, f64); 6] = [
    ("AU", -33.87, 151.21),
    ("BR", -23.55, -46.63),
    ("DE", 52.50, 13.37),
    ("FR", 48.87, 2.33),
    ("IN", 22.53, 88.37),
    ("US", 41.85, -87.65),
];

const REGIONS: [(&str, &str); 3] = [("us-east", "192.0.2.1"), ("eu-west", "192.0.2.2"), ("ap-south", "192.0.2.3")];

/// A network as the number of its first address, in the bits of its family's key (IPv4, or the upper half of IPv6).
#[derive(Clone, Copy)]
struct Net {
    first: u64,
    length: u8,
    v6: bool,
    country: usize,
}

impl Net {
    fn bits(v6: bool) -> u8 {
        if v6 { 64 } else { 32 }
    }

    fn last(self) -> u64 {
        self.first | ((1 << (Self::bits(self.v6) - self.length)) - 1)
    }

    fn addr(key: u64, v6: bool) -> IpAddr {
        if v6 { IpAddr::V6((u128::from(key) << 64).into()) } else { IpAddr::V4((key as u32).into()) }
    }
}

/// Repeatable luck (an LCG's upper half).
struct Luck(u64);

impl Luck {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % limit
    }
}

/// Networks that do not overlap, many of them side by side; none in what both servers take for IPv4 inside of IPv6.
fn nets(luck: &mut Luck) -> Vec<Net> {
    let mut nets: Vec<Net> = Vec::new();
    while nets.len() < 400 {
        let v6 = luck.below(3) == 0;
        let bits = Net::bits(v6);
        let length = if v6 { 20 + luck.below(29) as u8 } else { 8 + luck.below(17) as u8 };
        let anywhere = match (v6, luck.below(2), nets.last().copied()) {
            // Beside the one before, at whichever side.
            (_, 1, Some(near)) if near.v6 == v6 => {
                near.last().wrapping_add(1).min(near.first ^ 1 << (bits - near.length))
            }
            (true, ..) => 0x2400_0000_0000_0000 | luck.below(1 << 26) << 34,
            (false, ..) => (1 + luck.below(222)) << 24 | luck.below(1 << 24),
        };
        let first = anywhere >> (bits - length) << (bits - length);
        let country = luck.below(PLACES.len() as u64) as usize;
        let net = Net { first, length, v6, country };
        let is_free = nets.iter().all(|n| n.v6 != v6 || n.last() < net.first || net.last() < n.first);
        let is_plain = if v6 { first >> 60 == 2 && first >> 48 > 0x2400 } else { (1..224).contains(&(first >> 24)) };
        if is_free && is_plain {
            nets.push(net);
        }
    }
    nets.sort_by_key(|net| (net.v6, net.first));
    nets
}

/// The regions in the order of their distance from a place.
fn order(latitude: f64, longitude: f64) -> Vec<usize> {
    let world = plan(1, &[]).world;
    let from = model::Location { latitude, longitude };
    let far = |i: usize| distance_km(from, world.regions[i].location);
    let mut order = vec![0, 1, 2];
    order.sort_by(|a, b| far(*a).total_cmp(&far(*b)));
    order
}

/// Who is nowhere is taken to be at the server, in us-east.
fn default_order() -> Vec<usize> {
    order(39.04, -77.49)
}

fn names(order: &[usize]) -> String {
    order.iter().map(|i| REGIONS[*i].0).collect::<Vec<_>>().join(", ")
}

fn gdnsd(nets: &[Net]) -> Gdnsd {
    let mut text = String::new();
    for net in nets {
        let (_, latitude, longitude) = PLACES[net.country];
        let addr = Net::addr(net.first, net.v6);
        let _ = writeln!(text, "{addr}/{} => [{}]", net.length, names(&order(latitude, longitude)));
    }
    let addresses: String = REGIONS.iter().map(|(name, addr)| format!("{name} = {addr}\n")).collect();
    let config = format!(
        "plugins => {{ geoip => {{\n maps => {{ m => {{ datacenters = [{}], nets => nets }} }}\n \
         resources => {{ www => {{ map = m, service_types = up, dcmap => {{ {addresses} }} }} }} }} }}",
        names(&default_order())
    );
    Gdnsd::start(&config, "two 600/600 DYNA geoip!www\nwww 600/600 DYNA geoip!www\n", &[("geoip/nets", &text)])
}

fn geo(nets: &[Net]) -> Arc<Geo> {
    let ranges = |v6: bool| {
        let of = nets.iter().filter(|net| net.v6 == v6);
        of.map(|net| {
            let code = PLACES[net.country].0.as_bytes();
            (net.first, net.last(), [code[0], code[1]])
        })
        .collect()
    };
    let places: String = PLACES.iter().map(|(code, north, east)| format!("{code} {north} {east} X\n")).collect();
    Arc::new(Geo::from_parts(encode(&ranges(false), &ranges(true)).unwrap(), &places).unwrap())
}

/// The first address, and the scope.
fn place(answer: &Message) -> (String, u8) {
    let Some(EdnsOption::Subnet(subnet)) = answer.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)) else {
        panic!("no subnet in {answer}");
    };
    (answer.answers[0].data.to_string(), subnet.scope_prefix())
}

/// Networks to ask for: whole and broken, in the nets, at their edges and far from them.
fn questions(luck: &mut Luck, nets: &[Net]) -> BTreeSet<(IpAddr, u8)> {
    let mut questions = BTreeSet::new();
    while questions.len() < 3000 {
        let net = nets[luck.below(nets.len() as u64) as usize];
        let (bits, v6) = (Net::bits(net.v6), net.v6);
        let key = match luck.below(5) {
            0 => net.first,
            1 => net.last(),
            2 => net.last().wrapping_add(1),
            3 => net.first + luck.below((net.last() - net.first).clamp(1, u64::from(u32::MAX))),
            _ if v6 => 0x2400_0000_0000_0000 | luck.below(1 << 26) << 34,
            _ => (1 + luck.below(222)) << 24 | luck.below(1 << 24),
        };
        let is_plain = if v6 { key >> 60 == 2 && key >> 48 > 0x2400 } else { (1..224).contains(&(key >> 24)) };
        let source = [bits, 24, 16, 56][luck.below(if v6 { 4 } else { 3 }) as usize].min(bits);
        if is_plain {
            questions.insert((Net::addr(key >> (bits - source) << (bits - source), v6), source));
        }
    }
    questions
}

/// Both servers with the same networks. `two` tells the whole order with us, as gdnsd's lists of datacenters do: networks are as
/// wide for both then. `www` tells the first region alone.
struct Both {
    ours: DnsHandle,
    theirs: Gdnsd,
}

fn both(nets: &[Net]) -> Both {
    let mut plan = plan(1, &[]);
    for steered in plan.world.zones.iter_mut().flat_map(|zone| &mut zone.steered).filter(|s| s.name == "two") {
        steered.take = 3;
    }
    let inputs = ViewInputs { geo: geo(nets), ..ViewInputs::new(region("us-east")) };
    let views = Views::default();
    views.store(Some(Arc::new(View::compile(&plan, &inputs).unwrap())));
    let ours = start(DnsConfig::new("127.0.0.1:0".parse().unwrap()), views, never_heard()).unwrap();
    Both { ours, theirs: gdnsd(nets) }
}

impl Both {
    /// What both say: ours, then gdnsd's.
    fn ask(&self, name: &str, addr: IpAddr, source: u8) -> [(String, u8); 2] {
        let packet = question(name, RecordType::A, Some(ClientSubnet::new(addr, source, 0)));
        [self.ours.local_addr(), self.theirs.addr].map(|server| place(&ask(server, "127.0.0.1", &packet)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_places_and_scopes_are_those_of_gdnsd() {
    if !installed("gdnsd", "gdnsd") {
        return;
    }
    let mut luck = Luck(0x9d05);
    let nets = nets(&mut luck);
    let both = both(&nets);
    let (mut kinds, mut wider) = (BTreeSet::new(), 0);
    for (addr, source) in questions(&mut luck, &nets) {
        let [ours, theirs] = both.ask("two.shop.test.", addr, source);
        assert_eq!(ours, theirs, "{addr}/{source}: ours, gdnsd's");
        kinds.insert(ours);
        // Where only the first region is told, what is told is the same for more people than gdnsd says.
        let [ours, theirs] = both.ask("www.shop.test.", addr, source);
        assert_eq!(ours.0, theirs.0, "{addr}/{source}: ours, gdnsd's");
        assert!(ours.1 <= theirs.1, "{addr}/{source}: our scope {}, gdnsd's {}", ours.1, theirs.1);
        wider += usize::from(ours.1 < theirs.1);
    }
    assert!(kinds.len() > 60, "places and scopes of many kinds: {}", kinds.len());
    assert!(wider > 0, "gdnsd keeps lists apart that begin alike: {wider}");
}

/// IPv6 that carries an IPv4 address has that one's place with both.
#[tokio::test(flavor = "multi_thread")]
async fn ipv4_inside_of_ipv6_is_found_where_gdnsd_finds_it() {
    if !installed("gdnsd", "gdnsd") {
        return;
    }
    let mut luck = Luck(0x4_6);
    let nets = nets(&mut luck);
    let both = both(&nets);
    let mut found = String::new();
    let v4: Vec<u32> = nets.iter().filter(|net| !net.v6).map(|net| net.first as u32 | 1).step_by(9).collect();
    for addr in v4 {
        let addr = u128::from(addr);
        for (what, inside, source) in [
            ("IPv4-mapped", 0xffff << 32 | addr, 128),
            ("IPv4-translated (SIIT)", 0xffff << 48 | addr, 128),
            ("NAT64", 0x64_ff9b << 96 | addr, 128),
            ("6to4", 0x2002 << 112 | addr << 80, 64),
            ("Teredo", 0x2001 << 112 | (!addr & 0xffff_ffff), 128),
        ] {
            let [ours, theirs] = both.ask("two.shop.test.", IpAddr::V6(inside.into()), source);
            if ours != theirs {
                found += &format!("{what} {}: ours {ours:?}, gdnsd {theirs:?}\n", IpAddr::V6(inside.into()));
            }
        }
    }
    assert_eq!(found, "");
}
