//! The guard against clocks that run ahead: what a peer stamped more than ten seconds into our future is put off.
//!
//! | stamp, against our wall clock | what happens |
//! |---|---|
//! | up to 0.5 s ahead | applied |
//! | up to 10 s ahead | applied; an alarm is counted; our own stamps follow by half a second at most |
//! | further | not applied and not confirmed; asked for again when our clock has come near it |
//!
//! A change that was put off is not lost: its maker keeps it, because we did not confirm it. Nor is it waited for:
//! other partitions and other peers go on. Only its maker's marks are not believed meanwhile.

use std::collections::BTreeMap;

use replication_core::{FAR_AHEAD_MS, Hlc, RemoteStamp, ReplicaId};

use super::{Conn, Context};
use crate::status::add;

const LEAST_RETRY_MS: u64 = 1_000;
const MOST_RETRY_MS: u64 = 60_000;

/// Partitions with something put off, and when to ask again.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    put_off: BTreeMap<u16, u64>,
}

impl Guard {
    pub(crate) fn is_clear(&self) -> bool {
        self.put_off.is_empty()
    }

    pub(crate) fn has(&self, partition: u16) -> bool {
        self.put_off.contains_key(&partition)
    }

    pub(crate) fn wake_at(&self) -> u64 {
        self.put_off.values().copied().min().unwrap_or(u64::MAX)
    }
}

impl Conn {
    /// Judges stamps of one partition; true if what carries them must be put off.
    pub(crate) fn puts_off(
        &mut self,
        cx: &Context<'_>,
        partition: u16,
        stamps: impl Iterator<Item = (ReplicaId, Hlc)>,
    ) -> bool {
        let wall_ms = cx.store.now_ms();
        let Some((replica, furthest)) = stamps.max_by_key(|(_, hlc)| *hlc) else { return false };
        let ahead_ms = match furthest.judge(wall_ms) {
            RemoteStamp::Fine => return false,
            RemoteStamp::Ahead { ahead_ms } => {
                if cx.gauges.alarm(ahead_ms) {
                    tracing::warn!(%replica, ahead_ms, "a clock runs ahead of ours");
                }
                return false;
            }
            RemoteStamp::FarAhead { ahead_ms } => ahead_ms,
        };
        if cx.gauges.alarm(ahead_ms) {
            tracing::warn!(%replica, ahead_ms, "a clock runs far ahead of ours: its changes are put off");
        }
        add(&cx.gauges.put_off, 1);
        let retry_ms = (ahead_ms - FAR_AHEAD_MS).clamp(LEAST_RETRY_MS, MOST_RETRY_MS);
        self.guard.put_off.insert(partition, cx.now_ms + retry_ms);
        self.forget_put_by(partition);
        true
    }

    /// Asks again for what was put off long enough.
    pub(crate) fn work_guard(&mut self, cx: &Context<'_>) {
        while let Some(partition) =
            self.guard.put_off.iter().find(|(_, at_ms)| **at_ms <= cx.now_ms).map(|(partition, _)| *partition)
        {
            self.guard.put_off.remove(&partition);
            self.ask(cx, partition);
        }
        cx.gauges.hold(self.guard.put_off.len());
    }
}
