//! A catch-up too large for one frame, made and put together in pieces, while the state moves on under it.
//!
//! ```text
//! maker    context T at the start ── piece: since→T ─ piece: since→T ─ … ─ the rest: T→V, made whole at the end ──►
//! taker    collects; joined by [`CatchUp::then`] into one catch-up since→V, applied at one moment
//! ```
//! Law: **the join is exactly the catch-up that would have been made whole at V.** Keys keep their slot for as long as they
//! live, and what is put after T has a dot beyond T: so every element that lives both at T and at V is in one piece, once.
//! What died in between is in a piece or not, and the rest names it among the gone. What came in between is in the rest.
//! So the maker holds no more than a list of slots and one piece; the taker holds what it is about to hold anyway.
//!
//! Pieces are not applied one by one: a reader would see half of a transaction, and a taker whose maker dies would be left
//! with elements that its context does not explain.

use bytes::Bytes;

use super::Partition;
use super::catch_up::{CatchUp, Gone, Put};
use crate::types::Body;
use crate::{Dot, ReplicaId, VersionVector};

/// The most pieces that one key is split into.
const MOST_PASSES: u64 = 64;
/// What an element takes on the wire besides its names and its text, about.
pub(super) const PUT_BYTES: usize = 24;

/// How far a catch-up in pieces has come. Small: a number per changed key.
#[derive(Clone, Debug)]
pub struct CatchUpCursor {
    maker: ReplicaId,
    since: VersionVector,
    vv: VersionVector,
    slots: Vec<u32>,
    at: usize,
    /// The pass over the present key, and of how many.
    pass: (u64, u64),
}

impl CatchUpCursor {
    /// The context that the pieces together lead to: the rest starts from there.
    pub fn target(&self) -> &VersionVector {
        &self.vv
    }
}

impl Partition {
    /// What a peer with context `peer` lacks, in pieces of about `max_bytes`. With no cursor the first piece is all there is, and
    /// whole. Otherwise take [`next_piece`](Self::next_piece) until there is none, then catch up since the cursor's target.
    pub fn catch_up_in_pieces(&self, peer: &VersionVector, max_bytes: usize) -> (CatchUp, Option<CatchUpCursor>) {
        self.in_pieces(peer, self.gone_since(peer), max_bytes)
    }

    /// The same for a peer that has compared [sums](Self::live_sums) which were made at context `made_at`: of its elements those
    /// are named that went since then, the others it has found itself. `None`: the log has forgotten some of them.
    pub fn catch_up_compared(
        &self,
        peer: &VersionVector,
        made_at: &VersionVector,
        max_bytes: usize,
    ) -> Option<(CatchUp, Option<CatchUpCursor>)> {
        let mut gone = self.removals_since(made_at)?;
        gone.retain(|dot| peer.covers(*dot));
        Some(self.in_pieces(peer, Gone::These(gone), max_bytes))
    }

    /// What is gone is not the caller's to say: taken from the state of another moment than the rest it would lead a peer to a
    /// context whose removals it never heard of.
    fn in_pieces(&self, peer: &VersionVector, gone: Gone, max_bytes: usize) -> (CatchUp, Option<CatchUpCursor>) {
        let (since, vv, slots) = (peer.clone(), self.vv.clone(), self.slots_since(peer));
        let mut cursor = CatchUpCursor { maker: self.me, since, vv, slots, at: 0, pass: (0, 0) };
        let puts = self.puts_at(&mut cursor, max_bytes);
        let first = self.piece(&cursor, gone, puts);
        let rest = (cursor.at < cursor.slots.len()).then_some(cursor);
        (first, rest)
    }

    /// The next piece; `None` when there is none any more.
    ///
    /// # Errors
    /// The state goes on under another name since the pieces were begun, and its slots are other ones: begin again.
    pub fn next_piece(&self, cursor: &mut CatchUpCursor, max_bytes: usize) -> Result<Option<CatchUp>, Renamed> {
        if cursor.maker != self.me {
            return Err(Renamed);
        }
        if cursor.at >= cursor.slots.len() {
            return Ok(None);
        }
        let puts = self.puts_at(cursor, max_bytes);
        Ok(Some(self.piece(cursor, Gone::These(Vec::new()), puts)))
    }

    fn piece(&self, cursor: &CatchUpCursor, gone: Gone, puts: Vec<Put>) -> CatchUp {
        let early = self.early_dots();
        CatchUp { partition: self.id, since: cursor.since.clone(), vv: cursor.vv.clone(), gone, early, puts }
    }

    fn puts_at(&self, cursor: &mut CatchUpCursor, max_bytes: usize) -> Vec<Put> {
        let (mut puts, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes && cursor.at < cursor.slots.len() {
            let slot = cursor.slots[cursor.at];
            if cursor.pass.1 == 0 {
                cursor.pass = (0, self.passes(slot, max_bytes));
            }
            let (pass, passes) = cursor.pass;
            // By the number of its change, an element falls into the same pass whenever it is looked at.
            let found = self.elements_between(slot, cursor, |dot| dot.seq % passes == pass);
            bytes += found.iter().map(Put::size_hint).sum::<usize>();
            puts.extend(found);
            cursor.pass.0 += 1;
            if cursor.pass.0 == passes {
                cursor.at += 1;
                cursor.pass = (0, 0);
            }
        }
        puts
    }

    /// In how many passes a key is gone through, so that each finds about as much as a piece may have.
    fn passes(&self, slot: u32, max_bytes: usize) -> u64 {
        let Body::Full(_) = self.keys.body(slot) else { return 1 };
        let mut size = 0;
        self.keys.body(slot).for_each(&self.replicas, &mut |element| {
            size += element.part.to_part().size_hint() + element.value.to_value().size_hint() + PUT_BYTES;
        });
        (size as u64 / (max_bytes as u64).max(1) + 1).min(MOST_PASSES)
    }

    /// The elements of one key that lie between the cursor's contexts.
    fn elements_between(&self, slot: u32, cursor: &CatchUpCursor, wanted: impl Fn(Dot) -> bool) -> Vec<Put> {
        let (mut puts, mut key) = (Vec::new(), None);
        self.keys.body(slot).for_each(&self.replicas, &mut |element| {
            let dot = self.replicas.unpack(element.dot);
            if !cursor.since.covers(dot) && cursor.vv.covers(dot) && wanted(dot) {
                let key = key.get_or_insert_with(|| Bytes::copy_from_slice(self.keys.key(slot))).clone();
                let (part, value) = (element.part.to_part(), element.value.to_value());
                puts.push(Put { key, part, dot, hlc: element.hlc, value });
            }
        });
        puts
    }
}

/// The state goes on under another name than when the pieces were begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state goes on under another name: the catch-up must be begun again")]
pub struct Renamed;

/// A piece that does not go on where the ones before it end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a piece of a catch-up does not follow the pieces before it")]
pub struct NotNext;

impl Put {
    /// About how many bytes it takes on the wire.
    pub(super) fn size_hint(&self) -> usize {
        self.key.len() + self.part.size_hint() + self.value.size_hint() + PUT_BYTES
    }
}

impl CatchUp {
    /// Whether `next` can be joined to this.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        let same_range = next.since == self.since && next.vv == self.vv;
        next.partition == self.partition && (same_range || next.since == self.vv)
    }

    /// Joins what comes after: another piece of the same range, or what leads on from its end.
    ///
    /// # Errors
    /// It neither belongs to the range nor follows it; nothing was changed.
    pub fn then(&mut self, next: Self) -> Result<(), NotNext> {
        if !self.is_followed_by(&next) {
            return Err(NotNext);
        }
        if next.since == self.since && next.vv == self.vv {
            self.gone = match (std::mem::replace(&mut self.gone, Gone::These(Vec::new())), next.gone) {
                (Gone::These(mut gone), Gone::These(more)) => {
                    gone.extend(more);
                    Gone::These(gone)
                }
                (Gone::AllBut(live), _) | (_, Gone::AllBut(live)) => Gone::AllBut(live),
            };
            self.puts.extend(next.puts);
            return Ok(());
        }
        let after = GoneSet::new(&next.gone);
        self.puts.retain(|put| !after.has(put.dot));
        self.gone = joined(&self.gone, &next.gone, &self.since);
        self.puts.extend(next.puts);
        self.vv = next.vv;
        self.early = next.early;
        Ok(())
    }
}

/// Which dots of its range a [`Gone`] declares gone, for many questions.
struct GoneSet {
    listed: std::collections::HashSet<Dot>,
    gone_if_listed: bool,
}

impl GoneSet {
    fn new(gone: &Gone) -> Self {
        let (Gone::These(listed) | Gone::AllBut(listed)) = gone;
        Self { listed: listed.iter().copied().collect(), gone_if_listed: matches!(gone, Gone::These(_)) }
    }

    fn has(&self, dot: Dot) -> bool {
        self.listed.contains(&dot) == self.gone_if_listed
    }
}

/// What of `since` is gone by either.
fn joined(first: &Gone, second: &Gone, since: &VersionVector) -> Gone {
    let (before, after) = (GoneSet::new(first), GoneSet::new(second));
    let of_since = |listed: &[Dot]| -> Vec<Dot> { listed.iter().filter(|dot| since.covers(**dot)).copied().collect() };
    let mut dots = match (first, second) {
        (Gone::These(a), Gone::These(b)) => [a.clone(), of_since(b)].concat(),
        (Gone::AllBut(live), _) => live.iter().filter(|dot| !after.has(**dot)).copied().collect(),
        (Gone::These(_), Gone::AllBut(live)) => of_since(live).into_iter().filter(|dot| !before.has(*dot)).collect(),
    };
    dots.sort_unstable();
    dots.dedup();
    match (first, second) {
        (Gone::These(_), Gone::These(_)) => Gone::These(dots),
        _ => Gone::AllBut(dots),
    }
}
