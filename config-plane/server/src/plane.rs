//! A member's shared memory: what its listener, its judge and its owner look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use decision::{Demand, PlaneState};
use model::{Plan, RegionName, VoteVector};
use plane_client::api::{self, PlaneStatus, VoteReceipt, VotesReport, human::SurveyReport};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    Member, RaftTiming,
    api::Followers,
    clock::{Clock, millis},
    history::History,
    judging::{Message, View},
    lever::Lever,
    raft::{
        codec,
        consensus::{Consensus, Leads, Sight},
        network::Network,
        reach::{Reach, WirePulse},
        rpc::Answer,
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
    pub(crate) followers: Followers,
    /// Becomes true when the member is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Stops this member's automation.
    pub(crate) lever: Lever,
    /// What the last look found that could not be lost.
    pub(crate) survey: watch::Sender<Arc<SurveyReport>>,
    /// When a quorum was last known to stand behind a leader, by way of the leader's answers to this region's votes.
    quorum_heard: Mutex<Option<Instant>>,
    /// Round trips to the other members.
    reach: Mutex<Reach>,
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
    pub(crate) lever: Lever,
}

impl Plane {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { region, id, members, timing, consensus, network, leads, judge, stopping, lever } = parts;
        let (clock, history) = (Clock::start(), History::default());
        let (quorum_heard, reach) = Default::default();
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
            followers: Followers::new(),
            stopping,
            lever,
            survey: watch::Sender::new(Arc::default()),
            quorum_heard,
            reach,
        })
    }

    /// Round trips to the other members. Not to be held across an await.
    pub(crate) fn reach(&self) -> MutexGuard<'_, Reach> {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How this member does, for another one that measures the way to it.
    pub(crate) fn on_pulse(&self) -> Answer {
        let sight = self.consensus.sight();
        let majority = self.reach().majority(self.id, &sight.voters);
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let disk_stalled_ms = millis(self.consensus.disk_stalled_for());
        let (term, bare) = (sight.term, self.consensus.log_is_bare());
        Ok(codec::encode(&WirePulse { majority_us: majority.map(micros), term, bare, disk_stalled_ms })?)
    }

    /// What is wrong with raft's patience, if its round trips have outgrown it.
    pub(crate) fn impatience(&self, voters: &BTreeSet<u64>) -> Option<String> {
        let (id, worst) = self.reach().farthest(voters)?;
        let (worst_ms, most_ms) = (millis(worst), millis(self.timing.longest_rtt()));
        let name = self.name(id).map_or_else(|| format!("member {id}"), |name| name.to_string());
        (worst_ms > most_ms).then(|| {
            format!(
                "the round trip to {name} takes up to {worst_ms} ms, and raft's settings allow {most_ms} ms: \
                 set `round_trip_ms = {worst_ms}` in every region's configuration and restart them one after another"
            )
        })
    }

    /// Whether this member's judge may propose: it leads, it knows all that was decided before, and nobody has stopped it by hand.
    pub(crate) fn may_propose(&self) -> bool {
        self.leads.borrow().ready && self.lever.pulled().is_none()
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
        let at = Instant::now().checked_sub(Duration::from_millis(age_ms));
        let mut heard = self.quorum_heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (*heard).max(at);
    }

    /// What the judge holds. `None` while the member shuts down.
    pub(crate) async fn view(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.judge.send(Message::Look(reply)).await.ok()?;
        view.await.ok()
    }

    /// Whether a quorum of observers calls a member's region Down, as far as their votes were heard here.
    pub(crate) async fn is_called_down(&self, id: u64) -> bool {
        let Some(region) = self.name(id) else { return false };
        let (reply, answer) = oneshot::channel();
        self.judge.send(Message::IsDown(region, reply)).await.is_ok() && answer.await.unwrap_or(false)
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
        Some(self.view().await?.report(self.region.clone(), self.clock.now()))
    }

    /// What users ask of the regions now, as far as the votes tell: what the capacity guard weighs a drain against. Unknown, and
    /// so not weighed, while the member shuts down.
    pub(crate) async fn demand(&self) -> Demand {
        self.view().await.map(|view| view.demand()).unwrap_or_default()
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
            concerns: Vec::new(),
        }
    }
}

/// Returns once the member is to stop, or is gone.
pub(crate) async fn asked_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the owner is gone, which asks for the same.
    drop(stopping.wait_for(|stop| *stop).await);
}
