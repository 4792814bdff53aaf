//! From a request to its outcome, wherever the leader is.
//!
//! ```text
//! we lead ────────────→ our raft group
//! another one leads ──→ one question to it; it never passes it on
//! nobody leads ───────→ wait for a leader, within the deadline
//! ```
//!
//! A request is sent on again only when it is certain that nothing has happened. If an answer was lost, the caller is told so,
//! and may repeat the request under the same id: the state machine does it once.

use decision::{Command, Outcome, Request, RequestId};
use tokio::time::{Instant, timeout_at};

use crate::{
    clock::unix_ms,
    plane::Plane,
    raft::{carrier::Lane, consensus::Declined, rpc::Ask},
};

/// Why a request has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader with a quorum could be found in time. Nothing happened.
    #[error("the plane has no quorum: no leader with a majority behind it was found; the last Plan stays in force")]
    NoQuorum,
    /// Another member leads, and it could not be reached from here, or it had just lost the lead. Nothing happened.
    #[error("this member does not lead the plane{}", leader.as_ref().map(|name| format!("; {name} does")).unwrap_or_default())]
    NotLeader {
        /// Who leads, if it is known.
        leader: Option<model::RegionName>,
    },
    /// The request was accepted and then its answer was lost: it may or may not come to pass. Repeat it with the same id.
    #[error(
        "no answer in time; the change may or may not come to pass: repeat it with the same request id, or look at the Plan"
    )]
    Unknown,
    /// This member's raft has stopped. Nothing happened.
    #[error("this member has stopped taking part in the plane: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

/// One attempt's end.
enum Attempt {
    Done(Result<Outcome, ProposeError>),
    /// Nothing happened; worth another try once somebody else leads.
    Nothing,
}

impl Plane {
    /// A request of this member, now, under a fresh id.
    pub(crate) fn request(&self, command: Command) -> Result<Request, ProposeError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| ProposeError::Stopped { why: format!("no random bytes: {e}") })?;
        Ok(self.request_with(RequestId::from_bytes(id), command))
    }

    /// A request of this member, now, under a given id.
    pub(crate) fn request_with(&self, id: RequestId, command: Command) -> Request {
        Request::new(id, unix_ms(), self.region.clone(), command)
    }

    /// Proposes a request, here or at the leader, and waits for its outcome within [`write_deadline`].
    ///
    /// [`write_deadline`]: crate::RaftTiming::write_deadline
    pub(crate) async fn propose(&self, request: Request) -> Result<Outcome, ProposeError> {
        let deadline = Instant::now() + self.timing.write_deadline();
        let mut leads = self.leads.clone();
        loop {
            let seen = *leads.borrow_and_update();
            let attempt = match seen.leader {
                None => Attempt::Nothing,
                Some(_) if seen.own => self.propose_here(request.clone(), deadline).await,
                Some(leader) => self.forward(leader, &request, deadline).await,
            };
            if let Attempt::Done(done) = attempt {
                return done;
            }
            let changed = timeout_at(deadline, leads.wait_for(|now| now.leader != seen.leader)).await;
            match changed {
                Ok(Ok(_)) => {}
                // Whom we took for the leader does not answer and nobody followed it: that is what no quorum looks like.
                Err(_) => return Err(ProposeError::NoQuorum),
                Ok(Err(_)) => return Err(ProposeError::Stopped { why: "it was shut down".into() }),
            }
        }
    }

    async fn propose_here(&self, request: Request, deadline: Instant) -> Attempt {
        match self.consensus.propose_here(request, deadline).await {
            Ok(outcome) => Attempt::Done(Ok(outcome)),
            Err(Declined::NotLeader { .. }) => Attempt::Nothing,
            Err(declined) => Attempt::Done(Err(self.error(declined))),
        }
    }

    async fn forward(&self, leader: u64, request: &Request, deadline: Instant) -> Attempt {
        let within = deadline.saturating_duration_since(Instant::now());
        match self.network.call(leader, Lane::Log, Ask::Propose, request, within).await {
            Ok(Ok(outcome)) => Attempt::Done(Ok(outcome)),
            Ok(Err(declined)) => Attempt::Done(Err(self.error(declined))),
            Err(e) if e.outcome_unknown() => Attempt::Done(Err(ProposeError::Unknown)),
            Err(e) => {
                tracing::debug!(error = %e, "the leader cannot be reached to forward a request");
                Attempt::Nothing
            }
        }
    }

    fn error(&self, declined: Declined) -> ProposeError {
        match declined {
            Declined::NotLeader { leader } => ProposeError::NotLeader { leader: leader.and_then(|id| self.name(id)) },
            Declined::NoQuorum => ProposeError::NoQuorum,
            Declined::Unknown => ProposeError::Unknown,
            Declined::Stopped { why } => ProposeError::Stopped { why },
        }
    }
}
