//! A thousand followers after a long cut, in virtual time: what their coming back costs the leader.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use plane_client::turnstile::Turnstile;

use crate::{Timings, backoff::Backoff};

const FOLLOWERS: usize = 1000;
const SECOND: u64 = 1000;

/// What things cost a member, in signs of life: a Plan of some kilobytes is made once and only written; a handshake is the
/// arithmetic of a signature.
const ALIVE: u64 = 1;
const PLAN: u64 = 10;
const HANDSHAKE: u64 = 5;
const TURNED_AWAY: u64 = 1;

/// A sign of life a second, and a tenth of a Plan.
const STEADY: u64 = FOLLOWERS as u64 * (ALIVE + PLAN / 10);

struct Herd {
    turnstile: Turnstile,
    cost_by_second: Vec<u64>,
    /// When the last one was back, milliseconds after the heal.
    all_back_ms: u64,
}

/// Lets followers fail for `cut_ms`, then answers them for a minute.
fn heal_after(cut_ms: u64, seed: u64) -> Herd {
    let timings = Timings::default();
    let mut luck = fastrand::Rng::with_seed(seed);
    let mut backoffs: Vec<_> = (0..FOLLOWERS).map(|_| Backoff::new(timings.pause_least, timings.pause_most)).collect();
    // All lose their streams in one moment, and an attempt in the cut fails at once: nothing but their pauses scatters them.
    let mut due: BinaryHeap<_> = (0..FOLLOWERS).map(|who| Reverse((0u64, who))).collect();
    let mut herd = Herd { turnstile: Turnstile::new(0), cost_by_second: vec![0; 60], all_back_ms: 0 };
    while let Some(Reverse((at_ms, who))) = due.pop() {
        if at_ms < cut_ms || !herd.comes(at_ms - cut_ms) {
            let pause = backoffs[who].next(luck.f64());
            due.push(Reverse((at_ms + pause.as_millis() as u64, who)));
        }
    }
    herd
}

impl Herd {
    /// A follower tries `after_ms` the heal. True if it is let in; then what it costs from there on is counted too.
    fn comes(&mut self, after_ms: u64) -> bool {
        self.cost(after_ms, HANDSHAKE);
        if !self.turnstile.admit(after_ms) {
            self.cost(after_ms, TURNED_AWAY);
            return false;
        }
        for tick in 0..60 {
            let plan_too = if tick % 10 == 0 { PLAN } else { 0 };
            self.cost(after_ms + tick * SECOND, ALIVE + plan_too);
        }
        self.all_back_ms = self.all_back_ms.max(after_ms);
        true
    }

    fn cost(&mut self, at_ms: u64, cost: u64) {
        if let Some(second) = self.cost_by_second.get_mut((at_ms / SECOND) as usize) {
            *second += cost;
        }
    }

    fn check(&self, what: &str) {
        let worst = self.cost_by_second.iter().max().unwrap();
        assert!(*worst <= 2 * STEADY, "{what}: {worst} in a second, steady is {STEADY}");
        // The longest pause, and time to be turned away once or twice.
        let bound = 3 * Timings::default().pause_most.as_millis() as u64;
        assert!(self.all_back_ms <= bound, "{what}: the last one was back after {} ms", self.all_back_ms);
    }
}

/// INVARIANT: recovery does not stampede: reconnect of all followers after an hour costs the leader at most twice its steady load.
#[test]
fn a_thousand_followers_after_an_hours_cut_cost_the_leader_at_most_twice_its_steady_load() {
    heal_after(3600 * SECOND, 0).check("an hour");
    // Pauses are at their longest after ten seconds or so; beyond that an hour differs from half a minute in nothing.
    for seed in 1..1000 {
        heal_after(30 * SECOND, seed).check(&format!("seed {seed}"));
    }
}

#[test]
fn without_scattered_pauses_they_would_stampede() {
    let mut herd = Herd { turnstile: Turnstile::new(0), cost_by_second: vec![0; 60], all_back_ms: 0 };
    let admitted = (0..FOLLOWERS).filter(|_| herd.comes(0)).count();
    assert_eq!(admitted as u64, Turnstile::BURST, "the rest is turned away");
    assert!(herd.cost_by_second[0] > 2 * STEADY, "this test would notice: {}", herd.cost_by_second[0]);
}

#[test]
fn after_a_short_cut_a_follower_is_back_in_a_moment() {
    let timings = Timings::default();
    for seed in 0..1000 {
        let mut luck = fastrand::Rng::with_seed(seed);
        let mut backoff = Backoff::new(timings.pause_least, timings.pause_most);
        let first_three: Duration = (0..3).map(|_| backoff.next(luck.f64())).sum();
        assert!(first_three <= Duration::from_millis(1400), "seed {seed}: {first_three:?}");
    }
}
