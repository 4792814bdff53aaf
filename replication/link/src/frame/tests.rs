//! Frames there and back, in every version, and bytes that are no frames.

use expect_test::expect_file;
use replication_core::{
    Bucket, BucketSum, CatchUp, Change, Deadline, Delta, Dot, Gone, KEY_BUCKETS, LiveBucket, LiveSums, Part, Put,
    Score, Value,
};
use smallvec::smallvec;

use super::*;

fn read(version: u16, bytes: &[u8]) -> Result<Option<Frame>, Malformed> {
    let mut buffer = FrameBuffer::default();
    buffer.feed(bytes);
    buffer.next(version)
}

fn some_vectors() -> Vec<(u16, VersionVector)> {
    let replica = ReplicaId { region: 2, incarnation: 77 };
    vec![(5, [(replica, 300)].into_iter().collect())]
}

/// What a hello says of closed replicas, and the stamp that it tells.
fn some_columns(version: u16) -> (Vec<Column>, Hlc) {
    match version {
        1 | 2 => (Vec::new(), Hlc::ZERO),
        _ => (vec![Column { replica: ReplicaId { region: 1, incarnation: 5 }, sum: 0x1234 << 100 | 7 }], Hlc(77)),
    }
}

#[test]
fn frames_come_back_as_they_went_in_every_version() {
    let replica = ReplicaId { region: 2, incarnation: 77 };
    for version in OLDEST..=NEWEST {
        let (closed, heard) = some_columns(version);
        let (world, vectors) = ("shop".into(), some_vectors());
        let hello = Hello { version, world, replica, now_ms: 12345, vectors, closed, heard };
        let check = |frame: Frame| assert_eq!(read(version, &frame.encode(version)), Ok(Some(frame)));
        check(Frame::Hello(hello));
        check(Frame::Batch(Bytes::from_static(b"one")));
        check(Frame::Mark(Mark { hlc: Hlc(99), age_ms: 3, next_ms: 500 }));
        check(Frame::Ack(some_vectors()));
        check(Frame::Want(some_vectors()));
        check(Frame::Begin(3));
        check(Frame::CatchUp(Bytes::from_static(b"state")));
        check(Frame::Done(3));
    }
}

#[test]
fn what_is_cut_is_waited_for_and_what_is_impossible_is_refused() {
    let whole = Frame::Ack(some_vectors()).encode(2);
    for cut in 0..whole.len() {
        assert_eq!(read(2, &whole[..cut]), Ok(None), "cut at {cut}");
    }
    assert!(read(2, &[0; 8]).is_err());
    assert!(read(2, &[255; 8]).is_err());
    assert!(read(1, &[1, 0, 0, 0, 200]).is_err());
    assert!(read(2, &[1, 0, 0, 0, DONE]).is_err(), "no flags");
    assert!(read(2, &[3, 0, 0, 0, DONE, 0x80, 1]).is_err(), "unknown flags");
    assert!(read(2, &[4, 0, 0, 0, DONE, 0, 1, 1]).is_err(), "bytes behind the body");
}

#[test]
fn a_newer_hello_may_say_more_than_this_build_reads() {
    let replica = ReplicaId { region: 2, incarnation: 77 };
    let (closed, heard) = some_columns(NEWEST);
    let newer = Hello { version: 9, world: "shop".into(), replica, now_ms: 1, vectors: vec![], closed, heard };
    let mut bytes = Frame::Hello(newer.clone()).encode(NEWEST).to_vec();
    bytes.extend_from_slice(b"and more");
    bytes[0] += 8;
    assert_eq!(read(NEWEST, &bytes), Ok(Some(Frame::Hello(newer))));
}

const REPLICA: ReplicaId = ReplicaId { region: 2, incarnation: 77 };

/// A delta with everything that version 1 of the format has, and from version 2 on what came then.
fn some_delta(version: u16) -> Vec<u8> {
    let (key, dot) = (Bytes::from_static(b"cart"), Dot { replica: REPLICA, seq: 3 });
    let change = |part, put| Change { key: key.clone(), part, removes: smallvec![dot], put: Some(put) };
    let mut changes = vec![
        change(Part::Cell, Value::Text(Bytes::from_static(b"a book"))),
        change(Part::Field(Bytes::from_static(b"n")), Value::Text(Bytes::from_static(b"1"))),
        change(Part::Member(Bytes::from_static(b"m")), Value::Member),
        change(Part::Deadline, Value::Deadline(Deadline { at_ms: 12_345, bound: Some(dot) })),
    ];
    if version >= 2 {
        changes.push(change(Part::Rated(Bytes::from_static(b"r")), Value::Score(Score(1.5))));
        changes.push(change(Part::Item(Bytes::from_static(b"p")), Value::Text(Bytes::from_static(b"i"))));
        changes.push(change(Part::Key, Value::Revoked));
    }
    let needs = [(ReplicaId { region: 1, incarnation: 9 }, 5)].into_iter().collect();
    let delta = Delta { partition: 7, replica: REPLICA, first_seq: 4, hlc: Hlc::from_ms(1_000_000), needs, changes };
    let mut bytes = Vec::new();
    delta.encode_version(version.min(2) as u8, &mut bytes).unwrap();
    bytes
}

fn some_catch_up(version: u16) -> Vec<u8> {
    let dot = |seq| Dot { replica: REPLICA, seq };
    let since: VersionVector = [(REPLICA, 3)].into_iter().collect();
    let vv = [(REPLICA, 9)].into_iter().collect();
    let (key, part) = (Bytes::from_static(b"k"), Part::Cell);
    let value = Value::Text(Bytes::from_static(b"v"));
    let puts = vec![Put { key, part, dot: dot(8), hlc: Hlc::from_ms(5), value }];
    let gone = if version == 1 { Gone::AllBut(vec![dot(1)]) } else { Gone::These(vec![dot(2)]) };
    let mut bytes = Vec::new();
    let catch_up = CatchUp { partition: 5, since, vv, gone, early: vec![dot(11)], puts };
    catch_up.encode_version(version.min(2) as u8, &mut bytes).unwrap();
    bytes
}

/// One frame of each kind that a version has.
fn one_of_each(version: u16) -> Vec<(&'static str, Frame)> {
    let (closed, heard) = some_columns(version);
    let (world, vectors) = ("shop".into(), some_vectors());
    let hello = Hello { version, world, replica: REPLICA, now_ms: 12_345, vectors, closed, heard };
    let mut frames = vec![
        ("hello", Frame::Hello(hello)),
        ("batch", Frame::Batch(some_delta(version).into())),
        ("mark", Frame::Mark(Mark { hlc: Hlc(99), age_ms: 3, next_ms: 500 })),
        ("ack", Frame::Ack(some_vectors())),
        ("want", Frame::Want(some_vectors())),
        ("begin", Frame::Begin(3)),
        ("catch-up", Frame::CatchUp(some_catch_up(version).into())),
        ("done", Frame::Done(3)),
    ];
    if version >= 2 {
        let bucket = Bucket { replica: REPLICA, number: 1 };
        let since: VersionVector = [(REPLICA, 9000)].into_iter().collect();
        let sums = LiveSums { shift: 12, buckets: vec![(bucket, BucketSum { count: 2, sum: 0x1234_5678_9abc_def0 })] };
        let sparse = LiveBucket { bucket, seqs: vec![4096, 5000] };
        let dense = LiveBucket { bucket: Bucket { number: 2, ..bucket }, seqs: (8192..8256).collect() };
        let (context, partition) = (11, 5);
        let sums_of_keys = BucketSums { partition, context, sums: (0..u64::from(KEY_BUCKETS)).collect() };
        let keys = KeySums { partition, context, bucket: 7, keys: vec![(b"k".to_vec(), 1, 2)] };
        frames.extend([
            ("piece", Frame::Piece(some_catch_up(version).into())),
            ("sums", Frame::Sums(Sums { partition, since: since.clone(), sums })),
            ("differing", Frame::Differing(Differing { partition, shift: 12, buckets: vec![bucket] })),
            ("live", Frame::Live(Live { partition, since, shift: 12, live: vec![sparse, dense] })),
            ("digests", Frame::Digests(vec![Digest { partition, context, sum: 4 }])),
            ("ask-buckets", Frame::AskBuckets(partition)),
            ("buckets", Frame::Buckets(sums_of_keys)),
            ("ask-keys", Frame::AskKeys(AskKeys { partition, bucket: 7 })),
            ("keys", Frame::Keys(keys)),
            ("packed", Frame::Batch(vec![7; 600].into())),
        ]);
    }
    if version >= 3 {
        frames.push(("ask-all", Frame::AskAll));
    }
    frames
}

fn encode(name: &str, frame: &Frame, version: u16) -> Bytes {
    if name == "packed" { Packer::default().pack(frame, version).0 } else { frame.encode(version) }
}

/// Name and bytes of each golden frame.
fn golden(version: u16) -> Vec<(String, Vec<u8>)> {
    let text = match version {
        1 => include_str!("../../tests/it/testdata/frames-1.txt"),
        2 => include_str!("../../tests/it/testdata/frames-2.txt"),
        _ => include_str!("../../tests/it/testdata/frames-3.txt"),
    };
    let frame = |line: &str| {
        let (name, hex) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        (name.to_owned(), (0..hex.len() / 2).map(byte).collect())
    };
    text.lines().map(frame).collect()
}

/// What is on the wire. If this changes, so must the version, and the one before must still be read and written. Only the
/// packed frame may change without that, when zstd packs otherwise.
#[test]
fn the_bytes_of_each_frame_are_these() {
    for version in OLDEST..=NEWEST {
        let mut text = String::new();
        for (name, frame) in one_of_each(version) {
            let hex: String = encode(name, &frame, version).iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{name} {hex}\n"));
        }
        match version {
            1 => expect_file!["../../tests/it/testdata/frames-1.txt"].assert_eq(&text),
            2 => expect_file!["../../tests/it/testdata/frames-2.txt"].assert_eq(&text),
            _ => expect_file!["../../tests/it/testdata/frames-3.txt"].assert_eq(&text),
        }
    }
}

#[test]
fn golden_frames_of_every_version_are_read() {
    for version in OLDEST..=NEWEST {
        for ((name, bytes), (_, frame)) in golden(version).into_iter().zip(one_of_each(version)) {
            assert_eq!(read(version, &bytes), Ok(Some(frame)), "{name} of version {version}");
        }
    }
}

#[test]
fn kinds_of_version_2_are_garbage_in_version_1() {
    for (name, frame) in one_of_each(2).into_iter().skip(one_of_each(1).len()).filter(|(name, _)| *name != "packed") {
        assert!(read(1, &frame.encode(1)).is_err(), "{name}");
    }
}

#[test]
fn kinds_of_version_3_are_garbage_in_version_2() {
    assert!(read(2, &Frame::AskAll.encode(2)).is_err());
}

/// Damages a frame: flips, cuts, doubles, and bytes of other frames in between.
fn mutate(bytes: &mut Vec<u8>, dice: &mut fastrand::Rng, others: &[(String, Vec<u8>)]) {
    for _ in 0..dice.usize(1..4) {
        let at = dice.usize(..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match dice.u8(..6) {
            _ if bytes.is_empty() => bytes.push(dice.u8(..)),
            0 => bytes[at] ^= 1 << dice.u8(..8),
            1 => bytes[at] = dice.u8(..),
            2 => bytes.truncate(at),
            3 => bytes[at] = 0xff,
            4 => {
                let other = &others[dice.usize(..others.len())].1;
                bytes.extend_from_slice(&other[dice.usize(..other.len())..]);
            }
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

/// Puts length and checksum right again, so that damage reaches what is inside.
fn repair(bytes: &mut [u8]) {
    let Some(body) = bytes.len().checked_sub(4).and_then(|length| u32::try_from(length).ok()) else { return };
    bytes[..4].copy_from_slice(&body.to_le_bytes());
    let end = bytes.len();
    if end < 6 + 4 + 2 + 8 {
        return;
    }
    let length = (end - 10) as u32;
    bytes[6..10].copy_from_slice(&length.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[10..end - 8]).to_le_bytes();
    bytes[end - 8..].copy_from_slice(&sum);
}

/// `ATOLL_FUZZ` says how many frames are tried; CI tries fewer.
#[test]
fn damaged_frames_are_refused_or_read_but_never_believed_beyond_their_bytes() {
    let rounds = std::env::var("ATOLL_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(40_000_u64);
    let mut dice = fastrand::Rng::with_seed(7);
    let mut read_all = 0_u64;
    let all: Vec<_> = (OLDEST..=NEWEST).map(golden).collect();
    for round in 0..rounds {
        let version = OLDEST + (round % u64::from(NEWEST - OLDEST + 1)) as u16;
        let all = &all[usize::from(version - OLDEST)];
        let (name, mut bytes) = all[dice.usize(..all.len())].clone();
        mutate(&mut bytes, &mut dice, all);
        if version >= 2 && dice.bool() && ["batch", "catch-up", "piece"].contains(&&name[..]) {
            repair(&mut bytes);
        } else if dice.bool() && bytes.len() >= 4 {
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
        let mut buffer = FrameBuffer::default();
        for chunk in bytes.chunks(dice.usize(1..64)) {
            buffer.feed(chunk);
            while let Ok(Some(frame)) = buffer.next(version) {
                read_all += 1;
                match frame {
                    Frame::Batch(body) => drop(Delta::decode(&body)),
                    Frame::CatchUp(body) | Frame::Piece(body) => drop(CatchUp::decode(&body)),
                    Frame::Ack(vectors) | Frame::Want(vectors) => assert!(vectors.len() <= bytes.len()),
                    Frame::Live(live) => {
                        let numbers: usize = live.live.iter().map(|bucket| bucket.seqs.len()).sum();
                        // The packed golden frame holds 600 bytes.
                        assert!(numbers <= 8 * bytes.len().max(600));
                    }
                    _ => {}
                }
            }
        }
        assert!(buffer.len() <= bytes.len());
    }
    assert!(read_all > rounds / 20, "only {read_all} of {rounds} were read: the damage is too great to test anything");
}
