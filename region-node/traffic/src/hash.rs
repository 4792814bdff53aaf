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
