//! How fast a store recovers, and how long a checkpoint holds up commands: `cargo run --release -p replication-storage
//! --example figures [KEYS]`.

use std::{path::Path, time::Instant};

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
    let (store, report) = StateStore::open(config)?;
    if report.keys > 0 {
        let rate = report.keys as f64 / report.took.as_secs_f64() / 1e6;
        println!("{what}: {} keys in {:?}, {rate:.2} M keys/s", report.keys, report.took);
    }
    Ok(store)
}

fn measure(dir: &Path, what: &str, keys: u64, name: impl Fn(u64) -> String) -> Outcome {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    let store = open(dir, what)?;
    let began = Instant::now();
    for n in 0..keys {
        let done = store.execute(&set(name(n)));
        if n % 16 == 0
            && let Some(mark) = done.mark
        {
            store.persist_now(mark)?;
        }
    }
    let each = began.elapsed().as_nanos() as u64 / keys;
    store.persist_now(store.pending_mark())?;
    println!("{what}: written at {each} ns each, {} MB of journal", store.stats().journal_bytes >> 20);
    drop(store);
    let store = open(dir, &format!("{what}, from the journal"))?;
    let began = Instant::now();
    store.checkpoint()?;
    println!(
        "{what}: checkpoint in {:?}, no partition held longer than {} µs",
        began.elapsed(),
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
