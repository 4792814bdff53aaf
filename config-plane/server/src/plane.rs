//! A member's shared memory: what its listener, its judge and its owner look at.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use decision::PlaneState;
use model::{Plan, RegionName, VoteVector};
use plane_client::api::{self, PlaneStatus, VoteReceipt, VotesReport};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    Member, RaftTiming,
    clock::{Clock, millis},
    history::History,
    judging::Message,
    raft::{
        consensus::{Consensus, Leads, Sight},
        network::Network,
    },
};

/// One member. Shared by all its tasks.
pub(crate) struct Plane {
    pub(crate) region: RegionName,
    pub(crate) id: u64,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) timing: RaftTiming,
    pub(crate) clock: Clock,
    pub(crate) consensus: Consensus,
    pub(crate) network: Network,
    pub(crate) leads: watch::Receiver<Leads>,
    pub(crate) judge: mpsc::Sender<Message>,
    pub(crate) history: History,
    /// Becomes true when the member is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When a quorum was last known to stand behind a leader, by way of the leader's answers to this region's votes.
    quorum_heard: Mutex<Option<Instant>>,
}

/// What a [`Plane`] is made of.
pub(crate) struct Parts {
    pub(crate) region: RegionName,
    pub(crate) id: u64,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) timing: RaftTiming,
    pub(crate) consensus: Consensus,
    pub(crate) network: Network,
    pub(crate) leads: watch::Receiver<Leads>,
    pub(crate) judge: mpsc::Sender<Message>,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Plane {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { region, id, members, timing, consensus, network, leads, judge, stopping } = parts;
        let (clock, history) = (Clock::start(), History::default());
        let quorum_heard = Mutex::new(None);
        Arc::new(Self {
            region,
            id,
            members,
            timing,
            clock,
            consensus,
            network,
            leads,
            judge,
            history,
            stopping,
            quorum_heard,
        })
    }

    /// The name of a member.
    pub(crate) fn name(&self, id: u64) -> Option<RegionName> {
        self.members.get(&id).map(|member| member.name.clone())
    }

    /// The leader's name, if it is known.
    pub(crate) fn leader(&self) -> Option<RegionName> {
        self.leads.borrow().leader.and_then(|id| self.name(id))
    }

    /// The Plan in force as far as this member knows.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.consensus.plans().borrow().clone()
    }

    /// The replicated state as far as this member knows.
    pub(crate) fn state(&self) -> Arc<PlaneState> {
        self.consensus.states().borrow().clone()
    }

    /// How long ago a quorum was last known to stand behind the leader, milliseconds.
    ///
    /// The leader knows from its followers' answers. Everybody else knows it from the leader's answer to this region's votes,
    /// plus the time since: a member that the leader does not reach is a member that the plane does not reach.
    pub(crate) fn quorum_age_ms(&self) -> Option<u64> {
        self.quorum_age_in(&self.consensus.sight())
    }

    fn quorum_age_in(&self, sight: &Sight) -> Option<u64> {
        let mut heard = self.quorum_heard.lock().unwrap_or_else(PoisonError::into_inner);
        // Remembered, so that a leader that steps down does not forget.
        *heard = (*heard).max(sight.quorum_acked);
        heard.map(|at| millis(at.elapsed()))
    }

    /// Notes what a member answered to this region's votes. Only the leader's word counts.
    pub(crate) fn note_receipt(&self, receipt: &VoteReceipt) {
        let Some(age_ms) = receipt.quorum_age_ms.filter(|_| receipt.is_leader) else { return };
        let at = Instant::now().checked_sub(std::time::Duration::from_millis(age_ms));
        let mut heard = self.quorum_heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (*heard).max(at);
    }

    /// Hands votes to the judge. A full inbox drops them: the next vector says the same and more.
    pub(crate) fn take_votes(&self, vector: VoteVector) -> VoteReceipt {
        if self.judge.try_send(Message::Votes(vector)).is_err() {
            tracing::warn!("the judge does not keep up with votes; a vector is dropped");
        }
        self.receipt()
    }

    /// The votes that the judge holds. `None` while the member shuts down.
    pub(crate) async fn votes_report(&self) -> Option<VotesReport> {
        let (reply, view) = oneshot::channel();
        self.judge.send(Message::Look(reply)).await.ok()?;
        Some(view.await.ok()?.report(self.region.clone(), self.clock.now()))
    }

    fn receipt(&self) -> VoteReceipt {
        let leads = *self.leads.borrow();
        VoteReceipt { leader: self.leader(), is_leader: leads.own, quorum_age_ms: self.quorum_age_ms() }
    }

    pub(crate) fn status(&self) -> PlaneStatus {
        let sight = self.consensus.sight();
        let member = |member: &Member| api::Member {
            name: member.name.clone(),
            id: member.id.into(),
            addr: member.addr,
            voter: sight.voters.contains(&member.id.into()),
        };
        PlaneStatus {
            region: self.region.clone(),
            id: self.id,
            leader: sight.leader.and_then(|id| self.name(id)),
            term: sight.term,
            members: self.members.values().map(member).collect(),
            quorum_age_ms: self.quorum_age_in(&sight),
            plan: self.plan().map(|plan| plan.id),
            last_applied: sight.last_applied,
            committed: sight.committed,
        }
    }
}

/// Returns once the member is to stop, or is gone.
pub(crate) async fn asked_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the owner is gone, which asks for the same.
    drop(stopping.wait_for(|stop| *stop).await);
}
