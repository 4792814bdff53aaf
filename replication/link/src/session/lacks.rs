//! A look now and then at what a peer has confirmed: what a third region told us and could not tell the peer any more,
//! because it died, nobody sends unasked. If the peer has not moved between two looks, we do.

use std::collections::BTreeSet;

use replication_core::{PARTITIONS, ReplicaId};
use replication_storage::StateStore;

/// What a peer lacked at the last look.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    /// Partition, replica, and the last change of it that the peer had.
    lacks: BTreeSet<(u16, ReplicaId, u64)>,
    changes: u64,
}

impl Lacks {
    /// How often to look, in milliseconds; a lack is made up after two looks.
    pub(crate) const EVERY_MS: u64 = 2_000;

    /// Partitions of which the peer lacks what it lacked at the last look.
    pub(crate) fn look(&mut self, store: &StateStore, peer: u16) -> Vec<u16> {
        let changes = store.changes();
        if changes == self.changes && self.lacks.is_empty() {
            return Vec::new();
        }
        self.changes = changes;
        let (me, mut lacks) = (store.replica(), BTreeSet::new());
        for partition in 0..PARTITIONS {
            let has = store.acked(peer, partition);
            let vv = store.version_vector(partition);
            // Our own changes are under way on the live lane.
            let missing = vv.iter().filter(|(replica, seq)| *replica != me && *seq > has.get(*replica));
            lacks.extend(missing.map(|(replica, _)| (partition, replica, has.get(replica))));
        }
        let still: BTreeSet<u16> = lacks.intersection(&self.lacks).map(|(partition, ..)| *partition).collect();
        self.lacks = lacks;
        still.into_iter().collect()
    }
}
