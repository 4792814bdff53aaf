//! One member of the raft group, behind verbs of ours: start, propose, look, close.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use decision::{Outcome, PlaneState, Request};
use model::Plan;
use openraft::{
    ReadPolicy,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, ForwardReason, ForwardToLeader, InitializeError, LinearizableReadError, RaftError},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

use super::{
    disk::Disk,
    file::{DiskError, Found},
    log_store::{LogFault, LogStore},
    network::Network,
    newcomer::Newcomer,
    snapshot::SnapshotError,
    state_machine::StateMachine,
    ticks::Heard,
    types::{Applied, LogId, Proposal, Raft, RegionNode, TypeConfig},
};
use crate::RaftTiming;

/// A member of the raft group. Clones are the same member.
#[derive(Clone)]
pub(crate) struct Consensus {
    pub(super) raft: Raft,
    pub(super) own: u64,
    pub(super) disk: Disk,
    states: watch::Receiver<Arc<PlaneState>>,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    pub(super) log: LogStore,
    /// What it has heard while it does not know what it may have forgotten; `None`: it is settled.
    pub(super) newcomer: Arc<Mutex<Option<Newcomer>>>,
    /// Whether its disk does not answer, so that it must not lead. See `watchdog.rs`.
    pub(super) silent: Arc<AtomicBool>,
    /// Whether its disk has answered for long enough to campaign.
    pub(super) calm: Arc<AtomicBool>,
    pub(super) timing: RaftTiming,
    /// When a leader was heard. See `ticks.rs`.
    pub(super) heard: Arc<Heard>,
}

/// Why a member cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the plane's log {} cannot be used: {source}", path.display())]
    Disk { path: PathBuf, source: DiskError },
    #[error("the plane's log {} is damaged: {source}; move the file away and let this member learn everything from the others", path.display())]
    Log { path: PathBuf, source: LogFault },
    #[error("the snapshot in {} cannot be read: {source}; move the file away and let this member learn everything from the others", path.display())]
    Snapshot { path: PathBuf, source: SnapshotError },
    #[error("cannot make {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the plane's timing is not usable: {0}")]
    Timing(#[from] openraft::ConfigError),
    #[error("raft does not start: {0}")]
    Raft(String),
}

/// Why a proposal was not applied, in a form that travels between members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Declined {
    /// Not here. Nothing happened.
    NotLeader { leader: Option<u64> },
    /// The leader has lost its quorum. Nothing happened.
    NoQuorum,
    /// It was accepted, and then the answer was lost. It may or may not come to pass.
    Unknown,
    /// This member has stopped. Nothing happened.
    Stopped { why: String },
}

/// What one member knows of the group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) last_applied: Option<u64>,
    pub(crate) committed: Option<u64>,
    pub(crate) voters: BTreeSet<u64>,
    /// When a quorum last answered this member, if it leads.
    pub(crate) quorum_acked: Option<Instant>,
    /// Why it no longer takes part.
    pub(crate) stopped: Option<String>,
}

impl Consensus {
    /// Opens the log and prepares the member. Nothing is sent before [`Consensus::run`].
    pub(crate) async fn open(
        dir: &Path,
        (own, name): (u64, &str),
        voters: BTreeSet<u64>,
        timing: RaftTiming,
        network: Network,
    ) -> Result<Self, OpenError> {
        let directory = |source| OpenError::Directory { path: dir.into(), source };
        tokio::fs::create_dir_all(dir).await.map_err(directory)?;
        let path = dir.join("plane.redb");
        let owner = format!("{own} {name}");
        let opened = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || Disk::open(&path, &owner)).await
        };
        let opened = opened.map_err(|e| OpenError::Raft(e.to_string()))?;
        let opened = opened.map_err(|source| OpenError::Disk { path: path.clone(), source })?;
        Self::over(opened, &path, (own, voters), timing, network).await
    }

    /// The same over a file that is open already; `path` is for errors.
    pub(super) async fn over(
        (disk, found): (Disk, Found),
        path: &Path,
        (own, voters): (u64, BTreeSet<u64>),
        timing: RaftTiming,
        network: Network,
    ) -> Result<Self, OpenError> {
        let config = timing.openraft_config()?;
        let states = watch::Sender::new(Arc::default());
        let plans = watch::Sender::new(None);
        let (states_seen, plans_seen) = (states.subscribe(), plans.subscribe());
        let log_store =
            LogStore::new(disk.clone(), &found).map_err(|source| OpenError::Log { path: path.into(), source })?;
        let machine = StateMachine::new(disk.clone(), &found, states, plans)
            .map_err(|source| OpenError::Snapshot { path: path.into(), source })?;
        let network = network.beside(log_store.clone());
        let raft = Raft::build(own, Arc::new(config), network, log_store.clone(), machine).await;
        let raft = raft.map_err(|e| OpenError::Raft(e.to_string()))?;
        let newcomer = found.is_newcomers() && voters.contains(&own);
        let newcomer = Arc::new(Mutex::new(newcomer.then(|| Newcomer::new(own, voters))));
        let silent = Arc::default();
        let calm = Arc::new(AtomicBool::new(true));
        let heard = Arc::new(Heard::new(timing.silence()));
        let (states, plans, log) = (states_seen, plans_seen, log_store);
        let consensus = Self { raft, own, disk, states, plans, log, newcomer, silent, calm, timing, heard };
        consensus.decide_to_campaign();
        Ok(consensus)
    }

    /// Takes part from now on.
    pub(crate) fn run(&self) {
        self.raft.run();
    }

    /// Lets openraft's clock tick while nobody leads, and sends heartbeats while this member does. Ends when the member stops.
    pub(crate) async fn tick(&self) {
        let clock = self.raft.runtime_config();
        tokio::select! {
            () = self.heard.follow(|ticks| clock.tick(ticks)) => {}
            () = self.beat() => {}
        }
    }

    async fn beat(&self) {
        let mut server = self.raft.server_metrics();
        let mut beats = interval(Duration::from_millis(self.timing.heartbeat_ms));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if server.borrow_and_update().current_leader != Some(self.own) {
                if server.changed().await.is_err() {
                    return;
                }
                continue;
            }
            beats.tick().await;
            if server.borrow_and_update().current_leader != Some(self.own) {
                continue;
            }
            self.heard.note();
            // A member whose disk stands still keeps quiet; see `watchdog.rs`.
            if !self.silent.load(Ordering::Relaxed) && self.raft.trigger().heartbeat().await.is_err() {
                return;
            }
        }
    }

    /// Makes the group, unless this member already belongs to one. To be called on one member only, and with all voters.
    pub(crate) async fn initialise(&self, voters: BTreeMap<u64, RegionNode>) -> Result<(), String> {
        match self.raft.initialize(voters).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(e) => return Err(e.to_string()),
        }
        self.decide_to_campaign();
        Ok(())
    }

    /// Adds a member that learns and does not vote, unless it is there already. Only the leader can.
    pub(crate) async fn add_learner(&self, id: u64, node: RegionNode) -> Result<(), String> {
        let known = self.raft.metrics().borrow_watched().membership_config.membership().get_node(&id).is_some();
        if known {
            return Ok(());
        }
        self.raft.add_learner(id, node, false).await.map(drop).map_err(|e| e.to_string())
    }

    /// Proposes to the group, if this member leads it. Dropping the future does not take the proposal back.
    pub(crate) async fn propose_here(&self, request: Request, deadline: Instant) -> Result<Outcome, Declined> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(Declined::NotLeader { leader: None });
        }
        if let Some(why) = self.sight().stopped {
            return Err(Declined::Stopped { why });
        }
        let writing = timeout_at(deadline, self.raft.client_write(Proposal(request)));
        let Ok(written) = writing.await else { return Err(Declined::Unknown) };
        match written.map(|response| response.data) {
            Ok(Applied::Outcome(outcome)) => Ok(outcome),
            Ok(Applied::Nothing) => Err(Declined::Stopped { why: "a request was applied as something else".into() }),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => Err(self.elsewhere(&to)),
            Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_))) => Err(Declined::Unknown),
            // It stopped with the request in its hands: the others may have the entry already.
            Err(RaftError::Fatal(_)) => Err(Declined::Unknown),
            Err(e) => Err(Declined::Stopped { why: e.to_string() }),
        }
    }

    /// The place in the log that a read has to wait for, so that it sees all that was answered before it was asked for: a quorum
    /// confirms now that this member leads. Only the leader can.
    pub(crate) async fn read_index(&self, deadline: Instant) -> Result<u64, Declined> {
        let reading = timeout_at(deadline, self.raft.get_read_linearizer(ReadPolicy::ReadIndex));
        // A read changes nothing, so one without an answer is simply one without a quorum.
        let Ok(read) = reading.await else { return Err(Declined::NoQuorum) };
        match read {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => Err(self.elsewhere(&to)),
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(Declined::NoQuorum),
            Err(e) => Err(Declined::Stopped { why: e.to_string() }),
        }
    }

    /// Returns once this member has applied the log up to this place; `false`: not in time, or it has stopped.
    pub(crate) async fn has_applied(&self, index: u64, deadline: Instant) -> bool {
        let mut data = self.raft.data_metrics();
        let there = async {
            while data.borrow_and_update().last_applied.is_none_or(|id| id.index < index) {
                if data.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout_at(deadline, there).await.unwrap_or(false)
    }

    fn elsewhere(&self, to: &ForwardToLeader<TypeConfig>) -> Declined {
        if to.reason == ForwardReason::LeaseExpired {
            return Declined::NoQuorum;
        }
        Declined::NotLeader { leader: to.leader_id.filter(|id| *id != self.own) }
    }

    /// What this member knows now.
    pub(crate) fn sight(&self) -> Sight {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let index = |id: &Option<LogId>| id.map(|id| id.index);
        let leads = metrics.current_leader == Some(self.own);
        let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
        let alone = leads && voters.len() == 1;
        Sight {
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_applied: index(&metrics.last_applied),
            committed: index(&metrics.local_committed),
            voters,
            quorum_acked: match metrics.last_quorum_acked {
                _ if alone => Some(Instant::now()),
                acked if leads => acked.map(|at| Instant::now() - openraft::Instant::elapsed(&*at)),
                _ => None,
            },
            stopped: metrics.running_state.err().map(|e| e.to_string()),
        }
    }

    /// The state after each change.
    pub(crate) fn states(&self) -> watch::Receiver<Arc<PlaneState>> {
        self.states.clone()
    }

    /// The Plan after each change; only ever a newer one.
    pub(crate) fn plans(&self) -> watch::Receiver<Option<Arc<Plan>>> {
        self.plans.clone()
    }

    /// Follows who leads: `each` is called at the start and after each change, with what [`leads`](Leads) says.
    /// Ends when the member stops.
    pub(crate) async fn follow_leader(&self, leaders: watch::Sender<Leads>) {
        let mut server = self.raft.server_metrics();
        let mut data = self.raft.data_metrics();
        loop {
            let (leader, term) = {
                let now = server.borrow_and_update();
                (now.current_leader, now.vote.leader_id.term)
            };
            let ready = {
                let applied = data.borrow_and_update().last_applied;
                applied.is_some_and(|id| id.leader_id.term == term)
            };
            let leads = Leads { leader, own: leader == Some(self.own), ready: ready && leader == Some(self.own) };
            leaders.send_if_modified(|shown| std::mem::replace(shown, leads) != leads);
            let waiting = leads.own && !leads.ready;
            let changed = tokio::select! {
                biased;
                changed = server.changed() => changed,
                changed = data.changed(), if waiting => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Stops taking part, writes what is queued and releases the file. Raft and the disk have so long each; a disk that does not answer
    /// keeps nobody from going.
    pub(crate) async fn close(&self, within: Duration) {
        if timeout(within, self.raft.shutdown()).await.is_err() {
            tracing::warn!("raft does not stop; its log is closed all the same");
        }
        if timeout(within, self.disk.close()).await.is_err() {
            tracing::error!(
                "the plane's disk does not answer; its log is left as a crash leaves it, and the next start puts it right"
            );
        }
    }
}

/// Who leads, for those who act on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leads {
    /// Who.
    pub(crate) leader: Option<u64>,
    /// Whether that is this member.
    pub(crate) own: bool,
    /// Whether this member leads and has applied everything that its predecessors committed: its Plan is the newest.
    pub(crate) ready: bool,
}
