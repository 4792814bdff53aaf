//! The hash: fields, each a cell. Add wins: HDEL removes what it observed of a field, and a concurrent HSET survives it.

use crate::dots::{PackedDot, Rank, Replicas, Tagged};
use crate::types::cell::{Cell, Reading};
use crate::types::submap::SubMap;
use crate::types::{Element, Held, PartRef};

#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    fields: SubMap<Cell>,
    /// How many fields clients see: the others hold only floors. Kept up to date, so that HLEN counts nothing.
    visible: usize,
}

impl Fields {
    pub(crate) fn insert(&mut self, field: &[u8], new: Tagged<Held>, replicas: &Replicas) -> bool {
        let cell = self.fields.get_or_insert(field);
        let before = cell.is_visible(replicas);
        let conflict = cell.insert(new);
        self.visible = self.visible + usize::from(cell.is_visible(replicas)) - usize::from(before);
        conflict
    }

    /// Takes an element out. `keep`: another one follows at once, so the field keeps its place.
    pub(crate) fn take(&mut self, field: &[u8], dot: PackedDot, replicas: &Replicas, keep: bool) -> Option<Held> {
        let cell = self.fields.get_mut(field)?;
        let before = cell.is_visible(replicas);
        let taken = cell.take(dot);
        self.visible = self.visible + usize::from(cell.is_visible(replicas)) - usize::from(before);
        if !keep {
            self.tidy(field);
        }
        taken
    }

    /// Forgets a field of which nothing is left.
    pub(crate) fn tidy(&mut self, field: &[u8]) {
        if self.fields.get(field).is_some_and(Cell::is_empty) {
            self.fields.remove(field);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether clients see any field; then the key exists.
    pub(crate) fn has_visible(&self) -> bool {
        self.visible > 0
    }

    /// How many fields clients see.
    pub(crate) fn len(&self) -> usize {
        self.visible
    }

    pub(crate) fn cell(&self, field: &[u8]) -> Option<&Cell> {
        self.fields.get(field)
    }

    /// Every field, also those that hold only floors.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&[u8], &Cell)> {
        self.fields.iter()
    }

    /// The fields that clients see.
    pub(crate) fn readings<'a>(&'a self, replicas: &'a Replicas) -> impl Iterator<Item = (&'a [u8], Reading<'a>)> {
        self.fields.iter().filter_map(move |(field, cell)| Some((field, cell.read(replicas)?)))
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        self.fields.iter().filter_map(|(_, cell)| cell.rank(replicas)).max()
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for (field, cell) in self.fields.iter() {
            cell.for_each(PartRef::Field(field), visit);
        }
    }
}
