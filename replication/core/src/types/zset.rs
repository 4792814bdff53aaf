//! The sorted set: members, each a cell whose registers are scores (`cell.rs` has the laws), in the order of what they read as.
//!
//! | concurrent | result |
//! |---|---|
//! | ZADD ∥ ZADD | both members; of one member the score with the greater stamp |
//! | ZINCRBY ∥ ZINCRBY | the sum |
//! | ZADD ∥ ZREM | the member stays: ZREM removes what it observed |
//! | ZINCRBY ∥ ZREM | the increment that ZREM did not observe stays: 4.1, ZREM ∥ ZINCRBY 2 → 2 |
//! | ZADD ∥ ZINCRBY | the new score plus the increment that ZADD did not observe |
//!
//! Where removes win, ZREM leaves a mark that hides what it did not observe (see `mark.rs`).
//!
//! What increments count are exact decimals (`decimal.rs`), so that they add up to the same in any order. A score that is no such
//! decimal (1e300, infinity), or would become none, is written as a register: of two such increments the later wins.
//!
//! A member costs 80 bytes of table and 16 of order, each with the slack of its vectors, and an allocation only where its name is
//! longer than 22 bytes.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::Bytes;

use crate::delta::Score;
use crate::dots::{PackedDot, Rank, Replicas, Tagged};
use crate::types::cell::{Cell, Reading};
use crate::types::mark::Marks;
use crate::types::ranked::{Place, Ranked};
use crate::types::submap::SubMap;
use crate::types::{Element, Held, PartRef, decimal};

#[derive(Clone, Debug, Default)]
pub(crate) struct Zset {
    members: SubMap<Rated>,
    /// The members that clients see, by score, then by name.
    order: Ranked<Placed>,
    marks: Option<Box<Marks>>,
}

#[derive(Clone, Debug)]
struct Rated {
    cell: Cell<Score>,
    /// The score under which it lies in the order; [`NOWHERE`] if it does not.
    shown: f64,
}

/// No score is NaN.
const NOWHERE: f64 = f64::NAN;

impl Default for Rated {
    fn default() -> Self {
        Self { cell: Cell::default(), shown: NOWHERE }
    }
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    score: f64,
    /// Its place in the table, which has the name.
    member: u32,
}

impl Cell<Score> {
    /// The score it reads as.
    pub(crate) fn score(&self, replicas: &Replicas) -> Option<f64> {
        self.read(replicas).map(|reading| match reading {
            Reading::Text(score) => score.0,
            Reading::Number(number) => decimal::to_f64(number),
        })
    }
}

impl Zset {
    pub(crate) fn insert(&mut self, member: &[u8], new: Tagged<Held>, replicas: &Replicas) -> bool {
        if matches!(new.value, Held::Revoked) {
            let mark = Tagged { dot: new.dot, hlc: new.hlc, value: () };
            self.marks.get_or_insert_default().insert(member, mark);
            self.tidy(member, replicas);
            return self.cell(member).is_some_and(|cell| cell.is_visible(replicas));
        }
        let at = self.members.place_or_insert(member);
        let conflict = self.members.at_mut(at).is_some_and(|rated| rated.cell.insert(new));
        self.settle(at, replicas);
        conflict || self.is_marked(member)
    }

    /// Takes an element of a member out. `keep`: another one follows at once, so the member keeps its place until then; if none
    /// follows after all, [`Zset::tidy`].
    pub(crate) fn take(&mut self, member: &[u8], dot: PackedDot, replicas: &Replicas, keep: bool) -> Option<Held> {
        let taken = self.members.get_mut(member).and_then(|rated| rated.cell.take(dot));
        let taken = taken.or_else(|| self.marks.as_mut()?.take(member, dot).map(|()| Held::Revoked));
        if !keep {
            self.tidy(member, replicas);
        }
        taken
    }

    /// Forgets a place that was kept for an element that did not come.
    pub(crate) fn tidy(&mut self, member: &[u8], replicas: &Replicas) {
        if let Some(at) = self.members.place(member) {
            self.settle(at, replicas);
        }
        self.marks.take_if(|marks| marks.is_empty());
    }

    /// Whether a mark hides whatever is held of the member.
    pub(crate) fn is_marked(&self, member: &[u8]) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.has(member))
    }

    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.marks.as_deref()
    }

    /// The next marked members, `count` at most; see [`Marks::sweep`].
    pub(crate) fn sweep(&mut self, count: usize) -> Vec<Bytes> {
        self.marks.as_mut().map(|marks| marks.sweep(count)).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.marks.is_none()
    }

    /// Whether clients see any member; then the key exists.
    pub(crate) fn has_visible(&self) -> bool {
        !self.order.is_empty()
    }

    /// How many members clients see.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether not all scores are equal.
    pub(crate) fn has_several_scores(&self) -> bool {
        let ends = (self.order.get(0), self.order.get(self.order.len().saturating_sub(1)));
        matches!(ends, (Some(first), Some(last)) if first.score < last.score)
    }

    pub(crate) fn cell(&self, member: &[u8]) -> Option<&Cell<Score>> {
        self.rated(member).map(|rated| &rated.cell)
    }

    /// Every member, also those that hold only floors.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&[u8], &Cell<Score>)> {
        self.members.iter().map(|(member, rated)| (member, &rated.cell))
    }

    /// The score that clients see.
    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.rated(member).map(|rated| rated.shown).filter(|shown| !shown.is_nan())
    }

    /// How many members lie before it.
    pub(crate) fn rank_of(&self, member: &[u8]) -> Option<usize> {
        let at = self.members.place(member)?;
        self.locate(at).map(|place| self.order.rank(place))
    }

    /// How many members are `before` what is looked for; it must be true up to one point of the order and false from there.
    pub(crate) fn count_before(&self, mut before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        self.order.rank(self.order.bound(|placed| before(placed.score, self.name(placed.member))))
    }

    /// The members of some ranks with their scores, from either side.
    pub(crate) fn range(&self, ranks: Range<usize>) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        self.order.range(ranks).map(|placed| (self.name(placed.member), placed.score))
    }

    /// The members in order with their scores.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        self.range(0..self.len())
    }

    /// See [`SubMap::page`].
    pub(crate) fn page(&self, cursor: u64, count: usize) -> (u64, impl Iterator<Item = (&[u8], f64)>) {
        let (next, page) = self.members.page(cursor, count);
        (next, page.map(|(member, rated)| (member, rated.shown)).filter(|(_, shown)| !shown.is_nan()))
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        let shown = self.cells().filter(|(member, _)| !self.is_marked(member));
        shown.filter_map(|(_, cell)| cell.rank(replicas)).max()
    }

    /// How many entries its tables have.
    pub(crate) fn entries(&self) -> usize {
        self.members.len() + self.marks.as_ref().map_or(0, |marks| marks.len())
    }

    /// A page of what the members hold but for marks; see [`SubMap::page`].
    pub(crate) fn walk(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> u64 {
        let (next, page) = self.members.page(cursor, count);
        page.for_each(|(member, rated)| rated.cell.for_each(PartRef::Rated(member), visit));
        next
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for (member, cell) in self.cells() {
            cell.for_each(PartRef::Rated(member), visit);
        }
        if let Some(marks) = &self.marks {
            marks.for_each(PartRef::Rated, visit);
        }
    }

    fn rated(&self, member: &[u8]) -> Option<&Rated> {
        self.members.at(self.members.place(member)?).map(|(_, rated)| rated)
    }

    fn name(&self, at: u32) -> &[u8] {
        self.members.at(at as usize).map_or(&[], |(name, _)| name)
    }

    /// Where in the order the member at a place of the table lies.
    fn locate(&self, at: usize) -> Option<Place> {
        let (name, rated) = self.members.at(at).filter(|(_, rated)| !rated.shown.is_nan())?;
        self.order.locate(|placed| self.compare(placed, rated.shown, name)).ok()
    }

    fn compare(&self, placed: &Placed, score: f64, name: &[u8]) -> Ordering {
        let by_score = placed.score.partial_cmp(&score).unwrap_or(Ordering::Equal); // no score is NaN
        by_score.then_with(|| self.name(placed.member).cmp(name))
    }

    /// Brings the order in step with what the member at a place reads as now; forgets it if nothing is held of it any more.
    fn settle(&mut self, at: usize, replicas: &Replicas) {
        let Some((name, rated)) = self.members.at(at) else { return };
        let score = rated.cell.score(replicas).filter(|_| !self.is_marked(name)).unwrap_or(NOWHERE);
        if score.to_bits() != rated.shown.to_bits() {
            if let Some(place) = self.locate(at) {
                self.order.remove(place);
            }
            if !score.is_nan() {
                let (Ok(place) | Err(place)) = self.order.locate(|placed| self.compare(placed, score, name));
                self.order.insert(place, Placed { score, member: at as u32 });
            }
            if let Some(rated) = self.members.at_mut(at) {
                rated.shown = score;
            }
        }
        if self.members.at(at).is_some_and(|(_, rated)| rated.cell.is_empty()) {
            self.forget(at);
        }
    }

    /// Drops a member of which nothing is held; the last one of the table takes its place.
    fn forget(&mut self, at: usize) {
        let last = self.members.len() - 1;
        if let Some(place) = self.locate(last)
            && let Some(placed) = self.order.at_mut(place)
        {
            placed.member = at as u32;
        }
        self.members.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Hlc, ReplicaId};

    fn replicas() -> Replicas {
        let mut replicas = Replicas::default();
        replicas.push(ReplicaId { region: 1, incarnation: 1 });
        replicas
    }

    proptest! {
        /// Puts and takes of elements in any order, against a plain list of the members that have one.
        #[test]
        fn the_order_is_that_of_what_shows(steps in prop::collection::vec((0..40u8, -3..3i8, any::<bool>()), 1..300)) {
            let replicas = replicas();
            let (mut zset, mut plain) = (Zset::default(), Vec::<(f64, Vec<u8>, PackedDot)>::new());
            for (at, (member, score, keep)) in steps.into_iter().enumerate() {
                let (name, score) = (vec![b'm', member], f64::from(score) / 2.0);
                let held = plain.iter().position(|(_, held, _)| *held == name).map(|at| plain.remove(at).2);
                if let Some(dot) = held {
                    prop_assert!(zset.take(&name, dot, &replicas, keep).is_some());
                }
                if held.is_none() || keep && score > -1.0 {
                    let dot = PackedDot::new(0, at as u64 + 1);
                    zset.insert(&name, Tagged { dot, hlc: Hlc::ZERO, value: Held::Score(Score(score)) }, &replicas);
                    plain.push((score, name, dot));
                } else if keep {
                    zset.tidy(&name, &replicas);
                }
                plain.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
            }
            let expected: Vec<(&[u8], f64)> = plain.iter().map(|(score, name, _)| (&name[..], *score)).collect();
            prop_assert_eq!(zset.iter().collect::<Vec<_>>(), expected);
            for (rank, (score, name, _)) in plain.iter().enumerate() {
                prop_assert_eq!((zset.rank_of(name), zset.score(name)), (Some(rank), Some(*score)));
            }
            prop_assert_eq!(zset.count_before(|score, _| score < 0.0), plain.iter().filter(|row| row.0 < 0.0).count());
            prop_assert_eq!(zset.is_empty(), plain.is_empty());
        }
    }

    #[test]
    fn a_member_costs_what_the_head_says() {
        assert_eq!(size_of::<(crate::blob::Blob, Rated)>() + size_of::<u32>() * 2, 80);
        assert_eq!(size_of::<Placed>(), 16);
    }
}
