//! How fast a region comes back: keys per second from the journal, as after a kill, and from a checkpoint.

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use replication_core::{SetExpiry, SetIf, TextOp};
use replication_storage::{StateStore, StoreConfig};

use super::{Bar, Figure};
use crate::redis_protocol::Scratch;

/// Writes that are persisted together.
const BATCH: u64 = 500;

pub(super) fn measure(keys: u64) -> anyhow::Result<Vec<Figure>> {
    let dir = Scratch::make("recovery")?;
    let config = || StoreConfig { checkpoint_bytes: u64::MAX, ..StoreConfig::new(dir.path(), "bench", 1) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (store, _) = StateStore::open(config())?;
    runtime.block_on(fill(&store, keys))?;
    drop(store);

    let (store, journal_s) = open(config(), keys)?;
    close(store)?;
    // What is left of the journal lies behind a checkpoint only if one was made: this opening makes one.
    let (store, _) = open(StoreConfig { checkpoint_bytes: 1, ..config() }, keys)?;
    wait_for_checkpoint(&store)?;
    close(store)?;
    let (_, checkpoint_s) = open(config(), keys)?;
    let figure = |from: &str, seconds: f64| {
        let what = format!("recovery from {from}, {keys} keys");
        Figure::new(what, keys as f64 / seconds, "keys/s", Some(Bar::AtLeast(1e6)))
    };
    Ok(vec![figure("the journal", journal_s), figure("a checkpoint", checkpoint_s)])
}

async fn fill(store: &StateStore, keys: u64) -> anyhow::Result<()> {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    let mut mark = None;
    for key in 0..keys {
        let value = Bytes::from(format!("{:016x}", key.wrapping_mul(0x9e37_79b9)));
        let op = TextOp::Set { value, expiry, condition, get: false }.on(format!("k:{key:014}"));
        mark = store.execute(&op).mark.or(mark);
        if key % BATCH == BATCH - 1
            && let Some(mark) = mark.take()
        {
            store.persist(mark).await?;
        }
    }
    store.persist_pending().await?;
    Ok(())
}

/// Opens the store, and says how many seconds that took.
fn open(config: StoreConfig, keys: u64) -> anyhow::Result<(StateStore, f64)> {
    let start = Instant::now();
    let (store, _) = StateStore::open(config)?;
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(store.stats().keys as u64 == keys, "{} keys came back of {keys}", store.stats().keys);
    Ok((store, seconds))
}

/// Closes the store and lets go of its directory.
fn close(store: StateStore) -> anyhow::Result<()> {
    let closed = store.shutdown();
    drop(store);
    closed.context("closing the store")
}

fn wait_for_checkpoint(store: &StateStore) -> anyhow::Result<()> {
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    while store.stats().checkpoints == 0 {
        anyhow::ensure!(Instant::now() < deadline, "no checkpoint was made within 60 s");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}
