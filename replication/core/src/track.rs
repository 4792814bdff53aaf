//! What a partition remembers of one replica: how far it has followed it, which keys its changes lie in, and what its changes
//! removed.
//!
//! Both lists are ordered by sequence number, so "what a peer lacks" is a range at their end. The index names keys, not
//! elements: one entry per key and replica is enough to find everything newer than a peer's context, and it is compacted
//! to that now and then. The removal log is bounded: what it forgets is made up for by comparing live dots.

use std::collections::VecDeque;

use crate::dots::PackedDot;

/// Removals kept per replica and partition. Beyond it catch-ups name all live dots instead: dearer, never wrong.
const REMOVALS: usize = 8192;

#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    /// The last change covered.
    pub(crate) seen: u64,
    index: Vec<IndexEntry>,
    removals: VecDeque<(u64, PackedDot)>,
    /// Removals up to this change may be forgotten already.
    forgotten: u64,
}

/// "Change `seq` put something into the key in `slot`", in 12 bytes.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    slot: u32,
    seq: [u32; 2],
}

impl IndexEntry {
    fn seq(self) -> u64 {
        u64::from(self.seq[1]) << 32 | u64::from(self.seq[0])
    }
}

impl Track {
    /// Notes a change; `seq` never falls.
    pub(crate) fn note(&mut self, seq: u64, slot: u32) {
        if self.index.len() == self.index.capacity() {
            self.index.reserve_exact((self.index.len() / 4).max(4));
        }
        self.index.push(IndexEntry { slot, seq: [seq as u32, (seq >> 32) as u32] });
    }

    pub(crate) fn index_len(&self) -> usize {
        self.index.len()
    }

    /// The keys with changes after `seq`.
    pub(crate) fn slots_after(&self, seq: u64) -> impl Iterator<Item = u32> {
        let from = self.index.partition_point(|entry| entry.seq() <= seq);
        self.index[from..].iter().map(|entry| entry.slot)
    }

    /// Keeps the newest entry of each key for which `is_held` says that this replica may still have something there.
    pub(crate) fn compact(&mut self, slots: u32, is_held: impl Fn(u32) -> bool) {
        if self.index.is_empty() {
            return;
        }
        let mut seen = vec![false; slots as usize];
        self.index.reverse();
        self.index.retain(|entry| {
            let first = !std::mem::replace(&mut seen[entry.slot as usize], true);
            first && is_held(entry.slot)
        });
        self.index.reverse();
        self.index.shrink_to(self.index.len() + self.index.len() / 4);
    }

    /// Notes that change `seq` of this replica removed `dot`.
    pub(crate) fn removed(&mut self, seq: u64, dot: PackedDot) {
        if self.removals.len() >= REMOVALS
            && let Some((oldest, _)) = self.removals.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
        self.removals.push_back((seq, dot));
    }

    /// What changes after `seq` removed; `None` if some of it is forgotten.
    pub(crate) fn removals_after(&self, seq: u64) -> Option<impl Iterator<Item = PackedDot>> {
        if seq < self.forgotten.min(self.seen) {
            return None;
        }
        let from = self.removals.partition_point(|entry| entry.0 <= seq);
        Some(self.removals.range(from..).map(|entry| entry.1))
    }

    /// Forgets removals by changes up to `seq`.
    pub(crate) fn forget_removals(&mut self, seq: u64) {
        let upto = self.removals.partition_point(|entry| entry.0 <= seq);
        self.removals.drain(..upto);
        self.removals.shrink_to(self.removals.len() * 2);
        self.forgotten = self.forgotten.max(seq);
    }

    /// How many removals are remembered.
    pub(crate) fn removals_len(&self) -> usize {
        self.removals.len()
    }
}
