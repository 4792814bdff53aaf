//! Any steps, beside a plain vector; and the shapes that keep it dense.

use proptest::prelude::*;

use super::*;

/// Three to a chunk at the least would hide nothing, but chunks are at least 16: items this large give the smallest.
type Item = (u16, [u64; 20]);

fn item(n: u16) -> Item {
    (n, [u64::from(n); 20])
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Append,
    Prepend,
    Remove(u16),
    RemoveRanks(prop::sample::Index, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..600u16;
    prop_oneof![
        8 => few.clone().prop_map(Step::Insert),
        3 => Just(Step::Append),
        3 => Just(Step::Prepend),
        2 => few.prop_map(Step::Remove),
        1 => (any::<prop::sample::Index>(), 0..40usize).prop_map(|(at, count)| Step::RemoveRanks(at, count)),
    ]
}

fn apply(step: &Step, ranked: &mut Ranked<Item>, plain: &mut Vec<u16>) {
    match *step {
        Step::Insert(n) => {
            let place = ranked.bound(|item| item.0 < n);
            let at = plain.partition_point(|&item| item < n);
            assert_eq!(ranked.rank(place), at);
            ranked.insert(place, item(n));
            plain.insert(at, n);
        }
        Step::Append => {
            ranked.insert(ranked.end(), item(600));
            plain.push(600);
        }
        Step::Prepend => {
            ranked.insert(ranked.place(0), item(0));
            plain.insert(0, 0);
        }
        Step::Remove(n) => match (ranked.locate(|item| item.0.cmp(&n)), plain.iter().position(|&item| item == n)) {
            (Ok(place), Some(at)) => {
                assert_eq!(ranked.rank(place), at);
                assert_eq!(ranked.remove(place), Some(item(plain.remove(at))));
            }
            (Err(place), None) => assert_eq!(ranked.rank(place), plain.partition_point(|&item| item < n)),
            differ => panic!("{n}: {differ:?}"),
        },
        Step::RemoveRanks(at, count) => {
            let at = at.index(plain.len() + 1);
            for _ in 0..count {
                let expected = (at < plain.len()).then(|| item(plain.remove(at)));
                assert_eq!(ranked.remove(ranked.place(at)), expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_plain_vector(steps in prop::collection::vec(step(), 1..500), ranks in (0..700usize, 0..700usize)) {
        let (mut ranked, mut plain) = (Ranked::default(), Vec::new());
        for step in steps {
            apply(&step, &mut ranked, &mut plain);
        }
        let values = |items: Items<'_, Item>| items.map(|item| item.0).collect::<Vec<_>>();
        prop_assert_eq!(values(ranked.iter()), plain.clone());
        prop_assert_eq!((ranked.len(), ranked.is_empty()), (plain.len(), plain.is_empty()));
        for (rank, n) in plain.iter().enumerate() {
            prop_assert_eq!(ranked.get(rank), Some(&item(*n)));
            prop_assert_eq!(ranked.rank(ranked.place(rank)), rank);
        }
        prop_assert_eq!(ranked.get(plain.len()), None);
        let range = ranks.0..ranks.1;
        let expected: Vec<u16> = plain.iter().copied().take(range.end).skip(range.start).collect();
        prop_assert_eq!(ranked.range(range.clone()).len(), expected.len());
        let backwards: Vec<u16> = ranked.range(range.clone()).rev().map(|item| item.0).collect();
        prop_assert_eq!(backwards, expected.iter().rev().copied().collect::<Vec<_>>());
        prop_assert_eq!(values(ranked.range(range)), expected);
    }
}

#[test]
fn both_ends_of_one_iterator_meet() {
    let mut ranked = Ranked::default();
    (0..100).for_each(|n| ranked.insert(ranked.end(), item(n)));
    let mut items = ranked.range(10..90);
    for n in 0..40 {
        assert_eq!(items.next().map(|item| item.0), Some(10 + n));
        assert_eq!(items.next_back().map(|item| item.0), Some(89 - n));
    }
    assert!(items.next().is_none() && items.next_back().is_none());
}

#[test]
fn a_sequence_that_grows_at_its_ends_is_densely_packed() {
    for prepend in [false, true] {
        let mut ranked: Ranked<Item> = Ranked::default();
        for n in 0..160 {
            ranked.insert(if prepend { ranked.place(0) } else { ranked.end() }, item(n));
        }
        assert_eq!(ranked.chunks.len(), 160 / Ranked::<Item>::CHUNK);
    }
}

#[test]
fn a_sequence_that_shrinks_gives_its_chunks_back() {
    let mut ranked: Ranked<Item> = Ranked::default();
    (0..1000).for_each(|n| ranked.insert(ranked.end(), item(n)));
    for rank in 0..950 {
        ranked.remove(ranked.place(rank / 19));
    }
    assert_eq!(ranked.len(), 50);
    assert!(ranked.chunks.len() <= 2 * 50 / (Ranked::<Item>::CHUNK / 4) + 1, "{} chunks", ranked.chunks.len());
}
