//! Breakers, panic, limits, retries: tables of what happens when.

use traffic::{
    Ask, Attempt, Cause, Event, Member, NoPick, Outcome, Policy, Pool, PoolConfig, State, Upstream, UpstreamState,
    may_repeat,
};

use crate::support::{ask, end, members, ms, pool, pool_of, serve};

/// A request to a certain slot.
fn to(pool: &mut Pool, slot: u16, now: u64, outcome: Outcome) -> Result<u16, NoPick> {
    let ticket = pool.pick(ms(now), &Ask { sticky_slot: Some(slot), ..ask(now) })?;
    Ok(end(pool, ms(now), ticket, outcome))
}

fn states(pool: &Pool, now: u64) -> Vec<State> {
    pool.snapshot(ms(now)).members.iter().map(|member| member.state).collect()
}

use State::{Available as A, Ejected as E, NotReady as N, Probing as P, Ramping as R};

const REFUSED: Outcome = Outcome::Refused { retry_after: None };

/// What 40 requests to slot 0 of four, and as many to each of the others, do: one letter a request, over and over.
/// `.` ok, `5` the app failed, `4` refused, `x` broke.
fn check(slot_0: &str, others: &str, expected: State) -> Result<(), NoPick> {
    let mut pool = pool(Policy::RoundRobin, 4);
    let outcome = |letter| match letter {
        '5' => Outcome::AppError,
        '4' => REFUSED,
        'x' => Outcome::Broken,
        _ => Outcome::Ok,
    };
    for (step, (own, other)) in slot_0.chars().cycle().zip(others.chars().cycle()).take(40).enumerate() {
        let now = step as u64 * 100;
        for slot in [1, 2, 3] {
            to(&mut pool, slot, now, outcome(other))?;
        }
        // Once it is out, requests for it go elsewhere: enough is known.
        if states(&pool, now)[0] == A {
            to(&mut pool, 0, now, outcome(own))?;
        }
    }
    let got = pool.snapshot(ms(4_000)).members[0].ejections > 0;
    assert_eq!(got, expected == E, "{slot_0} beside {others}");
    Ok(())
}

#[test]
fn who_is_ejected() -> Result<(), NoPick> {
    check(".", ".", A)?;
    check("xxx.................", ".", E)?;
    check("xx.", ".", E)?; // 33 % success
    check("xx.............", ".", A)?; // never three in a row, 87 %
    check("5", ".", E)?;
    check("5.", ".", E)?;
    check("4.", ".", E)?;
    check("5555.....................................", ".", A)?; // too few
    check("5.........", ".", A)?; // 90 %
    check("5...", ".", E)?;
    check("5.", "5.", A)?; // fails everywhere
    check("5", "5", A)?;
    check("5", "5....", E)?; // nothing beside 80 %
    check("555..", "5.", A)?; // 40 % beside 50 %: not 20 points
    check("4", "4", A)?;
    Ok(())
}

#[test]
fn three_in_a_row_eject_at_once_and_an_answer_between_them_does_not() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 4);
    for outcome in [Outcome::Broken, Outcome::Broken, Outcome::AppError, Outcome::Broken, Outcome::Broken] {
        to(&mut pool, 0, 0, outcome)?;
    }
    assert_eq!(states(&pool, 0), [A, A, A, A]);
    to(&mut pool, 0, 0, Outcome::Broken)?;
    assert_eq!(states(&pool, 0), [E, A, A, A]);
    let Some(Event::Ejected { slot: 0, cause: Cause::Broken, open, .. }) = pool.next_event() else {
        anyhow::bail!("no event says so")
    };
    assert!((ms(1_000)..=ms(1_500)).contains(&open), "{open:?}");
    assert_eq!(pool.wake_at(), Some(open));
    Ok(())
}

/// A page calls a route that hangs three times at once; the worker answers everything else.
#[test]
fn requests_that_hang_together_do_not_eject_who_answers_meanwhile() -> anyhow::Result<()> {
    let slot_0 = Ask { sticky_slot: Some(0), ..ask(0) };
    for (answers, expected) in [(true, A), (false, E)] {
        let mut pool = pool(Policy::RoundRobin, 4);
        let hung = (0..3).map(|_| pool.pick(ms(0), &slot_0)).collect::<Result<Vec<_>, _>>()?;
        if answers {
            to(&mut pool, 0, 10, Outcome::Ok)?;
        }
        hung.into_iter().for_each(|ticket| pool.finish(ms(30_000), ticket, Outcome::Broken));
        assert_eq!(states(&pool, 30_000)[0], expected);
    }
    Ok(())
}

/// A request that kills whoever takes it goes on to another member: that it breaks there too blames nobody.
#[test]
fn what_broke_elsewhere_before_does_not_count() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 4);
    for _ in 0..9 {
        let ticket = pool.pick(ms(0), &Ask { sticky_slot: Some(0), tried: &[1], ..ask(0) })?;
        pool.finish(ms(0), ticket, Outcome::Broken);
    }
    assert_eq!(states(&pool, 0), [A, A, A, A]);
    Ok(())
}

#[test]
fn one_request_tries_and_decides() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 4);
    for _ in 0..3 {
        to(&mut pool, 0, 0, Outcome::Broken)?;
    }
    let due = u64::try_from(pool.wake_at().unwrap_or_default().as_millis())? + 1;
    let one = pool.pick(ms(due), &Ask { repeatable: false, ..ask(1) })?;
    assert!(!one.probe, "one that can be repeated is the better one");
    let probe = pool.pick(ms(due), &ask(2))?;
    assert!(probe.probe && probe.slot == 0);
    assert_eq!(states(&pool, due), [P, A, A, A]);
    for draw in 0..20 {
        assert_ne!(pool.pick(ms(due), &ask(draw))?.slot, 0, "one at a time");
    }
    pool.finish(ms(due + 10), probe, Outcome::Broken);
    assert_eq!(states(&pool, due + 10), [E, A, A, A]);
    let again = u64::try_from(pool.wake_at().unwrap_or_default().as_millis())? + 1;
    assert!((2_000..=3_001).contains(&(again - due - 10)), "twice as long: {}", again - due - 10);
    let probe = pool.pick(ms(again), &ask(3))?;
    pool.first_byte(ms(again + 5), &probe, Outcome::Ok);
    assert_eq!(states(&pool, again + 5), [R, A, A, A], "it answers");
    pool.finish(ms(again + 6), probe, Outcome::Broken);
    assert_eq!(states(&pool, again + 6), [E, A, A, A], "the end of the answer has a word in it");
    let last = u64::try_from(pool.wake_at().unwrap_or_default().as_millis())? + 1;
    assert!((4_000..=6_001).contains(&(last - again - 6)), "twice as long again: {}", last - again - 6);
    let probe = pool.pick(ms(last), &ask(4))?;
    pool.first_byte(ms(last), &probe, Outcome::Ok);
    pool.finish(ms(last + 1), probe, Outcome::Ok);
    assert_eq!(states(&pool, last + 1), [R, A, A, A]);
    Ok(())
}

#[test]
fn never_below_half_nor_the_last() -> anyhow::Result<()> {
    for (count, out) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (9, 4)] {
        let mut pool = pool(Policy::RoundRobin, count);
        for slot in (0..count).cycle().take(usize::from(count) * 10) {
            to(&mut pool, slot, 0, Outcome::Broken)?;
        }
        let ejected = states(&pool, 0).iter().filter(|state| **state == E).count();
        assert_eq!(ejected, out, "of {count}");
    }
    Ok(())
}

#[test]
fn panic_asks_everybody_who_was_ready_once() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 4);
    let mut list = members(4);
    list.push(Member { ready: false, ..Member::ready(4) });
    let used = |pool: &mut Pool, list: &[Member], now| {
        pool.set_members(ms(now), list);
        let mut slots: Vec<u16> = Vec::new();
        for _ in 0..20 {
            slots.push(serve(pool, ms(now), ms(0), Outcome::Ok)?);
        }
        slots.sort_unstable();
        slots.dedup();
        anyhow::Ok(slots)
    };
    list[0].ready = false;
    list[1].ready = false;
    assert_eq!(used(&mut pool, &list, 0)?, [2, 3], "half are enough");
    list[2].ready = false;
    assert_eq!(used(&mut pool, &list, 1)?, [0, 1, 2, 3], "fewer than half: all, but not the one that never was");
    list[3].ready = false;
    assert_eq!(used(&mut pool, &list, 2)?, [0, 1, 2, 3], "all sick: all");
    list[3].draining = true;
    assert_eq!(used(&mut pool, &list, 3)?, [0, 1, 2]);
    assert_eq!(states(&pool, 3), [N, N, N, State::Draining, N]);
    (0..2).for_each(|index| list[index].ready = true);
    assert_eq!(used(&mut pool, &list, 4)?, [0, 1]);
    let events: Vec<Event> = std::iter::from_fn(|| pool.next_event()).collect();
    assert_eq!(events, [Event::PanicBegan, Event::PanicEnded]);
    Ok(())
}

#[test]
fn nobody_is_there_yet() {
    let mut pool = Pool::new(PoolConfig::default());
    assert_eq!(pool.pick(ms(0), &ask(0)), Err(NoPick::NoMember));
    pool.set_members(ms(0), &[Member { ready: false, ..Member::ready(0) }]);
    assert_eq!(pool.pick(ms(0), &ask(0)), Err(NoPick::NoMember), "one that starts is no use, not even in panic");
}

#[test]
fn limits_and_what_they_say() -> anyhow::Result<()> {
    let mut config = PoolConfig::default();
    config.in_flight.per_member = Some(2);
    config.in_flight.total = Some(5);
    let mut pool = pool_of(config, 2);
    let mut tickets = (0..4).map(|draw| pool.pick(ms(0), &ask(draw))).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(pool.pick(ms(0), &ask(9)), Err(NoPick::MembersFull));
    pool.set_members(ms(0), &members(3));
    tickets.push(pool.pick(ms(0), &ask(9))?);
    assert_eq!(pool.pick(ms(0), &ask(9)), Err(NoPick::PoolFull));
    tickets.into_iter().for_each(|ticket| pool.finish(ms(1), ticket, Outcome::Ok));
    assert_eq!(pool.pick(ms(1), &Ask { tried: &[0, 1, 2], ..ask(0) }), Err(NoPick::AllTried));
    assert_eq!(pool.snapshot(ms(1)).in_flight, 0);
    Ok(())
}

/// Who left the list is counted until its last request is over, and its place is used again after that.
#[test]
fn who_leaves_is_counted_to_the_end() -> anyhow::Result<()> {
    let mut pool = pool(Policy::RoundRobin, 1);
    let ticket = pool.pick(ms(0), &ask(0))?;
    pool.set_members(ms(1), &[Member { life: 50, ..Member::ready(0) }]);
    assert_eq!((pool.in_flight(0), pool.in_flight(50)), (1, 0));
    assert_eq!(pool.snapshot(ms(1)).members[1].state, State::Leaving);
    assert_eq!(pool.pick(ms(1), &ask(0))?.life, 50);
    pool.first_byte(ms(2), &ticket, Outcome::Ok);
    pool.finish(ms(3), ticket, Outcome::Ok);
    assert_eq!(pool.in_flight(0), 0);
    assert_eq!(pool.snapshot(ms(3)).members.len(), 1);
    pool.set_members(ms(4), &[Member { life: 50, ..Member::ready(0) }, Member { life: 51, ..Member::ready(1) }]);
    assert_eq!(pool.in_flight(50), 1, "untouched by the place that is used again");
    Ok(())
}

/// What breaks costs five seconds. So does what fails where others do not, or as long as it asked for; never less than
/// was known.
#[test]
fn failures_are_dear() -> anyhow::Result<()> {
    let after = Outcome::Refused { retry_after: Some(ms(20_000)) };
    for (others, outcome, expected) in [
        (Outcome::Ok, Outcome::Ok, 30),
        (Outcome::Ok, Outcome::Cancelled, 30),
        (Outcome::Ok, Outcome::Broken, 5_000),
        (Outcome::Broken, Outcome::Broken, 5_000),
        (Outcome::Ok, Outcome::AppError, 5_000),
        (Outcome::Ok, REFUSED, 5_000),
        (Outcome::Ok, Outcome::Refused { retry_after: Some(ms(1_000)) }, 5_000),
        (Outcome::Ok, after, 20_000),
        (Outcome::Ok, Outcome::Refused { retry_after: Some(ms(9_000_000)) }, 300_000),
        (Outcome::AppError, Outcome::AppError, 30),
        (Outcome::AppError, after, 30),
    ] {
        let mut pool = pool(Policy::Ewma, 4);
        for _ in 0..4 {
            (1..4).try_for_each(|slot| to(&mut pool, slot, 0, others).map(drop))?;
            to(&mut pool, 0, 0, outcome)?;
        }
        assert_eq!(pool.snapshot(ms(0)).members[0].rtt, ms(expected), "{outcome:?} beside {others:?}");
    }
    let mut pool = pool(Policy::Ewma, 1);
    let tickets = (0..3).map(|draw| pool.pick(ms(0), &ask(draw))).collect::<Result<Vec<_>, _>>()?;
    for (ticket, outcome) in tickets.into_iter().zip([Outcome::Cancelled, Outcome::Broken, Outcome::AppError]) {
        pool.finish(ms(8_000), ticket, outcome);
        assert_eq!(pool.snapshot(ms(8_000)).members[0].rtt, ms(8_000), "it took 8 s at least");
    }
    Ok(())
}

/// One error now and then, anywhere, changes nothing: the others are not to carry its member's share for it.
#[test]
fn a_rare_error_costs_nobody_its_share() -> anyhow::Result<()> {
    let mut pool = pool(Policy::Ewma, 2);
    let mut counts = [0_u32; 2];
    for step in 0..2_000 {
        let ticket = pool.pick(ms(step * 10), &ask(step))?;
        counts[usize::from(ticket.slot)] += 1;
        end(&mut pool, ms(step * 10 + 8), ticket, if step % 97 == 0 { Outcome::AppError } else { Outcome::Ok });
    }
    assert!(counts.iter().all(|count| *count > 700), "{counts:?}");
    Ok(())
}

#[test]
fn an_upstream_has_a_breaker_of_its_own() -> anyhow::Result<()> {
    let config = PoolConfig { upstream: Some(Upstream::default()), ..PoolConfig::default() };
    let mut pool = pool_of(config, 2);
    for step in 0..20 {
        serve(&mut pool, ms(step), ms(0), Outcome::AppError)?;
    }
    assert!(matches!(pool.pick(ms(30), &ask(1)), Err(NoPick::Open { retry_after }) if retry_after > ms(4_900)));
    assert_eq!(pool.next_event(), Some(Event::UpstreamOpened));
    assert_eq!(pool.snapshot(ms(30)).in_flight, 0);
    let due = pool.wake_at().unwrap_or_default();
    for _ in 0..3 {
        serve(&mut pool, due, ms(1), Outcome::Ok)?;
    }
    assert!((0..1_000).any(|draw| serve(&mut pool, due + ms(9_000) + ms(draw), ms(0), Outcome::Ok).is_ok()));
    Ok(())
}

/// A probe may be the beginning of a WebSocket or of an event stream: who waits for its end waits for hours.
#[test]
fn a_probe_is_over_when_its_answer_begins() -> anyhow::Result<()> {
    let config = PoolConfig { upstream: Some(Upstream::default()), ..PoolConfig::default() };
    let mut pool = pool_of(config, 1);
    for step in 0..20 {
        serve(&mut pool, ms(step), ms(0), Outcome::AppError)?;
    }
    let due = pool.wake_at().unwrap_or_default();
    let streams = (0..3).map(|draw| pool.pick(due, &ask(draw))).collect::<Result<Vec<_>, _>>()?;
    for ticket in &streams {
        pool.first_byte(due, ticket, Outcome::Ok);
    }
    assert_eq!(pool.snapshot(due).upstream, Some(UpstreamState::Ramping { since: due }), "none of them has ended");

    let mut pool = self::pool(Policy::RoundRobin, 2);
    for step in 0..3 {
        to(&mut pool, 0, step, Outcome::Broken)?;
    }
    let due = pool.wake_at().unwrap_or_default();
    let probe = pool.pick(due, &ask(1))?;
    assert_eq!((probe.slot, probe.probe), (0, true));
    pool.first_byte(due, &probe, Outcome::Ok);
    assert!(matches!(pool.snapshot(due).members[0].state, State::Ramping), "it answers");
    pool.finish(due + ms(60_000), probe, Outcome::Broken);
    let now = pool.snapshot(due + ms(60_000)).members[0];
    assert_eq!((now.state, now.success_rate), (State::Available, Some(0.0)), "a minute later the end is as any other");
    Ok(())
}

#[test]
fn what_may_be_sent_again() {
    for bits in 0..32 {
        let bit = |place: u8| bits & (1 << place) != 0;
        let attempt = Attempt {
            idempotent: bit(0),
            bytes_sent: bit(1),
            idempotency_key: bit(2),
            replay_buffered: bit(3),
            unanswered: 1 + u32::from(bit(4)),
        };
        let harmless_twice = attempt.idempotent || attempt.idempotency_key;
        let may = harmless_twice && attempt.replay_buffered && attempt.unanswered < 2;
        let expected = if attempt.bytes_sent { may } else { true };
        assert_eq!(may_repeat(attempt), expected, "{attempt:?}");
    }
}
