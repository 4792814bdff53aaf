//! What INCR leaves where one region counts: a count, and nothing beside it. It lies in the key's slot, without an allocation of
//! its own, and the next increment takes its place there.
//!
//! Laws: it stands for exactly one [`Count`] in a [`Cell`], and always shows. Whatever else comes to the key widens it to the cell
//! that it stands for; what is left of a cell becomes one again where it can ([`Counter::of`]).

use smallvec::smallvec;

use crate::Hlc;
use crate::blob::Blob;
use crate::delta::Count;
use crate::dots::{PackedDot, Siblings, Tagged};
use crate::types::cell::{Cell, Tally};
use crate::types::register::Register;

#[derive(Clone, Debug)]
pub(crate) struct Counter {
    pub(crate) dot: PackedDot,
    pub(crate) hlc: Hlc,
    /// The sum's upper and lower half: a whole one would ask for a place that slots do not give.
    sum: [u64; 2],
    base_seq: u64,
}

impl Counter {
    /// The count in short, if it is one that shows, that was made by its last increment, and of which nothing was reset.
    pub(crate) fn of(dot: PackedDot, hlc: Hlc, count: &Count) -> Option<Self> {
        let Count { sum, last, base_seq, base_sum } = *count;
        let is_plain = last == dot.seq() && last > base_seq && base_sum == 0;
        is_plain.then_some(Self { dot, hlc, sum: [(sum >> 64) as u64, sum as u64], base_seq })
    }

    /// The count that it stands for.
    pub(crate) fn count(&self) -> Count {
        let [upper, lower] = self.sum.map(u128::from);
        Count { sum: (upper << 64 | lower) as i128, last: self.dot.seq(), base_seq: self.base_seq, base_sum: 0 }
    }

    /// What it reads as.
    pub(crate) fn shown(&self) -> i128 {
        Blob::clamp(self.count().sum)
    }

    /// The counting half of the cell that it stands for.
    pub(crate) fn tally(&self) -> Tally {
        let count = Tagged { dot: self.dot, hlc: self.hlc, value: self.count() };
        Tally { counts: smallvec![count], floors: Vec::new() }
    }

    /// The cell that it stands for.
    pub(crate) fn cell(&self) -> Cell {
        Cell { registers: Siblings::new(), tally: Some(Box::new(self.tally())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_for_the_count_it_was_made_of_or_is_none() {
        let dot = PackedDot::new(3, 9);
        for sum in [0, 1, -1, i128::MIN, i128::MAX, 7 << 64, -7 << 64] {
            let count = Count { sum, last: 9, base_seq: 4, base_sum: 0 };
            let counter = Counter::of(dot, Hlc(5), &count).expect("it is plain");
            assert_eq!((counter.count(), counter.dot, counter.hlc), (count, dot, Hlc(5)));
        }
        let plain = Count { sum: 1, last: 9, base_seq: 4, base_sum: 0 };
        for other in [Count { last: 8, ..plain }, Count { base_seq: 9, ..plain }, Count { base_sum: 1, ..plain }] {
            assert!(Counter::of(dot, Hlc(5), &other).is_none(), "{other:?}");
        }
    }
}
