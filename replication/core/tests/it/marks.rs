//! Removes that win: how long marks live, what they cost, what can be seen of them.

use replication_core::{ConflictKind, PURGE_GRACE_MS, PURGE_OWN_GRACE_MS, REMOVE_WINS_KEEP_MS};

use crate::support::{Region, START_MS, deliver, remove_wins, sync};

fn three() -> Vec<Region> {
    (0..3).map(Region::new).collect()
}

/// A remove in the first region, a write in the second that does not know of it.
fn marked(before: &str, remove: &str, write: &str) -> Vec<Region> {
    let mut regions = three();
    regions[0].run(before, START_MS);
    sync(&mut regions);
    regions[0].run(remove, START_MS);
    regions[1].run(write, START_MS);
    sync(&mut regions);
    regions
}

const CASES: [[&str; 4]; 4] = [
    ["SADD rw:k a", "SREM rw:k a", "SADD rw:k a", "EXISTS rw:k"],
    ["HSET rw:k f 1", "HDEL rw:k f", "HINCRBY rw:k f 1", "HLEN rw:k"],
    ["ZADD rw:k 1 m", "ZREM rw:k m", "ZINCRBY rw:k 1 m", "ZCARD rw:k"],
    ["SET rw:k v", "DEL rw:k", "SET rw:k w", "EXISTS rw:k"],
];

#[test]
fn a_mark_goes_after_a_day_together_with_what_it_hides() {
    for [before, remove, write, question] in CASES {
        let mut regions = marked(before, remove, write);
        let old = START_MS + REMOVE_WINS_KEEP_MS;
        regions[0].housekeeping(old + PURGE_OWN_GRACE_MS - 1, 10);
        regions[1].housekeeping(old + PURGE_GRACE_MS - 1, 10);
        sync(&mut regions);
        assert!(regions.iter().all(|region| region.partition.len() == 1), "{remove}: not a moment early");
        regions[0].housekeeping(old + PURGE_OWN_GRACE_MS, 10);
        sync(&mut regions);
        // What a remove observed of somebody else's counts is theirs to fold away.
        (0..3).for_each(|region| regions[region].housekeeping(old + PURGE_OWN_GRACE_MS, 10));
        sync(&mut regions);
        for region in &mut regions {
            assert_eq!(region.partition.len(), 0, "{remove}");
            assert_eq!(region.run(question, old + PURGE_OWN_GRACE_MS), "0", "{remove}");
        }
    }
}

#[test]
fn others_drop_the_marks_that_a_dead_region_left() {
    for [before, remove, write, _] in CASES {
        let mut regions = marked(before, remove, write);
        let old = START_MS + REMOVE_WINS_KEEP_MS + PURGE_GRACE_MS;
        (1..3).for_each(|region| regions[region].housekeeping(old, 10));
        sync(&mut regions);
        (0..3).for_each(|region| regions[region].housekeeping(old, 10));
        sync(&mut regions);
        assert!(regions.iter().all(|region| region.partition.is_empty()), "{remove}");
    }
}

#[test]
fn a_purge_of_an_expired_key_is_a_remove_that_wins() {
    let mut regions = three();
    regions[0].run("HSET rw:session user ann", START_MS);
    regions[0].run("PEXPIRE rw:session 100", START_MS);
    sync(&mut regions);
    regions[1].run("HSET rw:session seen now", START_MS + 99);
    let late = START_MS + 100 + PURGE_OWN_GRACE_MS;
    regions[0].housekeeping(late, 10);
    sync(&mut regions);
    for region in &mut regions {
        assert_eq!(region.run("EXISTS rw:session", late), "0", "a session does not outlive its deadline");
    }
}

#[test]
fn an_expired_field_is_purged_and_only_what_was_seen_of_it() {
    let mut regions = three();
    regions[0].run("HSET h a 1 b 2", START_MS);
    regions[0].run("HPEXPIRE h 100 a b", START_MS);
    sync(&mut regions);
    let late = START_MS + 100 + PURGE_OWN_GRACE_MS;
    regions[1].housekeeping(late, 10);
    assert!(regions[1].made.is_empty(), "the region that gave the deadline comes first");
    regions[0].housekeeping(late, 10);
    regions[1].run("HSET h b 3", late);
    sync(&mut regions);
    for region in &mut regions {
        assert_eq!(region.run("HGETALL h", late), "{b=3}");
        assert_eq!(region.run("HPTTL h a b", late), "[-2 -1]");
    }
}

#[test]
fn a_field_deadline_that_a_delete_left_behind_goes_too() {
    let mut regions = three();
    regions[0].run("HSET h a 1 b 2", START_MS);
    sync(&mut regions);
    regions[0].run("HDEL h a", START_MS);
    regions[1].run("HPEXPIRE h 5000000 a", START_MS);
    sync(&mut regions);
    let late = START_MS + PURGE_GRACE_MS;
    regions[2].housekeeping(late, 10);
    regions[2].run("DEL h", late);
    sync(&mut regions);
    assert!(regions.iter().all(|region| region.partition.is_empty()));
}

#[test]
fn a_hash_with_many_deadlines_is_purged_a_piece_at_a_time() {
    let mut region = Region::new(0);
    for at in 0..30 {
        let fields: Vec<String> = (0..100).map(|field| format!("f{at}.{field} v")).collect();
        region.run(&format!("HSET h {}", fields.join(" ")), START_MS);
        let names: Vec<String> = (0..100).map(|field| format!("f{at}.{field}")).collect();
        region.run(&format!("HPEXPIRE h {} {}", 100 + at, names.join(" ")), START_MS);
    }
    assert_eq!(region.run("HLEN h", START_MS + 99), "3000");
    assert_eq!(region.run("HLEN h", START_MS + 114), "1500");
    let late = START_MS + 129 + PURGE_OWN_GRACE_MS;
    assert_eq!(region.run("EXISTS h", late), "0");
    let mut rounds = 0;
    while !region.partition.is_empty() {
        region.housekeeping(late, 10);
        rounds += 1;
        assert!(rounds < 10);
    }
    assert!(rounds > 2, "{rounds}");
}

#[test]
fn a_mark_explains_itself_and_what_it_hides() {
    let regions = marked("SADD rw:s a", "SREM rw:s a", "SADD rw:s a");
    let explained = regions[2].partition.explain(b"rw:s", START_MS).unwrap();
    let parts: Vec<(&str, &str, bool)> =
        explained.parts.iter().map(|part| (part.kind, part.sub.as_str(), part.visible)).collect();
    assert_eq!(explained.visible_type, "none");
    assert!(parts.contains(&("removal mark", "a", false)) && parts.contains(&("set member", "a", false)), "{parts:?}");
    assert!(explained.parts.iter().any(|part| part.why.contains("mark hides it")));
}

#[test]
fn regions_with_other_rules_read_the_same() {
    for [before, remove, write, question] in CASES {
        let mut regions = three();
        regions[0].partition.set_rules(remove_wins("nothing"));
        regions[0].run(before, START_MS);
        sync(&mut regions);
        for (at, region) in regions.iter_mut().enumerate() {
            region.run(if at < 2 { remove } else { write }, START_MS);
        }
        deliver(&mut regions, 2, 0);
        sync(&mut regions);
        let answers: Vec<String> = regions.iter_mut().map(|region| region.run(question, START_MS)).collect();
        assert_eq!(answers, ["0", "0", "0"], "the second region's mark hides it for all: {remove}");
    }
}

#[test]
fn what_a_remove_beats_is_counted_and_listed() {
    let check = |[before, remove, write, _]: [&str; 4], order: [usize; 2], lost: &str| {
        let mut regions = three();
        regions[0].run(before, START_MS);
        sync(&mut regions);
        regions[0].run(remove, START_MS);
        regions[1].run(write, START_MS);
        order.into_iter().for_each(|from| deliver(&mut regions, from, 2));
        let listed: Vec<_> = regions[2].partition.conflicts().collect();
        assert_eq!(regions[2].partition.conflict_counts()[ConflictKind::Removed as usize], 1, "{write}: {listed:?}");
        assert_eq!(listed.len(), 1, "{write}: {listed:?}");
        assert_eq!((listed[0].loser.value.as_str(), listed[0].winner.value.as_str()), (lost, "removed"), "{write}");
    };
    for (case, lost) in CASES.into_iter().zip(["", "+1", "+1", "w"]) {
        check(case, [0, 1], lost);
        check(case, [1, 0], lost);
    }
    check(["HSET rw:h f 1", "DEL rw:h", "HSET rw:h f mine", ""], [1, 0], "mine");
}
