//! What a drill needs of the world it runs on. The live stage is made of real processes; a simulated one has the same face.

use std::{future::Future, net::SocketAddr};

use model::{Plan, RegionName};
use serde::{Deserialize, Serialize};

/// Where a region is reached by its users.
#[derive(Debug, Clone)]
pub struct Access {
    /// Which region.
    pub name: RegionName,
    /// Its Redis protocol port.
    pub redis: SocketAddr,
    /// Its DNS server.
    pub dns: SocketAddr,
}

/// Proof that a process is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillProof {
    /// The process.
    pub pid: u32,
    /// When the signal was sent, Unix milliseconds.
    pub at_ms: u64,
    /// What the kernel said of its end.
    pub ended: String,
}

/// A world that can be hurt and looked at. Every call has a deadline of its own.
pub trait Stage: Sync {
    /// Every region.
    fn regions(&self) -> &[Access];

    /// Kills a region's process. The stage itself starts it again when the lease runs out, whatever becomes of the drill.
    fn kill(&self, region: &RegionName, lease_ms: u64) -> impl Future<Output = anyhow::Result<KillProof>> + Send;

    /// Starts a region and returns when it serves.
    fn start(&self, region: &RegionName) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The newest Plan that a region's member knows.
    fn plan(&self, at: &RegionName) -> impl Future<Output = anyhow::Result<Plan>> + Send;

    /// A digest of a region's whole replicated state; equal digests mean equal state.
    fn digest(&self, at: &RegionName) -> impl Future<Output = anyhow::Result<String>> + Send;

    /// Forgets that a region went down: what a drill did to it is no flapping, and damping must not keep it out.
    fn forgive(&self, region: &RegionName) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Whether a region's member leads the plane.
    fn leads(&self, region: &RegionName) -> impl Future<Output = bool> + Send;

    /// The clock that every figure of the report is on, Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Something happened; people want to see it at once.
    fn say(&self, line: &str);
}
