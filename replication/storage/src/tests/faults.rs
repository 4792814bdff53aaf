//! Everything that can go wrong with a disk, at every single call of a life that uses all of the store. Afterwards:
//! nothing acknowledged is lost at its level, no delete is undone, no name stands for two histories, and whatever went
//! wrong for a while heals unaided.

use std::collections::BTreeMap;

use replication_core::Delta;

use super::{
    disk::{Disk, Fault, Lost},
    *,
};
use crate::{Durability, Luck, Offer, Tail, Threads};

/// What clients of the region have tried and what was acknowledged.
#[derive(Debug, Default)]
struct Clients {
    /// Per key, the value of the last acknowledged command (`None`: deleted or never set) and of every one tried since.
    keys: BTreeMap<String, Vec<Option<String>>>,
    /// Increments acknowledged, and increments tried.
    counted: (i64, i64),
}

impl Clients {
    fn put(&mut self, life: &Life, key: &str, value: Option<&str>) {
        let op = value.map_or_else(|| del(key), |value| set(key, value));
        let states = self.keys.entry(key.into()).or_insert_with(|| vec![None]);
        states.push(value.map(String::from));
        if life.acknowledged(&op) {
            states.drain(..states.len() - 1);
        }
    }

    fn count(&mut self, life: &Life, by: i64) {
        self.counted.1 += by;
        if life.acknowledged(&incr("count", by)) {
            self.counted.0 += by;
        }
    }

    fn check(&self, store: &StateStore, what: &str) {
        for (key, may_be) in &self.keys {
            let is = get(store, key);
            assert!(may_be.contains(&is), "{what}: {key} is {is:?}, it may be {may_be:?}");
        }
        let count = get(store, "count").map_or(0, |count| count.parse::<i64>().unwrap());
        let (least, most) = self.counted;
        assert!((least..=most).contains(&count), "{what}: {count} counted, {least} acknowledged, {most} tried");
    }
}

/// A region on a disk, its peer on a good one, and all that was ever said between them.
struct Life {
    disk: Disk,
    hand: Hand,
    durability: Durability,
    store: Option<StateStore>,
    peer: StateStore,
    read: u64,
    heard: u64,
    said: BTreeMap<(u16, replication_core::ReplicaId, u64), Bytes>,
    luck: Luck,
}

impl Life {
    fn new(durability: Durability) -> Self {
        let (hand, luck) = (Hand::at(NOON), Luck::seeded(1));
        let quiet = StoreConfig { threads: Threads::None, clock: hand.clock(), ..config(Path::new("/peer"), 2) };
        let peer = open_with(StoreConfig { files: Arc::new(Disk::default()), luck: Luck::seeded(2), ..quiet }).0;
        peer.set_peers(&[1]);
        let disk = Disk::default();
        Self { disk, hand, durability, store: None, peer, read: 0, heard: 0, said: BTreeMap::new(), luck }
    }

    /// Opens the region's store unless it is open; false if that fails.
    fn open(&mut self) -> bool {
        if self.store.is_some() {
            return true;
        }
        let config = StoreConfig {
            files: Arc::new(self.disk.clone()),
            threads: Threads::None,
            clock: self.hand.clock(),
            durability: self.durability,
            luck: self.luck.clone(),
            segment_bytes: 700,
            checkpoint_bytes: 2500,
            ..config(Path::new("/state"), 1)
        };
        match StateStore::open(config) {
            Ok((store, _)) => {
                store.set_peers(&[2]);
                (self.read, self.heard) = (store.position(), self.peer.position());
                self.store = Some(store);
                true
            }
            Err(error) => {
                assert!(!error.is_damage(), "the store took its own doing for damage: {error}");
                false
            }
        }
    }

    fn acknowledged(&self, op: &Op) -> bool {
        let Some(store) = &self.store else { return false };
        let done = store.execute(op);
        match (done.reply, done.mark) {
            (Reply::Error(_), _) => false,
            (_, Some(mark)) => store.persist_now(mark).is_ok(),
            (_, None) => true,
        }
    }

    /// Sends what is written to the peer, and brings what the peer wrote.
    fn link(&mut self) {
        let Some(store) = &self.store else { return };
        match store.tail(self.read, usize::MAX) {
            Tail::FellOff { from } => self.read = from,
            Tail::Deltas { deltas, next } => {
                self.read = next;
                for delta in deltas {
                    let (decoded, _) = Delta::decode(&delta.bytes).unwrap().unwrap();
                    let name = (delta.partition, decoded.replica, decoded.first_seq);
                    let said = self.said.entry(name).or_insert_with(|| delta.bytes.clone());
                    assert_eq!(*said, delta.bytes, "{name:?} stands for two changes");
                    if matches!(self.peer.offer(decoded), Offer::Gap) {
                        catch_up_one(store, &self.peer, delta.partition);
                    }
                }
            }
        }
        if let Tail::Deltas { deltas, next } = self.peer.tail(self.heard, usize::MAX) {
            for delta in deltas {
                let (decoded, _) = Delta::decode(&delta.bytes).unwrap().unwrap();
                if matches!(store.offer(decoded), Offer::Gap) {
                    catch_up_one(&self.peer, store, delta.partition);
                }
            }
            let _ = store.write_pending();
            self.heard = next;
        }
    }

    fn second(&mut self) {
        self.hand.advance(1000);
        if let Some(store) = &self.store {
            store.tick();
        }
        self.link();
    }

    /// A life that uses everything, and goes on whatever fails.
    fn live(&mut self, clients: &mut Clients) {
        for round in 0..4 {
            if !self.open() {
                self.hand.advance(1000);
                continue;
            }
            clients.put(self, "{a}1", Some(&format!("first of {round}")));
            clients.put(self, "{a}2", Some(&format!("second of {round}")));
            self.link();
            clients.put(self, "{a}1", None);
            clients.count(self, 5);
            run(&self.peer, &set(&format!("{{a}}peer{round}"), "p"));
            run(&self.peer, &incr("peer", 1));
            self.link();
            clients.put(self, "{a}2", None);
            self.second();
            clients.put(self, &format!("{{b}}{round}"), Some("kept"));
            match (round, &self.store) {
                (1, Some(store)) => drop(store.checkpoint()),
                (2, Some(store)) => drop(store.begin_new_incarnation("the test says so")),
                (3, Some(store)) => drop(store.shutdown()),
                _ => {}
            }
            clients.count(self, 3);
            self.link();
        }
    }

    /// After the trouble: writes are taken again within a quarter of a minute, without anybody's help.
    fn heals(&mut self, clients: &mut Clients, what: &str) {
        for _ in 0..15 {
            let before = clients.counted.0;
            if self.open() {
                clients.count(self, 1);
            }
            if clients.counted.0 > before {
                return;
            }
            self.second();
        }
        panic!("{what}: writes are still refused");
    }

    /// Stops, starts again, and brings both regions to agree.
    fn restart(&mut self, lost: Lost, clients: &mut Clients, what: &str) {
        self.store = None;
        self.disk.restart(lost);
        assert!(self.open(), "{what}: cannot be opened");
        let store = self.store.clone().unwrap();
        clients.check(&store, what);
        // Whoever goes on must not say something else under a name that was used.
        for key in ["{a}1", "{b}0", "count", "{a}2"] {
            match key {
                "count" => clients.count(self, 1),
                _ => clients.put(self, key, Some("after")),
            }
        }
        self.link();
        catch_up(&self.peer, &store);
        catch_up(&store, &self.peer);
        assert_eq!(store.digest().divergent(&self.peer.digest()), Vec::<u16>::new(), "{what}");
        assert_eq!(store.digest(), self.peer.digest(), "{what}");
        clients.check(&store, what);
        clients.check(&self.peer, what);
    }
}

fn catch_up(from: &StateStore, to: &StateStore) {
    for (id, theirs) in from.version_vectors().iter().enumerate().filter(|(_, theirs)| !theirs.is_empty()) {
        if !to.version_vector(id as u16).dominates(theirs) {
            catch_up_one(from, to, id as u16);
        }
    }
    to.write_pending().unwrap();
}

/// The disk of either may refuse; then nothing is caught up.
fn catch_up_one(from: &StateStore, to: &StateStore, id: u16) {
    let _ = to.apply_catch_up(&from.catch_up_since(id, &to.version_vector(id)));
}

/// How many calls a life takes in which nothing goes wrong.
fn calls(durability: Durability) -> u64 {
    let (mut life, mut clients) = (Life::new(durability), Clients::default());
    life.live(&mut clients);
    let calls = life.disk.steps();
    life.restart(Lost::Nothing, &mut clients, "nothing went wrong");
    assert!(calls > 60, "{calls} calls are no life");
    calls
}

fn check(durability: Durability, fault: Fault, length: u64, lost: Lost) {
    for at in 0..calls(durability) {
        let what = format!("{fault:?} at call {at}, {lost:?} lost");
        let (mut life, mut clients) = (Life::new(durability), Clients::default());
        life.disk.fail(at..at.saturating_add(length), fault);
        life.live(&mut clients);
        if fault != Fault::Stop {
            // Whether the trouble is over is not known here: it ends with the calls made in it.
            life.heals(&mut clients, &what);
        }
        life.restart(lost, &mut clients, &what);
    }
}

/// Invariants 4 and 6, between any two calls of the disk. (7, transactions, falls under the same stops in `chaos/sim`.)
#[test]
fn a_kill_at_any_call_loses_nothing() {
    check(Durability::EverySecond, Fault::Stop, 1, Lost::Nothing);
}

#[test]
fn a_power_failure_at_any_call_loses_nothing_that_was_synced() {
    check(Durability::Always, Fault::Stop, 1, Lost::Unsynced);
}

#[test]
fn a_power_failure_that_leaves_holes_is_no_damage() {
    check(Durability::Always, Fault::Stop, 1, Lost::Some);
}

#[test]
fn a_second_stop_while_the_first_is_recovered_from_changes_nothing() {
    for lost in [Lost::Nothing, Lost::Unsynced] {
        for at in (0..calls(Durability::Always)).step_by(2) {
            let what = format!("stop at call {at}, and again in recovery, {lost:?} lost");
            let (mut life, mut clients) = (Life::new(Durability::Always), Clients::default());
            life.disk.fail(at..at + 1, Fault::Stop);
            life.live(&mut clients);
            life.store = None;
            life.disk.restart(lost);
            let again = life.disk.steps() + at % 31;
            life.disk.fail(again..again + 1, Fault::Stop);
            life.open();
            life.restart(lost, &mut clients, &what);
        }
    }
}

#[test]
fn a_failing_call_is_survived_and_heals() {
    check(Durability::EverySecond, Fault::Eio, 1, Lost::Nothing);
}

#[test]
fn a_failed_sync_is_never_taken_for_a_success() {
    check(Durability::Always, Fault::Eio, 1, Lost::Unsynced);
}

/// Invariant 15: a full disk.
#[test]
fn a_full_disk_refuses_writes_and_heals_when_there_is_room() {
    check(Durability::Always, Fault::NoSpace, 9, Lost::Unsynced);
}
