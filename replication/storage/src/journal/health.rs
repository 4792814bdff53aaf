//! Whether the disk takes what it is given. Read by every write, so that the good case is two loads.
//!
//! Two kinds of trouble. A *refusal* (no space, an I/O error of a write) ends when the same batch is written at last. A
//! *lost sync* does not end by trying again: a system that failed to write a page may drop it and report the next sync as
//! a success. So after a failed sync nothing written before it is believed to be on the disk until a checkpoint, made
//! from memory, has taken its place.

use std::{
    io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::lock;
use crate::PersistError;

#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    failure: Mutex<Option<PersistError>>,
    /// Syncs that failed since the start.
    losses: AtomicU64,
    /// How many of them a checkpoint has made good.
    healed: AtomicU64,
}

impl Health {
    /// After a start: whether the last process lost a sync and did not live to make it good.
    pub(crate) fn resume(sync_lost: bool) -> Self {
        let health = Self::default();
        if sync_lost {
            health.lost_sync();
            health.refuse("a sync failed before the last stop");
        }
        health
    }

    /// Why writes are refused, while they are.
    pub(crate) fn failure(&self) -> Option<PersistError> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.failure).clone()
    }

    /// Whether only a new checkpoint can make the disk true again.
    pub(crate) fn sync_lost(&self) -> bool {
        self.losses.load(Ordering::Acquire) > self.healed.load(Ordering::Acquire)
    }

    /// Syncs that have failed so far: what a checkpoint that begins now makes good.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    pub(crate) fn lost_sync(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// A checkpoint that began after `losses` failed syncs is durable.
    pub(crate) fn made_good(&self, losses: u64) {
        self.healed.fetch_max(losses, Ordering::AcqRel);
    }

    /// Notes that the disk said no; writes are refused from now on.
    pub(crate) fn fail(&self, what: &str, path: &Path, error: &io::Error) -> PersistError {
        self.refuse(&format!("cannot {what} {}: {error}", path.display()))
    }

    fn refuse(&self, reason: &str) -> PersistError {
        let failure = PersistError { reason: reason.into() };
        *lock(&self.failure) = Some(failure.clone());
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%failure, "writes are refused until the journal can be written");
        }
        failure
    }

    /// Everything that waited is written: writes are taken again, unless a sync was lost.
    pub(crate) fn recover(&self) {
        if self.failed.load(Ordering::Acquire) && !self.sync_lost() {
            self.failed.store(false, Ordering::Release);
            *lock(&self.failure) = None;
            tracing::info!("the journal can be written again");
        }
    }
}
