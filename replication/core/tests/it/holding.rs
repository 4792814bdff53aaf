//! The inbox: deltas wait for what they need, no longer than 2 s, and never over a hole.

use replication_core::{Delta, HELD_BYTES, HOLD_MS, Inbox, Merged, Offered, Partition};

use crate::support::{Region, START_MS, parse, replica, show, sync};

/// A region that listens through an inbox.
struct Listener {
    inbox: Inbox,
    region: Region,
    late: usize,
}

impl Listener {
    fn new() -> Self {
        Self { inbox: Inbox::default(), region: Region::new(2), late: 0 }
    }

    fn hear(&mut self, now_ms: u64, delta: &Delta) -> Offered {
        let offered = self.inbox.offer(now_ms, delta.clone(), self.region.partition.vv());
        self.wake(now_ms);
        offered
    }

    fn wake(&mut self, now_ms: u64) {
        while let Some(ready) = self.inbox.next_ready(now_ms, self.region.partition.vv()) {
            self.late += usize::from(ready.late);
            assert_eq!(self.region.partition.merge(&ready.delta), Merged::Applied);
        }
    }

    fn get(&mut self, key: &str) -> String {
        show(self.region.read(&parse(&format!("GET {key}")), START_MS))
    }
}

/// A writes a question; B, who has seen it, an answer.
fn question_and_answer() -> (Region, Region) {
    let mut regions = [Region::new(0), Region::new(1)];
    regions[0].run("SET question ?", START_MS);
    sync(&mut regions);
    regions[1].run("SET answer !", START_MS);
    let [a, b] = regions;
    (a, b)
}

#[test]
fn an_answer_waits_for_its_question() {
    let (a, b) = question_and_answer();
    let mut listener = Listener::new();
    assert_eq!(listener.hear(0, &b.made[0]), Offered::Taken);
    assert_eq!((listener.get("answer").as_str(), listener.inbox.len()), ("nil", 1));
    assert_eq!(listener.hear(1500, &a.made[0]), Offered::Taken);
    assert_eq!((listener.get("question").as_str(), listener.get("answer").as_str()), ("?", "!"));
    assert_eq!((listener.late, listener.inbox.len(), listener.inbox.bytes()), (0, 0, 0));
    assert_eq!(listener.inbox.wake_at(), None);
}

#[test]
fn but_no_longer_than_two_seconds() {
    let (a, b) = question_and_answer();
    let mut listener = Listener::new();
    listener.hear(100, &b.made[0]);
    assert_eq!(listener.inbox.wake_at(), Some(100 + HOLD_MS));
    listener.wake(100 + HOLD_MS - 1);
    assert_eq!(listener.get("answer"), "nil");
    listener.wake(100 + HOLD_MS);
    assert_eq!((listener.get("answer").as_str(), listener.late), ("!", 1));
    listener.hear(9000, &a.made[0]);
    assert_eq!(listener.get("question"), "?");
}

/// Invariant 3, where changes overtake each other.
#[test]
fn a_removal_that_overtakes_what_it_removes_still_removes_it() {
    let mut regions = [Region::new(0), Region::new(1)];
    regions[0].run("SADD s gone stays", START_MS);
    sync(&mut regions);
    regions[1].run("SREM s gone", START_MS);
    let mut listener = Listener::new();
    listener.hear(0, &regions[1].made[0]);
    listener.wake(HOLD_MS);
    assert_eq!(listener.region.partition.stats().early, 1);
    listener.hear(HOLD_MS, &regions[0].made[0]);
    assert_eq!(show(listener.region.read(&parse("SMEMBERS s"), START_MS)), "{stays}");
    assert_eq!(listener.region.partition.stats().early, 0);
}

/// Invariant 6: a context has no holes.
#[test]
fn a_hole_is_reported_and_what_was_held_goes_on_after_the_catch_up() {
    let mut a = Region::new(0);
    for value in 1..=4 {
        a.run(&format!("SET k {value}"), START_MS);
    }
    let mut listener = Listener::new();
    assert_eq!(listener.hear(0, &a.made[0]), Offered::Taken);
    assert_eq!(listener.hear(0, &a.made[2]), Offered::Gap { have: 1, got: 3 });
    assert_eq!(listener.region.partition.merge(&a.made[2]), Merged::Gap { have: 1, got: 3 }, "nor behind the inbox");
    assert_eq!(listener.get("k"), "1");
    let mut short = Partition::new(7, replica(0));
    a.made[..3].iter().for_each(|delta| assert_eq!(short.merge(delta), Merged::Applied));
    let catch_up = short.catch_up_since(listener.region.partition.vv());
    listener.region.partition.apply_catch_up(&catch_up).unwrap();
    assert_eq!(listener.hear(0, &a.made[1]), Offered::Duplicate);
    assert_eq!(listener.hear(0, &a.made[3]), Offered::Taken);
    assert_eq!(listener.get("k"), "4");
}

#[test]
fn what_is_held_counts_as_known_and_is_dropped_when_a_catch_up_brings_it() {
    let (mut a, mut b) = question_and_answer();
    b.run("SET answer !!", START_MS);
    let mut listener = Listener::new();
    listener.hear(0, &b.made[0]);
    assert_eq!(listener.hear(0, &b.made[1]), Offered::Taken, "follows on what is held");
    assert_eq!(listener.hear(0, &b.made[0]), Offered::Duplicate);
    assert_eq!(listener.inbox.len(), 2);
    a.partition.merge(&b.made[0]);
    a.partition.merge(&b.made[1]);
    let catch_up = a.partition.catch_up_since(listener.region.partition.vv());
    listener.region.partition.apply_catch_up(&catch_up).unwrap();
    listener.wake(0);
    assert!(listener.inbox.is_empty());
    assert_eq!((listener.get("answer").as_str(), listener.late), ("!!", 0));
}

#[test]
fn an_inbox_is_bounded() {
    let (_, mut b) = question_and_answer();
    let value = "x".repeat(HELD_BYTES / 4);
    (0..6).for_each(|_| drop(b.run(&format!("SET answer {value}"), START_MS)));
    let mut listener = Listener::new();
    let offered: Vec<Offered> = b.made.iter().map(|delta| listener.hear(0, delta)).collect();
    assert_eq!(offered[0], Offered::Taken);
    assert!(offered.contains(&Offered::Full), "{offered:?}");
    assert!(listener.inbox.bytes() <= HELD_BYTES);
}
