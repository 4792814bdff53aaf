//! What the gateway asks of the replicated state: the region's last write, and to wait for another region's.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use gateway::{TokenSource, Waited};
use model::{RegionName, Token};
use replication_core::Hlc;
use replication_link::LinkView;
use replication_storage::StateStore;
use tokio::time::Instant;

/// The store's word on tokens.
pub(crate) struct Tokens {
    pub(crate) store: StateStore,
    pub(crate) links: LinkView,
    pub(crate) names: BTreeMap<u16, RegionName>,
}

impl TokenSource for Tokens {
    fn last_write(&self) -> Token {
        Token { region: self.store.region(), hlc: self.store.last_write_hlc().0 }
    }

    fn wait_for(&self, token: Token, deadline: Instant) -> Pin<Box<dyn Future<Output = Waited> + Send + '_>> {
        Box::pin(async move {
            let hlc = Hlc(token.hlc);
            if token.region == self.store.region() || self.store.watermark(token.region) >= hlc {
                return Waited::Reached;
            }
            // A dead region sends nothing more: waiting for it would only make its users slow here.
            if !self.names.contains_key(&token.region) || !self.links.connected(token.region) {
                return Waited::OriginUnreachable;
            }
            if self.store.wait_for(token.region, hlc, deadline).await { Waited::Reached } else { Waited::TimedOut }
        })
    }

    fn region_name(&self, region: u16) -> Option<RegionName> {
        self.names.get(&region).cloned()
    }
}
