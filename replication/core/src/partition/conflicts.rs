//! Conflicts as they are met: counted by kind, the last ones kept with what lost, so that nothing is overwritten silently.
//!
//! Goes in: each element that came to stand beside one it had not observed. Comes out: counts and a short list. A conflict is
//! met where the second of two writes arrives, so every region meets it, once (and once more when it reads its journal again).
//!
//! Costs nothing while there are none: the list is made with the first, and holds no more than [`KEPT`].

use std::collections::VecDeque;

use bytes::Bytes;

use super::Partition;
use crate::dots::{PackedDot, Rank, Tagged, rank};
use crate::types::{Element, HeldRef, Kind, PartRef};
use crate::{Deadline, Dot, Hlc};

/// Conflicts that one partition remembers.
const KEPT: usize = 64;
/// Bytes of a key that are remembered.
const KEY_SHOWN: usize = 256;

/// Where two writes met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// Two texts of one string.
    String,
    /// Two values of one hash field.
    Field,
    /// Two scores of one sorted set member.
    Score,
    /// Two values of one list element.
    Item,
    /// Two deadlines of one key or field.
    Deadline,
    /// Two types under one key.
    Type,
    /// A write that did not know of a remove, where removes win.
    Removed,
}

impl ConflictKind {
    /// All of them, in the order of [`ConflictCounts`].
    pub const ALL: [Self; 7] =
        [Self::String, Self::Field, Self::Score, Self::Item, Self::Deadline, Self::Type, Self::Removed];

    /// A word for lists and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Field => "field",
            Self::Score => "score",
            Self::Item => "item",
            Self::Deadline => "deadline",
            Self::Type => "type",
            Self::Removed => "removed",
        }
    }
}

/// How many conflicts were met, by kind, in the order of [`ConflictKind::ALL`].
pub type ConflictCounts = [u64; ConflictKind::ALL.len()];

/// Two writes that had not observed each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where they met.
    pub kind: ConflictKind,
    /// The key, shortened to 256 bytes.
    pub key: Bytes,
    /// Field or member, empty where there is none; shortened, printable.
    pub sub: String,
    /// The one that shows.
    pub winner: Contender,
    /// The one that does not.
    pub loser: Contender,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Who wrote it, and their how-manieth change of the partition it was.
    pub dot: Dot,
    /// When, by the writer's clock.
    pub hlc: Hlc,
    /// What was written, shortened, printable; for a clash of types, the type.
    pub value: String,
}

/// What a partition remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct ConflictLog {
    counts: ConflictCounts,
    recent: VecDeque<Conflict>,
}

impl Partition {
    /// The conflicts met last, the newest first: 64 at most.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter().flat_map(|log| log.recent.iter().rev())
    }

    /// How many were met, by kind.
    pub fn conflict_counts(&self) -> ConflictCounts {
        self.conflicts.as_ref().map(|log| log.counts).unwrap_or_default()
    }

    /// Notes that the element `dot` came to stand beside others in its part.
    #[cold]
    pub(super) fn note_siblings(&mut self, slot: u32, part: PartRef<'_>, dot: PackedDot) {
        let kind = match part {
            PartRef::Field(_) => ConflictKind::Field,
            PartRef::Rated(_) => ConflictKind::Score,
            PartRef::Item(_) => ConflictKind::Item,
            PartRef::Deadline | PartRef::FieldDeadline(_) => ConflictKind::Deadline,
            _ => ConflictKind::String,
        };
        let (mut sides, mark) = self.sides(slot, part);
        sides.sort_by_key(|(order, _)| *order);
        let new = self.replicas.unpack(dot);
        if let Some(mark) = mark {
            // What has just come is hidden by a mark; or it is the mark, and hides the latest of what was here.
            let last = sides.len().checked_sub(1);
            let loser = sides.iter().position(|(_, side)| side.dot == new).or(last).map(|at| sides.swap_remove(at).1);
            if let Some(loser) = loser {
                let sub = super::explain::sub(part, self.keys.body(slot));
                self.note(slot, ConflictKind::Removed, sub, mark, loser);
            }
            return;
        }
        let Some((_, winner)) = sides.pop() else { return };
        // What has just come met the best of the others: it, or that one, is the loser.
        let loser = if winner.dot == new { sides.pop() } else { sides.into_iter().find(|(_, side)| side.dot == new) };
        if let Some((_, loser)) = loser {
            let sub = super::explain::sub(part, self.keys.body(slot));
            self.note(slot, kind, sub, winner, loser);
        }
    }

    /// What stands at one place, and a mark that hides it. Counts stand beside each other in peace, but a mark hides them too.
    fn sides(&self, slot: u32, part: PartRef<'_>) -> (Vec<(Order, Contender)>, Option<Contender>) {
        let body = self.keys.body(slot);
        let (mut sides, mut counts, mut mark) = (Vec::new(), Vec::new(), None);
        let mut gather = |element: Element<'_>| {
            let rank = rank(&Tagged { dot: element.dot, hlc: element.hlc, value: () }, &self.replicas);
            let value = super::explain::value(element.value);
            let side = Contender { dot: self.replicas.unpack(element.dot), hlc: element.hlc, value };
            match element.value {
                HeldRef::Floor(_) => {}
                HeldRef::Revoked => mark = Some(Contender { value: "removed".to_owned(), ..side }),
                HeldRef::Count(_) => counts.push(((0, rank), side)),
                // Of deadlines the latest counts, not the one given last.
                HeldRef::Deadline(Deadline { at_ms, .. }) => sides.push(((*at_ms, rank), side)),
                HeldRef::Text(_) | HeldRef::Member | HeldRef::Score(_) => sides.push(((0, rank), side)),
            }
        };
        match part {
            // The mark of a key meets whatever is left of the key.
            PartRef::Key => body.for_each(&self.replicas, &mut |element| {
                if element.part == PartRef::Key || element.part.family().is_some() {
                    gather(element);
                }
            }),
            _ => body.at(part, &self.replicas, &mut gather),
        }
        if mark.is_some() {
            sides.append(&mut counts);
        }
        (sides, mark)
    }

    /// Notes that the element `dot` of type `new` came into a key that shows, or hides, another type.
    #[cold]
    pub(super) fn note_clash(&mut self, slot: u32, new: Kind, other: Kind) {
        let body = self.keys.body(slot);
        let side = |kind: Kind| {
            let (hlc, replica, seq): Rank = body.rank_of(kind, &self.replicas)?;
            Some(((hlc, replica, seq), Contender { dot: Dot { replica, seq }, hlc, value: kind.name().to_owned() }))
        };
        let (Some((new_rank, new)), Some((other_rank, other))) = (side(new), side(other)) else { return };
        let (winner, loser) = if new_rank > other_rank { (new, other) } else { (other, new) };
        self.note(slot, ConflictKind::Type, String::new(), winner, loser);
    }

    fn note(&mut self, slot: u32, kind: ConflictKind, sub: String, winner: Contender, loser: Contender) {
        let key = self.keys.key(slot);
        let key = Bytes::copy_from_slice(&key[..key.len().min(KEY_SHOWN)]);
        let log = self.conflicts.get_or_insert_default();
        log.counts[kind as usize] += 1;
        if log.recent.len() == KEPT {
            log.recent.pop_front();
        }
        log.recent.push_back(Conflict { kind, key, sub, winner, loser });
    }
}

/// What decides between siblings: the deadline, where that is what they are, then the stamp.
type Order = (u64, Rank);
