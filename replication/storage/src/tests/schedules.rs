//! Three stores under random schedules of writes, deliveries, losses, kills and torn tails. Whatever happens: stores
//! that have seen the same hold the same, at every moment; and once all have caught up, nothing acknowledged is missing.

use proptest::prelude::*;
use replication_core::{Ask, CatchUp, Delta};

use super::*;
use crate::{Offer, RealFiles, Tail, Threads};

#[derive(Debug, Clone)]
enum Step {
    /// A command at a store.
    Do(usize, Op),
    /// Deltas from one store to another, of which some at the end are lost.
    Ship(usize, usize, u8),
    /// A reconnect: what the second lacks of what the first has.
    CatchUp(usize, usize),
    Checkpoint(usize),
    /// A second passes, with its upkeep.
    Tick(usize),
    Kill(usize),
    /// A kill, after which this many bytes of the journal's end are gone.
    Tear(usize, u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = || (0..6_u8).prop_map(|n| format!("{{t}}k{n}"));
    prop_oneof![
        3 => (key(), 0..99_u8).prop_map(|(k, v)| set(&k, &v.to_string())),
        2 => key().prop_map(|k| sadd(&format!("{k}:set"), "a")),
        2 => (key(), 0..4_u8).prop_map(|(k, m)| sadd(&format!("{k}:set"), &m.to_string())),
        1 => key().prop_map(|k| del(&k)),
        1 => key().prop_map(|k| del(&format!("{k}:set"))),
        4 => (1..5_i64).prop_map(|by| incr("total", by)),
        2 => (1..5_i64).prop_map(|by| incr("{t}k1", by)),
    ]
}

fn step(tears: bool) -> impl Strategy<Value = Step> {
    let pair = || (0..3_usize, 1..3_usize).prop_map(|(from, hop)| (from, (from + hop) % 3));
    prop_oneof![
        12 => (0..3_usize, op()).prop_map(|(at, op)| Step::Do(at, op)),
        6 => (pair(), 0..3_u8).prop_map(|((from, to), lost)| Step::Ship(from, to, lost)),
        2 => pair().prop_map(|(from, to)| Step::CatchUp(from, to)),
        1 => (0..3_usize).prop_map(Step::Checkpoint),
        2 => (0..3_usize).prop_map(Step::Tick),
        1 => (0..3_usize).prop_map(Step::Kill),
        u32::from(tears) => (0..3_usize, 1..200_u64).prop_map(|(at, bytes)| Step::Tear(at, bytes)),
    ]
}

/// Three stores, and how far each has read the others' rings.
struct Trio {
    dirs: [TempDir; 3],
    stores: [Option<StateStore>; 3],
    read: [[u64; 3]; 3],
    added: i64,
    hand: Hand,
}

impl Trio {
    fn new() -> Self {
        let dirs = [TempDir::new(), TempDir::new(), TempDir::new()];
        let mut trio = Self { dirs, stores: [None, None, None], read: [[0; 3]; 3], added: 0, hand: Hand::at(NOON) };
        (0..3).for_each(|at| trio.open(at));
        trio
    }

    fn at(&self, at: usize) -> &StateStore {
        self.stores[at].as_ref().unwrap()
    }

    fn open(&mut self, at: usize) {
        let id = at as u16 + 1;
        let quiet = StoreConfig { threads: Threads::None, clock: self.hand.clock(), ..config(&self.dirs[at], id) };
        let (store, _) = open_with(quiet);
        store.set_peers(&(1..4).filter(|other| *other != id).collect::<Vec<_>>());
        let position = store.position();
        self.stores[at] = Some(store);
        // Links to a process that is gone are gone too; new ones begin with a catch-up.
        for other in (0..3).filter(|other| *other != at && self.stores[*other].is_some()) {
            self.read[at][other] = position;
            self.read[other][at] = self.at(other).position();
            self.catch_up(at, other);
            self.catch_up(other, at);
        }
    }

    fn reopen(&mut self, at: usize, torn_bytes: u64) {
        self.stores[at] = None;
        if torn_bytes > 0 {
            let journal = self.dirs[at].files("journal").pop().unwrap();
            let file = fs::OpenOptions::new().write(true).open(journal).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length.saturating_sub(torn_bytes).max(crate::journal::segment::HEADER as u64)).unwrap();
            // Cut between two records nobody would notice; a machine that stopped is noticed.
            let identity = Identity::load(&RealFiles, &self.dirs[at]).unwrap().unwrap().identity;
            Identity { boot: "another".into(), ..identity }.save(&RealFiles, &self.dirs[at]).unwrap();
        }
        self.open(at);
    }

    fn ship(&mut self, from: usize, to: usize, lost: u8) {
        match self.at(from).tail(self.read[from][to], usize::MAX) {
            Tail::Deltas { deltas, next } => {
                let arrive = deltas.len().saturating_sub(usize::from(lost));
                for delta in &deltas[..arrive] {
                    let (delta, _) = Delta::decode(&delta.bytes).unwrap().unwrap();
                    let partition = delta.partition;
                    if matches!(self.at(to).offer(delta), Offer::Gap) {
                        self.catch_up_one(from, to, partition);
                    }
                }
                self.at(to).write_pending().unwrap();
                self.read[from][to] = next;
            }
            Tail::FellOff { .. } => {
                self.read[from][to] = self.at(from).position();
                self.catch_up(from, to);
            }
        }
    }

    fn catch_up(&self, from: usize, to: usize) {
        for id in 0..self.at(to).version_vectors().len() as u16 {
            if !self.at(to).version_vector(id).dominates(&self.at(from).version_vector(id)) {
                self.catch_up_one(from, to, id);
            }
        }
    }

    fn catch_up_one(&self, from: usize, to: usize, id: u16) {
        let (from_store, to_store) = (self.at(from), self.at(to));
        let mut bytes = Vec::new();
        from_store.catch_up_since(id, &to_store.version_vector(id)).encode(&mut bytes);
        to_store.apply_catch_up(&CatchUp::decode(&bytes).unwrap().unwrap().0).unwrap();
        to_store.write_pending().unwrap();
        from_store.note_acked(to as u16 + 1, id, &to_store.version_vector(id));
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Do(at, op) => {
                if let (Ask::Text(TextOp::Incr { by }), true) = (&op.ask, op.key == b("total")) {
                    self.added += by;
                }
                run(self.at(at), &op);
            }
            Step::Ship(from, to, lost) => self.ship(from, to, lost),
            Step::CatchUp(from, to) => self.catch_up(from, to),
            Step::Checkpoint(at) => self.at(at).checkpoint().unwrap(),
            Step::Tick(at) => {
                self.hand.advance(1000);
                self.at(at).tick();
            }
            Step::Kill(at) => self.reopen(at, 0),
            Step::Tear(at, bytes) => self.reopen(at, bytes),
        }
    }

    /// Equal contexts, equal contents.
    fn agree_where_they_can(&self) {
        let digests: Vec<_> = (0..3).map(|at| self.at(at).digest()).collect();
        for (one, other) in [(0, 1), (1, 2), (2, 0)] {
            assert_eq!(digests[one].divergent(&digests[other]), Vec::<u16>::new(), "{one} and {other}");
        }
    }

    /// Everybody catches up with everybody.
    fn heal(&self) {
        for _ in 0..2 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0), (0, 1), (0, 2)] {
                self.catch_up(from, to);
            }
        }
        assert!((1..3).all(|at| self.at(at).digest() == self.at(0).digest()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stores_agree_under_any_schedule_and_counters_are_exact(steps in prop::collection::vec(step(false), 1..80)) {
        let mut trio = Trio::new();
        for step in steps {
            trio.run(step);
            trio.agree_where_they_can();
        }
        trio.heal();
        let total = get(trio.at(0), "total").map_or(0, |total| total.parse::<i64>().unwrap());
        prop_assert_eq!(total, trio.added);
    }

    #[test]
    fn stores_agree_even_if_journals_are_torn(steps in prop::collection::vec(step(true), 1..80)) {
        let mut trio = Trio::new();
        for step in steps {
            trio.run(step);
            trio.agree_where_they_can();
        }
        trio.heal();
    }
}
