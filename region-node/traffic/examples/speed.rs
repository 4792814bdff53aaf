//! What a request costs, printed: `cargo run --release -p traffic --example speed`.

use std::{hint::black_box, time::Duration};

use traffic::{Ask, Member, Outcome, Policy, Pool, PoolConfig};

const ROUNDS: u64 = 1_000_000;

fn main() -> anyhow::Result<()> {
    for policy in [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous] {
        for count in [1, 2, 4, 8, 64] {
            let mut pool = Pool::new(PoolConfig { policy, ..PoolConfig::default() });
            pool.set_members(Duration::ZERO, &(0..count).map(Member::ready).collect::<Vec<_>>());
            let mut held = Vec::new();
            for number in 0..u64::from(4 * count) {
                held.push(pool.pick(Duration::ZERO, &ask(number))?);
            }
            let began = on_processor_nanos()?;
            for step in 0..ROUNDS {
                let now = Duration::from_millis(1) + Duration::from_micros(step * 50);
                pool.deposit(now);
                let ticket = pool.pick(now, &black_box(ask(step)))?;
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

/// A request with a draw and a hash of its own: Knuth's multiplicative hash of its number.
fn ask(number: u64) -> Ask<'static> {
    let draw = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Ask { draw, hash: draw, repeatable: true, ..Ask::default() }
}

/// How long this thread has been on a processor: others may be busy too.
fn on_processor_nanos() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    Ok(first.parse()?)
}
