//! Positions: byte strings that say where in a list an element stands. Lists are read in the order of these bytes.
//!
//! A position is a path of steps from the outside in; each step is five integers, in an encoding whose bytes are ordered as the
//! numbers are and of which none is the beginning of another:
//!
//! ```text
//! ordinal │ region │ incarnation │ sequence number │ index   …   the same again, for what was inserted behind that element
//!           └──── the first change of the command ────┘
//! ```
//!
//! The laws:
//!
//! - **Order.** A position is less than all that continue it, and those are less than whatever comes after it.
//! - **Unique.** Every insertion names its own change, and every element of it its own index. So concurrent insertions at one
//!   place both stay, in the same order everywhere: by region, incarnation and sequence number.
//! - **No interleaving.** The elements of one command differ in the last index only, so nothing that did not observe them can
//!   stand between them.
//! - **Dense.** There is always a position between two others, before all and behind all: inside an ordinal gap where there is
//!   one, else as a step under the left neighbour.
//! - **Bounded.** A push makes one step, whatever the list held before: a queue's positions grow by a byte whenever its ordinals
//!   need one. Insertions between neighbours leave gaps of 2^32 and halve them, so paths get longer only where insertions meet in
//!   one spot again and again; where they would exceed [`MAX_POSITION_BYTES`], the insertion is refused.

use bytes::{BufMut, Bytes};

use crate::Dot;

/// The longest position, in bytes. Some five thousand insertions, each between the last one and its neighbour on alternating
/// sides, use it up; nothing else comes near.
pub(crate) const MAX_POSITION_BYTES: usize = 2048;
/// Room left on either side of what is inserted between neighbours.
const GAP: i64 = 1 << 32;
/// What one integer takes at most.
const MAX_INTEGER_BYTES: usize = 9;
/// Integers of a step after the ordinal.
const TAG: usize = 4;

/// Where the elements of one command go: side by side, at one place.
pub(crate) struct Run {
    prefix: Vec<u8>,
}

impl Run {
    /// A place behind `left` and before `right`, which are neighbours, for the command whose first change is `dot`. `None`: there
    /// is no room.
    pub(crate) fn between(left: Option<&[u8]>, right: Option<&[u8]>, dot: Dot) -> Option<Self> {
        let (mut left, mut right) = (Steps(left.unwrap_or_default()), Steps(right.unwrap_or_default()));
        let mut prefix = Vec::new();
        let ordinal = loop {
            let room = if prefix.is_empty() { 1 } else { GAP };
            match (left.next(), right.next()) {
                (None, None) => break 0,
                (None, Some(high)) => break high.ordinal.checked_sub(room)?,
                (Some(low), None) => match low.ordinal.checked_add(room) {
                    Some(ordinal) => break ordinal,
                    None => prefix.extend_from_slice(low.bytes),
                },
                (Some(low), Some(high)) if low.bytes == high.bytes => prefix.extend_from_slice(low.bytes),
                (Some(low), Some(high)) => {
                    let middle = low.ordinal.midpoint(high.ordinal);
                    if low.ordinal < middle && middle < high.ordinal {
                        break middle;
                    }
                    // Under the left neighbour, everything is less than the right one.
                    prefix.extend_from_slice(low.bytes);
                    right = Steps(&[]);
                }
            }
        };
        put_integer(&mut prefix, ordinal);
        put_integer(&mut prefix, dot.replica.region.into());
        put_integer(&mut prefix, dot.replica.incarnation.into());
        put_integer(&mut prefix, i64::try_from(dot.seq).ok()?);
        (prefix.len() + MAX_INTEGER_BYTES <= MAX_POSITION_BYTES).then_some(Self { prefix })
    }

    /// The position of the command's element of that index, counted from the left.
    pub(crate) fn position(&self, index: usize) -> Bytes {
        let mut position = Vec::with_capacity(self.prefix.len() + 2);
        position.extend_from_slice(&self.prefix);
        put_integer(&mut position, index as i64); // a command's elements are counted in memory
        position.into()
    }
}

/// Whether these bytes are a position that [`Run`] could have made: what comes from elsewhere is asked first.
pub(crate) fn is_well_formed(position: &[u8]) -> bool {
    let mut steps = Steps(position);
    let count = steps.by_ref().count();
    count > 0 && steps.0.is_empty() && position.len() <= MAX_POSITION_BYTES
}

/// The steps of a path, up to its end or to the first that is none.
struct Steps<'a>(&'a [u8]);

struct Step<'a> {
    bytes: &'a [u8],
    ordinal: i64,
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let (ordinal, mut rest) = read_integer(self.0)?;
        for _ in 0..TAG {
            rest = read_integer(rest)?.1;
        }
        let bytes = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Step { bytes, ordinal })
    }
}

/// One byte from here to [`LAST_SHORT`] is an integer from -64 to 63; below and above it tells how many bytes follow.
const FIRST_SHORT: u8 = 0x40;
const LAST_SHORT: u8 = 0xbf;
const SHORT: i64 = 64;

/// Appends an integer. The encodings are ordered as the integers are, and none is the beginning of another.
fn put_integer(out: &mut Vec<u8>, n: i64) {
    if (-SHORT..SHORT).contains(&n) {
        out.push((n + i64::from(FIRST_SHORT) + SHORT) as u8);
        return;
    }
    // Beyond the short ones, integers are counted away from zero; downwards with every bit turned round.
    let (beyond, turn) = if n < 0 { ((-SHORT - 1 - n) as u64, u64::MAX) } else { ((n - SHORT) as u64, 0) };
    let len = 8 - (beyond | 1).leading_zeros() as u8 / 8;
    out.push(if n < 0 { FIRST_SHORT - len } else { LAST_SHORT + len });
    out.put_uint(beyond ^ turn, usize::from(len));
}

/// Reads an integer that [`put_integer`] wrote, and what follows it; `None` for anything else, other spellings included.
fn read_integer(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (len, turn) = match first {
        FIRST_SHORT..=LAST_SHORT => return Some((i64::from(first) - i64::from(FIRST_SHORT) - SHORT, rest)),
        ..FIRST_SHORT => (FIRST_SHORT - first, u8::MAX),
        _ => (first - LAST_SHORT, 0),
    };
    let (digits, rest) = rest.split_at_checked(usize::from(len))?;
    if len > 8 || (len > 1 && digits[0] == turn) {
        return None;
    }
    let beyond = digits.iter().fold(0u64, |n, digit| n << 8 | u64::from(digit ^ turn));
    let beyond = i64::try_from(beyond).ok()?;
    let n = if turn == 0 { beyond.checked_add(SHORT)? } else { (-SHORT - 1).checked_sub(beyond)? };
    Some((n, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ReplicaId;

    fn dot(region: u16, seq: u64) -> Dot {
        Dot { replica: ReplicaId { region, incarnation: 7 }, seq }
    }

    fn integer() -> impl Strategy<Value = i64> {
        let edges = vec![0, 63, 64, -64, -65, 319, 320, -320, -321, 65_599, 65_600, i64::MAX, i64::MIN];
        prop_oneof![any::<i64>(), -1000..1000i64, prop::sample::select(edges)]
    }

    proptest! {
        #[test]
        fn integers_are_read_back_and_ordered_as_their_bytes(a in integer(), b in integer()) {
            let encoded = |n| {
                let mut bytes = Vec::new();
                put_integer(&mut bytes, n);
                bytes
            };
            let (x, y) = (encoded(a), encoded(b));
            prop_assert_eq!(read_integer(&x), Some((a, &[][..])));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert!(a == b || !y.starts_with(&x), "none is the beginning of another");
            prop_assert!(x.len() <= MAX_INTEGER_BYTES);
        }

        #[test]
        fn noise_is_no_position_and_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..40), cut in 0..20usize) {
            let good = Run::between(None, None, dot(1, 300)).unwrap().position(0);
            prop_assert!(is_well_formed(&good));
            prop_assert!(!is_well_formed(&good[..cut.min(good.len() - 1)]));
            let (left, right) = (noise.as_slice().min(&good), noise.as_slice().max(&good));
            let _ = Run::between(Some(left), Some(right), dot(1, 1));
        }

        /// Three writers that see each other or not; each inserts anywhere, also several at once.
        #[test]
        fn positions_are_in_order_dense_unique_and_never_interleave(
            inserts in prop::collection::vec((0..3usize, any::<prop::sample::Index>(), 1..4usize, any::<bool>()), 1..120),
        ) {
            let mut lists: [Vec<Bytes>; 3] = Default::default();
            let mut runs: Vec<Vec<Bytes>> = Vec::new();
            for (seq, (writer, at, count, share)) in inserts.into_iter().enumerate() {
                let list = &mut lists[writer];
                let at = at.index(list.len() + 1);
                let (left, right) = (at.checked_sub(1).map(|at| &list[at][..]), list.get(at).map(|right| &right[..]));
                let run = Run::between(left, right, dot(writer as u16, seq as u64 * 4 + 1)).unwrap();
                let run: Vec<Bytes> = (0..count).map(|index| run.position(index)).collect();
                for position in &run {
                    prop_assert!(is_well_formed(position));
                    prop_assert!(left.is_none_or(|left| left < &position[..]), "behind its left neighbour");
                    prop_assert!(right.is_none_or(|right| &position[..] < right), "before its right neighbour");
                }
                list.splice(at..at, run.iter().cloned());
                prop_assert!(list.is_sorted_by(|a, b| a < b), "in order, and no two alike");
                runs.push(run);
                if share {
                    let mut all: Vec<Bytes> = lists.iter().flatten().cloned().collect();
                    all.sort_unstable();
                    all.dedup();
                    lists = [all.clone(), all.clone(), all];
                }
            }
            let mut all: Vec<Bytes> = lists.iter().flatten().cloned().collect();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), runs.iter().map(Vec::len).sum::<usize>());
            for (one, run) in runs.iter().enumerate() {
                for (other, stranger) in runs.iter().enumerate().filter(|(other, _)| *other != one) {
                    let inside = stranger.iter().filter(|at| run[0] < **at && **at < run[run.len() - 1]).count();
                    // Only who has seen a run can stand inside it, and then with all its elements at one place.
                    prop_assert!(inside == 0 || (other > one && inside == stranger.len()), "{one} and {other}");
                }
            }
        }
    }

    #[test]
    fn concurrent_runs_at_one_place_stand_one_behind_the_other() {
        let list = [Run::between(None, None, dot(1, 1)).unwrap().position(0)];
        let push = |dot| {
            let run = Run::between(Some(&list[0]), None, dot).unwrap();
            [run.position(0), run.position(1), run.position(2)]
        };
        let (a, b) = (push(dot(1, 2)), push(dot(2, 9)));
        assert!(a.iter().all(|a| b.iter().all(|b| a < b)));
    }

    #[test]
    fn a_queue_of_a_million_rounds_has_short_positions() {
        let (mut queue, mut longest) = (std::collections::VecDeque::new(), 0);
        for seq in 1..=1_000_000 {
            let last = queue.back().map(|last: &Bytes| &last[..]);
            let new = Run::between(last, None, dot(1, seq)).unwrap().position(0);
            assert!(last.is_none_or(|last| last < &new[..]));
            longest = longest.max(new.len());
            queue.push_back(new);
            if queue.len() > 3 {
                queue.pop_front();
            }
        }
        assert!(longest <= 12, "{longest} bytes");
    }

    #[test]
    fn pushes_at_both_ends_stay_short_whatever_lies_within() {
        let mut ends = [Run::between(None, None, dot(1, 1)).unwrap().position(0), Bytes::new()];
        ends[1] = Run::between(Some(&ends[0]), None, dot(1, 2)).unwrap().position(0);
        for seq in 3..200 {
            ends[seq as usize % 2] = Run::between(Some(&ends[0]), Some(&ends[1]), dot(1, seq)).unwrap().position(0);
        }
        assert!(ends.iter().all(|end| end.len() > 60), "deep within");
        assert!(Run::between(Some(&ends[1]), None, dot(1, 1000)).unwrap().position(0).len() < 12);
        assert!(Run::between(None, Some(&ends[0]), dot(1, 1000)).unwrap().position(0).len() < 12);
    }

    #[test]
    fn the_worst_of_insertions_is_refused_when_its_path_is_too_long() {
        let mut left = Run::between(None, None, dot(1, 1)).unwrap().position(0);
        let mut right = Run::between(Some(&left), None, dot(1, 2)).unwrap().position(0);
        let mut inserted = 0;
        while let Some(run) = Run::between(Some(&left), Some(&right), dot(1, 3 + inserted)) {
            let new = run.position(0);
            assert!(left < new && new < right && new.len() <= MAX_POSITION_BYTES);
            *(if inserted % 2 == 0 { &mut left } else { &mut right }) = new;
            inserted += 1;
        }
        assert!(inserted > 4_000, "{inserted}");
        // One side only: halves no gap.
        let mut last = Run::between(None, None, dot(1, 1)).unwrap().position(0);
        let end = Run::between(Some(&last), None, dot(1, 2)).unwrap().position(0);
        for seq in 3..100_000 {
            last = Run::between(Some(&last), Some(&end), dot(1, seq)).unwrap().position(0);
        }
        assert!(last.len() < 40, "{} bytes", last.len());
    }
}
