//! Snapshots in pieces: with the journal from their start they give the state, whatever happens while they are made, and no
//! piece takes longer than its size.

use std::collections::HashSet;

use replication_core::{CatchUp, Partition};

use crate::support::{Dice, Region, START_MS, replica};

/// One random command on one of a few keys of every type, small ones and large ones; in half of them removes leave marks.
fn act(region: &mut Region, dice: &mut Dice) {
    let prefix = ["", "rw:"][dice.below(2) as usize];
    let members = [8, 80][dice.below(2) as usize];
    let (key, member) = (dice.below(3), dice.below(members));
    let command = match dice.below(17) {
        0 => format!("SET {prefix}s{key} {member} PX 1000"),
        1 => format!("DEL {prefix}s{key}"),
        2 | 3 => format!("SADD {prefix}m{key} {member}"),
        4 => format!("SREM {prefix}m{key} {member}"),
        5 | 6 => format!("HSET {prefix}h{key} {member} x{member}"),
        7 => format!("HINCRBY {prefix}h{key} {member} 1"),
        8 => format!("HDEL {prefix}h{key} {member}"),
        9 => format!("HPEXPIRE {prefix}h{key} 5000 {member}"),
        10 | 11 => format!("ZADD {prefix}z{key} {member} {member}"),
        12 => format!("ZREM {prefix}z{key} {member}"),
        13 => format!("RPUSH {prefix}l{key} {member} x y z"),
        14 => format!("LPOP {prefix}l{key}"),
        15 => format!("PFADD {prefix}p{key} {member}"),
        _ => format!("DEL {prefix}{}{key}", ["m", "h", "z", "l"][dice.below(4) as usize]),
    };
    region.run(&command, START_MS);
}

/// Makes a snapshot in small pieces while `meanwhile` goes on, and joins it.
fn snapshot(region: &mut Region, max_bytes: usize, mut meanwhile: impl FnMut(&mut Region)) -> (CatchUp, usize) {
    let mut cursor = region.partition.begin_snapshot();
    let mut whole = region.partition.snapshot_piece(&mut cursor, max_bytes).unwrap().unwrap();
    let mut pieces = 1;
    meanwhile(region);
    while let Some(piece) = region.partition.snapshot_piece(&mut cursor, max_bytes).unwrap() {
        whole.then(piece).unwrap();
        pieces += 1;
        meanwhile(region);
    }
    (whole, pieces)
}

#[test]
fn pieces_made_while_the_state_moves_and_the_journal_from_their_start_give_the_state() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut region = Region::new(0);
        (0..1500).for_each(|_| act(&mut region, &mut dice));
        let journal_from = region.made.len();
        let (whole, pieces) = snapshot(&mut region, 100, |region| (0..4).for_each(|_| act(region, &mut dice)));
        assert!(pieces > 20, "seed {seed}: {pieces} pieces");
        let dots: HashSet<_> = whole.puts.iter().map(|put| put.dot).collect();
        assert_eq!(dots.len(), whole.puts.len(), "seed {seed}: an element is in two pieces");
        let mut read = Partition::new(7, replica(0));
        read.apply_catch_up(&whole).unwrap();
        for delta in &region.made[journal_from..] {
            read.merge(delta);
        }
        let (read, live) = ((read.vv(), read.digest()), (region.partition.vv(), region.partition.digest()));
        assert_eq!(read, live, "seed {seed}");
    }
}

#[test]
fn a_piece_is_bounded_by_what_it_looks_at() {
    let mut region = Region::new(0);
    for n in 0..3000 {
        region.run(&format!("HSET h field-{n:06} v"), START_MS);
        region.run(&format!("RPUSH l item-{n:06}"), START_MS);
        region.run(&format!("ZADD z {n} member-{n:06}"), START_MS);
        region.run(&format!("SET k{n} v"), START_MS);
    }
    let mut cursor = region.partition.begin_snapshot();
    let (mut pieces, mut puts) = (0, 0);
    while let Some(piece) = region.partition.snapshot_piece(&mut cursor, 2000).unwrap() {
        assert!(piece.puts.len() <= 2000 / 24 + 64, "{} elements in one piece", piece.puts.len());
        (pieces, puts) = (pieces + 1, puts + piece.puts.len());
    }
    assert_eq!(puts, 12_000);
    assert!(pieces > 12_000 * 24 / 2000, "{pieces} pieces");
    // Of what has all been written anew there is nothing to be found, and still no piece looks at all of it.
    let mut cursor = region.partition.begin_snapshot();
    (0..3000).for_each(|n| drop(region.run(&format!("SET k{n} w"), START_MS)));
    region.run("DEL h", START_MS);
    region.run("DEL l", START_MS);
    region.run("DEL z", START_MS);
    let (mut pieces, mut puts) = (0, 0);
    while let Some(piece) = region.partition.snapshot_piece(&mut cursor, 2000).unwrap() {
        (pieces, puts) = (pieces + 1, puts + piece.puts.len());
    }
    assert!(pieces > 3000 * 24 / 2000 && puts == 0, "{pieces} pieces, {puts} elements");
}

#[test]
fn small_collections_keep_their_order() {
    let mut region = Region::new(0);
    ["c 1", "a 2", "b 3"].iter().for_each(|pair| drop(region.run(&format!("HSET h {pair}"), START_MS)));
    let (whole, _) = snapshot(&mut region, 1000, |_| {});
    let mut other = Region::new(0);
    other.partition.apply_catch_up(&whole).unwrap();
    assert_eq!(other.run("HGETALL h", START_MS), region.run("HGETALL h", START_MS));
}
