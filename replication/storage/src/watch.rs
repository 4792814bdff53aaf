//! Being told that something in a partition changed, whoever changed it: for clients that wait for a key.
//!
//! A write looks at one counter per partition and does nothing more while nobody waits. Whoever waits takes a
//! [`PartitionWatch`] *first*, then looks at the key, then awaits: what changes between the look and the await is told.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use replication_core::PARTITIONS;
use tokio::sync::Notify;

use crate::StateStore;

/// Counts what happens to each partition, and wakes whoever waits for it.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Per partition; apart from the rest, since links look through all of them often.
    versions: Vec<AtomicU32>,
    total: AtomicU64,
    watched: Vec<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    watchers: AtomicU32,
    notify: Notify,
}

impl Default for Changes {
    fn default() -> Self {
        let versions = (0..PARTITIONS).map(|_| AtomicU32::new(1)).collect();
        Self { versions, total: AtomicU64::new(1), watched: (0..PARTITIONS).map(|_| Watched::default()).collect() }
    }
}

impl Changes {
    /// Notes that a partition has changed. One load more than two counters while nobody waits.
    pub(crate) fn note(&self, partition: u16) {
        let at = usize::from(partition);
        // A watcher raises its count before it reads the version; here the version is raised before the count is read.
        // All in one order: either the watcher sees the change or the change sees the watcher.
        self.versions[at].fetch_add(1, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::Release);
        if self.watched[at].watchers.load(Ordering::SeqCst) > 0 {
            self.watched[at].notify.notify_waiters();
        }
    }

    /// Rises with every change.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    /// Partitions that have changed since `seen` was last brought up to date, and brings it up to date.
    pub(crate) fn since(&self, seen: &mut Vec<u32>) -> Vec<u16> {
        seen.resize(self.versions.len(), 0);
        let mut changed = Vec::new();
        for (id, (version, seen)) in self.versions.iter().zip(seen).enumerate() {
            let version = version.load(Ordering::Acquire);
            if *seen != version {
                *seen = version;
                changed.push(id as u16);
            }
        }
        changed
    }
}

/// Waits for changes of one partition: keys written, deleted, purged or merged, here or in another region. It may outlive
/// the store; then nothing changes any more.
#[derive(Debug)]
pub struct PartitionWatch {
    changes: Arc<Changes>,
    partition: u16,
    seen: u32,
}

impl StateStore {
    /// Watches a partition from now on.
    pub fn watch_partition(&self, partition: u16) -> PartitionWatch {
        let (changes, at) = (self.inner.changes.clone(), usize::from(partition));
        changes.watched[at].watchers.fetch_add(1, Ordering::SeqCst);
        let seen = changes.versions[at].load(Ordering::SeqCst);
        PartitionWatch { changes, partition, seen }
    }
}

impl PartitionWatch {
    /// Returns once something has changed since the watch began or since this last returned; many changes are told as
    /// one. May be given up and called again without losing any.
    pub async fn changed(&mut self) {
        let at = usize::from(self.partition);
        loop {
            let notified = self.changes.watched[at].notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let version = self.changes.versions[at].load(Ordering::SeqCst);
            if version != self.seen {
                self.seen = version;
                return;
            }
            notified.await;
        }
    }
}

impl Drop for PartitionWatch {
    fn drop(&mut self) {
        self.changes.watched[usize::from(self.partition)].watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replication_core::partition_of;
    use tokio::time::timeout;

    use crate::tests::{TempDir, open, set};

    #[tokio::test]
    async fn a_watch_tells_of_every_change_of_its_partition_and_of_no_other() {
        let dir = TempDir::new();
        let store = open(&dir);
        let mut watch = store.watch_partition(partition_of(b"{a}1"));
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, watch.changed()).await.is_err());
        store.execute(&set("b", "another partition"));
        assert!(timeout(soon, watch.changed()).await.is_err());
        store.execute(&set("{a}1", "v"));
        store.execute(&set("{a}2", "v"));
        watch.changed().await;
        assert!(timeout(soon, watch.changed()).await.is_err(), "two changes are told as one");
        let waiting = tokio::spawn(async move { watch.changed().await });
        tokio::task::yield_now().await;
        store.execute(&set("{a}1", "w"));
        waiting.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_change_is_missed_between_the_look_and_the_wait() {
        let dir = TempDir::new();
        let store = open(&dir);
        let mut watch = store.watch_partition(partition_of(b"k"));
        let writer = std::thread::spawn({
            let store = store.clone();
            move || (0..2000).for_each(|n| drop(store.execute(&set("k", &n.to_string()))))
        });
        while crate::tests::get(&store, "k").as_deref() != Some("1999") {
            timeout(Duration::from_secs(10), watch.changed()).await.expect("a change went untold");
        }
        writer.join().unwrap();
    }
}
