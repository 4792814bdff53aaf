//! A worker process of the user's app, as the gateway sees it.

use std::net::SocketAddr;

/// One process of the app that listens for HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Its slot, from 0: the same across restarts and releases, so it names the worker in logs, metrics and sticky cookies.
    /// While a reload replaces a worker there are two in its slot, the old one draining.
    pub id: u16,
    /// Which start of a process this is: never the same twice in one node's life, whatever slot or address it has.
    pub life: u64,
    /// The release that it runs; a larger number is a later release.
    pub release: u32,
    /// Where it listens. A restarted worker may listen elsewhere.
    pub address: SocketAddr,
    /// Its health check passes: requests may go there.
    pub ready: bool,
    /// It is about to end: new requests go elsewhere, those under way finish.
    pub draining: bool,
    /// How much of its event loop's time is used, thousandths; `None` if it does not tell.
    pub busy_permille: Option<u16>,
}

impl Worker {
    /// A ready worker that tells nothing of itself, for tests and for upstreams that nobody supervises.
    pub fn ready_at(id: u16, address: SocketAddr) -> Self {
        Self { id, life: u64::from(id), release: 1, address, ready: true, draining: false, busy_permille: None }
    }

    /// Whether new requests may go there.
    pub fn takes_requests(&self) -> bool {
        self.ready && !self.draining
    }
}
