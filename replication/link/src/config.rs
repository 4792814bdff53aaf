//! What the links of a region are told when they start.

use std::net::SocketAddr;

/// Another region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its number in the World.
    pub id: u16,
    /// Its name; its certificate must carry `NAME.region.atoll`.
    pub name: String,
    /// Where it can be dialled. Of two regions the one with the smaller number dials.
    pub addr: SocketAddr,
}

/// How to start the links of a region.
#[derive(Debug)]
pub struct LinkConfig {
    /// This region's number in the World.
    pub self_id: u16,
    /// This region's name.
    pub self_name: String,
    /// The UDP address to listen on and to dial from; port 0 takes any.
    pub listen: SocketAddr,
    /// All other regions.
    pub peers: Vec<Peer>,
    /// This region's certificate, and the world's authority.
    pub identity: pki::Identity,
}
