//! Catch-ups in pieces and by comparing sums: whatever happens meanwhile, the outcome is that of one made whole.

use replication_core::{CatchUp, Gone, Partition, VersionVector};

use crate::support::{Dice, Region, START_MS, sync};

/// One random command among few keys, so that they meet.
fn act(region: &mut Region, dice: &mut Dice) {
    let (key, member) = (dice.below(12), dice.below(40));
    let command = match dice.below(8) {
        0 => format!("SET s{key} {member}"),
        1 => format!("DEL s{key}"),
        2 => format!("SADD m{key} {member}"),
        3 => format!("SREM m{key} {member}"),
        4 => format!("HSET h{key} {member} x{member}"),
        5 => format!("HDEL h{key} {member}"),
        6 => format!("INCRBY n{key} {member}"),
        _ => format!("DEL h{key}"),
    };
    region.run(&command, START_MS);
}

/// Makes a catch-up in small pieces while `meanwhile` goes on, and joins it.
fn in_pieces(maker: &mut Region, peer: &VersionVector, mut meanwhile: impl FnMut(&mut Region)) -> (CatchUp, usize) {
    let (mut whole, mut cursor) = maker.partition.catch_up_in_pieces(peer, 100);
    let mut pieces = 1;
    while let Some(open) = &mut cursor {
        meanwhile(maker);
        match maker.partition.next_piece(open, 100).unwrap() {
            Some(piece) => whole.then(piece).unwrap(),
            None => {
                whole.then(maker.partition.catch_up_since(&open.target().clone())).unwrap();
                cursor = None;
            }
        }
        pieces += 1;
    }
    (whole, pieces)
}

fn sorted(mut catch_up: CatchUp) -> CatchUp {
    catch_up.puts.sort_by_key(|put| put.dot);
    catch_up
}

#[test]
fn pieces_made_while_the_state_moves_join_to_what_is_made_whole_at_the_end() {
    let mut most = 0;
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut regions = [Region::new(0), Region::new(1)];
        (0..200).for_each(|_| act(&mut regions[0], &mut dice));
        (0..50).for_each(|_| act(&mut regions[1], &mut dice));
        sync(&mut regions);
        let away = regions[1].partition.vv().clone();
        (0..200).for_each(|_| act(&mut regions[0], &mut dice));
        let (joined, pieces) = in_pieces(&mut regions[0], &away, |maker| (0..5).for_each(|_| act(maker, &mut dice)));
        let whole = regions[0].partition.catch_up_since(&away);
        let mut expected = whole.clone();
        // The log names every removal; what is named twice or was never in question makes no difference.
        if let (Gone::These(joined), Gone::These(whole)) = (&joined.gone, &mut expected.gone) {
            assert!(whole.iter().all(|dot| joined.contains(dot)), "seed {seed}");
            whole.clone_from(joined);
        }
        assert_eq!(sorted(joined.clone()), sorted(expected), "seed {seed}");
        regions[1].partition.apply_catch_up(&joined).unwrap();
        assert_eq!(regions[1].partition.digest(), regions[0].partition.digest(), "seed {seed}");
        most = most.max(pieces);
    }
    assert!(most > 10, "{most} pieces at most");
}

#[test]
fn a_piece_that_does_not_follow_is_refused() {
    let mut region = Region::new(0);
    (0..50).for_each(|n| drop(region.run(&format!("SET k{n} v"), START_MS)));
    let nothing = VersionVector::new();
    let (mut first, cursor) = region.partition.catch_up_in_pieces(&nothing, 100);
    let mut cursor = cursor.unwrap();
    region.run("SET k v", START_MS);
    let (other, _) = region.partition.catch_up_in_pieces(&nothing, 100);
    let before = first.clone();
    assert!(first.then(other).is_err());
    assert_eq!(first, before);
    // Under another name the slots are others.
    let mut bytes = Vec::new();
    region.partition.encode_state(&mut bytes);
    let reborn = replication_core::ReplicaId { region: 1, incarnation: 9 };
    let (renamed, _) = Partition::decode_state(&bytes, reborn).unwrap();
    assert!(renamed.next_piece(&mut cursor, 100).is_err());
}

#[test]
fn one_huge_key_is_split_as_well() {
    let mut region = Region::new(0);
    (0..2000).for_each(|n| drop(region.run(&format!("SADD s member-{n:06}"), START_MS)));
    let nothing = VersionVector::new();
    let (whole, pieces) = in_pieces(&mut region, &nothing, |_| {});
    assert!(pieces > 60, "{pieces}");
    let mut other = Partition::new(7, replication_core::ReplicaId { region: 2, incarnation: 1 });
    other.apply_catch_up(&whole).unwrap();
    assert_eq!(other.digest(), region.partition.digest());
}

/// Compares sums, as two regions do over a link, and gives what is gone at the peer.
fn reconcile(maker: &Region, taker: &Region, since: &VersionVector) -> (Vec<replication_core::Dot>, usize, usize) {
    let sums = maker.partition.live_sums(since);
    let differing = taker.partition.differing(since, &sums);
    let live = maker.partition.live_in(since, sums.shift, &differing);
    (taker.partition.gone_by(since, sums.shift, &live), sums.buckets.len(), differing.len())
}

#[test]
fn sums_find_exactly_what_is_gone() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut regions = [Region::new(0), Region::new(1)];
        (0..300).for_each(|n| act(&mut regions[n % 2], &mut dice));
        sync(&mut regions);
        let away = regions[1].partition.vv().clone();
        (0..100).for_each(|_| act(&mut regions[0], &mut dice));
        let (gone, ..) = reconcile(&regions[0], &regions[1], &away);
        let mut catch_up = regions[0].partition.catch_up_since(&away);
        let Gone::These(logged) = &catch_up.gone else { panic!("{catch_up:?}") };
        assert!(gone.iter().all(|dot| logged.contains(dot)), "seed {seed}");
        catch_up.gone = Gone::These(gone);
        regions[1].partition.apply_catch_up(&catch_up).unwrap();
        assert_eq!(regions[1].partition.digest(), regions[0].partition.digest(), "seed {seed}");
    }
}

#[test]
fn few_removals_among_many_elements_are_found_with_few_bytes() {
    let mut regions = [Region::new(0), Region::new(1)];
    (0..60_000).for_each(|n| drop(regions[0].run(&format!("SADD s{} m{n}", n % 50), START_MS)));
    sync(&mut regions);
    let away = regions[1].partition.vv().clone();
    for n in 20_000..20_010 {
        regions[0].run(&format!("SREM s{} m{n}", n % 50), START_MS);
    }
    let (gone, sums, differing) = reconcile(&regions[0], &regions[1], &away);
    assert_eq!((gone.len(), sums, differing), (10, 15, 1));
}

#[test]
fn sparse_elements_share_wide_buckets() {
    let mut regions = [Region::new(0), Region::new(1)];
    // 200 keys, each written again and again: live numbers are far apart.
    for round in 0..300 {
        (0..200).for_each(|n| drop(regions[0].run(&format!("SET k{n} {round}"), START_MS)));
        regions[0].run(&format!("SET once{round} v"), START_MS);
    }
    sync(&mut regions);
    let sums = regions[0].partition.live_sums(regions[1].partition.vv());
    assert!(sums.buckets.len() <= 500 / 16 + 1, "{} buckets for 500 elements", sums.buckets.len());
}
