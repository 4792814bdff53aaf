//! The Plan on disk: whole, damaged, locked.

use std::fs;

use super::{Dir, id, plan};
use crate::plan_file::{NAMES, OpenError, PlanFile, decode, encode};

#[test]
fn a_plan_comes_back_as_it_went_in() {
    let dir = Dir::new();
    let (mut file, none) = PlanFile::open(&dir.0).unwrap();
    assert_eq!(none, None);
    file.store(&plan(id(7, 42), "x")).unwrap();
    file.store(&plan(id(7, 41), "stale")).unwrap();
    assert_eq!(file.written(), Some(id(7, 42)));
    drop(file);
    assert_eq!(PlanFile::open(&dir.0).unwrap().1, Some(plan(id(7, 42), "x")));
}

#[test]
fn a_flipped_bit_or_a_torn_tail_anywhere_is_noticed() {
    let whole = encode(3, &plan(id(7, 42), "x")).unwrap();
    assert_eq!(decode(&whole).unwrap(), (3, plan(id(7, 42), "x")));
    for at in 0..whole.len() {
        decode(&whole[..at]).expect_err("torn");
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(decode(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert_eq!(decode(&[&whole[..], b"of an earlier one"].concat()).unwrap().0, 3, "what is behind it does not matter");
}

/// A write stops anywhere, with its sectors on disk in any order: the Plan before it or the new one is there, and never another.
#[test]
fn a_power_loss_in_the_middle_of_a_write_leaves_the_plan_before_it_or_the_new_one() {
    const SECTOR: usize = 512;
    let image = |dir: &Dir| NAMES.map(|name| fs::read(dir.0.join(name)).unwrap_or_default());
    let dir = Dir::new();
    let (mut file, _) = PlanFile::open(&dir.0).unwrap();
    let mut luck = fastrand::Rng::with_seed(7);
    for version in 1..=30 {
        let before = image(&dir);
        let long = "x".repeat(luck.usize(..9000));
        file.store(&plan(id(1, version), &long)).unwrap();
        let after = image(&dir);
        for kept in [0, 128, 256].into_iter().flat_map(|kept| [kept; 4]) {
            let lost = Dir::new();
            fs::create_dir_all(&lost.0).unwrap();
            for ((name, old), new) in NAMES.iter().zip(&before).zip(&after) {
                let mut torn = new.clone();
                for (at, sector) in torn.chunks_mut(SECTOR).enumerate() {
                    if luck.usize(..256) >= kept {
                        sector.fill(0);
                        let from = old.get(at * SECTOR..).unwrap_or_default();
                        let length = from.len().min(sector.len());
                        sector[..length].copy_from_slice(&from[..length]);
                    }
                }
                fs::write(lost.0.join(name), torn).unwrap();
            }
            let found = PlanFile::open(&lost.0).unwrap().1.map(|plan| plan.id);
            let whole = [version - 1, version].map(|version| (version > 0).then(|| id(1, version)));
            assert!(whole.contains(&found), "{found:?} after {version}, {kept} of 256 sectors written");
        }
    }
}

/// A file is overwritten in place, also by a shorter Plan, and only grows.
#[test]
fn two_files_are_written_in_turns_and_never_shrink() {
    let dir = Dir::new();
    let (mut file, _) = PlanFile::open(&dir.0).unwrap();
    let mut lengths = Vec::new();
    for (version, long) in [20_000, 0, 0, 20_000, 0, 0].into_iter().enumerate() {
        file.store(&plan(id(1, version as u64), &"x".repeat(long))).unwrap();
        lengths.push(NAMES.map(|name| fs::metadata(dir.0.join(name)).map_or(0, |file| file.len() / 1024)));
    }
    assert_eq!(lengths, [[32, 0], [32, 16], [32, 16], [32, 32], [32, 32], [32, 32]]);
    drop(file);
    assert_eq!(PlanFile::open(&dir.0).unwrap().1, Some(plan(id(1, 5), "")));
}

#[test]
fn a_plan_that_cannot_be_read_is_set_aside_and_a_new_one_takes_its_place() {
    let dir = Dir::new();
    let whole = encode(1, &plan(id(7, 42), "x")).unwrap();
    let another_version = b"atoll-plan 9\n{}".to_vec();
    for damaged in [vec![], vec![0; 5000], whole[..whole.len() - 1].to_vec(), another_version] {
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.0.join("plan"), &damaged).unwrap();
        let (mut file, last) = PlanFile::open(&dir.0).unwrap();
        assert_eq!(last, None);
        assert_eq!(fs::read(dir.0.join("plan.unusable")).unwrap(), damaged);
        file.store(&plan(id(1, 1), "new")).unwrap();
        drop(file);
        assert_eq!(PlanFile::open(&dir.0).unwrap().1, Some(plan(id(1, 1), "new")));
    }
}

#[test]
fn a_directory_has_one_follower() {
    let dir = Dir::new();
    let (held, _) = PlanFile::open(&dir.0).unwrap();
    let e = PlanFile::open(&dir.0).err().unwrap();
    assert!(matches!(e, OpenError::Taken { .. }) && e.to_string().contains("another process"), "{e}");
    drop(held);
    PlanFile::open(&dir.0).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = Dir::new();
    fs::write(&dir.0, "a file").unwrap();
    let e = PlanFile::open(&dir.0.join("sub")).err().unwrap().to_string();
    assert!(e.contains("atoll-follower-test") && e.contains("choose another"), "{e}");
    fs::remove_file(&dir.0).unwrap();
}
