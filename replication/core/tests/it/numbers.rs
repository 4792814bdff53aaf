//! Change numbers where integers end elsewhere: nothing wraps, nothing is cut, and the last number is the last.

use replication_core::{CatchUp, Delta, Dot, Gone, MAX_SEQ, VersionVector};

use crate::support::{Region, START_MS, deliver, replica, sync};

/// Two regions that agree on how many changes the first one has made, though nothing of them is left.
fn after(changes: u64) -> [Region; 2] {
    let mut regions = [Region::new(0), Region::new(1)];
    let vv: VersionVector = [(replica(0), changes)].into_iter().collect();
    for region in &mut regions {
        let (since, gone) = (VersionVector::new(), Gone::These(Vec::new()));
        let past = CatchUp { partition: 7, since, vv: vv.clone(), gone, early: Vec::new(), puts: Vec::new() };
        region.partition.apply_catch_up(&past).unwrap();
    }
    regions
}

/// Invariant 5: a name is that of one change, whatever its number.
#[test]
fn changes_on_both_sides_of_a_power_of_two_keep_their_names() {
    for power in [8, 16, 24, 31, 32, 40, 47] {
        let edge = 1u64 << power;
        let mut regions = after(edge - 3);
        let before = regions[1].partition.vv().clone();
        for command in ["SADD s a b c d e f", "SREM s b e", "SET k v EX 100", "INCR n", "INCR n", "DEL k"] {
            regions[0].run(command, START_MS);
        }
        let names = |region: &Region| {
            let puts = region.partition.catch_up_since(&before).puts;
            let mut dots: Vec<Dot> = puts.iter().map(|put| put.dot).collect();
            dots.sort_unstable();
            dots
        };
        let made = names(&regions[0]);
        let expected = [0, 2, 3, 5, 10].map(|at| Dot { replica: replica(0), seq: edge - 2 + at });
        assert_eq!(made, expected, "2^{power}");
        for delta in &regions[0].made {
            let mut frame = Vec::new();
            delta.encode(&mut frame);
            assert_eq!(Delta::decode(&frame).unwrap().unwrap().0, *delta, "2^{power}");
        }
        sync(&mut regions);
        assert_eq!(names(&regions[1]), made, "2^{power}");
        assert_eq!(regions[0].partition.digest(), regions[1].partition.digest(), "2^{power}");
    }
}

#[test]
fn a_replica_without_numbers_refuses_writes_and_goes_on_reading_and_merging() {
    let mut regions = after(MAX_SEQ - 2);
    assert_eq!(regions[0].run("SADD s a b c", START_MS).split(' ').next(), Some("ERR"), "three numbers of two");
    assert_eq!(regions[0].run("SADD s a b", START_MS), "2");
    let refused = regions[0].run("SREM s a", START_MS);
    assert!(refused.contains("has run out of change numbers"), "{refused}");
    sync(&mut regions);
    regions[1].run("SREM s a", START_MS);
    deliver(&mut regions, 1, 0);
    assert_eq!(regions[0].run("SMEMBERS s", START_MS), "{b}");
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
}
