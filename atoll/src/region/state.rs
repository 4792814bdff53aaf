//! Opens the region's replicated state, and says what to do when that cannot be.

use anyhow::Context;
use replication_storage::{OpenError, RecoveryReport, StateStore, StoreConfig, set_aside};

use super::config::RegionConfig;

/// Opens the state of a region. A journal that is damaged in the middle is refused: to go on without it is a person's decision,
/// made with `fetch_state`, which puts the damaged files aside and begins empty; the links then bring the state back.
pub(crate) async fn open(config: &RegionConfig, id: u16, fetch_state: bool) -> anyhow::Result<StateStore> {
    let dir = config.data.join("state");
    let world = pki::fingerprint(&config.pki.ca)?;
    let max_memory_bytes = config.max_memory_bytes.unwrap_or(0); // 0: no limit
    let store = StoreConfig { max_memory_bytes, ..StoreConfig::new(&dir, world, id) };
    let opening = tokio::task::spawn_blocking(move || match StateStore::open(store.clone()) {
        Err(error) if error.is_damage() && fetch_state => {
            let aside = set_aside(&store)?;
            tracing::warn!("{error}; put aside as {}, the state is fetched from the other regions", aside.display());
            StateStore::open(store)
        }
        opened => opened,
    });
    let (store, report) = opening.await.context("opening the state")?.map_err(|error| advise(error, config))?;
    tell(&report);
    Ok(store)
}

/// What was found, in the region's log.
fn tell(report: &RecoveryReport) {
    if let Some(tail) = &report.torn_tail {
        let (file, cut, offset, what) = (tail.file.display(), tail.cut, tail.offset, tail.what);
        tracing::warn!(
            "{file}: its torn tail, {cut} bytes behind byte {offset}, was cut off ({what}); what is before it is whole"
        );
    }
    if let Some(doubt) = &report.in_doubt {
        let now = report.replica;
        tracing::warn!(
            "writing as {now:?} from now on, since {doubt}; what is missing comes back from the other regions"
        );
    }
    let (keys, records, took) = (report.keys, report.records, report.took);
    tracing::info!("state: {keys} keys in memory after {took:?}, {records} journal records read");
}

fn advise(error: OpenError, config: &RegionConfig) -> anyhow::Error {
    let damaged = error.is_damage();
    let error = anyhow::Error::from(error);
    if !damaged {
        return error;
    }
    error.context(format!(
        "the state of region {0} is damaged; the other regions hold a copy: `atoll up start {0} --fetch-state` (or `atoll region \
         --fetch-state`) puts the damaged files aside and fetches the state back",
        config.region
    ))
}
