//! EDNS (RFC 6891) and its client subnet option (RFC 7871), read strictly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Taker;

/// Option code of the client subnet.
const SUBNET: u16 = 8;

/// Option code of the name server's identity (RFC 5001).
pub(super) const NSID: u16 = 3;

/// Option code of the idle time-out of a TCP connection (RFC 7828).
pub(super) const KEEPALIVE: u16 = 11;

/// What a query's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Edns {
    /// The largest UDP payload the client takes, as it says.
    pub(crate) payload: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) subnet: Option<Subnet>,
    /// Whether the server is to say who it is.
    pub(crate) wants_identity: bool,
    /// Whether the server is to say how long a connection may be idle; with how many bytes that was asked, which ought to be none.
    pub(crate) keepalive: Option<u16>,
}

/// A client subnet: whose place the answer is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The address as given, all bits behind the prefix zero. None for family 0, which only says "no address".
    pub(crate) addr: Option<IpAddr>,
    /// How many bits of it are given.
    pub(crate) source: u8,
}

impl Edns {
    /// What the fixed part of an OPT record says.
    pub(super) fn new(class: u16, ttl: u32) -> Self {
        Self {
            payload: class,
            version: (ttl >> 16) as u8,
            dnssec_ok: ttl & 0x8000 != 0,
            subnet: None,
            wants_identity: false,
            keepalive: None,
        }
    }

    /// Reads the options. None if one is malformed; unknown ones are passed over.
    pub(super) fn read_options(&mut self, data: &[u8]) -> Option<()> {
        // Options of a later version may look different; that version is refused whatever they say.
        let mut options = Taker(if self.version == 0 { data } else { &[] });
        while !options.0.is_empty() {
            let (code, length) = (options.u16()?, options.u16()?);
            let option = options.bytes(length.into())?;
            self.wants_identity |= code == NSID;
            if code == KEEPALIVE {
                // Of two the longer one counts: it is the one that may be wrong.
                self.keepalive = self.keepalive.max(Some(length));
            }
            if code == SUBNET {
                let subnet = Subnet::read(option)?;
                if self.subnet.replace(subnet).is_some() {
                    self.subnet = None;
                    return None;
                }
            }
        }
        Some(())
    }
}

impl Subnet {
    /// None for every case that RFC 7871 wants answered with FORMERR: unknown family, a scope in a query, a prefix longer
    /// than the address, too few or too many bytes, bits set behind the prefix.
    fn read(option: &[u8]) -> Option<Self> {
        let mut option = Taker(option);
        let (family, source, scope) = (option.u16()?, option.u8()?, option.u8()?);
        let bytes = option.0;
        if scope != 0 || bytes.len() != usize::from(source.div_ceil(8)) {
            return None;
        }
        let addr = match family {
            0 if source == 0 => None,
            1 if source <= 32 => Some(Ipv4Addr::from(padded::<4>(bytes)?).into()),
            2 if source <= 128 => Some(Ipv6Addr::from(padded::<16>(bytes)?).into()),
            _ => return None,
        };
        let beyond = (8 - source % 8) % 8;
        let clean = bytes.last().is_none_or(|last| last.trailing_zeros() >= u32::from(beyond));
        clean.then_some(Self { addr, source })
    }

    /// The place to answer for; a prefix of no length says that the client does not want its own to be used.
    pub(crate) fn place(&self) -> Option<IpAddr> {
        self.addr.filter(|_| self.source > 0)
    }

    /// Writes the option with the scope of the answer.
    pub(super) fn write(&self, scope: u8, out: &mut Vec<u8>) {
        let (family, octets): (u16, &[u8]) = match &self.addr {
            None => (0, &[]),
            Some(IpAddr::V4(v4)) => (1, &v4.octets()),
            Some(IpAddr::V6(v6)) => (2, &v6.octets()),
        };
        let bytes = octets.get(..usize::from(self.source.div_ceil(8))).unwrap_or_default();
        out.extend(SUBNET.to_be_bytes());
        out.extend((4 + bytes.len() as u16).to_be_bytes());
        out.extend(family.to_be_bytes());
        out.extend([self.source, scope]);
        out.extend(bytes);
    }

    /// Bytes that [`Self::write`] writes.
    pub(super) fn written_len(&self) -> usize {
        8 + usize::from(self.source.div_ceil(8))
    }
}

fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(out)
}
