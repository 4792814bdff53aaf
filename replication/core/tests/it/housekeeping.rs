//! Purging and settling: memory comes back, and nothing that somebody still wants goes.

use replication_core::{PURGE_GRACE_MS, PURGE_OWN_GRACE_MS};

use crate::support::{Region, START_MS, sync};

fn three() -> Vec<Region> {
    (0..3).map(Region::new).collect()
}

fn kept(regions: &[Region]) -> Vec<usize> {
    regions.iter().map(|region| region.partition.len()).collect()
}

#[test]
fn the_region_that_gave_the_deadline_purges_first() {
    let mut regions = three();
    regions[0].run("SET k v PX 100", START_MS);
    sync(&mut regions);
    let deadline = START_MS + 100;
    regions[0].housekeeping(deadline + PURGE_OWN_GRACE_MS - 1, 10);
    regions[1].housekeeping(deadline + PURGE_GRACE_MS - 1, 10);
    sync(&mut regions);
    assert_eq!(kept(&regions), [1, 1, 1], "nobody purges early");
    regions[0].housekeeping(deadline + PURGE_OWN_GRACE_MS, 10);
    sync(&mut regions);
    assert_eq!(kept(&regions), [0, 0, 0]);
}

#[test]
fn others_purge_what_a_dead_region_left() {
    let mut regions = three();
    regions[0].run("HSET h a 1", START_MS);
    regions[0].run("PEXPIRE h 100", START_MS);
    sync(&mut regions);
    regions[1].housekeeping(START_MS + 100 + PURGE_GRACE_MS, 10);
    sync(&mut regions);
    assert_eq!(kept(&regions), [0, 0, 0]);
}

#[test]
fn a_purge_takes_only_what_it_saw() {
    let mut regions = three();
    regions[0].run("HSET h a 1", START_MS);
    regions[0].run("PEXPIRE h 100", START_MS);
    sync(&mut regions);
    let late = START_MS + 100 + PURGE_OWN_GRACE_MS;
    regions[0].housekeeping(late, 10);
    regions[1].run("HSET h b 2", late);
    sync(&mut regions);
    for region in &mut regions {
        assert_eq!(region.run("HGETALL h", late), "{b=2}");
    }
}

#[test]
fn a_deadline_that_a_delete_left_behind_goes_too() {
    let mut regions = three();
    regions[0].run("SET k v", START_MS);
    sync(&mut regions);
    regions[0].run("DEL k", START_MS);
    regions[1].run("EXPIRE k 5000", START_MS);
    sync(&mut regions);
    assert_eq!(kept(&regions), [1, 1, 1]);
    regions[1].housekeeping(START_MS + PURGE_OWN_GRACE_MS, 10);
    sync(&mut regions);
    assert_eq!(kept(&regions), [0, 0, 0]);
}

#[test]
fn floors_are_settled_by_their_owner_and_leave_nothing() {
    let mut regions = three();
    regions[0].run("INCR n", START_MS);
    regions[1].run("HINCRBY h f 5", START_MS);
    sync(&mut regions);
    regions[2].run("DEL n", START_MS);
    regions[2].run("DEL h", START_MS);
    sync(&mut regions);
    assert_eq!(kept(&regions), [2, 2, 2], "two floors");
    (0..2).for_each(|region| regions[region].housekeeping(START_MS, 10));
    sync(&mut regions);
    assert_eq!(kept(&regions), [0, 0, 0]);
}

#[test]
fn work_is_done_in_small_rounds_and_ends() {
    let mut region = Region::new(0);
    (0..100).for_each(|at| drop(region.run(&format!("SET k{at} v PX 1"), START_MS)));
    let late = START_MS + 1 + PURGE_OWN_GRACE_MS;
    let made = region.made.len();
    region.housekeeping(late, 10);
    assert_eq!(region.partition.len(), 90);
    (0..20).for_each(|_| region.housekeeping(late, 10));
    assert_eq!((region.partition.len(), region.made.len() - made), (0, 10), "ten rounds, ten deltas, then silence");
}

#[test]
fn a_world_without_deadlines_costs_nothing() {
    let mut region = Region::new(0);
    region.run("SET k v", START_MS);
    let made = region.made.len();
    region.housekeeping(START_MS + PURGE_GRACE_MS, 10);
    assert_eq!(region.made.len(), made);
}
