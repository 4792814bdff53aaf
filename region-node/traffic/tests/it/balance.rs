//! The policies: who gets how much of what.

use proptest::prelude::*;
use traffic::{Ask, BoundedLoad, Member, NoPick, Outcome, Policy, PoolConfig, SlowStart, hash};

use crate::support::{Luck, ask, end, members, ms, pool, pool_of, serve};

/// How many of `requests` each slot gets when none is ever answered.
fn shares(config: PoolConfig, members: &[Member], requests: u64) -> anyhow::Result<Vec<u64>> {
    let mut pool = pool_of(config, 0);
    pool.set_members(ms(0), members);
    let mut counts = vec![0; members.len()];
    for draw in 0..requests {
        let ticket = pool.pick(ms(0), &ask(hash::bytes(&draw.to_be_bytes())))?;
        counts[usize::from(ticket.slot)] += 1;
    }
    Ok(counts)
}

fn weighted(weights: &[u32]) -> Vec<Member> {
    weights.iter().zip(0..).map(|(weight, slot)| Member { weight: *weight, ..Member::ready(slot) }).collect()
}

proptest! {
    /// As many rounds as you like: each gets its weight, exactly.
    #[test]
    fn smooth_weights_are_exact(weights in proptest::collection::vec(1_u32..20, 1..8), rounds in 1_u32..5) {
        let config = PoolConfig { policy: Policy::RoundRobin, ..PoolConfig::default() };
        let total: u32 = weights.iter().sum();
        let counts = shares(config, &weighted(&weights), u64::from(total * rounds)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let expected: Vec<u64> = weights.iter().map(|weight| u64::from(weight * rounds)).collect();
        prop_assert_eq!(counts, expected);
    }

    /// Who loses a slot loses only what was there: every other key stays where it was. And back again.
    #[test]
    fn rendezvous_moves_only_what_was_at_the_slot_that_went(
        count in 2_u16..10, gone in any::<prop::sample::Index>(), policy in prop_oneof![Just(Policy::IpHash), Just(Policy::Rendezvous)], seed in any::<u64>(),
    ) {
        let gone = gone.index(count.into()) as u16;
        let config = PoolConfig { policy, slow_start: SlowStart { window: ms(0) }, ..PoolConfig::default() };
        let mut pool = pool_of(config, count);
        let mut luck = Luck(seed);
        let keys: Vec<u64> = (0..200).map(|_| luck.draw()).collect();
        let mut places = |members: &[Member]| {
            pool.set_members(ms(0), members);
            let place = |key: &u64| {
                let ticket = pool.pick(ms(0), &Ask { hash: *key, ..Ask::default() });
                ticket.map(|ticket| end(&mut pool, ms(0), ticket, Outcome::Ok))
            };
            keys.iter().map(place).collect::<Result<Vec<u16>, NoPick>>().map_err(|e| TestCaseError::fail(e.to_string()))
        };
        let all = members(count);
        let without: Vec<Member> = all.iter().copied().filter(|member| member.slot != gone).collect();
        let (before, after) = (places(&all)?, places(&without)?);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before == after || *before == gone);
        }
        prop_assert_eq!(places(&all)?, before);
    }

    /// Nobody carries more than its bound, however uneven the keys.
    #[test]
    fn bounded_load_is_never_exceeded(
        weights in proptest::collection::vec(1_u32..5, 1..9), factor in 1.0_f64..2.0, keys in 1_u64..5, seed in any::<u64>(),
    ) {
        let config = PoolConfig { policy: Policy::Rendezvous, bounded_load: BoundedLoad { factor }, ..PoolConfig::default() };
        let mut pool = pool_of(config, 0);
        pool.set_members(ms(0), &weighted(&weights));
        let total_weight = f64::from(weights.iter().sum::<u32>());
        let (mut luck, mut tickets) = (Luck(seed), Vec::new());
        for _ in 0..300 {
            if luck.below(3) > 0 || tickets.is_empty() {
                let ticket = pool.pick(ms(0), &Ask { hash: luck.below(keys), ..Ask::default() });
                prop_assert!(ticket.is_ok());
                if let Ok(ticket) = ticket {
                    let (slot, in_flight) = (usize::from(ticket.slot), pool.in_flight(ticket.life));
                    tickets.push(ticket);
                    let bound = (factor * tickets.len() as f64 * f64::from(weights[slot]) / total_weight).ceil();
                    prop_assert!(f64::from(in_flight) <= bound, "{} under way, the bound is {}", in_flight, bound);
                }
            } else {
                let ticket = tickets.swap_remove(luck.below(tickets.len() as u64) as usize);
                pool.finish(ms(0), ticket, Outcome::Ok);
            }
        }
    }
}

#[test]
fn hashes_follow_weights_and_spread() -> anyhow::Result<()> {
    let config = PoolConfig { policy: Policy::IpHash, ..PoolConfig::default() };
    let counts = shares(config, &weighted(&[1, 2, 1]), 20_000)?;
    for (count, expected) in counts.iter().zip([5_000, 10_000, 5_000]) {
        assert!(count.abs_diff(expected) < 300, "{counts:?}");
    }
    Ok(())
}

#[test]
fn the_fewest_under_way_by_weight() -> anyhow::Result<()> {
    let config = PoolConfig { policy: Policy::LeastConnections, ..PoolConfig::default() };
    assert_eq!(shares(config, &weighted(&[1, 3]), 40)?, [10, 30]);
    Ok(())
}

/// Equal members take turns, also where some cannot be used.
#[test]
fn ties_go_round() -> anyhow::Result<()> {
    for policy in [Policy::Ewma, Policy::LeastConnections, Policy::RoundRobin] {
        let mut pool = pool(policy, 4);
        let mut list = members(4);
        list[2].ready = false;
        list[3].draining = true;
        pool.set_members(ms(0), &list);
        let mut counts = [0; 4];
        for _ in 0..20 {
            let ticket = pool.pick(ms(0), &ask(0))?;
            counts[usize::from(ticket.slot)] += 1;
            pool.finish(ms(0), ticket, Outcome::Cancelled);
        }
        assert_eq!(counts, [10, 10, 0, 0], "{policy:?}");
    }
    Ok(())
}

#[test]
fn a_cookie_goes_before_the_policy_as_long_as_its_member_is_usable() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 3);
    let sticky = Ask { sticky_slot: Some(1), ..ask(0) };
    for _ in 0..5 {
        assert_eq!(pool.pick(ms(0), &sticky)?.slot, 1);
    }
    let tried = Ask { tried: &[1], ..sticky };
    assert_ne!(pool.pick(ms(0), &tried)?.slot, 1);
    let mut list = members(3);
    list[1].draining = true;
    // The next release's worker has the slot, another life.
    list.push(Member { life: 77, ..Member::ready(1) });
    pool.set_members(ms(1), &list);
    assert_eq!(pool.pick(ms(1), &sticky)?.life, 77);
    assert!(pool.pick(ms(1), &Ask { sticky_slot: Some(9), ..ask(0) }).is_ok());
    Ok(())
}

#[test]
fn a_busy_event_loop_costs() -> anyhow::Result<()> {
    let mut list = members(2);
    list[0].busy_permille = Some(900);
    list[1].busy_permille = Some(100);
    let counts = shares(PoolConfig::default(), &list, 100)?;
    assert_eq!(counts, [10, 90], "ten times against a ninth more");
    Ok(())
}

/// New members are led in over ten seconds, linearly.
#[test]
fn slow_start_is_a_ramp() -> anyhow::Result<()> {
    let config = PoolConfig { policy: Policy::RoundRobin, ..PoolConfig::default() };
    let mut pool = pool_of(config, 3);
    pool.set_members(ms(1_000), &members(4));
    let mut share = |now| {
        let mut count = 0;
        for _ in 0..1_000 {
            count += u32::from(serve(&mut pool, now, ms(0), Outcome::Ok)? == 3);
        }
        anyhow::Ok(count)
    };
    for (at, expected) in [(1_000, 32), (2_000, 32), (6_000, 143), (11_000, 250), (60_000, 250)] {
        let count = share(ms(at))?;
        assert!(count.abs_diff(expected) <= 2, "{count} of 1000 at {at} ms, not {expected}");
    }
    Ok(())
}

/// Who has nobody beside it takes everything at once, and so does everybody where most are new.
#[test]
fn slow_start_starves_nobody() -> anyhow::Result<()> {
    for policy in [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous] {
        let mut pool = pool(policy, 1);
        pool.set_members(ms(5_000), &members(2));
        let new = [Member::ready(1)];
        pool.set_members(ms(5_001), &new);
        assert_eq!(serve(&mut pool, ms(5_001), ms(1), Outcome::Ok)?, 1, "{policy:?}");
    }
    let mut pool = pool(Policy::RoundRobin, 1);
    pool.set_members(ms(5_000), &members(4));
    let mut counts = [0; 4];
    for _ in 0..40 {
        counts[usize::from(serve(&mut pool, ms(5_000), ms(0), Outcome::Ok)?)] += 1;
    }
    assert_eq!(counts, [10; 4], "three of four are new: one cannot carry the others");
    Ok(())
}

/// Of many members two are drawn, and the quicker one is taken: slow ones get little.
#[test]
fn of_many_two_are_drawn() -> anyhow::Result<()> {
    let config = PoolConfig { slow_start: SlowStart { window: ms(0) }, ..PoolConfig::default() };
    let mut pool = pool_of(config, 40);
    let mut luck = Luck(7);
    let mut counts = [0_u32; 40];
    for step in 0..8_000 {
        let ticket = pool.pick(ms(step), &ask(luck.draw()))?;
        let slot = usize::from(ticket.slot);
        counts[slot] += 1;
        let took = if slot < 4 { ms(200) } else { ms(2) };
        end(&mut pool, ms(step) + took, ticket, Outcome::Ok);
    }
    let (slow, quick) = (counts[..4].iter().max(), counts[4..].iter().min());
    assert!(slow < Some(&60) && quick > Some(&80), "{counts:?}");
    Ok(())
}

/// Whoever has not answered for long is avoided before its first late answer, unless it answers others meanwhile.
#[test]
fn silence_counts_and_being_overtaken_does_not() -> anyhow::Result<()> {
    let picks = |answers_others: bool| {
        let mut pool = pool(Policy::Ewma, 2);
        // Both known to need 10 ms.
        for step in 0..200 {
            serve(&mut pool, ms(step * 20), ms(10), Outcome::Ok)?;
        }
        let start = 4_000;
        let stuck = pool.pick(ms(start), &Ask { sticky_slot: Some(0), ..ask(0) })?;
        let mut counts = [0; 2];
        let mut held = Vec::new();
        for step in 1..100 {
            let now = ms(start + step * 20);
            let ticket = pool.pick(now, &ask(step))?;
            counts[usize::from(ticket.slot)] += 1;
            if ticket.slot == 1 || answers_others {
                end(&mut pool, now + ms(10), ticket, Outcome::Ok);
            } else {
                held.push(ticket);
            }
        }
        drop(stuck);
        anyhow::Ok(counts)
    };
    let [stuck, other] = picks(false)?;
    assert!(stuck <= 1 && other >= 98, "{stuck} to the one that is stuck, {other} to the other");
    let [working, other] = picks(true)?;
    assert!(working <= 99 && other <= 99, "{working} to the one with a long poll, {other} to the other");
    Ok(())
}
