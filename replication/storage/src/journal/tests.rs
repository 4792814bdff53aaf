//! The journal as bytes: cuts, flips, gaps, strangers, and a disk that says no.

use std::{fs, path::Path};

use super::{
    record::{HEADER, Kind},
    *,
};
use crate::{RealFiles, Tail, tests::TempDir};

fn setting(dir: &Path) -> Setting {
    Setting { files: Arc::new(RealFiles), dir: dir.into(), owner: owner(), segment_bytes: 1 << 20, ring_bytes: 1 << 20 }
}

fn owner() -> Owner {
    Owner::new("shop", 1, 7)
}

fn texts_from(dir: &Path, from: u64) -> Result<(Replayed, Vec<String>), OpenError> {
    let mut texts = Vec::new();
    let replayed = replay(
        &RealFiles,
        dir,
        &owner(),
        from,
        false,
        &mut each(|record| {
            texts.push(String::from_utf8_lossy(record.payload).into_owned());
            Ok(())
        }),
    )?;
    mend(&RealFiles, dir, &replayed)?;
    Ok((replayed, texts))
}

fn open(dir: &Path) -> Journal {
    let (replayed, _) = texts_from(dir, 0).unwrap();
    Journal::resume(setting(dir), &replayed, false, false).unwrap()
}

fn say(journal: &Journal, text: &str) {
    journal.push(Kind::Delta, Some(3), |buf| buf.extend_from_slice(text.as_bytes()));
}

/// A directory with one segment that holds the texts.
fn written(texts: &[&str]) -> TempDir {
    let dir = TempDir::new();
    let journal = open(&dir);
    texts.iter().for_each(|text| say(&journal, text));
    journal.write_pending().unwrap();
    dir
}

#[test]
fn what_is_written_is_read_back_and_gone_on_with() {
    let dir = written(&["a", "bb"]);
    let journal = open(&dir);
    assert_eq!((journal.written(), journal.synced(), journal.end()), (2, 2, 2));
    say(&journal, "ccc");
    assert_eq!(journal.end(), 3);
    assert_eq!(journal.written(), 2);
    journal.sync().unwrap();
    assert_eq!((journal.written(), journal.synced()), (3, 3));
    let (replayed, texts) = texts_from(&dir, 0).unwrap();
    assert_eq!(texts, ["a", "bb", "ccc"]);
    assert_eq!(replayed.bytes, journal.bytes());
}

#[test]
fn a_journal_cut_at_any_byte_gives_back_every_whole_record() {
    let texts = ["alpha", "be", "", "delta"];
    let whole = fs::read(segment::path(&written(&texts), 0)).unwrap();
    let mut ends = vec![segment::HEADER];
    texts.iter().for_each(|text| ends.push(ends.last().unwrap() + HEADER + text.len()));
    for cut in 0..=whole.len() {
        let dir = TempDir::new();
        fs::write(segment::path(&dir, 0), &whole[..cut]).unwrap();
        let (replayed, found) = texts_from(&dir, 0).unwrap();
        let complete = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(found, texts[..complete.saturating_sub(1)], "cut at {cut}");
        // A segment that has not even a header was being begun: nothing can have been in it.
        assert_eq!(replayed.torn.is_none(), cut < segment::HEADER || ends.contains(&cut), "cut at {cut}");
        // Once cut off, the journal is whole again and can be gone on with.
        let journal = open(&dir);
        say(&journal, "new");
        journal.write_pending().unwrap();
        let (replayed, again) = texts_from(&dir, 0).unwrap();
        assert_eq!((again.last().unwrap().as_str(), again.len(), replayed.torn), ("new", found.len() + 1, None));
    }
}

#[test]
fn a_flipped_byte_is_a_torn_tail_at_the_end_and_damage_before_it() {
    let texts = ["alpha", "beta", "gamma"];
    let whole = fs::read(segment::path(&written(&texts), 0)).unwrap();
    let last = whole.len() - HEADER - texts[2].len();
    for at in 0..whole.len() {
        let dir = TempDir::new();
        let file = segment::path(&dir, 0);
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        match texts_from(&dir, 0) {
            Ok((replayed, found)) => {
                assert!(at >= last, "a flip at {at} went unnoticed");
                assert_eq!((found, replayed.torn.unwrap().offset), (vec!["alpha".into(), "beta".into()], last as u64));
            }
            Err(OpenError::Damaged { file: named, offset, .. }) => {
                assert!(at < last, "a flip at {at} in the tail was refused");
                assert!(named == file && offset <= at as u64, "{offset} for a flip at {at}");
                assert_eq!(fs::read(&file).unwrap(), bytes, "a refused file was touched");
            }
            Err(other) => panic!("a flip at {at}: {other}"),
        }
    }
}

#[test]
fn segments_follow_each_other_and_a_missing_one_is_named() {
    let dir = written(&["a", "b"]);
    let journal = open(&dir);
    assert_eq!(journal.begin_checkpoint().unwrap().position, 2);
    let begun = journal.begin_checkpoint().unwrap();
    assert_eq!(begun.position, 2, "an empty segment is not rotated");
    say(&journal, "c");
    journal.begin_checkpoint().unwrap();
    say(&journal, "d");
    journal.sync().unwrap();
    assert_eq!(texts_from(&dir, 0).unwrap().1, ["a", "b", "c", "d"]);
    assert_eq!(texts_from(&dir, 2).unwrap().1, ["c", "d"]);
    assert_eq!(texts_from(&dir, 0).unwrap().0.bytes, journal.bytes());

    let middle = segment::path(&dir, 2);
    let kept = fs::read(&middle).unwrap();
    fs::remove_file(&middle).unwrap();
    assert!(matches!(texts_from(&dir, 0), Err(OpenError::Incomplete { what, .. }) if what.contains("2 to 3")));
    // A torn end of a segment that is not the last is no tail.
    fs::write(&middle, &kept[..kept.len() - 1]).unwrap();
    assert!(matches!(texts_from(&dir, 0), Err(OpenError::Damaged { file, .. }) if file == middle));
    fs::write(&middle, &kept).unwrap();

    journal.checkpointed(&begun).unwrap();
    assert_eq!(texts_from(&dir, 2).unwrap().1, ["c", "d"]);
    assert_eq!(texts_from(&dir, 2).unwrap().0.bytes, journal.bytes());
    assert!(matches!(texts_from(&dir, 0), Err(OpenError::Incomplete { .. })));
}

#[test]
fn a_full_segment_is_closed_at_the_next_sync() {
    let dir = TempDir::new();
    let (replayed, _) = texts_from(&dir, 0).unwrap();
    let journal = Journal::resume(Setting { segment_bytes: 200, ..setting(&dir) }, &replayed, false, false).unwrap();
    for _ in 0..20 {
        say(&journal, "twenty bytes of text");
        journal.sync().unwrap();
    }
    assert_eq!(segment::list(&RealFiles, &dir).unwrap(), [0, 5, 11, 17, 23, 29, 35]);
    assert_eq!(texts_from(&dir, 0).unwrap().1.len(), 20);
}

#[test]
fn strangers_are_refused() {
    let dir = written(&["a"]);
    let other_world = replay(&RealFiles, &dir, &Owner::new("bank", 1, 7), 0, false, &mut each(|_| Ok(())));
    assert!(matches!(other_world, Err(OpenError::OtherWorld { .. })));
    let other_region = replay(&RealFiles, &dir, &Owner::new("shop", 2, 7), 0, false, &mut each(|_| Ok(())));
    assert!(matches!(other_region, Err(OpenError::OtherRegion { found: 1, want: 2, .. })));
    let unreadable = replay(&RealFiles, &dir, &owner(), 0, false, &mut each(|_| Err("nonsense".into())));
    assert!(matches!(unreadable, Err(OpenError::Damaged { offset, .. }) if offset == segment::HEADER as u64));
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_heals() {
    let dir = written(&["a"]);
    let journal = open(&dir);
    let good = journal.use_file(RealFiles.open(Path::new("/dev/full"), Access::Write).unwrap());
    say(&journal, "b");
    let refused = journal.write_pending().unwrap_err();
    assert!(refused.to_string().contains("No space left"), "{refused}");
    assert!(journal.failure().is_some());
    assert_eq!(journal.written(), 1);
    assert!(matches!(journal.ring().tail(1, 99, journal.written()), Tail::Deltas { deltas, .. } if deltas.is_empty()));
    say(&journal, "c");
    assert!(journal.write_pending().is_err());

    journal.use_file(good);
    assert_eq!(journal.write_pending().unwrap(), 3);
    assert!(journal.failure().is_none());
    assert_eq!(texts_from(&dir, 0).unwrap().1, ["a", "b", "c"]);
    assert!(matches!(journal.ring().tail(1, 99, 3), Tail::Deltas { deltas, next: 3 } if deltas.len() == 2));
}
