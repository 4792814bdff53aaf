//! `REGION EXPLAIN`: who wrote what is there, what shows, and what it beats.

use expect_test::{Expect, expect};

use crate::support::{Region, START_MS, sync};

/// `commands of A ∥ commands of B`, everything delivered, then the explanation of `k`.
fn check(commands: &str, expected: &Expect) {
    let mut regions = [Region::new(0), Region::new(1)];
    for stage in commands.split('⇒') {
        let (a, b) = stage.split_once('∥').unwrap_or((stage, ""));
        for (region, commands) in [(0, a), (1, b)] {
            for command in commands.split(';').map(str::trim).filter(|command| !command.is_empty()) {
                regions[region].run(command, START_MS);
            }
        }
        sync(&mut regions);
    }
    let Some(explained) = regions[1].partition.explain(b"k", START_MS + 1000) else {
        expected.assert_eq("nothing\n");
        return;
    };
    let mut text = format!("{} {:?} expired={}\n", explained.visible_type, explained.deadline_ms, explained.expired);
    for part in explained.parts {
        let eye = if part.visible { "shows" } else { "hidden" };
        text += &format!(
            "{eye} {} {:?} {:?} by {} at {}: {}\n",
            part.kind, part.sub, part.value, part.dot, part.hlc, part.why
        );
    }
    expected.assert_eq(&text);
}

#[test]
fn nothing_is_explained_as_nothing() {
    check(
        "SET k v ; DEL k",
        &expect![[r#"
        nothing
    "#]],
    );
}

#[test]
fn a_lonely_value_has_its_writer_and_its_stamp() {
    check(
        "SET k v EX 60",
        &expect![[r#"
        string Some(1060000) expired=false
        shows string "" "v" by 1.1:1 at 1000000+0: the only one
        shows deadline "" "1060000" by 1.1:2 at 1000000+0: the only one
    "#]],
    );
}

#[test]
fn the_loser_of_a_conflict_is_listed() {
    check(
        "SET k loses ∥ SET k wins",
        &expect![[r#"
        string None expired=false
        shows string "" "wins" by 2.1:1 at 1000000+0: the latest of concurrent writes
        hidden string "" "loses" by 1.1:1 at 1000000+0: a concurrent write has a later stamp
    "#]],
    );
}

#[test]
fn a_counter_shows_who_added_what() {
    check(
        "SET k 100 ⇒ INCRBY k 5 ∥ INCRBY k -3",
        &expect![[r#"
        string None expired=false
        shows counter "" "-3" by 2.1:1 at 1000000+1: part of the sum: no reset has observed all of it
        shows counter "" "+5" by 1.1:2 at 1000000+1: part of the sum: no reset has observed all of it
        shows string "" "100" by 1.1:1 at 1000000+0: the only one
    "#]],
    );
}

#[test]
fn a_reset_counter_shows_its_floors() {
    check(
        "INCRBY k 5 ⇒ INCR k ∥ DEL k",
        &expect![[r#"
        string None expired=false
        shows counter "" "+6" by 1.1:2 at 1000000+1: part of the sum: no reset has observed all of it
        hidden floor "" "+5 of 1.1 up to its change 1" by 2.1:1 at 1000000+1: what a reset had seen of another replica's count; goes when that replica settles it
    "#]],
    );
}

#[test]
fn the_hidden_side_of_a_type_clash_is_listed() {
    check(
        "HSET k f v ∥ SADD k m",
        &expect![[r#"
        set None expired=false
        shows set member "m" "" by 2.1:1 at 1000000+0: added, and no remove has observed this add
        hidden hash field "f" "v" by 1.1:1 at 1000000+0: another type of the same key was written later
    "#]],
    );
}

#[test]
fn what_has_expired_says_so() {
    check(
        "SET k v PX 10",
        &expect![[r#"
        none Some(1000010) expired=true
        shows deadline "" "1000010" by 1.1:2 at 1000000+0: the only one
        hidden string "" "v" by 1.1:1 at 1000000+0: the deadline has passed
    "#]],
    );
}

#[test]
fn a_deadline_given_to_another_value_is_listed() {
    check(
        "SET k old ⇒ SET k new ∥ EXPIRE k 50",
        &expect![[r#"
        string None expired=false
        shows string "" "new" by 1.1:2 at 1000000+1: the only one
        hidden deadline "" "1050000" by 2.1:1 at 1000000+1: nothing shows, the key persists, or it was given to a value that does not show
    "#]],
    );
}

#[test]
fn list_elements_are_named_by_their_index() {
    check(
        "RPUSH k a b ⇒ LSET k 1 loses ∥ LSET k 1 wins",
        &expect![[r#"
            list None expired=false
            shows list element "1" "wins" by 2.1:1 at 1000000+1: the latest of concurrent writes
            shows list element "0" "a" by 1.1:1 at 1000000+0: the only one
            hidden list element "1" "loses" by 1.1:3 at 1000000+1: a concurrent write has a later stamp
        "#]],
    );
}

/// Conflicts as one region lists them, the newest first: `kind key sub: winner > loser`.
fn conflicts(region: &Region) -> Vec<String> {
    let show = |c: &replication_core::Conflict| {
        let key = String::from_utf8_lossy(&c.key);
        format!("{} {key} {}: {} > {}", c.kind.name(), c.sub, c.winner.value, c.loser.value)
    };
    region.partition.conflicts().map(show).collect()
}

#[test]
fn conflicts_are_listed_with_what_lost() {
    let mut regions: Vec<Region> = (0..2).map(Region::new).collect();
    regions[0].run("SET k mine", START_MS + 5);
    regions[1].run("SET k yours", START_MS);
    regions[0].run("HSET h f old", START_MS);
    regions[1].run("HSET h f new", START_MS + 9);
    regions[0].run("SET t text", START_MS);
    regions[1].run("SADD t member", START_MS + 10);
    sync(&mut regions);
    let expected = ["type t : set > string", "field h f: new > old", "string k : mine > yours"];
    for region in &regions {
        assert_eq!(conflicts(region), expected);
        assert_eq!(region.partition.conflict_counts(), [1, 1, 0, 0, 0, 1, 0]);
    }
    // Who wrote after having seen both settles it, and meets nobody.
    regions[0].run("SET k settled", START_MS + 20);
    regions[0].run("SADD s a", START_MS);
    regions[1].run("SADD s a", START_MS);
    sync(&mut regions);
    assert!(
        regions.iter().all(|region| region.partition.conflict_counts() == [1, 1, 0, 0, 0, 1, 0]),
        "adds of one member agree"
    );
}

#[test]
fn the_list_of_conflicts_is_bounded() {
    let mut regions: Vec<Region> = (0..2).map(Region::new).collect();
    for i in 0..100 {
        regions[0].run(&format!("SET k{i} a"), START_MS);
        regions[1].run(&format!("SET k{i} b"), START_MS + 1);
    }
    sync(&mut regions);
    assert_eq!(conflicts(&regions[0]).len(), 64);
    assert_eq!(conflicts(&regions[0])[0], "string k99 : b > a");
    assert_eq!(regions[0].partition.conflict_counts()[0], 100);
}
