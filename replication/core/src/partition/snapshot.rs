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
//! The pieces have one range, so they are joined by [`CatchUp::then`] and applied to an empty partition at once.

use bytes::Bytes;

use super::Partition;
use super::catch_up::{CatchUp, Gone, Put};
use super::pieces::Renamed;
use crate::{Dot, ReplicaId, VersionVector};

/// How far a snapshot has come.
#[derive(Clone, Debug)]
pub struct SnapshotCursor {
    maker: ReplicaId,
    vv: VersionVector,
    early: Vec<Dot>,
    slot: u32,
    /// No piece was made yet: an empty partition that has a context is one piece too.
    fresh: bool,
}

impl Partition {
    /// Begins a snapshot of the state as it is now.
    pub fn begin_snapshot(&self) -> SnapshotCursor {
        SnapshotCursor { maker: self.me, vv: self.vv.clone(), early: self.early_dots(), slot: 0, fresh: true }
    }

    /// The next piece, of about `max_bytes` or one key; `None` when there is none any more.
    ///
    /// # Errors
    /// The state goes on under another name since the snapshot was begun, and its slots are other ones: begin again.
    pub fn snapshot_piece(&self, cursor: &mut SnapshotCursor, max_bytes: usize) -> Result<Option<CatchUp>, Renamed> {
        if cursor.maker != self.me {
            return Err(Renamed);
        }
        let (mut puts, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes && cursor.slot < self.keys.slots() {
            let (slot, mut key) = (cursor.slot, None);
            self.keys.body(slot).for_each(&self.replicas, &mut |element| {
                let dot = self.replicas.unpack(element.dot);
                if cursor.vv.covers(dot) {
                    let key = key.get_or_insert_with(|| Bytes::copy_from_slice(self.keys.key(slot))).clone();
                    let (part, value) = (element.part.to_part(), element.value.to_value());
                    let put = Put { key, part, dot, hlc: element.hlc, value };
                    bytes += put.size_hint();
                    puts.push(put);
                }
            });
            cursor.slot += 1;
        }
        if puts.is_empty() && !std::mem::take(&mut cursor.fresh) {
            return Ok(None);
        }
        cursor.fresh = false;
        let (vv, early, gone) = (cursor.vv.clone(), cursor.early.clone(), Gone::These(Vec::new()));
        Ok(Some(CatchUp { partition: self.id, since: VersionVector::new(), vv, gone, early, puts }))
    }
}
