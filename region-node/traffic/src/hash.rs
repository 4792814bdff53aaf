//! Hashes for the policies that stick a client or a key to a slot. Stable: the same on every node and in every version.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

/// Of a client's whole address. (nginx's `ip_hash` leaves the last octet out, so that whole offices share a worker.) An IPv4 address
/// that came as `::ffff:a.b.c.d` hashes as what it is.
pub fn address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => xxh3_64(&v4.octets()),
        IpAddr::V6(v6) => xxh3_64(&v6.octets()),
    }
}

/// Of any key: a path, a header, a user's id.
pub fn bytes(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Spreads the bits of a number (SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_address_counts_and_its_spelling_does_not() -> anyhow::Result<()> {
        assert_ne!(address("192.0.2.1".parse()?), address("192.0.2.2".parse()?));
        assert_eq!(address("192.0.2.1".parse()?), address("::ffff:192.0.2.1".parse()?));
        assert_eq!(address("192.0.2.1".parse()?), 3_178_573_899_526_495_306, "the same in every version");
        Ok(())
    }
}
