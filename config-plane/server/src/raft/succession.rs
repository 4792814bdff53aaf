//! A leader that is missed, and that a quorum of observers calls Down, is succeeded before its lease is over.
//!
//! ```text
//!            two heartbeats without a word               a quorum calls its region Down
//!   followed ─────────────────────────────→ missed ─────────────────────────────────────→ given up ─→ stand, and again
//!      ↑      heard again, another one leads, │                                              │         after a pause
//!      └───── or raft's own campaign is due ──┴──────────────────────────────────────────────┘
//! ```
//!
//! Why: raft only knows that a leader is silent, so over long paths it has to wait for seconds before it may take that for a death. The
//! regions' observers have looked at its gateway meanwhile, and told every member what they saw.
//!
//! Why that ends no leader's term that still leads: each member gives up its own lease alone, and standing begins with the question
//! whether the others would give their votes (pre-vote). Who hears the leader, or sees its region stand, says no and changes nothing. So
//! it takes a majority that neither hears it nor sees it.
//!
//! openraft gives a lease back with the next vote only. So a member that hears the leader again holds to it here: [`Consensus::refusal`].
//!
//! A lease is patience and guards nothing else: what may be committed is the votes' business, and reads ask a quorum.

use std::time::Duration;

use openraft::{
    async_runtime::WatchReceiver,
    raft::{TransferLeaderRequest, VoteRequest, VoteResponse},
};
use tokio::time::{Instant, timeout};

use super::{
    consensus::Consensus,
    lead::WISH_WITHIN,
    types::{TypeConfig, Vote},
};

/// A leader that is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) leader: u64,
    /// The vote by which it leads.
    pub(crate) vote: Vote,
}

impl Consensus {
    /// Returns once a leader is missed; never if this member has stopped.
    pub(crate) async fn missed(&self) -> Missed {
        let mut silence = self.heard.silence();
        let mut server = self.raft.server_metrics();
        loop {
            silence.mark_unchanged();
            let (leader, vote) = {
                let now = server.borrow_and_update();
                (now.current_leader, now.vote)
            };
            if let Some(leader) = leader
                && self.misses(&Missed { leader, vote })
            {
                return Missed { leader, vote };
            }
            let goes_on = tokio::select! {
                changed = silence.changed() => changed.is_ok(),
                changed = server.changed() => changed.is_ok(),
            };
            if !goes_on {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether it still is. No longer than until raft campaigns by itself: after the lease and the longest random timeout.
    pub(crate) fn misses(&self, missed: &Missed) -> bool {
        let leader = self.raft.server_metrics().borrow_watched().current_leader;
        let another = leader.is_some_and(|leader| leader != missed.leader || leader == self.own);
        let until = self.heard.last() + 2 * Duration::from_millis(self.timing.election_max_ms);
        *self.heard.silence().borrow() && !another && Instant::now() < until
    }

    /// The vote that this member has given last.
    pub(crate) fn vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    /// What a candidate is told while this member hears another leader, who has not asked for it.
    pub(super) fn refusal(&self, asked: &VoteRequest<TypeConfig>) -> Option<VoteResponse<TypeConfig>> {
        let (leader, vote) = {
            let metrics = self.raft.server_metrics();
            let now = metrics.borrow_watched();
            (now.current_leader, now.vote)
        };
        let follows = leader.is_some_and(|leader| leader != self.own) && !*self.heard.silence().borrow();
        (follows && !asked.leadership_transfer).then(|| VoteResponse::new(vote, None, false))
    }

    /// Gives up the lease of a leader, so that this member votes for others, and asks whether they would vote for it. Nobody waits here
    /// for what comes of it.
    pub(crate) async fn stand_for(&self, missed: &Missed) {
        let standing = async {
            // To whom it goes is open: what a member does that is not the one is to give up the lease, if that is still the one it holds.
            let waiver = TransferLeaderRequest::<TypeConfig>::new(missed.vote, missed.leader, None);
            drop(self.raft.handle_transfer_leader(waiver).await?);
            if self.may_lead() { self.raft.trigger().elect(true).await } else { Ok(()) }
        };
        match timeout(WISH_WITHIN, standing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "raft has stopped; this member does not stand for the lead"),
            Err(_) => tracing::warn!("raft is busy and does not stand for the lead now"),
        }
    }
}
