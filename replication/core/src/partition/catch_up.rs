//! What a peer that was away lacks, computed from its context alone: no cursor, no session, no log of commands.
//!
//! With `since` the peer's context and `vv` ours, its state becomes the join of both states if it learns
//!
//! - every live element whose dot is in `vv` and not in `since` (found by the dot index: cost follows changed keys, not writes);
//! - of the dots in `since`, which are gone: from the removal log, or, where that has forgotten too much, as the list of those
//!   that are *not* gone. Dots are dense numbers, so even that list takes about a byte an element;
//! - the dots removed before they came here (see `Partition::early`).
//!
//! A dot in `vv` that is in neither list is one that the peer never needs to hear of: written and overwritten while it was away.
//!
//! The answer may be applied late, by a peer that has moved on meanwhile: what it has learnt since is compared dot by dot. Only a
//! peer that has *lost* something since it asked is refused.

use std::collections::HashSet;

use bytes::Bytes;

use super::Partition;
use crate::delta::{Part, Value};
use crate::dots::PackedDot;
use crate::{Dot, Hlc, VersionVector};

/// The longest catch-up or state frame, in bytes: what its length field can say.
pub const MAX_CATCH_UP_BYTES: usize = u32::MAX as usize;

/// What a peer lacks of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// The partition it belongs to.
    pub partition: u16,
    /// The context the peer asked with.
    pub since: VersionVector,
    /// The context it covers: the peer's afterwards is at least this.
    pub vv: VersionVector,
    /// Which of the elements that `since` covers are gone.
    pub gone: Gone,
    /// Dots beyond `vv` that are removed already.
    pub early: Vec<Dot>,
    /// Live elements that `since` does not cover, key by key.
    pub puts: Vec<Put>,
}

/// Elements that are gone, or all that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// These are gone.
    These(Vec<Dot>),
    /// All that `since` covers are gone, but for these.
    AllBut(Vec<Dot>),
}

/// A live element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Bytes,
    /// Where in the key.
    pub part: Part,
    /// Which change wrote it.
    pub dot: Dot,
    /// The change's stamp.
    pub hlc: Hlc,
    /// What it says.
    pub value: Value,
}

/// What a catch-up changed here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Elements that came.
    pub added: usize,
    /// Elements that went.
    pub removed: usize,
}

/// Why a catch-up was not applied; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatchUpRefused {
    /// It was made for a context that is not covered here (state was lost since it was asked for): ask again.
    #[error("the catch-up starts from a context that this partition does not cover, ask again with the present one")]
    NotCovered,
    /// It belongs to another partition.
    #[error("the catch-up belongs to another partition")]
    WrongPartition,
}

impl CatchUp {
    /// Whether the peer lacked nothing.
    pub fn is_empty(&self) -> bool {
        self.since.dominates(&self.vv) && self.early.is_empty()
    }
}

impl Partition {
    /// What a peer with context `peer` lacks, whole.
    pub fn catch_up_since(&self, peer: &VersionVector) -> CatchUp {
        self.catch_up_in_pieces(peer, usize::MAX).0
    }

    /// Takes what a peer found us lacking. All or nothing.
    ///
    /// # Errors
    /// It does not fit what is here; nothing was changed.
    pub fn apply_catch_up(&mut self, news: &CatchUp) -> Result<CaughtUp, CatchUpRefused> {
        if news.partition != self.id {
            return Err(CatchUpRefused::WrongPartition);
        }
        if !self.vv.dominates(&news.since) {
            return Err(CatchUpRefused::NotCovered);
        }
        let removed = self.remove_gone(news);
        for &dot in news.early.iter().filter(|dot| !self.vv.covers(**dot)) {
            self.early.insert(dot);
        }
        let added = self.insert_puts(&news.puts);
        for (replica, seq) in news.vv.iter() {
            let index = self.intern(replica);
            let track = &mut self.tracks[usize::from(index)];
            if seq > track.seen {
                // What these changes removed is known here only by its absence: peers before them get the long list.
                track.forget_removals(seq);
                self.cover(index, seq);
            }
        }
        Ok(CaughtUp { added, removed })
    }

    /// The keys that may hold something the peer lacks, in order.
    pub(super) fn slots_since(&self, peer: &VersionVector) -> Vec<u32> {
        let mut slots: Vec<u32> = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let known = peer.get(self.replicas.id(index as u16));
            if track.seen > known {
                slots.extend(track.slots_after(known));
            }
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    pub(super) fn early_dots(&self) -> Vec<Dot> {
        let mut early: Vec<Dot> = self.early.iter().copied().collect();
        early.sort_unstable();
        early
    }

    /// From the removal log, or, where it has forgotten too much, as the list of what is left.
    pub(super) fn gone_since(&self, peer: &VersionVector) -> Gone {
        self.removals_since(peer).map_or_else(|| self.all_but(peer), Gone::These)
    }

    fn all_but(&self, peer: &VersionVector) -> Gone {
        let mut live = Vec::new();
        self.each_live_dot(peer, |dot| live.push(dot));
        live.sort_unstable();
        Gone::AllBut(live)
    }

    /// One pass over what is here, in search of elements that the peer knows to be gone.
    fn remove_gone(&mut self, news: &CatchUp) -> usize {
        let nothing_gone = matches!(&news.gone, Gone::These(gone) if gone.is_empty()) && news.early.is_empty();
        let moved_on = news.vv.iter().any(|(replica, seq)| self.vv.get(replica).min(seq) > news.since.get(replica));
        if nothing_gone && !moved_on {
            return 0;
        }
        let judge = Judge::new(news, moved_on);
        let mut removed = 0;
        for slot in 0..self.keys.slots() {
            let mut doomed: Vec<(Part, PackedDot)> = Vec::new();
            self.keys.body(slot).for_each(&self.replicas, &mut |element| {
                if judge.is_gone(self.replicas.unpack(element.dot)) {
                    doomed.push((element.part.to_part(), element.dot));
                }
            });
            if doomed.is_empty() {
                continue;
            }
            let before = self.keys.body(slot).before();
            for (part, dot) in doomed {
                removed += usize::from(self.take(slot, part.as_ref(), dot, false).is_some());
            }
            self.settle_slot(slot, before, None);
        }
        removed
    }

    fn insert_puts(&mut self, puts: &[Put]) -> usize {
        let mut notes: Vec<(u16, u64, u32)> = Vec::with_capacity(puts.len());
        for group in puts.chunk_by(|a, b| a.key == b.key) {
            if group.iter().all(|put| self.vv.covers(put.dot)) {
                continue;
            }
            let slot = self.keys.find_or_insert(&group[0].key);
            let before = self.keys.body(slot).before();
            for put in group {
                if self.vv.covers(put.dot) || self.early.contains(&put.dot) {
                    continue;
                }
                let origin = self.intern(put.dot.replica);
                self.insert(slot, &put.part, PackedDot::new(origin, put.dot.seq), put.hlc, &put.value);
                notes.push((origin, put.dot.seq, slot));
            }
            self.settle_slot(slot, before, None);
        }
        notes.sort_unstable();
        for &(origin, seq, slot) in &notes {
            self.tracks[usize::from(origin)].note(seq, slot);
        }
        self.compact_index();
        notes.len()
    }
}

/// Which elements a catch-up declares gone.
struct Judge<'a> {
    news: &'a CatchUp,
    listed: HashSet<Dot>,
    early: HashSet<Dot>,
    /// Live dots beyond `since`; only looked at by a peer that moved on after it asked.
    puts: HashSet<Dot>,
}

impl<'a> Judge<'a> {
    fn new(news: &'a CatchUp, moved_on: bool) -> Self {
        let (Gone::These(listed) | Gone::AllBut(listed)) = &news.gone;
        let puts = if moved_on { news.puts.iter().map(|put| put.dot).collect() } else { HashSet::new() };
        Self { news, listed: listed.iter().copied().collect(), early: news.early.iter().copied().collect(), puts }
    }

    fn is_gone(&self, dot: Dot) -> bool {
        if !self.news.vv.covers(dot) {
            self.early.contains(&dot) // beyond the sender: it knows only of removals that overtook their puts
        } else if self.news.since.covers(dot) {
            self.listed.contains(&dot) == matches!(self.news.gone, Gone::These(_))
        } else {
            !self.puts.contains(&dot)
        }
    }
}
