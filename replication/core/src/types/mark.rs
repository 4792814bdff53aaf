//! Marks: removes that win. Where the rules of a key's prefix say so, a remove leaves a mark behind: in the place of the set
//! member or hash field, or of the whole key.
//!
//! Laws:
//!
//! - **While a mark lives, nothing else in its place shows.** A remove takes out what it observed, so whatever stands beside its
//!   mark is concurrent with it: it comes from somebody who did not know of the remove, and it loses.
//! - **A write that observed a mark removes it**, together with what it hides: whoever adds again on purpose has the last word.
//!   (Of two concurrent marks the write must have observed both; the other one goes on hiding.)
//!   A write to a key that is marked as a whole, or past its deadline, removes all that is left of it, marks on single members too.
//! - **A mark is an element like any other**: put by a delta, removed by a delta, never by a clock alone. Rules decide only whether
//!   a remove leaves one. So regions that hold different rules for a while still converge.
//! - **A mark makes nothing exist**, and is no value: a key with nothing but marks reads as absent.
//! - Housekeeping drops a mark [`REMOVE_WINS_KEEP_MS`] after it was written, in one change with what it hides then.
//!
//! What this does not give: an add that was made without knowing of a remove, and that reaches a region only after the mark is gone
//! there (because it was on its way for longer than a mark lives, or because somebody wrote the place again meanwhile), shows. A
//! remove that finds nothing leaves no mark: it answered that there was nothing to remove.

use bytes::Bytes;

use crate::dots::{PackedDot, Siblings, Tagged, take};
use crate::types::submap::SubMap;
use crate::types::{Element, HeldRef, PartRef};

/// How long a mark lives, in milliseconds: as long as a region may be away before it is detached.
pub const REMOVE_WINS_KEEP_MS: u64 = 24 * 60 * 60 * 1000;

/// The marks of a collection, by member or field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    places: SubMap<Siblings<()>>,
    /// Where housekeeping goes on.
    cursor: u64,
}

impl Marks {
    pub(crate) fn insert(&mut self, name: &[u8], mark: Tagged<()>) {
        self.places.get_or_insert(name).push(mark);
    }

    pub(crate) fn take(&mut self, name: &[u8], dot: PackedDot) -> Option<()> {
        let marks = self.places.get_mut(name)?;
        let taken = take(marks, dot);
        if marks.is_empty() {
            self.places.remove(name);
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a place is marked.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        !self.of(name).is_empty()
    }

    /// The marks of a place.
    pub(crate) fn of(&self, name: &[u8]) -> &[Tagged<()>] {
        self.places.get(name).map_or(&[], |marks| &marks[..])
    }

    /// Every mark.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tagged<()>> {
        self.places.iter().flat_map(|(_, marks)| marks)
    }

    /// The next marked places, `count` at most; round after round it comes by all of them.
    pub(crate) fn sweep(&mut self, count: usize) -> Vec<Bytes> {
        let (next, page) = self.places.page(self.cursor, count);
        self.cursor = next;
        page.map(|(name, _)| Bytes::copy_from_slice(name)).collect()
    }

    /// How many places are marked.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// A page of the marks; see [`SubMap::page`].
    pub(crate) fn walk<'a>(
        &'a self,
        part: fn(&'a [u8]) -> PartRef<'a>,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(Element<'_>),
    ) -> u64 {
        let (next, page) = self.places.page(cursor, count);
        for (name, marks) in page {
            for Tagged { dot, hlc, .. } in marks {
                visit(Element { part: part(name), dot: *dot, hlc: *hlc, value: HeldRef::Revoked });
            }
        }
        next
    }

    pub(crate) fn for_each<'a>(&'a self, part: fn(&'a [u8]) -> PartRef<'a>, visit: &mut dyn FnMut(Element<'_>)) {
        for (name, marks) in self.places.iter() {
            for Tagged { dot, hlc, .. } in marks {
                visit(Element { part: part(name), dot: *dot, hlc: *hlc, value: HeldRef::Revoked });
            }
        }
    }
}
