//! Where apps and the gateway meet: the gateway is told which apps there are, and tells how many requests are under way.
//!
//! Apps start before the gateway, so that it has somebody to send its first request to; what was published meanwhile waits here.

use std::sync::{Arc, Mutex, MutexGuard};

use gateway::GatewayHandle;

use super::{InFlight, Publish, Published, behind, lock};

/// The gateway, once it is there and until the node stops, and the apps as last published.
pub(crate) struct Joint {
    gateway: Mutex<Option<GatewayHandle>>,
    /// Held while the gateway is told, so that lists reach it in the order in which they came about.
    published: Mutex<Vec<Published>>,
    secret: Arc<[u8]>,
}

impl Joint {
    pub(crate) fn new(secret: Arc<[u8]>) -> Arc<Self> {
        Arc::new(Self { gateway: Mutex::default(), published: Mutex::default(), secret })
    }

    /// For the apps: where they publish themselves.
    pub(crate) fn publish(self: &Arc<Self>) -> Publish {
        let joint = Arc::clone(self);
        Arc::new(move |apps| {
            let mut published = lock(&joint.published);
            *published = apps;
            joint.tell(&published);
        })
    }

    /// For the apps: what a drain waits for.
    pub(crate) fn in_flight(self: &Arc<Self>) -> InFlight {
        let joint = Arc::clone(self);
        Arc::new(move |app, life| {
            let gateway = joint.gateway();
            let all = gateway.as_ref().map(|gateway| gateway.in_flight(app)).unwrap_or_default();
            all.into_iter().find(|(of, _)| *of == life).map_or(0, |(_, count)| count)
        })
    }

    /// The gateway is there.
    pub(crate) fn open(&self, gateway: GatewayHandle) {
        let published = lock(&self.published);
        *self.gateway() = Some(gateway);
        self.tell(&published);
    }

    /// Takes the gateway away, to stop it.
    pub(crate) fn close(&self) -> Option<GatewayHandle> {
        self.gateway().take()
    }

    /// The gateway; none before it is there and after the node has begun to stop.
    pub(crate) fn gateway(&self) -> MutexGuard<'_, Option<GatewayHandle>> {
        lock(&self.gateway)
    }

    fn tell(&self, published: &[Published]) {
        let gateway = self.gateway();
        let Some(gateway) = gateway.as_ref() else { return };
        let apps = behind::each_once(published.iter().map(|app| behind::app(app, &self.secret)).collect());
        if let Err(error) = gateway.set_apps(apps) {
            tracing::error!("the gateway does not take the list of apps: {error}; it serves the one before");
        }
    }
}
