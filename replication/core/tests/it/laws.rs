//! The law everything rests on, under everything that can happen to deltas: the live elements of a partition are exactly the
//! puts of the deltas in its context, minus what those deltas remove.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use replication_core::{CatchUp, Delta, Dot, Merged, Part, Partition, Value, VersionVector};

use crate::support::{Region, START_MS, parse, remove_wins, replica, show};

const REGIONS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A client's command, at a region whose clock is off by so much.
    Command {
        region: usize,
        command: String,
        skew_ms: u64,
    },
    /// The next delta of `from` that `to` lacks; whether or not what it needs is there.
    Deliver {
        from: usize,
        to: usize,
    },
    /// An old delta again.
    Repeat {
        from: usize,
        to: usize,
        nth: prop::sample::Index,
    },
    /// A delta beyond the next one: must be refused.
    Skip {
        from: usize,
        to: usize,
    },
    /// `to` asks and gets an answer at once, from any region: also one that only relays. It may be taken to have nothing of
    /// some replicas, those whose bit is set in `silent`, though it has: saying less than the truth must be safe.
    CatchUp {
        from: usize,
        to: usize,
        silent: u8,
    },
    /// `to` asks; the answer stays under way.
    Ask {
        from: usize,
        to: usize,
        silent: u8,
    },
    /// An answer that was under way arrives.
    Answer {
        nth: prop::sample::Index,
    },
    /// The region restarts from a checkpoint.
    Restart {
        region: usize,
    },
    /// Removals that everybody has confirmed are forgotten; or all of them, as when the log was full.
    Prune {
        region: usize,
        all: bool,
    },
    Housekeeping {
        region: usize,
        budget: usize,
    },
    Later {
        ms: u64,
    },
}

fn command() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["k", "l"]);
    let text = prop::sample::select(vec!["1", "5", "x", "a-text-too-long-to-lie-inside-its-slot"]);
    let name = prop::sample::select(vec!["a", "b", "c"]);
    (key, text, name, 0..48u8, -3..5i64).prop_map(|(key, text, name, which, n)| match which {
        0 => format!("SET {key} {text}"),
        1 => format!("SET {key} {text} PX {}", n.unsigned_abs() * 1000 + 1),
        2 => format!("SET {key} {text} KEEPTTL"),
        3 | 4 => format!("DEL {key}"),
        5 | 6 => format!("INCRBY {key} {n}"),
        7 => format!("PEXPIRE {key} {}", n * 1000),
        8 => format!("PERSIST {key}"),
        9 => format!("HSET {key} {name} {text}"),
        10 | 11 => format!("HINCRBY {key} {name} {n}"),
        12 => format!("HDEL {key} {name} b"),
        13 => format!("SADD {key} {name} c"),
        14 => format!("SREM {key} {name} c"),
        15 => format!("GETDEL {key}"),
        16 => format!("LPUSH {key} {text} {name}"),
        17 => format!("RPUSH {key} {text} {name}"),
        18 => format!("LSET {key} {n} {text}"),
        19 => format!("LINSERT {key} {} {name} {text}", if n < 0 { "BEFORE" } else { "AFTER" }),
        20 => format!("LREM {key} {n} {name}"),
        21 => format!("LTRIM {key} {n} -2"),
        22 => format!("LMOVE {key} {} {} RIGHT", if n < 0 { "k" } else { "l" }, if n == 0 { "RIGHT" } else { "LEFT" }),
        24 => format!("ZADD {key} {n} {name}"),
        25 => format!("ZADD {key} {n}.5 {name} 1e300 c"),
        26 => format!("ZINCRBY {key} {n} {name}"),
        27 => format!("ZINCRBY {key} {n}.1 {name}"),
        28 => format!("ZREM {key} {name} b"),
        29 => format!("ZPOPMIN {key}"),
        30 => format!("ZREMRANGEBYSCORE {key} {n} +inf"),
        31 => format!("ZUNIONSTORE {key} 2 k l WEIGHTS 1 {n}"),
        32 => format!("ZRANGESTORE {key} k 0 1 REV"),
        33 => format!("RPOP {key}"),
        34 => format!("RENAME {key} {}", if n > 0 { "k" } else { "l" }),
        35 => format!("COPY {key} {} REPLACE", if n > 0 { "k" } else { "l" }),
        36 => format!("SPOP {key} {}", n.unsigned_abs()),
        37 => format!("SMOVE k l {name}"),
        38 => format!("SUNIONSTORE {key} k l"),
        39 => format!("SDIFFSTORE {key} k l"),
        40 => format!("HPEXPIRE {key} {} {name} b", n.unsigned_abs() * 1000),
        41 => format!("HPERSIST {key} {name}"),
        42 => format!("HSETEX {key} EX {} {name} {text}", n.unsigned_abs()),
        43 => format!("HINCRBYFLOAT {key} {name} {n}.5"),
        44 => format!("HGETDEL {key} {name}"),
        45 => format!("HSETEX {key} KEEPTTL {name} {text} c {text}"),
        46 => format!("SREM {key} {name}"),
        _ => format!("DEL {key}"),
    })
}

/// Commands that write strings as a whole, count fractions, and sketches.
fn string_command() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["k", "l"]);
    let text = prop::sample::select(vec!["1", "x", "a-text-too-long-to-lie-inside-its-slot"]);
    (key, text, 0..8u8, -3..5i64).prop_map(|(key, text, which, n)| match which {
        0 => format!("INCRBYFLOAT {key} {n}.25"),
        1 => format!("APPEND {key} {text}"),
        2 => format!("SETBIT {key} 9 {}", n & 1),
        3 => format!("BITOP OR {key} k l"),
        4 => format!("MSET {key} {text} l {n}"),
        5 | 6 => format!("PFADD {key} a {n}"),
        _ => format!("PFMERGE {key} k l"),
    })
}

fn silent() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0), 1 => 0..8u8]
}

fn step() -> impl Strategy<Value = Step> {
    let region = 0..REGIONS;
    let pair = (0..REGIONS, 1..REGIONS).prop_map(|(from, hop)| (from, (from + hop) % REGIONS));
    prop_oneof![
        8 => (region.clone(), prop_oneof![4 => command(), 1 => string_command()], 0..3000u64)
            .prop_map(|(region, command, skew_ms)| Step::Command { region, command, skew_ms }),
        8 => pair.clone().prop_map(|(from, to)| Step::Deliver { from, to }),
        1 => (pair.clone(), any::<prop::sample::Index>()).prop_map(|((from, to), nth)| Step::Repeat { from, to, nth }),
        1 => pair.clone().prop_map(|(from, to)| Step::Skip { from, to }),
        2 => (pair.clone(), silent()).prop_map(|((from, to), silent)| Step::CatchUp { from, to, silent }),
        2 => (pair, silent()).prop_map(|((from, to), silent)| Step::Ask { from, to, silent }),
        2 => any::<prop::sample::Index>().prop_map(|nth| Step::Answer { nth }),
        1 => region.clone().prop_map(|region| Step::Restart { region }),
        1 => (region.clone(), any::<bool>()).prop_map(|(region, all)| Step::Prune { region, all }),
        2 => (region, 0..4usize).prop_map(|(region, budget)| Step::Housekeeping { region, budget }),
        1 => prop_oneof![9 => 0..100_000u64, 1 => Just(90_000_000)].prop_map(|ms| Step::Later { ms }),
    ]
}

struct World {
    regions: Vec<Region>,
    under_way: Vec<(usize, CatchUp)>,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let mut regions: Vec<Region> = (0..REGIONS).map(Region::new).collect();
        // One region has other rules than the others: they decide what it writes, never what anybody reads.
        regions[1].partition.set_rules(remove_wins(""));
        Self { regions, under_way: Vec::new(), now_ms: START_MS }
    }

    fn vv(&self, region: usize) -> VersionVector {
        self.regions[region].partition.vv().clone()
    }

    /// What a region says that it has, silent about some replicas.
    fn said(&self, region: usize, silent: u8) -> VersionVector {
        let said = |replica: &(replication_core::ReplicaId, u64)| {
            (0..REGIONS).all(|at| silent & 1 << at == 0 || self::replica(at) != replica.0)
        };
        self.vv(region).iter().filter(said).collect()
    }

    fn lacking(&self, from: usize, to: usize) -> Vec<Delta> {
        let have = self.regions[to].partition.vv().get(replica(from));
        self.regions[from].made.iter().filter(|delta| delta.first_seq > have).cloned().collect()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Command { region, command, skew_ms } => {
                let wall_ms = self.now_ms + skew_ms;
                self.regions[*region].execute(&parse(command), wall_ms);
            }
            Step::Deliver { from, to } => {
                if let Some(delta) = self.lacking(*from, *to).first() {
                    assert_eq!(self.regions[*to].partition.merge(delta), Merged::Applied);
                }
            }
            Step::Repeat { from, to, nth } => {
                let made = &self.regions[*from].made;
                if made.is_empty() {
                    return;
                }
                let delta = nth.get(made).clone();
                if self.regions[*to].partition.vv().get(replica(*from)) >= delta.last_seq() {
                    let before = self.regions[*to].partition.digest();
                    assert_eq!(self.regions[*to].partition.merge(&delta), Merged::Duplicate);
                    assert_eq!(self.regions[*to].partition.digest(), before);
                }
            }
            Step::Skip { from, to } => {
                if let Some(delta) = self.lacking(*from, *to).get(1) {
                    assert!(matches!(self.regions[*to].partition.merge(delta), Merged::Gap { .. }));
                }
            }
            Step::CatchUp { from, to, silent } => {
                let answer = self.regions[*from].partition.catch_up_since(&self.said(*to, *silent));
                self.answer(*to, &answer);
            }
            Step::Ask { from, to, silent } => {
                let answer = self.regions[*from].partition.catch_up_since(&self.said(*to, *silent));
                self.under_way.push((*to, answer));
            }
            Step::Answer { nth } => {
                if !self.under_way.is_empty() {
                    let (to, answer) = self.under_way.swap_remove(nth.index(self.under_way.len()));
                    self.answer(to, &answer);
                }
            }
            Step::Restart { region } => {
                let mut state = Vec::new();
                self.regions[*region].partition.encode_state(&mut state);
                let (restored, taken) = Partition::decode_state(&state, replica(*region)).unwrap();
                assert_eq!(taken, state.len());
                self.regions[*region].partition = restored;
                if *region == 1 {
                    self.regions[1].partition.set_rules(remove_wins(""));
                }
            }
            Step::Prune { region, all } => {
                let shared = (0..REGIONS).map(|region| self.vv(region)).reduce(|a, b| a.meet(&b)).unwrap();
                let acked = if *all { self.vv(*region) } else { shared };
                self.regions[*region].partition.prune_removals(&acked);
            }
            Step::Housekeeping { region, budget } => {
                let now_ms = self.now_ms;
                self.regions[*region].housekeeping(now_ms, *budget);
            }
            Step::Later { ms } => self.now_ms += ms,
        }
    }

    fn answer(&mut self, to: usize, answer: &CatchUp) {
        let mut frame = Vec::new();
        answer.encode(&mut frame);
        let (answer, _) = CatchUp::decode(&frame).unwrap().unwrap();
        self.regions[to].partition.apply_catch_up(&answer).unwrap();
    }

    /// What the law says is live in a context.
    fn live(&self, vv: &VersionVector) -> BTreeMap<Dot, (Bytes, Part, Value)> {
        let mut puts = BTreeMap::new();
        let mut gone = BTreeSet::new();
        let covered = |delta: &&Delta| delta.last_seq() <= vv.get(delta.replica);
        for delta in self.regions.iter().flat_map(|region| &region.made).filter(covered) {
            let mut seq = delta.first_seq;
            for change in &delta.changes {
                gone.extend(change.removes.iter().copied());
                if let Some(value) = &change.put {
                    let place = (change.key.clone(), change.part.clone(), value.clone());
                    puts.insert(Dot { replica: delta.replica, seq }, place);
                    seq += 1;
                }
            }
        }
        puts.retain(|dot, _| !gone.contains(dot));
        puts
    }

    fn check(&mut self) {
        for region in 0..REGIONS {
            let held = self.regions[region].partition.catch_up_since(&VersionVector::new());
            let held: BTreeMap<_, _> =
                held.puts.into_iter().map(|put| (put.dot, (put.key, put.part, put.value))).collect();
            assert_eq!(held, self.live(&self.vv(region)), "region {region} at {}", self.vv(region));
        }
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            if self.vv(a) == self.vv(b) {
                assert_eq!(self.regions[a].partition.digest(), self.regions[b].partition.digest());
                assert_eq!(self.replies(a), self.replies(b));
            }
        }
    }

    fn replies(&mut self, region: usize) -> Vec<String> {
        let questions = [
            "TYPE", "GET", "PTTL", "HGETALL", "HLEN", "SMEMBERS", "SCARD", "LLEN", "LRANGE", "ZCARD", "ZRANGE",
            "PFCOUNT",
        ];
        let asked = ["k", "l"].into_iter().flat_map(|key| {
            questions.map(|question| match question {
                "LRANGE" | "ZRANGE" => format!("{question} {key} 0 -1"),
                _ => format!("{question} {key}"),
            })
        });
        let now_ms = self.now_ms;
        asked.map(|question| show(self.regions[region].read(&parse(&question), now_ms))).collect()
    }

    fn heal(&mut self) {
        for _ in 0..2 {
            for to in 0..REGIONS {
                for from in 0..REGIONS {
                    for delta in self.lacking(from, to) {
                        self.regions[to].partition.merge(&delta);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Invariants 1, 2 and 3: equal contexts, equal elements, whatever came twice, late, in pieces or by another region.
    #[test]
    fn state_is_a_function_of_the_context(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.heal();
        world.check();
        let digests: BTreeSet<u64> = world.regions.iter().map(|region| region.partition.digest()).collect();
        prop_assert_eq!(digests.len(), 1);
        let early: usize = world.regions.iter().map(|region| region.partition.stats().early).sum();
        prop_assert_eq!(early, 0, "nothing is remembered for what everybody has");
    }

    /// Invariant 1: joins are commutative and associative.
    #[test]
    fn any_order_that_keeps_each_replicas_own_gives_the_same_state(
        commands in prop::collection::vec((0..REGIONS, prop_oneof![4 => command(), 1 => string_command()]), 1..40),
        choices in prop::collection::vec(0..REGIONS, 200),
    ) {
        let mut world = World::new();
        for (region, command) in &commands {
            world.take(&Step::Command { region: *region, command: command.clone(), skew_ms: 0 });
        }
        let mut listener = Partition::new(7, replica(REGIONS));
        for from in choices.into_iter().chain((0..REGIONS).flat_map(|from| [from; 40])) {
            let next = listener.vv().get(replica(from));
            if let Some(delta) = world.regions[from].made.iter().find(|delta| delta.first_seq > next) {
                prop_assert_eq!(listener.merge(delta), Merged::Applied);
            }
        }
        world.heal();
        prop_assert_eq!(listener.vv(), world.regions[0].partition.vv());
        prop_assert_eq!(listener.digest(), world.regions[0].partition.digest());
    }
}
