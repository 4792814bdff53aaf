//! The Plan on disk: whole, damaged, locked.

use std::fs;

use super::{Dir, id, plan};
use crate::plan_file::{OpenError, PlanFile, decode, encode};

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
    let whole = encode(&plan(id(7, 42), "x")).unwrap();
    decode(&whole).unwrap();
    for at in 0..whole.len() {
        decode(&whole[..at]).expect_err("torn");
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(decode(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
    decode(&[&whole[..], b" "].concat()).expect_err("too long");
}

#[test]
fn a_plan_that_cannot_be_read_is_set_aside_and_a_new_one_takes_its_place() {
    let dir = Dir::new();
    let whole = encode(&plan(id(7, 42), "x")).unwrap();
    let another_version = b"atoll-plan 2\n{}".to_vec();
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
