//! Counters against their law, told without dots: of all increments a region has heard of, those count that no reset it has heard
//! of had seen.

use proptest::prelude::*;
use replication_core::{Dot, Hlc, Inbox, Offered, VersionVector};

use crate::support::{Region, START_MS, parse, show};

const REGIONS: usize = 3;

/// What happened, and what its region had seen when it did.
struct Event {
    dot: Dot,
    hlc: Hlc,
    seen: VersionVector,
    what: What,
}

enum What {
    Add(i64),
    Set(i64),
    Reset,
    Nothing,
}

struct World {
    regions: Vec<Region>,
    inboxes: Vec<Inbox>,
    sent: [[usize; REGIONS]; REGIONS],
    events: Vec<Event>,
    command: fn(&What) -> String,
}

impl World {
    fn act(&mut self, region: usize, what: What) {
        let seen = self.regions[region].partition.vv().clone();
        let made = self.regions[region].made.len();
        match what {
            What::Nothing => self.regions[region].housekeeping(START_MS, 10),
            _ => {
                let command = (self.command)(&what);
                self.regions[region].run(&command, START_MS);
            }
        }
        if let Some(delta) = self.regions[region].made.get(made) {
            let dot = Dot { replica: delta.replica, seq: delta.last_seq() };
            self.events.push(Event { dot, hlc: delta.hlc, seen, what });
        }
    }

    /// Delivery in causal order, as links do it.
    fn deliver(&mut self, from: usize, to: usize) {
        let Some(delta) = self.regions[from].made.get(self.sent[from][to]).cloned() else { return };
        self.sent[from][to] += 1;
        let Self { regions, inboxes, .. } = self;
        let partition = &mut regions[to].partition;
        assert_eq!(inboxes[to].offer(0, delta, partition.vv()), Offered::Taken);
        while let Some(ready) = inboxes[to].next_ready(0, partition.vv()) {
            assert!(!ready.late);
            partition.merge(&ready.delta);
        }
    }

    /// What the law says the counter reads as in a region.
    fn expected(&self, region: usize) -> String {
        let vv = self.regions[region].partition.vv();
        let heard = || self.events.iter().filter(|event| vv.covers(event.dot));
        let is_reset = |event: &&Event| matches!(event.what, What::Set(_) | What::Reset);
        let stands = |event: &&Event| !heard().filter(is_reset).any(|reset| reset.seen.covers(event.dot));
        let register = heard()
            .filter(stands)
            .filter_map(|event| if let What::Set(n) = event.what { Some((event.hlc, event.dot, n)) } else { None })
            .max();
        let added: Vec<i64> = heard()
            .filter(stands)
            .filter_map(|event| if let What::Add(n) = event.what { Some(n) } else { None })
            .collect();
        if register.is_none() && added.is_empty() {
            return "nil".to_owned();
        }
        (register.map_or(0, |register| register.2) + added.iter().sum::<i64>()).to_string()
    }
}

fn run(steps: Vec<(u8, usize, usize, i64)>, command: fn(&What) -> String, question: &str) {
    let regions = (0..REGIONS).map(Region::new).collect();
    let inboxes = (0..REGIONS).map(|_| Inbox::default()).collect();
    let mut world = World { regions, inboxes, sent: [[0; REGIONS]; REGIONS], events: Vec::new(), command };
    let ask = |world: &mut World, region: usize| show(world.regions[region].read(&parse(question), START_MS));
    for (which, region, hop, n) in steps {
        match which {
            0..=3 => world.act(region, What::Add(n)),
            4 => world.act(region, What::Reset),
            5 => world.act(region, What::Set(n * 100)),
            6 => world.act(region, What::Nothing),
            _ => world.deliver(region, (region + hop) % REGIONS),
        }
        for region in 0..REGIONS {
            assert_eq!(ask(&mut world, region), world.expected(region), "region {region}");
        }
    }
    settle(&mut world);
    for region in 0..REGIONS {
        assert_eq!(ask(&mut world, region), world.expected(region), "region {region} in the end");
        let explained = world.regions[region].partition.explain(b"k", START_MS);
        let floors = explained.into_iter().flat_map(|explained| explained.parts).filter(|part| part.kind == "floor");
        assert_eq!(floors.count(), 0, "floors are settled once everybody is there");
    }
}

/// Delivers and settles until nobody has anything to say.
fn settle(world: &mut World) {
    loop {
        let before: usize = world.regions.iter().map(|region| region.made.len()).sum();
        for _ in 0..200 {
            for from in 0..REGIONS {
                for hop in 1..REGIONS {
                    world.deliver(from, (from + hop) % REGIONS);
                }
            }
        }
        (0..REGIONS).for_each(|region| world.act(region, What::Nothing));
        if world.regions.iter().map(|region| region.made.len()).sum::<usize>() == before {
            return;
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(u8, usize, usize, i64)>> {
    prop::collection::vec((0..16u8, 0..REGIONS, 1..REGIONS, -9..10i64), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Invariant 4: the sum of the acknowledged increments, minus observed resets.
    #[test]
    fn a_counter_is_the_sum_of_the_increments_no_reset_has_seen(steps in steps()) {
        let command = |what: &What| match what {
            What::Add(n) => format!("INCRBY k {n}"),
            What::Set(n) => format!("SET k {n}"),
            What::Reset | What::Nothing => "DEL k".to_owned(),
        };
        run(steps, command, "GET k");
    }

    #[test]
    fn so_is_a_counter_in_a_hash(steps in steps()) {
        let command = |what: &What| match what {
            What::Add(n) => format!("HINCRBY k f {n}"),
            What::Set(n) => format!("HSET k f {n}"),
            What::Reset | What::Nothing => "HDEL k f".to_owned(),
        };
        run(steps, command, "HGET k f");
    }
}

#[test]
fn a_fold_that_is_concurrent_with_a_delete_does_not_bring_the_key_back() {
    let mut regions: Vec<Region> = (0..3).map(Region::new).collect();
    let (a, b, c) = (0, 1, 2);
    regions[b].run("INCRBY k 5", START_MS);
    crate::support::sync(&mut regions);
    regions[a].run("DEL k", START_MS); // leaves a floor for B, who …
    regions[b].run("INCR k", START_MS); // … goes on meanwhile
    crate::support::sync(&mut regions);
    assert_eq!(regions[c].run("GET k", START_MS), "1");
    regions[b].housekeeping(START_MS, 10); // B folds its floor away
    regions[c].run("DEL k", START_MS); // while C, not knowing, deletes again
    crate::support::sync(&mut regions);
    regions[b].housekeeping(START_MS, 10);
    crate::support::sync(&mut regions);
    for region in &mut regions {
        assert_eq!(region.run("EXISTS k", START_MS), "0");
        assert_eq!(region.partition.len(), 0, "nothing is left behind");
    }
}
