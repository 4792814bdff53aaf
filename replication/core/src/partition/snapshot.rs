//! A partition written down in pieces while it goes on changing: for checkpoints, which a journal follows.
//!
//! ```text
//! context T at the start ── piece ── piece ── … ──►     beside it, the journal of every change from T on
//! ```
//! Law: **all pieces and then the journal from T on (or from before) give the state at the journal's end.** Keys keep their
//! slot for as long as they live, so each element that lived at T and still lives when its slot is passed is in one piece,
//! once. One that died in between is in none, and the change that removed it finds nothing to remove. What came after T has a
//! dot beyond T, is left out wherever it lies, and comes from the journal. So a piece needs the partition for as long as it
//! takes to copy that piece, and no longer.
//!
//! A piece is bounded by what is looked at, not only by what is found. A key larger than a piece is walked through in steps too
//! (see `types/walk.rs`); while that lasts, the dots that were shown are remembered, since a walk may come by an element twice.
//!
//! The pieces have one range, so they are joined by [`CatchUp::then`] and applied to an empty partition at once.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Partition;
use super::catch_up::{CatchUp, Gone, Put};
use super::pieces::{PUT_BYTES, Renamed};
use crate::types::{Element, Walk};
use crate::{Dot, ReplicaId, VersionVector};

/// How far a snapshot has come.
#[derive(Clone, Debug)]
pub struct SnapshotCursor {
    maker: ReplicaId,
    vv: VersionVector,
    early: Vec<Dot>,
    slot: u32,
    /// Slots from here on came later, and so did all that is in them.
    end: u32,
    /// The large key in `slot` that was begun.
    large: Option<Large>,
    /// Large keys that are done: what was remembered of them, until [`Self::let_go`].
    spent: Vec<Large>,
    /// No piece was made yet: an empty partition that has a context is one piece too.
    fresh: bool,
}

/// A key that takes several pieces.
#[derive(Clone, Debug, Default)]
struct Large {
    walk: Walk,
    shown: BTreeSet<(u16, u64)>,
}

/// What a piece has found so far, and the room that is left in it.
struct Found {
    puts: Vec<Put>,
    left: usize,
}

impl SnapshotCursor {
    /// Frees what keys that are done have left behind. The dots of a million elements take milliseconds to free, so this is
    /// for the time between two pieces, when nobody waits for the partition.
    pub fn let_go(&mut self) {
        self.spent.clear();
    }
}

impl Partition {
    /// Begins a snapshot of the state as it is now.
    pub fn begin_snapshot(&self) -> SnapshotCursor {
        let (slot, end) = (0, self.keys.slots());
        let (maker, vv, early) = (self.me, self.vv.clone(), self.early_dots());
        SnapshotCursor { maker, vv, early, slot, end, large: None, spent: Vec::new(), fresh: true }
    }

    /// The next piece, of about `max_bytes`; `None` when there is none any more. A piece may be empty.
    ///
    /// # Errors
    /// The state goes on under another name since the snapshot was begun, and its slots are other ones: begin again.
    pub fn snapshot_piece(&self, cursor: &mut SnapshotCursor, max_bytes: usize) -> Result<Option<CatchUp>, Renamed> {
        if cursor.maker != self.me {
            return Err(Renamed);
        }
        if cursor.slot >= cursor.end && !cursor.fresh {
            return Ok(None);
        }
        let mut found = Found { puts: Vec::new(), left: max_bytes };
        while found.left > 0 && cursor.slot < cursor.end {
            let body = self.keys.body(cursor.slot);
            if cursor.large.is_none() && body.size() * PUT_BYTES > max_bytes {
                cursor.large = Some(Large::default());
            }
            found.left = found.left.saturating_sub(PUT_BYTES);
            let passed = match &mut cursor.large {
                Some(large) => {
                    !self.step(cursor.slot, &cursor.vv, large, (max_bytes / PUT_BYTES).clamp(1, STEP), &mut found)
                }
                None => {
                    let mut key = None;
                    body.for_each(&self.replicas, &mut |element| {
                        self.find(cursor.slot, &cursor.vv, &element, &mut key, &mut found);
                    });
                    true
                }
            };
            if passed {
                cursor.spent.extend(cursor.large.take());
                cursor.slot += 1;
            }
        }
        cursor.fresh = false;
        let (vv, early, gone) = (cursor.vv.clone(), cursor.early.clone(), Gone::These(Vec::new()));
        let since = VersionVector::new();
        Ok(Some(CatchUp { partition: self.id, since, vv, gone, early, puts: found.puts }))
    }

    /// Goes on with a large key; false when it is done.
    fn step(&self, slot: u32, vv: &VersionVector, large: &mut Large, count: usize, found: &mut Found) -> bool {
        let Large { walk, shown } = large;
        let mut key = None;
        self.keys.body(slot).walk(walk, count, &self.replicas, &mut |element| {
            if shown.insert((element.dot.replica(), element.dot.seq())) {
                self.find(slot, vv, &element, &mut key, found);
            }
        })
    }

    fn find(&self, slot: u32, vv: &VersionVector, element: &Element<'_>, key: &mut Option<Bytes>, found: &mut Found) {
        let dot = self.replicas.unpack(element.dot);
        let mut bytes = PUT_BYTES;
        if vv.covers(dot) {
            let key = key.get_or_insert_with(|| Bytes::copy_from_slice(self.keys.key(slot))).clone();
            let (part, value) = (element.part.to_part(), element.value.to_value());
            let put = Put { key, part, dot, hlc: element.hlc, value };
            bytes = put.size_hint();
            found.puts.push(put);
        }
        found.left = found.left.saturating_sub(bytes);
    }
}

/// The most elements of a large key that are looked at before the room in the piece is asked for again.
const STEP: usize = 64;
