//! The Atoll side: one store, one Redis protocol port, one runtime worker, nothing else of a region.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use model::RegionName;
use replication_storage::{StateStore, StoreConfig};
use state_api::StateApiConfig;

/// Serves until stdin ends, so that no server outlives its bench. The first line on stdout is the address.
pub(crate) fn serve(dir: &Path) -> anyhow::Result<()> {
    // StoreConfig's default is what regions run with: everysec.
    let (store, _) = StateStore::open(StoreConfig::new(dir, "bench", 1)).context("opening the store")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let config = StateApiConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        max_clients: StateApiConfig::DEFAULT_MAX_CLIENTS,
        users: Vec::new(),
        region: RegionName::new("bench")?,
        region_id: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lag: Arc::new(Vec::new),
    };
    let port = {
        let _inside = runtime.enter();
        state_api::start(config, store.clone())?
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", port.local_addr()).and_then(|()| out.flush()).context("telling the bench the address")?;

    io::stdin().lock().read_to_end(&mut Vec::new()).context("waiting for the end of stdin")?;
    runtime.block_on(port.shutdown());
    store.shutdown().context("closing the store")
}
