//! Follows the plane on behalf of DNS servers and nodes: takes Plans in order, keeps the last one on disk, says how fresh it is.
//!
//! ```text
//!   disk ──(at start, before any network)──┐
//!   members' follower streams ─→ Session ──┴→ Keeper ─→ Writer ─→ disk
//!              (one at a time)      │           └─────→ plans(): the Plan in force, whole
//!                                   └→ heard(): when a member last vouched for a quorum
//! ```
//!
//! Laws:
//! - The Plan shown never goes back: `(lineage, version)` only grows, across reconnects, members, and restarts.
//! - The disk never goes back either. The comparison is made by the one who writes, just before writing.
//! - Without the plane the last Plan stands for ever. No message is not a message.
//! - Nothing that a member sends can take a Plan away: what is not understood, or not valid, is counted and left aside.
//! - The Plan comes whole every ten seconds, so that a content that is not what the number stands for, in memory or on disk, is
//!   put right without anybody's help.

mod backoff;
mod freshness;
mod keeper;
mod plan_file;
mod session;
mod writer;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use model::{Plan, PlanId, RegionName};
use plane_client::{Endpoint, Transport};
use tokio::{sync::watch, task::JoinHandle};

pub use freshness::Heard;
pub use plan_file::OpenError;

use crate::{keeper::Keeper, plan_file::PlanFile, session::Session};

/// What a follower needs.
pub struct FollowerConfig {
    /// Where the last Plan is kept; one follower a directory.
    pub dir: PathBuf,
    /// The plane's members in order of preference: our own region's first.
    pub members: Vec<Endpoint>,
    /// How they are called.
    pub transport: Transport,
    /// How long to bear what.
    pub timings: Timings,
}

/// How long a follower bears what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// For a stream to open.
    pub open_within: Duration,
    /// A stream without a message for this long is dead: there is one each second.
    pub silence: Duration,
    /// A member that has no quorum behind it, or whose newer Plan does not come, for this long is left for another one.
    pub useless: Duration,
    /// How often, while following somebody else, the preferred member is tried again.
    pub homesick: Duration,
    /// Shortest pause between two attempts.
    pub pause_least: Duration,
    /// Longest pause between two attempts.
    pub pause_most: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            open_within: Duration::from_secs(3),
            silence: Duration::from_secs(3),
            useless: Duration::from_secs(5),
            homesick: Duration::from_secs(30),
            pause_least: Duration::from_millis(100),
            pause_most: Duration::from_secs(10),
        }
    }
}

/// What a follower did and how it stands, for status and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowerReport {
    /// Whom it follows now.
    pub following: Option<Endpoint>,
    /// The Plan in force.
    pub plan: Option<PlanId>,
    /// The Plan on disk.
    pub on_disk: Option<PlanId>,
    /// Plans taken since start.
    pub taken: u64,
    /// Plans left aside because they were older than the one in force, since start.
    pub not_newer: u64,
    /// Plans that came again as they were, since start: every ten seconds one.
    pub confirmed: u64,
    /// Plans in force whose content was put right under the same number, since start.
    pub healed: u64,
    /// Signs of life that named another content than the Plan in force has, since start.
    pub mismatched: u64,
    /// Messages left aside because they were not understood or not valid, since start.
    pub poisoned: u64,
    /// Streams that ended or could not be opened, since start.
    pub lost: u64,
    /// The latest trouble in words; stays until the next one.
    pub trouble: Option<String>,
}

/// What regions carry of what they can, per mille. Regions of which nothing is known are not in it.
pub type Loads = BTreeMap<RegionName, u32>;

/// A running follower. It ends when this is dropped.
pub struct FollowerHandle {
    loads: watch::Receiver<Loads>,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    heard: Heard,
    report: watch::Receiver<FollowerReport>,
    session: JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// Starts following: the Plan on disk is there when this returns, newer ones come as they are made.
pub fn follow(config: FollowerConfig) -> Result<FollowerHandle, OpenError> {
    let FollowerConfig { dir, members, transport, timings } = config;
    let (file, last) = PlanFile::open(&dir)?;
    let report = watch::Sender::new(FollowerReport::default());
    let report_seen = report.subscribe();
    let (keeper, writer) = Keeper::new(file, last, report.clone());
    let plans = keeper.plans();
    let heard = Heard::default();
    let (loads, loads_seen) = watch::channel(Loads::new());
    let session = Session { members, transport, timings, keeper, heard: heard.clone(), loads, report };
    Ok(FollowerHandle {
        loads: loads_seen,
        plans,
        heard,
        report: report_seen,
        session: tokio::spawn(session.run()),
        writer: tokio::spawn(writer.run()),
    })
}

impl FollowerHandle {
    /// The Plan in force. `None` only before the first Plan ever.
    pub fn plans(&self) -> watch::Receiver<Option<Arc<Plan>>> {
        self.plans.clone()
    }

    /// What regions carry, as the member that is followed tells each second, if a policy of the World goes by it; empty while nobody
    /// is followed.
    pub fn loads(&self) -> watch::Receiver<Loads> {
        self.loads.clone()
    }

    /// When a member last vouched for a quorum.
    pub fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// How it stands, as it changes.
    pub fn reports(&self) -> watch::Receiver<FollowerReport> {
        self.report.clone()
    }

    /// How it stands.
    pub fn report(&self) -> FollowerReport {
        self.report.borrow().clone()
    }

    /// Stops following, and waits until the last Plan is on disk or the disk has refused it.
    pub async fn shutdown(mut self) {
        self.session.abort();
        // The session's end is the writer's sign to finish. Both errors would only say that the tasks are gone.
        let _ = (&mut self.session).await;
        let _ = (&mut self.writer).await;
    }
}

impl Drop for FollowerHandle {
    fn drop(&mut self) {
        self.session.abort();
    }
}

#[cfg(test)]
mod tests;
