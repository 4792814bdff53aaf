//! How fast a store recovers, and how long a checkpoint holds up commands: `cargo run --release -p replication-storage
//! --example figures [KEYS]`. Rates are by the processor time of the one thread that works, so that other work on the
//! machine does not count.

use std::{path::Path, time::Duration};

use replication_core::{Op, SetExpiry, SetIf, TextOp};
use replication_storage::{StateStore, StoreConfig, Threads};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn set(key: String) -> Op {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    TextOp::Set { value: "a small value".into(), expiry, condition, get: false }.on(key)
}

fn open(dir: &Path, what: &str) -> Result<StateStore, Box<dyn std::error::Error>> {
    let config =
        StoreConfig { threads: Threads::None, checkpoint_bytes: u64::MAX, ..StoreConfig::new(dir, "bench", 1) };
    let began = worked()?;
    let (store, report) = StateStore::open(config)?;
    let took = worked()? - began;
    if report.keys > 0 {
        let rate = report.keys as f64 / took.as_secs_f64() / 1e6;
        println!("{what}: {} keys in {took:?} of work, {rate:.2} M keys/s", report.keys);
    }
    Ok(store)
}

/// Processor time of this thread.
fn worked() -> Result<Duration, Box<dyn std::error::Error>> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedstat.split(' ').next().ok_or("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

fn measure(dir: &Path, what: &str, keys: u64, name: impl Fn(u64) -> String) -> Outcome {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    let store = open(dir, what)?;
    let began = worked()?;
    for n in 0..keys {
        let done = store.execute(&set(name(n)));
        if n % 16 == 0
            && let Some(mark) = done.mark
        {
            store.persist_now(mark)?;
        }
    }
    let each = (worked()? - began).as_nanos() as u64 / keys;
    store.persist_now(store.pending_mark())?;
    println!("{what}: written at {each} ns each, {} MB of journal", store.stats().journal_bytes >> 20);
    drop(store);
    let store = open(dir, &format!("{what}, from the journal"))?;
    let began = worked()?;
    store.checkpoint()?;
    println!(
        "{what}: checkpoint in {:?} of work, no partition held longer than {} µs",
        worked()? - began,
        store.stats().checkpoint_longest_hold_us
    );
    drop(store);
    drop(open(dir, &format!("{what}, from the checkpoint"))?);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn main() -> Outcome {
    let keys = std::env::args().nth(1).map_or(Ok(1_000_000), |keys| keys.parse())?;
    let dir = std::env::temp_dir().join(format!("atoll-figures-{}", std::process::id()));
    measure(&dir, "all partitions", keys, |n| format!("user:{n:09}"))?;
    measure(&dir, "one partition", keys, |n| format!("{{user}}:{n:09}"))
}
