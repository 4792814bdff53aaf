//! What a request costs, printed: `cargo test --release -p traffic -- --ignored --nocapture speed`.

use std::hint::black_box;

use traffic::{Outcome, Policy};

use crate::support::{Luck, ask, ms, pool};

const ROUNDS: u64 = 1_000_000;

#[test]
#[ignore = "a measurement"]
fn speed() -> anyhow::Result<()> {
    for policy in [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous] {
        for count in [1, 2, 4, 8, 64] {
            let mut pool = pool(policy, count);
            let mut luck = Luck(1);
            let mut held = Vec::new();
            for _ in 0..4 * count {
                held.push(pool.pick(ms(0), &ask(luck.draw()))?);
            }
            let began = on_processor_nanos()?;
            for step in 0..ROUNDS {
                let now = ms(1) + std::time::Duration::from_micros(step * 50);
                pool.deposit(now);
                let ticket = pool.pick(now, &black_box(ask(luck.draw())))?;
                let old = std::mem::replace(&mut held[(step % u64::from(4 * count)) as usize], ticket);
                pool.first_byte(now, &old, Outcome::Ok);
                pool.finish(now, old, Outcome::Ok);
            }
            let nanos = (on_processor_nanos()? - began) / ROUNDS;
            println!("{policy:?}, {count} members: {nanos} ns for deposit, pick, first_byte and finish");
        }
    }
    Ok(())
}

/// How long this thread has been on a processor: others may be busy too.
fn on_processor_nanos() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    Ok(first.parse()?)
}
