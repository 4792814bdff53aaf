//! Giving up the lead: to somebody in particular, and because this member's disk does not answer.

use std::{sync::atomic::Ordering, time::Duration};

use openraft::async_runtime::WatchReceiver;

use super::{consensus::Consensus, types::LogId};

/// How long raft may take to take in a wish. Its core waits for the disk in rare moments, and then for as long as that takes.
pub(super) const WISH_WITHIN: Duration = Duration::from_millis(100);

impl Consensus {
    /// Hands the lead over, if this member has it. The other one campaigns once it has every entry; nobody waits for that here.
    pub(crate) async fn hand_over(&self, heir: u64) {
        let wished = tokio::time::timeout(WISH_WITHIN, self.raft.trigger().transfer_leader(heir)).await;
        match wished {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "raft has stopped; there is no lead to hand over"),
            Err(_) => tracing::warn!("raft is busy and does not hand over the lead; it will be taken from it"),
        }
    }

    /// Stops leading and campaigning until [`Consensus::serve`]. Gives the member that was asked to take over.
    ///
    /// Without heartbeats the others' leases run out, whatever becomes of the transfer; without proposals no entries go out
    /// that would renew them.
    pub(crate) async fn fall_silent(&self) -> Option<u64> {
        self.silent.store(true, Ordering::Relaxed);
        self.calm.store(false, Ordering::Relaxed);
        self.decide_to_campaign();
        let heir = self.heir();
        if let Some(heir) = heir {
            self.hand_over(heir).await;
        }
        self.raft.runtime_config().heartbeat(false);
        heir
    }

    /// Takes part again, but for campaigns.
    pub(crate) fn serve(&self) {
        self.silent.store(false, Ordering::Relaxed);
        self.raft.runtime_config().heartbeat(true);
    }

    /// The disk has been calm for long enough.
    pub(crate) fn rejoin(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.decide_to_campaign();
    }

    /// Whether this member campaigns when it misses a leader: with a calm disk, and if it knows what it may have forgotten.
    pub(super) fn decide_to_campaign(&self) {
        self.raft.runtime_config().elect(self.may_lead());
    }

    pub(super) fn may_lead(&self) -> bool {
        self.calm.load(Ordering::Relaxed) && self.may_campaign()
    }

    /// Returns once the disk was given something to write since the last time.
    pub(crate) async fn disk_queued(&self) {
        self.disk.queued().await;
    }

    /// How long the write of the log that is under way has been taking.
    pub(crate) fn disk_stalled_for(&self) -> Duration {
        self.disk.stalled_for()
    }

    /// Whether a member has all that is committed, as far as this one knows; only a leader knows. A transfer to somebody who
    /// lags fails, and a leader that tried takes no requests until somebody else is elected.
    pub(crate) fn is_up_to_date(&self, member: u64) -> bool {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let matched = metrics.replication.and_then(|matched| matched.get(&member).copied().flatten());
        matched.is_some() && matched >= metrics.local_committed
    }

    /// How many committed entries each of the others lacks, as far as a leader knows; nobody else knows.
    pub(crate) fn behind(&self) -> Vec<(u64, u64)> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let committed = metrics.local_committed.map_or(0, |id| id.index);
        let matched = metrics.replication.unwrap_or_default();
        let behind = |id: Option<LogId>| committed.saturating_sub(id.map_or(0, |id| id.index));
        matched.into_iter().map(|(member, id)| (member, behind(id))).filter(|(member, _)| *member != self.own).collect()
    }

    /// Of the other voters the one that has most of the log and answered last; none unless this member leads.
    fn heir(&self) -> Option<u64> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let matched = metrics.replication?;
        let heard = metrics.heartbeat.unwrap_or_default();
        let voters = metrics.membership_config.membership().voter_ids().filter(|id| *id != self.own);
        voters.max_by_key(|id| (matched.get(id).copied().flatten(), heard.get(id).copied().flatten().map(|at| *at)))
    }
}
