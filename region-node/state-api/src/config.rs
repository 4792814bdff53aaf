//! What the wiring tells this crate, and the limits that are documented for users.

use std::{net::SocketAddr, sync::Arc};

use model::RegionName;

/// The version of Redis whose commands, words and replies are spoken here.
pub const REDIS_VERSION: &str = "7.2.4";

/// Everything the Redis protocol port needs to know besides the store.
#[derive(Clone)]
pub struct StateApiConfig {
    /// Where to listen; port 0 takes any. Only loopback addresses are accepted: the port has no TLS.
    pub listen: SocketAddr,
    /// Connections at one time; one more is told so and closed.
    pub max_clients: usize,
    /// Who may speak. Empty: anyone who can connect.
    pub users: Vec<User>,
    /// The region's name, for `INFO` and `REGION`.
    pub region: RegionName,
    /// The region's number in the World: the first half of a token.
    pub region_id: u16,
    /// The version of this program, for `INFO`.
    pub version: String,
    /// Asked by `INFO` and `REGION LAG` how far behind the peers are. It must answer from memory.
    pub lag: LagSource,
}

impl StateApiConfig {
    /// As many connections as Redis allows.
    pub const DEFAULT_MAX_CLIENTS: usize = 10_000;
}

/// One who may speak: `AUTH name password`. The user `default` is also meant by `AUTH password`.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, compared in constant time and never shown.
    pub password: String,
}

impl User {
    /// The user that Redis's `requirepass` sets the password of.
    pub fn default_user(password: impl Into<String>) -> Self {
        Self { name: "default".to_owned(), password: password.into() }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Gives the present lag of every peer.
pub type LagSource = Arc<dyn Fn() -> Vec<PeerLag> + Send + Sync>;

/// How far this region is behind one peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerLag {
    /// The peer.
    pub region: String,
    /// Whether the link is up.
    pub connected: bool,
    /// How old the peer's newest state is that has arrived here. `None`: nothing has arrived yet.
    pub lag_ms: Option<u64>,
    /// The lag that 99 of 100 samples since the start did not exceed, by class. `None`: nothing was measured, or it is off the scale.
    pub lag_p99_ms: Option<u64>,
    /// The link's round trip. `None`: not measured.
    pub rtt_ms: Option<f64>,
    /// Changes of this region that the peer has not confirmed.
    pub unconfirmed: u64,
    /// Bytes sent to the peer since the start.
    pub sent_bytes: u64,
    /// Bytes received from it since the start.
    pub received_bytes: u64,
}
