//! How fast a store recovers, and how long a checkpoint holds up commands: `cargo run --release -p replication-storage
//! --example figures [ENTRIES]`. Rates are by the processor time of the one thread that works, so that other work on the
//! machine does not count; where several threads work, and for how long a partition is held, by the clock on the wall: on a
//! busy machine run it with real-time priority (`chrt -f 10`).

use std::{
    path::Path,
    time::{Duration, Instant},
};

use replication_core::{HashOp, Op, SetExpiry, SetIf, TextOp};
use replication_storage::{StateStore, StoreConfig, Threads};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn set(key: String) -> Op {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    TextOp::Set { value: "a small value".into(), expiry, condition, get: false }.on(key)
}

fn set_field(field: String) -> Op {
    HashOp::Set { fields: vec![(field.into(), "a small value".into())] }.on("one hash")
}

fn open(dir: &Path, what: &str, entries: u64) -> Result<StateStore, Box<dyn std::error::Error>> {
    let config =
        StoreConfig { threads: Threads::None, checkpoint_bytes: u64::MAX, ..StoreConfig::new(dir, "bench", 1) };
    let began = worked()?;
    let (store, report) = StateStore::open(config)?;
    let took = worked()? - began;
    if report.keys > 0 {
        let rate = entries as f64 / took.as_secs_f64() / 1e6;
        println!("{what}: {entries} entries in {took:?} of work, {rate:.2} M/s");
    }
    Ok(store)
}

/// Opens the directory once more, with a thread for each processor.
fn open_beside(dir: &Path, what: &str, entries: u64) -> Outcome {
    let config = StoreConfig { checkpoint_bytes: u64::MAX, ..StoreConfig::new(dir, "bench", 1) };
    let began = Instant::now();
    let (_store, _) = StateStore::open(config)?;
    let took = began.elapsed();
    let rate = entries as f64 / took.as_secs_f64() / 1e6;
    println!("{what}, several threads: {entries} entries in {took:?} by the wall, {rate:.2} M/s");
    Ok(())
}

/// Processor time of this thread.
fn worked() -> Result<Duration, Box<dyn std::error::Error>> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedstat.split(' ').next().ok_or("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

fn measure(dir: &Path, what: &str, entries: u64, op: impl Fn(u64) -> Op) -> Outcome {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    let store = open(dir, what, entries)?;
    let began = worked()?;
    for n in 0..entries {
        let done = store.execute(&op(n));
        if n % 16 == 0
            && let Some(mark) = done.mark
        {
            store.persist_now(mark)?;
        }
    }
    let each = (worked()? - began).as_nanos() as u64 / entries;
    store.persist_now(store.pending_mark())?;
    println!("{what}: written at {each} ns each, {} MB of journal", store.stats().journal_bytes >> 20);
    drop(store);
    open_beside(dir, &format!("{what}, from the journal"), entries)?;
    let store = open(dir, &format!("{what}, from the journal"), entries)?;
    let began = worked()?;
    store.checkpoint()?;
    println!(
        "{what}: checkpoint in {:?} of work, no partition held longer than {} µs",
        worked()? - began,
        store.stats().checkpoint_longest_hold_us
    );
    drop(store);
    open_beside(dir, &format!("{what}, from the checkpoint"), entries)?;
    drop(open(dir, &format!("{what}, from the checkpoint"), entries)?);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn main() -> Outcome {
    let entries = std::env::args().nth(1).map_or(Ok(1_000_000), |entries| entries.parse())?;
    let dir = std::env::temp_dir().join(format!("atoll-figures-{}", std::process::id()));
    measure(&dir, "all partitions", entries, |n| set(format!("user:{n:09}")))?;
    measure(&dir, "one partition", entries, |n| set(format!("{{user}}:{n:09}")))?;
    measure(&dir, "one hash", entries, |n| set_field(format!("field:{n:09}")))
}
