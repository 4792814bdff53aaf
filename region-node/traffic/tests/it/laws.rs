//! Whatever happens to a pool, in whatever order, under every policy: the laws hold.

use std::collections::HashMap;

use proptest::prelude::*;
use traffic::{Ask, Member, NoPick, Outcome, Policy, Pool, PoolConfig, SlowStart, State, Ticket};

use crate::support::{Luck, ms};

const POLICIES: [Policy; 5] =
    [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous];

/// A pool and what a plain observer knows of it.
struct Observed {
    pool: Pool,
    members: Vec<Member>,
    was_ready: Vec<u64>,
    tickets: Vec<Ticket>,
    luck: Luck,
    now: u64,
    lives: u64,
}

impl Observed {
    fn new(policy: Policy, per_member: Option<u32>, seed: u64) -> Self {
        let mut config = PoolConfig { policy, ..PoolConfig::default() };
        config.in_flight.per_member = per_member;
        Self {
            pool: Pool::new(config),
            members: Vec::new(),
            was_ready: Vec::new(),
            tickets: Vec::new(),
            luck: Luck(seed),
            now: 0,
            lives: 0,
        }
    }

    fn under_way(&self) -> HashMap<u64, u32> {
        let mut counts = HashMap::new();
        for ticket in &self.tickets {
            *counts.entry(ticket.life).or_default() += 1;
        }
        counts
    }

    fn available(&self) -> Vec<u64> {
        let snapshot = self.pool.snapshot(ms(self.now));
        let usable = |state| matches!(state, State::Available | State::Ramping);
        snapshot.members.iter().filter(|member| usable(member.state)).map(|member| member.life).collect()
    }

    fn change_members(&mut self) {
        let luck = &mut self.luck;
        if luck.below(3) == 0 || self.members.len() < 2 {
            // A life is one start of a worker: no two are the same.
            self.lives += 1;
            let life = self.lives << 20 | luck.below(1 << 20);
            let slot = luck.below(12) as u16;
            let ready = luck.below(4) > 0;
            self.members.push(Member { life, slot, weight: luck.below(4) as u32, ready, ..Member::ready(0) });
        } else {
            let index = luck.below(self.members.len() as u64) as usize;
            match luck.below(4) {
                0 => drop(self.members.remove(index)),
                1 => self.members[index].ready = !self.members[index].ready,
                2 => self.members[index].draining = true,
                _ => self.members[index].busy_permille = Some(luck.below(1001) as u16),
            }
        }
        self.was_ready.extend(self.members.iter().filter(|member| member.ready).map(|member| member.life));
        self.pool.set_members(ms(self.now), &self.members);
    }

    fn pick(&mut self) -> Result<(), TestCaseError> {
        let before = self.pool.snapshot(ms(self.now));
        let available = self.available();
        let tried: Vec<u64> = match self.luck.below(4) {
            0 => self.members.iter().take(1).map(|member| member.life).collect(),
            _ => Vec::new(),
        };
        let ask = Ask {
            hash: self.luck.draw(),
            sticky_slot: (self.luck.below(5) == 0).then_some(3),
            tried: &tried,
            draw: self.luck.draw(),
            repeatable: self.luck.below(2) == 0,
        };
        let limit = self.pool.config().in_flight.per_member.unwrap_or(u32::MAX);
        match self.pool.pick(ms(self.now), &ask) {
            Ok(ticket) => {
                let member = self.members.iter().find(|member| member.life == ticket.life);
                let Some(member) = member else { return Err(TestCaseError::fail("picked one that is not listed")) };
                prop_assert_eq!(member.slot, ticket.slot);
                prop_assert!(!member.draining, "picked one that drains");
                prop_assert!(!tried.contains(&ticket.life), "picked one that was tried");
                prop_assert!(self.pool.in_flight(ticket.life) <= limit, "more under way than may be");
                if before.panic {
                    prop_assert!(self.was_ready.contains(&ticket.life), "panic picked one that was never ready");
                } else {
                    prop_assert!(member.ready, "picked one that is not ready");
                    prop_assert!(ticket.probe || available.contains(&ticket.life), "picked one that is ejected");
                }
                self.tickets.push(ticket);
            }
            Err(why) => {
                let room = |life: &u64| !tried.contains(life) && self.pool.in_flight(*life) < limit;
                let free = available.iter().any(room);
                prop_assert!(!free || why == NoPick::PoolFull, "{:?} although one was free", why);
            }
        }
        Ok(())
    }

    fn end_one(&mut self) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets.swap_remove(self.luck.below(self.tickets.len() as u64) as usize);
        let outcome = match self.luck.below(8) {
            0 => Outcome::AppError,
            1 => Outcome::Refused { retry_after: Some(ms(self.luck.below(1_000_000))) },
            2 | 3 => Outcome::Broken,
            4 => Outcome::Cancelled,
            _ => Outcome::Ok,
        };
        if self.luck.below(2) == 0 {
            self.pool.first_byte(ms(self.now), &ticket, Outcome::Ok);
        }
        self.pool.finish(ms(self.now), ticket, outcome);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let snapshot = self.pool.snapshot(ms(self.now));
        let counts = self.under_way();
        prop_assert_eq!(snapshot.in_flight as usize, self.tickets.len());
        for member in &snapshot.members {
            prop_assert_eq!(member.in_flight, counts.get(&member.life).copied().unwrap_or(0));
            prop_assert!(member.waiting <= member.in_flight);
        }
        prop_assert!(counts.iter().all(|(life, count)| self.pool.in_flight(*life) == *count));
        let known: Vec<&Member> =
            self.members.iter().filter(|m| self.was_ready.contains(&m.life) && !m.draining).collect();
        let available = self.available().len();
        prop_assert_eq!(snapshot.panic, 2 * available < known.len(), "{} of {} are available", available, known.len());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_picked_who_must_not_be_and_everybody_is_counted(
        policy in proptest::sample::select(&POLICIES[..]),
        per_member in prop_oneof![Just(None), Just(Some(3))],
        seed in any::<u64>(),
        steps in proptest::collection::vec((0_u8..12, 0_u64..700), 1..250),
    ) {
        let mut observed = Observed::new(policy, per_member, seed);
        for (what, wait) in steps {
            observed.now += wait;
            match what {
                0 => observed.change_members(),
                1..=6 => observed.pick()?,
                _ => observed.end_one(),
            }
            observed.check()?;
        }
    }

    /// With a list that stands, a breaker leaves half of the members and one at least, whatever breaks.
    #[test]
    fn the_breaker_leaves_half_and_the_last(
        count in 1_u16..9,
        policy in proptest::sample::select(&POLICIES[..]),
        seed in any::<u64>(),
    ) {
        let mut pool = crate::support::pool(policy, count);
        let mut luck = Luck(seed);
        for step in 0..300 {
            let now = ms(step * 20);
            let ticket = pool.pick(now, &crate::support::ask(luck.draw()));
            prop_assert!(ticket.is_ok(), "{:?}", ticket);
            let outcome = if luck.below(5) == 0 { Outcome::AppError } else { Outcome::Broken };
            if let Ok(ticket) = ticket {
                pool.finish(now + ms(1), ticket, outcome);
            }
            let states = pool.snapshot(now + ms(1)).members;
            let out = states.iter().filter(|member| matches!(member.state, State::Ejected | State::Probing)).count();
            prop_assert!(out <= usize::from(count - count.div_ceil(2)), "{} of {} are out", out, count);
        }
    }

    /// Peak-EWMA by full scan is the naive minimum of rtt × (waiting + 1) × busy ÷ weight over what the snapshot says.
    #[test]
    fn a_full_scan_finds_the_naive_minimum(count in 1_u16..9, seed in any::<u64>()) {
        let mut luck = Luck(seed);
        let config = PoolConfig { slow_start: SlowStart { window: ms(0) }, ..PoolConfig::default() };
        let mut pool = Pool::new(config);
        let members: Vec<Member> = (0..count).map(|slot| Member {
            weight: 1 + luck.below(4) as u32,
            busy_permille: (luck.below(2) == 0).then(|| luck.below(1001) as u16),
            ..Member::ready(slot)
        }).collect();
        pool.set_members(ms(0), &members);
        let mut tickets = Vec::new();
        for step in 0..200_u64 {
            let now = ms(step * 7);
            if luck.below(3) > 0 {
                let costs: Vec<f64> = pool.snapshot(now).members.iter().zip(&members).map(|(seen, member)| {
                    let busy = f64::from(member.busy_permille.unwrap_or(0)) / 1000.0;
                    let secs = seen.rtt.max(seen.silent).as_secs_f64().max(0.001);
                    secs * f64::from(seen.waiting + 1) / (1.0 - busy.min(0.95)) / f64::from(member.weight)
                }).collect();
                let least = costs.iter().copied().fold(f64::MAX, f64::min);
                let ticket = pool.pick(now, &crate::support::ask(luck.draw()));
                prop_assert!(ticket.is_ok());
                let Ok(ticket) = ticket else { continue };
                let cost = costs[usize::from(ticket.slot)];
                // The snapshot is rounded to nanoseconds.
                prop_assert!(cost <= least * 1.000_01, "{} although there was {}", cost, least);
                tickets.push(ticket);
            } else if !tickets.is_empty() {
                let ticket = tickets.swap_remove(luck.below(tickets.len() as u64) as usize);
                crate::support::end(&mut pool, now, ticket, Outcome::Ok);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What fails everywhere, however often, from some moment on, ejects nobody.
    #[test]
    fn nobody_is_blamed_for_what_fails_everywhere(
        policy in proptest::sample::select(&POLICIES[..]),
        count in 2_u16..9,
        percent in 1_u64..101,
        from in 0_u64..1_500,
        seed in any::<u64>(),
    ) {
        let mut pool = crate::support::pool(policy, count);
        let mut luck = Luck(seed);
        for step in 0..3_000 {
            let now = ms(step * 4);
            let Ok(ticket) = pool.pick(now, &crate::support::ask(luck.draw())) else {
                return Err(TestCaseError::fail("nobody was picked"));
            };
            let fails = step >= from && luck.below(100) < percent;
            crate::support::end(&mut pool, now + ms(2), ticket, if fails { Outcome::AppError } else { Outcome::Ok });
        }
        prop_assert!(pool.snapshot(ms(12_000)).members.iter().all(|member| member.ejections == 0));
    }

    /// Who fails half of its requests or more, alone, is ejected within a hundred of them.
    #[test]
    fn who_fails_alone_is_ejected(count in 2_u16..9, percent in 50_u64..101, seed in any::<u64>()) {
        let mut pool = crate::support::pool(Policy::RoundRobin, count);
        let mut luck = Luck(seed);
        for step in 0..u64::from(count) * 100 {
            let now = ms(step * 2);
            let Ok(ticket) = pool.pick(now, &crate::support::ask(luck.draw())) else {
                return Err(TestCaseError::fail("nobody was picked"));
            };
            let fails = ticket.slot == 0 && luck.below(100) < percent;
            crate::support::end(&mut pool, now, ticket, if fails { Outcome::AppError } else { Outcome::Ok });
        }
        let ejections: Vec<u64> = pool.snapshot(ms(2_000)).members.iter().map(|member| member.ejections).collect();
        prop_assert!(ejections[0] > 0 && ejections[1..].iter().all(|count| *count == 0), "{:?}", ejections);
    }
}
