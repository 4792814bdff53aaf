//! Networks in configurations: who may ask for explanations, whose connections begin with a PROXY header.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// An address and how many of its bits count. Written `192.0.2.0/24`; without a length it is that one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    addr: IpAddr,
    bits: u8,
}

impl Network {
    /// This machine: `127.0.0.0/8` and `::1`.
    pub const LOOPBACK: [Self; 2] = [
        Self { addr: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), bits: 8 },
        Self { addr: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), bits: 128 },
    ];

    /// The network of so many bits around an address; of all of its bits if it has no more.
    pub fn around(addr: IpAddr, bits: u8) -> Self {
        let addr = addr.to_canonical();
        let longest = longest(addr);
        let bits = bits.min(longest);
        let behind = u32::from(longest - bits);
        let addr = match addr {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & u32::MAX.checked_shl(behind).unwrap_or(0)).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & u128::MAX.checked_shl(behind).unwrap_or(0)).into()),
        };
        Self { addr, bits }
    }

    /// Whether an address lies in it. An IPv4 address that came over an IPv6 socket is an IPv4 address.
    pub fn holds(&self, addr: IpAddr) -> bool {
        Self::around(addr, self.bits) == *self
    }
}

fn longest(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` is no network: {why}; write 192.0.2.0/24, 2001:db8::/32 or one address");
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let addr: IpAddr = addr.parse().map_err(|_| wrong("the address cannot be read"))?;
        let bits = match bits {
            None => longest(addr),
            Some(bits) => bits.parse().map_err(|_| wrong("the length cannot be read"))?,
        };
        if bits > longest(addr) {
            return Err(wrong("the length is more than the address has bits"));
        }
        let network = Self::around(addr, bits);
        if network.addr != addr {
            return Err(wrong(&format!("bits behind the length are set; this may mean {network}")));
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let check = |network: &str, addr: &str, holds: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.holds(addr.parse().unwrap()), holds, "{network} {addr}");
        };
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.0/24", "::ffff:192.0.2.9", true);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        for [network, inside, outside] in [["127.0.0.0/8", "127.9.9.9", "128.0.0.1"], ["::1/128", "::1", "::2"]] {
            assert!(Network::LOOPBACK.iter().any(|n| n.to_string() == network && n.holds(inside.parse().unwrap())));
            assert!(!Network::LOOPBACK.iter().any(|n| n.holds(outside.parse().unwrap())));
        }
    }

    #[test]
    fn what_is_no_network_is_told_so() {
        for (text, why) in [
            ("house", "the address cannot be read"),
            ("10.0.0.0/x", "the length cannot be read"),
            ("10.0.0.0/33", "more than the address has bits"),
            ("10.0.0.1/8", "this may mean 10.0.0.0/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
