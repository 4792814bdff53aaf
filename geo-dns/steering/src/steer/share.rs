//! The part of its clients that a member is sent.
//!
//! A client's network, the pool and the region make a number from 0 to 999 that never changes. A member with a share of `s` per
//! mille is sent the clients whose number is below `s`. So a share that rises only adds clients and one that falls only takes
//! some away: nobody goes back and forth during a ramp. And as the name asked for, the record type and the server play no part
//! in it, A and AAAA agree, and so do all servers and all names of a pool.

use model::RegionName;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::geo::ClientNetwork;

/// All of it, per mille.
const WHOLE: u32 = 1000;

/// A member's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    permille: u32,
    /// Makes the members' parts independent of each other.
    seed: u64,
}

impl Share {
    /// Every client.
    pub(crate) fn whole() -> Self {
        Self { permille: WHOLE, seed: 0 }
    }

    /// That many of a thousand clients of a pool's member.
    pub(crate) fn of(permille: u32, pool: &str, region: &RegionName) -> Self {
        // Neither name has a `/` in it, so that two pairs never make one text.
        Self::seeded(permille, &format!("{pool}/{region}"))
    }

    /// That many of a thousand clients; which ones follows from a text.
    pub(crate) fn seeded(permille: u32, text: &str) -> Self {
        if permille >= WHOLE {
            return Self::whole();
        }
        Self { permille, seed: xxh3_64(text.as_bytes()) }
    }

    /// How many of a thousand clients.
    pub(crate) fn permille(self) -> u32 {
        self.permille
    }

    /// Whether no client is left out.
    pub(crate) fn is_whole(self) -> bool {
        self.permille >= WHOLE
    }

    /// Whether the clients of a network are in it.
    pub(crate) fn holds(self, network: ClientNetwork) -> bool {
        self.is_whole() || self.number(network) < self.permille
    }

    /// The number of a network's clients, 0 to 999: they are in the share if it is larger.
    pub(crate) fn number(self, network: ClientNetwork) -> u32 {
        // Below 1000, whatever the hash.
        (xxh3_64_with_seed(&network.key.to_be_bytes(), self.seed) % u64::from(WHOLE)) as u32
    }
}
