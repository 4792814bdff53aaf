//! Sketches beside what they should count, in both forms, joined in any order, and fed with noise.

use proptest::prelude::*;

use super::*;

fn stored(draft: &Draft) -> Sketch<'_> {
    Sketch::parse(&draft.bytes).unwrap()
}

fn registers(sketch: Sketch<'_>) -> Vec<u8> {
    let mut registers = Registers::new();
    registers.merge(sketch).unwrap();
    registers.0.to_vec()
}

#[test]
fn counts_are_close_and_small_ones_exact() {
    let mut draft = Draft::empty();
    let mut added = 0u64;
    for upto in [0, 1, 2, 5, 10, 100, 1_000, 10_000, 100_000] {
        for n in added..upto {
            draft.add(Mark::of(format!("element {n}").as_bytes()));
        }
        added = upto;
        let counted = count_sketches([&draft.bytes[..]]).unwrap();
        let off = counted.abs_diff(upto);
        assert!(off * 100 <= upto * 3, "{counted} of {upto}");
        assert!(upto > 100 || off <= 1, "{counted} of {upto}");
    }
    assert!(stored(&draft).is_dense());
}

#[test]
fn a_sketch_is_sparse_while_that_is_shorter_and_dense_ones_have_one_length() {
    let mut draft = Draft::empty();
    assert_eq!(draft.bytes.len(), HEADER + 2);
    let mut n = 0;
    while !stored(&draft).is_dense() {
        assert!(draft.bytes.len() <= SPARSE_BYTES);
        draft.add(Mark::of(&u32::to_le_bytes(n)));
        n += 1;
    }
    assert!(n > 1000, "dense after {n}");
    assert_eq!(draft.bytes.len(), DENSE_BYTES);
    let mut tall = Draft::empty();
    tall.add(Mark { index: 5, count: 33 });
    assert!(stored(&tall).is_dense());
    assert_eq!(registers(stored(&tall))[5], 33);
}

#[test]
fn what_is_no_sketch_is_told_from_a_damaged_one() {
    let empty = Draft::empty().bytes;
    for bytes in [&b""[..], b"HYLL", b"HYLL\0aaaaaaaaaaa", &empty[1..], b"hello, I am no sketch at all"] {
        assert_eq!(Sketch::parse(bytes).err(), Some(OpError::NotASketch), "{bytes:?}");
    }
    let cut = [&empty[..17], &empty[..16]];
    for bytes in
        cut.into_iter().map(<[u8]>::to_vec).chain([[&empty[..], b"x"].concat(), [&empty[..16], b"\x80"].concat()])
    {
        assert_eq!(count_sketches([&bytes[..]]), Err(OpError::CorruptSketch), "{bytes:?}");
        assert!(Draft::from(Sketch::parse(&bytes).unwrap()).is_err());
    }
}

fn mark() -> impl Strategy<Value = Mark> {
    let index = prop_oneof![0..40usize, 0..REGISTERS, REGISTERS - 20..REGISTERS];
    (index, prop_oneof![5 => 1..5u8, 1 => 1..33u8, 1 => Just(51)]).prop_map(|(index, count)| Mark { index, count })
}

proptest! {
    /// Sparse runs, dense registers and a plain array are three ways to write the same.
    #[test]
    fn both_forms_hold_what_was_added(
        marks in prop::collection::vec(mark(), 0..400),
        dense_after in 0..400usize,
    ) {
        let mut draft = Draft::empty();
        let mut plain = vec![0u8; REGISTERS];
        for (at, mark) in marks.into_iter().enumerate() {
            prop_assert_eq!(stored(&draft).covers(mark).unwrap(), plain[mark.index] >= mark.count);
            draft.add(mark);
            plain[mark.index] = mark.count.max(plain[mark.index]);
            if at == dense_after {
                draft.make_dense();
            }
        }
        prop_assert_eq!(registers(stored(&draft)), plain);
    }

    #[test]
    fn union_is_a_join(
        a in prop::collection::vec(mark(), 0..50),
        b in prop::collection::vec(mark(), 0..50),
    ) {
        let draft = |marks: &[Mark]| {
            let mut draft = Draft::empty();
            marks.iter().for_each(|mark| draft.add(*mark));
            draft
        };
        let union = |drafts: &[&Draft]| {
            let mut registers = Registers::new();
            drafts.iter().for_each(|draft| registers.merge(stored(draft)).unwrap());
            registers.0
        };
        let (one, other) = (draft(&a), draft(&b));
        let both = draft(&[a, b].concat());
        prop_assert_eq!(&union(&[&one, &other]), &union(&[&other, &one, &one]));
        prop_assert_eq!(union(&[&one, &other]), union(&[&both]));
    }

    #[test]
    fn no_bytes_do_harm(noise in prop::collection::vec(any::<u8>(), 0..60), index in 0..REGISTERS) {
        let bytes = [&b"HYLL\x01"[..], &[0; 11], &noise].concat();
        let sketch = Sketch::parse(&bytes).unwrap();
        let _ = sketch.covers(Mark { index, count: 3 });
        let _ = count_sketches([&bytes[..]]);
        let _ = Draft::from(sketch);
    }
}
