//! Networks in configuration: those whose connections begin with a PROXY header, those whose number is not bounded.

use std::{fmt, net::IpAddr, str::FromStr};

/// An address and how many of its bits count. Written `192.0.2.0/24`; without a length it is that one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let longest = if addr.is_ipv4() { 32 } else { 128 };
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

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is no network: write it as 192.0.2.0/24 or 2001:db8::/32");
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let addr: IpAddr = addr.parse().map_err(|_| fault())?;
        let bits = match bits {
            None => u8::MAX,
            Some(bits) => {
                let longest = if addr.is_ipv4() { 32 } else { 128 };
                bits.parse().ok().filter(|bits| *bits <= longest).ok_or_else(fault)?
            }
        };
        Ok(Self::around(addr, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_it_says() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "::ffff:192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::2", true),
            ("::/0", "2001:db8::", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.holds(address.parse().unwrap()), inside, "{network} {address}");
        }
        for nonsense in ["", "x", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2/24"] {
            assert!(nonsense.parse::<Network>().is_err(), "{nonsense}");
        }
    }
}
