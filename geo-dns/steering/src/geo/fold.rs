//! IPv4 addresses that travel inside IPv6 ones are looked up as what they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::table::Family;

/// An address as the table wants it: a family and a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) family: Family,
    /// The IPv4 address, or the upper half of the IPv6 address: registries hand out nothing longer than /64.
    pub(super) key: u64,
    /// How many bits of the original address stand before the key: what to add to a prefix length of the key.
    pub(super) lead: u8,
}

impl Folded {
    /// v4-mapped, v4-translated (SIIT), NAT64's well-known prefix, 6to4 and Teredo become IPv4; all else stays.
    pub(super) fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => Self::v4(v4, 0),
            IpAddr::V6(v6) => match inner_v4(v6) {
                Some((v4, lead)) => Self::v4(v4, lead),
                None => Self { family: Family::V6, key: (u128::from(v6) >> 64) as u64, lead: 0 },
            },
        }
    }

    fn v4(addr: Ipv4Addr, lead: u8) -> Self {
        Self { family: Family::V4, key: u32::from(addr).into(), lead }
    }
}

/// The IPv4 address inside, and how many bits stand before it.
fn inner_v4(addr: Ipv6Addr) -> Option<(Ipv4Addr, u8)> {
    let low = |bits: u128| Ipv4Addr::from(bits as u32);
    let bits = u128::from(addr);
    match addr.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Some((low(bits), 96))
        }
        [0x2002, ..] => Some((low(bits >> 80), 16)),
        // Teredo writes the client's address with all bits turned.
        [0x2001, 0, ..] => Some((low(!bits), 96)),
        _ => None,
    }
}

/// The network that tells clients apart where a member serves only a part of them: a /24 of IPv4, a /48 of IPv6.
///
/// Resolvers that send a client subnet send no more than that, and a customer's line rarely crosses its edge, so that a client
/// stays on its side of a share while its address changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientNetwork {
    /// The network as one number; the two families never share one.
    pub(crate) key: u64,
    /// How long its prefix is in the address's own family.
    pub(crate) prefix: u8,
}

impl ClientNetwork {
    /// The network of a client. An IPv4 address that travels inside an IPv6 one has the network it would have by itself.
    pub(crate) fn of(client: IpAddr) -> Self {
        let folded = Folded::of(client);
        match folded.family {
            Family::V4 => Self { key: 4 << 56 | folded.key >> 8, prefix: folded.lead + 24 },
            Family::V6 => Self { key: 6 << 56 | folded.key >> 16, prefix: v6_prefix(folded.key) },
        }
    }
}

/// How far around an IPv6 address the network reaches: where addresses that carry IPv4 ones lie in the same /48, which have networks
/// of their own, it ends before them.
fn v6_prefix(key: u64) -> u8 {
    match FOLDED_SPACE.iter().find(|(first, _)| first >> 16 == key >> 16) {
        None => 48,
        Some((first, _)) if *first == key => 96,
        Some(_) => 64,
    }
}

/// The upper halves whose addresses may be folded, first and last: [`super::encode`] sets them apart in the table.
pub(super) const FOLDED_SPACE: [(u64, u64); 4] = [
    (0, 0),
    (0x0064_ff9b_0000_0000, 0x0064_ff9b_0000_0000),
    (0x2001_0000_0000_0000, 0x2001_0000_ffff_ffff),
    (0x2002_0000_0000_0000, 0x2002_ffff_ffff_ffff),
];
