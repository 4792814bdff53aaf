//! Linearizable reads, at any member: the leader says, after a quorum has confirmed that it leads, how far the log must be
//! applied here; then this member answers from its own memory.
//!
//! One round trip to a quorum for each, so only where an old answer would be a wrong one ("there is no such thing", "what became
//! of this request"). Everything else reads the Plan that is at hand, and shows its number.

use std::sync::Arc;

use decision::PlaneState;
use tokio::time::{Instant, timeout_at};

use crate::{
    ProposeError,
    plane::Plane,
    raft::{carrier::Lane, consensus::Declined, rpc::Ask},
};

impl Plane {
    /// The state, no older than this call. Within [`write_deadline`](crate::RaftTiming::write_deadline), like a write; unlike a
    /// write it is asked for again until then, since asking changes nothing.
    pub(crate) async fn read_state(&self) -> Result<Arc<PlaneState>, ProposeError> {
        let deadline = Instant::now() + self.timing.write_deadline();
        let mut leads = self.leads.clone();
        loop {
            let seen = *leads.borrow_and_update();
            let index = match seen.leader {
                None => Err(Declined::NotLeader { leader: None }),
                Some(_) if seen.own => self.consensus.read_index(deadline).await,
                Some(leader) => self.ask_read_index(leader, deadline).await,
            };
            match index {
                Ok(index) if self.consensus.has_applied(index, deadline).await => return Ok(self.state()),
                Err(Declined::Stopped { why }) => return Err(ProposeError::Stopped { why }),
                Ok(_) | Err(_) => {}
            }
            match timeout_at(deadline, leads.wait_for(|now| now.leader != seen.leader)).await {
                Ok(Ok(_)) => {}
                Err(_) => return Err(ProposeError::NoQuorum),
                Ok(Err(_)) => return Err(ProposeError::Stopped { why: "it was shut down".into() }),
            }
        }
    }

    async fn ask_read_index(&self, leader: u64, deadline: Instant) -> Result<u64, Declined> {
        let within = deadline.saturating_duration_since(Instant::now());
        let asked: Result<Result<u64, Declined>, _> =
            self.network.call(leader, Lane::Log, Ask::ReadIndex, &(), within).await;
        // Whatever went wrong there, nothing happened, and this member goes on.
        asked.ok().and_then(Result::ok).ok_or(Declined::NotLeader { leader: None })
    }
}
