//! What `/healthz` and `/readyz` say beside the workers: can the region's state be written, is it still catching up?

use gateway::Readiness;
use replication_link::LinkView;
use replication_storage::StateStore;

/// The state's word on health.
pub(crate) struct StateReadiness {
    pub(crate) store: StateStore,
    pub(crate) links: LinkView,
}

impl Readiness for StateReadiness {
    fn health_problems(&self) -> Vec<String> {
        if self.store.refusing_writes() {
            vec!["the state's journal cannot be written; see the region's log".into()]
        } else {
            Vec::new()
        }
    }

    fn readiness_problems(&self) -> Vec<String> {
        let behind = self.links.status().into_iter().filter(|peer| peer.connected && !peer.live);
        behind.map(|peer| format!("still catching up with {}", peer.name)).collect()
    }
}
