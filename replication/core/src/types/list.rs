//! The list: elements at positions, in the order of the positions' bytes (see `position.rs`).
//!
//! - A push or insert puts an element at a position of its own: concurrent ones are all there, in the same order everywhere.
//! - LSET puts another text at the same position. Concurrent ones are siblings: the greatest stamp shows, and the loser counts as
//!   a conflict. A concurrent LSET keeps an element that LREM or LPOP takes away elsewhere: they removed what they saw.
//! - Popping is an observed remove. Two regions that pop at the same time may both get the same element: at least once.

use bytes::Bytes;

use crate::blob::Blob;
use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, rank, take, winner};
use crate::types::ranked::{self, Place, Ranked};
use crate::types::{Element, HeldRef, PartRef};

#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    items: Ranked<Item>,
}

/// One element of a list, with its siblings.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    position: Blob,
    texts: Siblings<Blob>,
}

impl Item {
    pub(crate) fn position(&self) -> &[u8] {
        self.position.as_slice()
    }

    /// The texts at this position that did not observe each other; never none.
    pub(crate) fn texts(&self) -> &[Tagged<Blob>] {
        &self.texts
    }

    fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for Tagged { dot, hlc, value } in &self.texts {
            visit(Element { part: PartRef::Item(self.position()), dot: *dot, hlc: *hlc, value: HeldRef::Text(value) });
        }
    }

    /// What clients see.
    pub(crate) fn shown(&self, replicas: &Replicas) -> Option<&Blob> {
        winner(&self.texts, replicas).map(|tagged| &tagged.value)
    }
}

impl List {
    /// Adds an element; tells whether it has a sibling now.
    pub(crate) fn insert(&mut self, position: &[u8], new: Tagged<Blob>) -> bool {
        match self.locate(position) {
            Ok(place) => {
                let Some(item) = self.items.at_mut(place) else { return false };
                item.texts.push(new);
                item.texts.len() > 1
            }
            Err(place) => {
                let mut texts = Siblings::new();
                texts.push(new);
                self.items.insert(place, Item { position: Blob::new(position), texts });
                false
            }
        }
    }

    pub(crate) fn take(&mut self, position: &[u8], dot: PackedDot) -> Option<Blob> {
        let place = self.locate(position).ok()?;
        let item = self.items.at_mut(place)?;
        let taken = take(&mut item.texts, dot);
        if item.texts.is_empty() {
            self.items.remove(place);
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Item> {
        self.items.get(index)
    }

    pub(crate) fn last(&self) -> Option<&Item> {
        self.items.get(self.len().checked_sub(1)?)
    }

    /// The elements of some indexes, from either side.
    pub(crate) fn range(&self, indexes: std::ops::Range<usize>) -> ranked::Items<'_, Item> {
        self.items.range(indexes)
    }

    pub(crate) fn iter(&self) -> ranked::Items<'_, Item> {
        self.items.iter()
    }

    /// The element at a position, and its index.
    pub(crate) fn at(&self, position: &[u8]) -> Option<(usize, &Item)> {
        let place = self.locate(position).ok()?;
        Some((self.items.rank(place), self.items.at(place)?))
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        self.iter().flat_map(Item::texts).map(|text| rank(text, replicas)).max()
    }

    /// Shows up to `count` elements behind a position, and returns the last one's; none when there are no more.
    pub(crate) fn walk(&self, after: Option<&[u8]>, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> Option<Bytes> {
        let start = after.map_or(0, |position| match self.locate(position) {
            Ok(place) => self.items.rank(place) + 1,
            Err(place) => self.items.rank(place),
        });
        let end = start.saturating_add(count).min(self.len());
        let mut last = None;
        for item in self.range(start.min(end)..end) {
            item.for_each(visit);
            last = Some(item);
        }
        last.map(|item| Bytes::copy_from_slice(item.position()))
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        self.iter().for_each(|item| item.for_each(visit));
    }

    fn locate(&self, position: &[u8]) -> Result<Place, Place> {
        // Queues work at their ends: those are found without a search.
        match (self.last(), self.get(0)) {
            (Some(last), _) if last.position() < position => Err(self.items.end()),
            (_, Some(first)) if position < first.position() => Err(self.items.place(0)),
            _ => self.items.locate(|item| item.position().cmp(position)),
        }
    }
}
