//! Frames: what is written is read back, the bytes are those of the format, and nothing that is not a frame does harm.

use bytes::Bytes;
use expect_test::expect;
use proptest::prelude::*;
use replication_core::{
    CatchUp, Change, Count, Deadline, DecodeError, Delta, Dot, Floor, Gone, Hlc, MAX_DELTA_BYTES, MAX_SEQ, Part,
    Partition, Put, ReplicaId, Score, Value, VersionVector,
};

use crate::support::{Region, START_MS, replica};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn replica_id() -> impl Strategy<Value = ReplicaId> {
    (any::<u16>(), any::<u32>()).prop_map(|(region, incarnation)| ReplicaId { region, incarnation })
}

fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![1..300u64, Just(1 << 31), Just((1 << 32) + 1), Just(MAX_SEQ - 10_000)]
}

fn dot() -> impl Strategy<Value = Dot> {
    (replica_id(), seq()).prop_map(|(replica, seq)| Dot { replica, seq })
}

fn vv() -> impl Strategy<Value = VersionVector> {
    prop::collection::vec((replica_id(), seq()), 0..5).prop_map(|entries| entries.into_iter().collect())
}

fn cell_value() -> impl Strategy<Value = Value> {
    let count = (any::<i128>(), any::<u64>(), any::<u64>(), any::<i128>())
        .prop_map(|(sum, last, base_seq, base_sum)| Value::Count(Box::new(Count { sum, last, base_seq, base_sum })));
    let floor = (replica_id(), any::<u64>(), any::<i128>())
        .prop_map(|(owner, seq, sum)| Value::Floor(Box::new(Floor { owner, seq, sum })));
    prop_oneof![bytes().prop_map(Value::Text), count, floor]
}

fn score_value() -> impl Strategy<Value = Value> {
    let score = any::<f64>().prop_filter("no score is NaN", |score| !score.is_nan());
    let counted = cell_value().prop_filter("a text is no score", |value| !matches!(value, Value::Text(_)));
    prop_oneof![score.prop_map(|score| Value::Score(Score(score))), counted]
}

/// List positions: paths of steps of five small integers, of a byte each.
fn position() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(prop::array::uniform5(0x40..=0xbfu8), 1..4).prop_map(|steps| steps.concat().into())
}

/// A place and a value it can hold.
fn placed() -> impl Strategy<Value = (Part, Value)> {
    let deadline = (any::<u64>(), prop::option::of(dot()))
        .prop_map(|(at_ms, bound)| (Part::Deadline, Value::Deadline(Deadline { at_ms, bound })));
    prop_oneof![
        cell_value().prop_map(|value| (Part::Cell, value)),
        (bytes(), cell_value()).prop_map(|(field, value)| (Part::Field(field), value)),
        bytes().prop_map(|member| (Part::Member(member), Value::Member)),
        bytes().prop_map(|sketch| (Part::Sketch, Value::Text(sketch))),
        deadline,
        (bytes(), any::<u64>(), prop::option::of(dot()))
            .prop_map(|(field, at_ms, bound)| (Part::FieldDeadline(field), Value::Deadline(Deadline { at_ms, bound }))),
        (bytes(), 0..4u8).prop_map(|(name, place)| {
            let parts = [Part::Key, Part::Field(name.clone()), Part::Member(name.clone()), Part::Rated(name)];
            (parts[usize::from(place)].clone(), Value::Revoked)
        }),
        (bytes(), score_value()).prop_map(|(member, value)| (Part::Rated(member), value)),
        (position(), bytes()).prop_map(|(position, text)| (Part::Item(position), Value::Text(text))),
    ]
}

/// Sorted, as frames hold them.
fn dots() -> impl Strategy<Value = Vec<Dot>> {
    prop::collection::btree_set(dot(), 0..6).prop_map(|dots| dots.into_iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    let key = prop_oneof![Just(Bytes::from_static(b"same")), bytes()];
    (key, dots(), placed(), 0..3u8).prop_map(|(key, removes, (part, value), shape)| Change {
        key,
        part: if shape == 2 { Part::Any } else { part },
        removes: removes.into(),
        put: (shape == 0).then_some(value),
    })
}

fn delta() -> impl Strategy<Value = Delta> {
    let changes = prop::collection::vec(change(), 0..6);
    (0..1024u16, replica_id(), seq(), any::<u64>(), vv(), changes).prop_map(
        |(partition, replica, first_seq, hlc, needs, changes)| Delta {
            partition,
            replica,
            first_seq,
            hlc: Hlc(hlc),
            needs,
            changes,
        },
    )
}

fn catch_up() -> impl Strategy<Value = CatchUp> {
    let gone =
        (any::<bool>(), dots()).prop_map(|(these, dots)| if these { Gone::These(dots) } else { Gone::AllBut(dots) });
    let put = (bytes(), placed(), dot(), any::<u64>()).prop_map(|(key, (part, value), dot, hlc)| Put {
        key,
        part,
        dot,
        hlc: Hlc(hlc),
        value,
    });
    (0..1024u16, vv(), gone, dots(), prop::collection::vec(put, 0..6)).prop_map(|(partition, vv, gone, early, puts)| {
        let vv: VersionVector = vv.iter().chain(puts.iter().map(|put| (put.dot.replica, put.dot.seq))).collect();
        CatchUp { partition, since: VersionVector::new(), vv, gone, early, puts }
    })
}

fn encoded(delta: &Delta) -> Vec<u8> {
    let mut frame = Vec::new();
    delta.encode(&mut frame);
    frame
}

/// A region with a bit of everything, and its frames of each kind.
fn frames() -> [Vec<u8>; 3] {
    let mut region = Region::new(0);
    for command in
        ["SET k v EX 5", "INCRBY n 7", "HSET h a 1 b 2", "HINCRBY h n 3", "SADD s x y", "DEL n", "EXPIRE h 9"]
    {
        region.run(command, START_MS);
    }
    let mut frames = [Vec::new(), Vec::new(), Vec::new()];
    region.made[2].encode(&mut frames[0]);
    region.partition.catch_up_since(&VersionVector::from_iter([(replica(0), 3)])).encode(&mut frames[1]);
    region.partition.encode_state(&mut frames[2]);
    frames
}

/// Every decoder on the same bytes: an error or a value, never a panic.
fn decode_all(bytes: &[u8]) -> bool {
    let delta = Delta::decode(bytes);
    let catch_up = CatchUp::decode(bytes);
    let state = Partition::decode_state(bytes, replica(0));
    if let Ok(Some((delta, _))) = &delta {
        Partition::new(delta.partition, replica(0)).merge(delta);
    }
    if let Ok(Some((catch_up, _))) = &catch_up {
        // Refused or applied; what is applied can be read.
        let mut partition = Partition::new(catch_up.partition, replica(0));
        let refused = partition.apply_catch_up(catch_up).is_err();
        assert!(refused || partition.vv().dominates(&catch_up.vv));
        catch_up.puts.iter().for_each(|put| drop(partition.explain(&put.key, 0)));
    }
    matches!(delta, Ok(Some(_))) || matches!(catch_up, Ok(Some(_))) || state.is_ok()
}

proptest! {
    #[test]
    fn deltas_are_read_back_as_written(delta in delta(), tail in bytes()) {
        let mut frame = encoded(&delta);
        let len = frame.len();
        prop_assert_eq!(Delta::decode(&frame[..len - 1]), Ok(None), "an incomplete frame is waited for");
        frame.extend_from_slice(&tail);
        prop_assert_eq!(Delta::decode(&frame), Ok(Some((delta, len))));
    }

    #[test]
    fn catch_ups_are_read_back_as_written(catch_up in catch_up()) {
        let mut frame = Vec::new();
        catch_up.encode(&mut frame);
        prop_assert_eq!(CatchUp::decode(&frame), Ok(Some((catch_up, frame.len()))));
    }

    #[test]
    fn any_delta_can_be_merged(deltas in prop::collection::vec(delta(), 1..6)) {
        let mut partition = Partition::new(0, replica(0));
        for mut delta in deltas {
            delta.partition = 0;
            delta.first_seq = partition.vv().get(delta.replica) + 1;
            partition.merge(&delta);
            delta.changes.iter().for_each(|change| drop(partition.explain(&change.key, 1)));
        }
        let mut state = Vec::new();
        partition.encode_state(&mut state);
        let (restored, _) = Partition::decode_state(&state, replica(0)).unwrap();
        prop_assert_eq!(restored.digest(), partition.digest());
    }

    #[test]
    fn random_bytes_are_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!decode_all(&bytes));
    }

    #[test]
    fn a_flipped_byte_is_noticed(which in 0..3usize, at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut frame = frames()[which].clone();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(!decode_all(&frame));
    }

    /// As a peer with a bug would send it: mutated, with a checksum that fits.
    #[test]
    fn a_mutated_frame_with_a_good_checksum_does_no_harm(
        which in 0..3usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut frame = frames()[which].clone();
        let body = 6..frame.len() - 8;
        for (at, byte) in edits {
            frame[body.start + at.index(body.len())] = byte;
        }
        let sum = xxhash_rust::xxh3::xxh3_64(&frame[4..body.end]);
        frame[body.end..].copy_from_slice(&sum.to_le_bytes());
        decode_all(&frame);
    }
}

#[test]
fn a_frame_that_claims_to_be_huge_is_refused_before_it_is_waited_for() {
    let claim = (MAX_DELTA_BYTES as u32 + 1).to_le_bytes();
    assert!(matches!(Delta::decode(&claim), Err(DecodeError::TooLong { .. })));
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let [delta, catch_up, state] = frames();
    assert_eq!(Delta::decode(&catch_up), Err(DecodeError::Kind(2)));
    assert_eq!(CatchUp::decode(&delta), Err(DecodeError::Kind(1)));
    assert!(matches!(Partition::decode_state(&state[..9], replica(0)), Err(DecodeError::Incomplete)));
    let mut flipped = delta.clone();
    flipped[9] ^= 1;
    assert_eq!(Delta::decode(&flipped), Err(DecodeError::Checksum { len: delta.len() }));
    let mut newer = delta.clone();
    newer[4] = 9;
    let end = newer.len() - 8;
    let sum = xxhash_rust::xxh3::xxh3_64(&newer[4..end]);
    newer[end..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(Delta::decode(&newer), Err(DecodeError::Version(9)));
}

/// The format on disk and on the wire. If this changes, so must the version, and the old one must still be read.
#[test]
fn the_bytes_of_a_delta_are_these() {
    const ONE: i128 = 100_000_000_000_000_000; // sums are in units of 10^-17, and travel as integers where they are
    let dot = |region, seq| Dot { replica: ReplicaId { region, incarnation: 1 }, seq };
    let delta = Delta {
        partition: 700,
        replica: ReplicaId { region: 1, incarnation: 1 },
        first_seq: 300,
        hlc: Hlc::from_ms(1_000_000),
        needs: VersionVector::from_iter([(ReplicaId { region: 2, incarnation: 1 }, 9)]),
        changes: vec![
            Change {
                key: Bytes::from_static(b"cart"),
                part: Part::Field(Bytes::from_static(b"n")),
                removes: [dot(1, 299), dot(2, 8), dot(2, 9)].into_iter().collect(),
                put: Some(Value::Count(Box::new(Count { sum: -3 * ONE, last: 300, base_seq: 290, base_sum: ONE }))),
            },
            Change {
                key: Bytes::from_static(b"cart"),
                part: Part::Deadline,
                removes: [].into_iter().collect(),
                put: Some(Value::Deadline(Deadline { at_ms: 1_060_000, bound: None })),
            },
        ],
    };
    let frame = encoded(&delta);
    assert_eq!(Delta::decode(&frame).unwrap().unwrap().0, delta);
    let lines: Vec<String> = frame
        .chunks(16)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    expect![[r#"
        41 00 00 00 02 01 bc 05 01 01 ac 02 00 00 40 42
        0f 00 00 00 01 02 01 09 02 02 04 63 61 72 74 02
        01 6e 03 01 01 01 ab 02 02 01 02 08 01 01 05 00
        ac 02 a2 02 02 00 03 04 00 04 a0 d9 40 76 2c b8
        92 d8 14 34 5a"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn frames_of_the_version_before_are_read() {
    // The golden delta above as version 1 wrote it: the same body, another version byte, another checksum.
    let first = "410000000101bc050101ac0200004042\
                 0f000000010201090202046361727402\
                 016e03010101ab020201020801010500\
                 ac02a202020003040004a0d94024881d\
                 299eb811a6"
        .replace(' ', "");
    let frame: Vec<u8> =
        (0..first.len() / 2).map(|i| u8::from_str_radix(&first[2 * i..2 * i + 2], 16).unwrap()).collect();
    let (delta, taken) = Delta::decode(&frame).unwrap().unwrap();
    assert_eq!((delta.first_seq, delta.changes.len(), taken), (300, 2, frame.len()));
    let Some(Value::Count(count)) = &delta.changes[0].put else { panic!("{delta:?}") };
    assert_eq!((count.sum, count.base_sum), (-300_000_000_000_000_000, 100_000_000_000_000_000));
}
