//! A worker as others see it: where one process of the app listens, and whether it may be used.

use std::net::SocketAddr;

/// One process of the app. The supervisor says it, the gateway uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Its slot, from 0: the same across restarts, so it names the worker in logs and metrics.
    pub id: u16,
    /// Where it listens. A restarted worker may listen elsewhere.
    pub address: SocketAddr,
    /// Its health check passes: requests may go there.
    pub ready: bool,
}
