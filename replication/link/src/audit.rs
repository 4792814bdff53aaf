//! A look now and then at what a peer has confirmed: what a third region told us and could not tell the peer any more,
//! because it died, nobody sends unasked. If the peer has not moved between two looks, we do.

use std::{collections::BTreeSet, time::Duration};

use replication_core::{PARTITIONS, ReplicaId};

use crate::session::Link;

/// How often to look; a lack is made up after two looks.
pub(crate) const AUDIT_EVERY: Duration = Duration::from_secs(2);

/// What a peer lacked at the last look.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Partition, replica, and the last change of it that the peer had.
    lacks: BTreeSet<(u16, ReplicaId, u64)>,
    changes: u64,
}

impl Audit {
    /// Partitions of which the peer lacks what it lacked at the last look.
    pub(crate) fn look(&mut self, link: &Link) -> Vec<u16> {
        let (store, peer) = (&link.store, &link.peer);
        let changes = store.changes();
        if changes == self.changes && self.lacks.is_empty() {
            return Vec::new();
        }
        self.changes = changes;
        let (me, mut lacks) = (store.replica(), BTreeSet::new());
        for partition in 0..PARTITIONS {
            let has = store.acked(peer.id, partition);
            let vv = store.version_vector(partition);
            // Our own changes are under way on the live stream.
            let missing = vv.iter().filter(|(replica, seq)| *replica != me && *seq > has.get(*replica));
            lacks.extend(missing.map(|(replica, _)| (partition, replica, has.get(replica))));
        }
        let still: BTreeSet<u16> = lacks.intersection(&self.lacks).map(|(partition, ..)| *partition).collect();
        self.lacks = lacks;
        still.into_iter().collect()
    }
}
