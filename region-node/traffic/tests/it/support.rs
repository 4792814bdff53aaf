//! What the tests share: time, luck, members.

use std::time::Duration;

use traffic::{Ask, Member, NoPick, Outcome, Policy, Pool, PoolConfig, Ticket};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// SplitMix64.
pub(crate) struct Luck(pub(crate) u64);

impl Luck {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

/// A pool of ready members in slots 0, 1, … with a policy.
pub(crate) fn pool(policy: Policy, count: u16) -> Pool {
    pool_of(PoolConfig { policy, ..PoolConfig::default() }, count)
}

pub(crate) fn pool_of(config: PoolConfig, count: u16) -> Pool {
    let mut pool = Pool::new(config);
    pool.set_members(ms(0), &members(count));
    pool
}

pub(crate) fn members(count: u16) -> Vec<Member> {
    (0..count).map(Member::ready).collect()
}

/// One that can be repeated and has a draw.
pub(crate) fn ask(draw: u64) -> Ask<'static> {
    Ask { draw, hash: draw, repeatable: true, ..Ask::default() }
}

/// One whole request: sent at `now`, answered with `outcome` after `took`. Says where it was.
pub(crate) fn serve(pool: &mut Pool, now: Duration, took: Duration, outcome: Outcome) -> Result<u16, NoPick> {
    let ticket = pool.pick(now, &ask(now.as_nanos() as u64))?;
    Ok(end(pool, now + took, ticket, outcome))
}

/// Answers and ends a request. Says where it was.
pub(crate) fn end(pool: &mut Pool, now: Duration, ticket: Ticket, outcome: Outcome) -> u16 {
    let slot = ticket.slot;
    if outcome == Outcome::Ok {
        pool.first_byte(now, &ticket, outcome);
    }
    pool.finish(now, ticket, outcome);
    slot
}
