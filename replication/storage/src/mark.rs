//! What a write waits for before it is acknowledged.

use replication_core::Delta;

use crate::{Durability, PersistError, StateStore, Threads, store::Inner};

/// "Everything up to here": two journal positions, up to which it has to be handed to the system and up to which it has
/// to be synced to the disk. Marks of one level are ordered by time; those of several are [`join`](Self::join)ed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteMark {
    pub(crate) written: u64,
    pub(crate) synced: u64,
}

impl WriteMark {
    /// The mark that is reached when both are.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { written: self.written.max(other.written), synced: self.synced.max(other.synced) }
    }

    fn at(position: u64, durability: Durability) -> Self {
        match durability {
            Durability::EverySecond => Self { written: position, synced: 0 },
            Durability::Always => Self { written: position, synced: position },
        }
    }
}

impl Inner {
    /// The mark of a change that ends at `position`: as durable as the most demanding of its keys wants it.
    pub(crate) fn mark(&self, rules: &replication_core::Rules, delta: &Delta, position: u64) -> WriteMark {
        let demanding = || delta.changes.iter().any(|change| rules.of(&change.key).always_synced);
        match self.config.durability {
            Durability::EverySecond if !demanding() => WriteMark::at(position, Durability::EverySecond),
            _ => WriteMark::at(position, Durability::Always),
        }
    }
}

impl StateStore {
    /// Waits until everything up to `mark` is written, and what has to be is synced: one sync serves all who wait for
    /// one. An error means that it may not be acknowledged; the journal goes on trying.
    pub async fn persist(&self, mark: WriteMark) -> Result<(), PersistError> {
        let inner = &*self.inner;
        if inner.config.threads == Threads::None {
            return self.persist_now(mark);
        }
        if inner.journal.synced() < mark.synced {
            inner.sync_bell.ring();
            inner.journal.wait_synced(mark.synced).await?;
        }
        if inner.journal.written() >= mark.written {
            return Ok(());
        }
        // Whoever else is ready to run executes first, then one write(2) serves them all.
        tokio::task::yield_now().await;
        if inner.journal.written() >= mark.written {
            return Ok(());
        }
        inner.journal.write_pending().map(|_| ())
    }

    /// [`persist`](Self::persist) of everything that was executed before the call, at the store's own level.
    pub async fn persist_pending(&self) -> Result<(), PersistError> {
        self.persist(self.pending_mark()).await
    }

    /// The mark of everything that was executed before the call, at the store's own level.
    pub fn pending_mark(&self) -> WriteMark {
        WriteMark::at(self.inner.journal.end(), self.inner.config.durability)
    }

    /// [`persist`](Self::persist) on this thread, which blocks while the disk works: for callers without a runtime.
    pub fn persist_now(&self, mark: WriteMark) -> Result<(), PersistError> {
        let journal = &self.inner.journal;
        if journal.synced() < mark.synced {
            journal.sync()?;
        }
        if journal.written() < mark.written {
            journal.write_pending()?;
        }
        Ok(())
    }
}
