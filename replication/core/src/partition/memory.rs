//! How much memory a partition takes, kept up to date with every change at the cost of a few additions.
//!
//! It is an estimate: what the allocator rounds up and what growing tables hold in reserve is taken at its average. A test
//! holds it against what the process really takes, type by type. It has to be honest enough to refuse writes by.

use super::Partition;
use crate::dots::PackedDot;
use crate::track::Track;
use crate::types::{Body, Full, HeldRef, PartRef};

/// A key without its name: its slot, its place in the table, its entry in the dot index, each with the usual reserve.
const KEY: usize = 72 + 10 + 15;
/// One removal that is remembered.
const REMOVAL: usize = size_of::<(u64, PackedDot)>();
// What one more element of a kind takes without its texts, as measured: its place in its tables, and their reserve as far as
// the system has to back it.
const FIELD: usize = 88;
const MEMBER: usize = 56;
const RATED: usize = 97;
const ITEM: usize = 82;
/// Whoever counts in a cell: the first in what the cell keeps for counting, the others in a list.
const COUNT: usize = 136;
/// A floor, in a list that begins with room for four.
const FLOOR: usize = 208;
/// A table or an order, without what is in it.
const TABLE: usize = 240;

/// What the allocator takes for `bytes`.
const fn allocated(bytes: usize) -> usize {
    if bytes <= 24 { 32 } else { (bytes + 8).next_multiple_of(16) }
}

impl Partition {
    /// About how many bytes of memory the partition takes.
    pub fn bytes(&self) -> usize {
        let removals: usize = self.tracks.iter().map(Track::removals_len).sum();
        size_of::<Self>() + self.keys.len() * KEY + self.keys.name_bytes() + self.heap + removals * REMOVAL
    }
}

/// What a key's name takes beside its slot.
pub(crate) fn blob_bytes(length: usize) -> usize {
    match length {
        0..=22 => 0,
        23..1024 => allocated(length),
        _ => allocated(length) + 64,
    }
}

/// What an element takes beside its key's slot and shape.
pub(super) fn element_bytes(part: PartRef<'_>, value: HeldRef<'_>) -> usize {
    let place = match part {
        PartRef::Cell | PartRef::Deadline => 0,
        PartRef::Field(name) => FIELD + blob_bytes(name.len()),
        PartRef::Member(name) => MEMBER + blob_bytes(name.len()),
        PartRef::Rated(name) => RATED + blob_bytes(name.len()),
        PartRef::Item(position) => ITEM + blob_bytes(position.len()),
        PartRef::FieldDeadline(name) => FIELD + blob_bytes(name.len()),
        PartRef::Sketch | PartRef::Key => 64,
    };
    let value = match value {
        HeldRef::Text(text) => blob_bytes(text.as_slice().len()),
        // Those of a cell belong to its shape.
        HeldRef::Count(_) | HeldRef::Floor(_) if part == PartRef::Cell => 0,
        HeldRef::Count(_) => COUNT,
        HeldRef::Floor(_) => FLOOR,
        HeldRef::Member | HeldRef::Deadline(_) | HeldRef::Score(_) | HeldRef::Revoked => 0,
    };
    place + value
}

impl Body {
    /// What the key's shape takes, whatever is in it.
    pub(super) fn shape_bytes(&self) -> usize {
        match self {
            Self::Empty | Self::Lean(_) | Self::Counter(_) => 0,
            Self::Full(full) => {
                let counting = full.cell.tally().map_or(0, |t| t.counts.len() * COUNT + t.floors.len() * FLOOR);
                allocated(size_of::<Full>()) + full.parts() * TABLE + counting
            }
        }
    }
}
