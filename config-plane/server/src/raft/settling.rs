//! What a newcomer (`newcomer.rs`) may do in this member's raft, and when it is one no more.

use std::sync::{MutexGuard, PoisonError};

use openraft::async_runtime::WatchReceiver;

use super::{
    consensus::Consensus,
    file::Change,
    newcomer::Newcomer,
    reach::WirePulse,
    rpc::RpcFault,
    types::{LogId, Vote},
};

impl Consensus {
    /// Whether this member does not know yet what it may have forgotten.
    pub(crate) fn is_newcomer(&self) -> bool {
        self.newcomer().is_some()
    }

    /// Whether the log holds nothing that was asked for.
    pub(crate) fn log_is_bare(&self) -> bool {
        self.log.is_bare()
    }

    /// Another member's word. To be handed in only after candidacies that this member may have supported are over.
    pub(crate) fn hear(&self, member: u64, pulse: &WirePulse) {
        if let Some(newcomer) = &mut *self.newcomer() {
            newcomer.hear(member, pulse.term, pulse.bare);
        }
    }

    /// Looks whether this member knows all that was committed; `true`: it is a newcomer no more.
    pub(crate) async fn settle(&self) -> bool {
        let caught_up = {
            let metrics = self.raft.metrics().borrow_watched().clone();
            // Heard from a leader in this life, never read from the disk.
            let committed = metrics.cluster_committed.filter(|id| id.index > 0);
            committed.is_some() && metrics.last_applied >= committed
        };
        if caught_up {
            self.write_settled().await;
        }
        self.decide_to_campaign();
        !self.is_newcomer()
    }

    /// This member is there from the group's first entry on, and so has nothing to forget.
    pub(super) async fn settle_from_the_start(&self) {
        if self.is_newcomer() {
            self.write_settled().await;
            self.decide_to_campaign();
        }
    }

    /// Durable before anything is done in a settled member's right. If the disk fails, so does the member.
    async fn write_settled(&self) {
        if self.disk.write(Change::Settled).await.is_ok() {
            *self.newcomer() = None;
        }
    }

    /// Whether a vote, or a word about one, may be given to a candidate with this last entry.
    pub(super) fn check_candidate(&self, candidate_last: Option<LogId>) -> Result<(), RpcFault> {
        let only_members = candidate_last.is_none_or(|id| id.index == 0);
        if only_members { Ok(()) } else { self.check_settled() }
    }

    /// Whether entries or a snapshot of this leader may be taken; `making`: it is just making the group.
    pub(super) fn check_leader(&self, leader: &Vote, making: bool) -> Result<(), RpcFault> {
        let term = leader.leader_id.term;
        let may = |newcomer: &Newcomer| making || newcomer.may_follow(term) || newcomer.is_among_newcomers();
        // What was taken in this life stays ours to go on with: raft itself holds the term against later leaders.
        let goes_on = || self.raft.metrics().borrow_watched().current_leader == Some(leader.leader_id.node_id);
        match &*self.newcomer() {
            Some(newcomer) if !may(newcomer) && !goes_on() => {
                Err(RpcFault::Newcomer { needs: "it waits to hear of more voters which term they are in" })
            }
            _ => Ok(()),
        }
    }

    /// Whether this member may speak for what was committed.
    pub(super) fn check_settled(&self) -> Result<(), RpcFault> {
        match &*self.newcomer() {
            Some(newcomer) if !newcomer.is_among_newcomers() => {
                Err(RpcFault::Newcomer { needs: "it gives no vote until a leader has brought it up to date" })
            }
            _ => Ok(()),
        }
    }

    /// Whether this member may ask for votes.
    pub(super) fn may_campaign(&self) -> bool {
        let last = self.raft.metrics().borrow_watched().last_log_index;
        last == Some(0) || self.check_settled().is_ok()
    }

    fn newcomer(&self) -> MutexGuard<'_, Option<Newcomer>> {
        self.newcomer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
