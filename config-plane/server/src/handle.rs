//! A running member, as its owner sees it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use decision::{Command, Outcome, PlaneState, Request};
use model::{Plan, RegionName, VoteVector};
use plane_client::api::{PlaneStatus, VoteReceipt, VotesReport, human::SurveyReport};
use tokio::{sync::watch, task::JoinSet};

use crate::{ProposeError, concerns, plane::Plane};

/// How long raft may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// A running member. Dropping it stops the member at once, like a crash; [`PlaneHandle::shutdown`] stops it in order.
pub struct PlaneHandle {
    pub(crate) plane: Arc<Plane>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) listening: JoinSet<()>,
    pub(crate) tasks: JoinSet<()>,
}

impl PlaneHandle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How the plane does, seen from here.
    pub fn status(&self) -> PlaneStatus {
        self.plane.status()
    }

    /// Why this member no longer takes part, if it does not: its disk refused a write, for one. Reads go on; restart it.
    pub fn fault(&self) -> Option<String> {
        self.plane.consensus.sight().stopped
    }

    /// What an operator should know of this member: round trips that raft's settings do not suit, a disk that does not answer, a
    /// lever that is pulled, and [`PlaneHandle::fault`]. Empty on a good day.
    pub fn concerns(&self) -> Vec<String> {
        concerns::own(&self.plane).into_iter().map(|concern| concern.message).collect()
    }

    /// The round trip to each member that answers, by its region: the median of the last 32 pulses.
    pub fn round_trips(&self) -> Vec<(RegionName, Duration)> {
        let reach = self.plane.reach();
        let to = |id: &u64| Some((self.plane.name(*id)?, reach.median(*id)?));
        self.plane.members.keys().filter_map(to).collect()
    }

    /// The Plan after each change; only ever a newer one. `None` until the world is founded and this member has heard of it.
    pub fn plans(&self) -> watch::Receiver<Option<Arc<Plan>>> {
        self.plane.consensus.plans()
    }

    /// The replicated state, for `what-if` and `explain`.
    pub fn state(&self) -> Arc<PlaneState> {
        self.plane.state()
    }

    /// The replicated state with everything in it that was answered anywhere before this call: one round trip to a quorum.
    pub async fn read_state(&self) -> Result<Arc<PlaneState>, ProposeError> {
        self.plane.read_state().await
    }

    /// A request of this member, now, with a fresh id. Repeat the same request, not a new one, after [`ProposeError::Unknown`].
    pub fn request(&self, command: Command) -> Result<Request, ProposeError> {
        self.plane.request(command)
    }

    /// Proposes a request, here or at the leader.
    pub async fn propose(&self, request: Request) -> Result<Outcome, ProposeError> {
        self.plane.propose(request).await
    }

    /// Takes this region's own votes, without a detour over the network.
    pub fn take_votes(&self, vector: VoteVector) -> VoteReceipt {
        self.plane.take_votes(vector)
    }

    /// Notes what another member answered to this region's votes: from the leader's answer this member knows how old the
    /// quorum is. Receipts of others are ignored, so hand in all of them.
    pub fn note_leader_report(&self, receipt: &VoteReceipt) {
        self.plane.note_receipt(receipt);
    }

    /// The votes that this member holds. `None` while it shuts down.
    pub async fn votes(&self) -> Option<VotesReport> {
        self.plane.votes_report().await
    }

    /// What the last look at each region's loss found. Empty until the first one, seconds after the start.
    pub fn survey(&self) -> Arc<SurveyReport> {
        self.plane.survey.borrow().clone()
    }

    /// Whether somebody has stopped this member's automation by hand.
    pub fn automation_stopped(&self) -> bool {
        self.plane.lever.pulled().is_some()
    }

    /// Stops in order: open requests finish, followers are told, the log is written and closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.listening.join_next().await.is_some() {}
        self.tasks.shutdown().await;
        self.plane.consensus.close(STOP_WITHIN).await;
    }
}
