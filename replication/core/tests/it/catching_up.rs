//! A peer that was away: it gets what it lacks, in proportion to what changed, from anybody.

use replication_core::{CatchUpRefused, Gone, Partition, VersionVector};

use crate::support::{Region, START_MS, deliver, parse, replica, show, sync};

fn size(partition: &Partition, peer: &VersionVector) -> usize {
    let mut frame = Vec::new();
    partition.catch_up_since(peer).encode(&mut frame);
    frame.len()
}

#[test]
fn a_key_written_a_thousand_times_is_sent_once() {
    let mut regions = [Region::new(0), Region::new(1)];
    (0..100).for_each(|at| drop(regions[0].run(&format!("SET key:{at} v"), START_MS)));
    sync(&mut regions);
    let away = regions[1].partition.vv().clone();
    (0..1000).for_each(|round| drop(regions[0].run(&format!("SET key:7 {round}"), START_MS)));
    let catch_up = regions[0].partition.catch_up_since(&away);
    assert_eq!(catch_up.puts.len(), 1);
    assert_eq!(catch_up.gone, Gone::These(vec![replication_core::Dot { replica: replica(0), seq: 8 }]));
    assert!(size(&regions[0].partition, &away) < 80, "{}", size(&regions[0].partition, &away));
    regions[1].partition.apply_catch_up(&catch_up).unwrap();
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
}

#[test]
fn a_peer_that_lacks_nothing_gets_nothing() {
    let mut regions = [Region::new(0), Region::new(1)];
    regions[0].run("SET k v", START_MS);
    sync(&mut regions);
    let catch_up = regions[0].partition.catch_up_since(regions[1].partition.vv());
    assert!(catch_up.is_empty() && catch_up.puts.is_empty());
}

#[test]
fn any_region_can_relay_for_any_other() {
    let mut regions: Vec<Region> = (0..3).map(Region::new).collect();
    regions[0].run("SADD s a b", START_MS);
    sync(&mut regions);
    regions[0].run("SREM s a", START_MS);
    regions[0].run("SADD s c", START_MS);
    deliver(&mut regions, 0, 1); // C hears of it from B only
    let catch_up = regions[1].partition.catch_up_since(regions[2].partition.vv());
    regions[2].partition.apply_catch_up(&catch_up).unwrap();
    assert_eq!(show(regions[2].read(&parse("SMEMBERS s"), START_MS)), "{b c}");
}

#[test]
fn a_removal_that_overtook_its_put_is_passed_on() {
    let mut regions: Vec<Region> = (0..3).map(Region::new).collect();
    regions[0].run("SET k old", START_MS);
    deliver(&mut regions, 0, 2);
    regions[2].run("SET k new", START_MS);
    deliver(&mut regions, 2, 1); // B hears of the overwriting first …
    deliver(&mut regions, 0, 1); // … and never holds the old value itself
    let catch_up = regions[1].partition.catch_up_since(regions[0].partition.vv());
    regions[0].partition.apply_catch_up(&catch_up).unwrap();
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
    assert_eq!(show(regions[0].read(&parse("GET k"), START_MS)), "new");
}

#[test]
fn when_the_removal_log_is_full_the_live_dots_tell() {
    let mut regions = [Region::new(0), Region::new(1)];
    (0..20_000).for_each(|at| drop(regions[0].run(&format!("SADD s{} m{at}", at % 50), START_MS)));
    sync(&mut regions);
    let away = regions[1].partition.vv().clone();
    (0..20_000)
        .filter(|at| at % 2 == 0)
        .for_each(|at| drop(regions[0].run(&format!("SREM s{} m{at}", at % 50), START_MS)));
    let catch_up = regions[0].partition.catch_up_since(&away);
    assert!(matches!(&catch_up.gone, Gone::AllBut(live) if live.len() == 10_000));
    let bytes = size(&regions[0].partition, &away);
    assert!(bytes < 12_000, "about a byte for each of 10 000 live elements, not {bytes}");
    regions[1].partition.apply_catch_up(&catch_up).unwrap();
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
    assert_eq!(regions[1].partition.len(), 25);
}

#[test]
fn a_new_incarnation_gets_its_own_past_back() {
    let mut regions = [Region::new(0), Region::new(1)];
    regions[0].run("SET k before", START_MS);
    regions[0].run("INCRBY n 5", START_MS);
    sync(&mut regions);
    let reborn = replication_core::ReplicaId { incarnation: 2, ..replica(0) };
    regions[0].partition = Partition::new(7, reborn);
    let catch_up = regions[1].partition.catch_up_since(regions[0].partition.vv());
    regions[0].partition.apply_catch_up(&catch_up).unwrap();
    regions[0].made.clear();
    regions[0].run("SET k after", START_MS);
    regions[0].run("INCRBY n 2", START_MS);
    sync(&mut regions);
    for region in &mut regions {
        assert_eq!(region.run("GET k", START_MS), "after");
        assert_eq!(region.run("GET n", START_MS), "7");
    }
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
}

#[test]
fn an_answer_to_a_peer_that_has_lost_state_since_is_refused() {
    let mut regions = [Region::new(0), Region::new(1)];
    regions[0].run("SET k v", START_MS);
    sync(&mut regions);
    regions[0].run("SET l v", START_MS);
    let answer = regions[0].partition.catch_up_since(regions[1].partition.vv());
    let mut empty = Partition::new(7, replica(1));
    assert_eq!(empty.apply_catch_up(&answer), Err(CatchUpRefused::NotCovered));
    assert!(empty.is_empty() && empty.vv().is_empty());
    let mut elsewhere = Partition::new(8, replica(1));
    assert_eq!(elsewhere.apply_catch_up(&answer), Err(CatchUpRefused::WrongPartition));
}
