//! The only code that changes state: a delta's removes and puts, with everything that is derived from them kept in step
//! (digest, dot index, removal log, context).

use super::Partition;
use super::digest::element_hash;
use super::memory::{blob_bytes, element_bytes};
use crate::delta::{Change, Delta, Part, Value};
use crate::dots::{PackedDot, Tagged};
use crate::types::{Body, Counter, Held, Lean, PartRef};
use crate::{Dot, Hlc, ReplicaId};

/// Whose changes are being applied.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    /// The local number of `replica`.
    pub(super) origin: u16,
    pub(super) replica: ReplicaId,
    pub(super) hlc: Hlc,
    /// The sequence number that removals are noted under.
    pub(super) by: u64,
}

impl Partition {
    /// Applies a delta that follows directly on what is known of its replica.
    pub(super) fn apply(&mut self, delta: &Delta) {
        let origin = self.intern(delta.replica);
        let writer = Writer { origin, replica: delta.replica, hlc: delta.hlc, by: delta.last_seq() };
        self.apply_changes(&delta.changes, writer, delta.first_seq, None);
        self.cover(origin, delta.last_seq());
    }

    /// Applies changes whose puts take the numbers from `seq` on. `slot` spares the search where all are of one key that has one.
    pub(super) fn apply_changes(&mut self, changes: &[Change], writer: Writer, mut seq: u64, slot: Option<u32>) {
        for group in changes.chunk_by(|a, b| a.key == b.key) {
            let puts = group.iter().filter(|change| change.put.is_some()).count() as u64;
            let key = &group[0].key;
            let slot = match slot.or_else(|| self.keys.find(key)) {
                None if puts > 0 => Some(self.keys.find_or_insert(key)),
                found => found,
            };
            match slot {
                Some(slot) => {
                    let before = self.keys.body(slot).before();
                    let replaced =
                        self.replace_lean(slot, group, writer, seq) || self.replace_counter(slot, group, writer, seq);
                    if !replaced {
                        self.apply_group(slot, group, writer, seq);
                    }
                    self.settle_slot(slot, before, (puts > 0).then(|| (writer.origin, seq + puts - 1)));
                }
                None => {
                    let removes = group.iter().flat_map(|change| &change.removes);
                    removes.for_each(|&dot| self.remove_absent(dot, writer.origin, writer.by));
                }
            }
            seq += puts;
        }
    }

    fn apply_group(&mut self, slot: u32, group: &[Change], writer: Writer, mut seq: u64) {
        let Writer { origin, by, .. } = writer;
        for change in group {
            if change.part == Part::Any {
                self.remove_anywhere(slot, &change.removes, origin, by);
            } else {
                for &dot in &change.removes {
                    if !self.remove(slot, change.part.as_ref(), dot, origin, by, change.put.is_some()) {
                        self.remove_absent(dot, origin, by);
                    }
                }
            }
            if let Some(value) = &change.put {
                self.insert(slot, &change.part, PackedDot::new(origin, seq), writer.hlc, value);
                seq += 1;
            }
        }
    }

    /// The hot path: a SET over a key that holds one register (or nothing) stays in place and allocates nothing but its text.
    /// Only for changes that planning a SET makes; anything else is left to the general way.
    fn replace_lean(&mut self, slot: u32, group: &[Change], writer: Writer, seq: u64) -> bool {
        if !self.early.is_empty() {
            return false;
        }
        let (set, deadline) = match group {
            [set] => (set, None),
            [set, deadline] if deadline.part == Part::Deadline => (set, Some(deadline)),
            _ => return false,
        };
        let (Part::Cell, Some(Value::Text(text))) = (&set.part, &set.put) else { return false };
        let old = match self.keys.body(slot) {
            Body::Empty => None,
            Body::Lean(lean) => Some((lean.dot, lean.deadline_ms != 0)),
            Body::Counter(_) | Body::Full(_) => return false,
        };
        let is = |removes: &[Dot], expected: Option<PackedDot>| match (removes, expected) {
            ([], None) => true,
            ([dot], Some(expected)) => self.replicas.pack(*dot) == Some(expected),
            _ => false,
        };
        let old_deadline = old.and_then(|(dot, timed)| timed.then(|| PackedDot::new(dot.replica(), dot.seq() + 1)));
        let stale = deadline.map_or(&[][..], |change| &change.removes[..]);
        if !is(&set.removes, old.map(|(dot, _)| dot)) || !is(stale, old_deadline) {
            return false;
        }
        let register = Dot { replica: writer.replica, seq };
        let deadline_ms = match deadline.and_then(|change| change.put.as_ref()) {
            None => 0,
            Some(Value::Deadline(given)) if given.bound == Some(register) && given.at_ms != 0 => given.at_ms,
            Some(_) => return false,
        };
        let dot = PackedDot::new(writer.origin, seq);
        let lean = Lean { dot, hlc: writer.hlc, deadline_ms, text: crate::blob::Blob::new(text) };
        let old = std::mem::replace(self.keys.body_mut(slot), Body::Lean(lean));
        self.digest = self.digest.wrapping_sub(self.sum(slot, &old)).wrapping_add(self.sum(slot, self.keys.body(slot)));
        self.heap += blob_bytes(text.len());
        if let Body::Lean(old) = old {
            self.heap = self.heap.saturating_sub(blob_bytes(old.text.as_slice().len()));
            let track = &mut self.tracks[usize::from(writer.origin)];
            track.removed(writer.by, old.dot);
            if old.deadline_ms != 0 {
                track.removed(writer.by, old.deadline_dot());
            }
        }
        true
    }

    /// The hot path of counters: an INCR of a key that is new, or where one region counts, stays in place and allocates nothing.
    fn replace_counter(&mut self, slot: u32, group: &[Change], writer: Writer, seq: u64) -> bool {
        let [Change { part: Part::Cell, removes, put: Some(Value::Count(count)), .. }] = group else { return false };
        let dot = PackedDot::new(writer.origin, seq);
        let Some(new) = Counter::of(dot, writer.hlc, count).filter(|_| self.early.is_empty()) else { return false };
        match (self.keys.body(slot), &removes[..]) {
            (Body::Empty, []) => {}
            (Body::Counter(old), [gone]) if self.replicas.pack(*gone) == Some(old.dot) => {}
            _ => return false,
        }
        let old = std::mem::replace(self.keys.body_mut(slot), Body::Counter(new));
        self.digest = self.digest.wrapping_sub(self.sum(slot, &old)).wrapping_add(self.sum(slot, self.keys.body(slot)));
        if let Body::Counter(old) = old {
            self.tracks[usize::from(writer.origin)].removed(writer.by, old.dot);
        }
        true
    }

    pub(super) fn sum(&self, slot: u32, body: &Body) -> u64 {
        let mut sum = 0u64;
        body.for_each(&self.replicas, &mut |element| {
            let dot = self.replicas.unpack(element.dot);
            sum = sum.wrapping_add(element_hash(self.keys.key(slot), element.part, dot, element.value));
        });
        sum
    }

    /// Puts an element in, unless it was removed before it came.
    pub(super) fn insert(&mut self, slot: u32, part: &Part, dot: PackedDot, hlc: Hlc, value: &Value) {
        let name = self.replicas.unpack(dot);
        if !self.early.is_empty() && self.early.contains(&name) {
            self.keys.body_mut(slot).tidy(part.as_ref(), &self.replicas);
            return;
        }
        if let Value::Floor(floor) = value
            && floor.owner == self.me
        {
            self.unsettled.push(slot);
        }
        let held = Held::new(value);
        let hash = element_hash(self.keys.key(slot), part.as_ref(), name, held.as_ref());
        self.digest = self.digest.wrapping_add(hash);
        self.heap += element_bytes(part.as_ref(), held.as_ref());
        let new = Tagged { dot, hlc, value: held };
        let body = self.keys.body_mut(slot);
        let before = body.kinds(&self.replicas);
        let beside = body.insert(part, new, &self.replicas);
        let after = body.kinds(&self.replicas);
        if beside {
            self.note_siblings(slot, part.as_ref(), dot);
        }
        // The common case is one type, the same as before.
        if after != before
            && let (Some(new), Some(other)) = (after.first_beyond(before), before.first())
        {
            self.note_clash(slot, new, other);
        }
    }

    /// Takes the element called `dot` out, if it is there, and remembers which change did it. `keep`: see [`Body::take`].
    fn remove(&mut self, slot: u32, part: PartRef<'_>, dot: Dot, origin: u16, by: u64, keep: bool) -> bool {
        let Some(packed) = self.replicas.pack(dot) else { return false };
        let Some(held) = self.take(slot, part, packed, keep) else { return false };
        drop(held);
        self.tracks[usize::from(origin)].removed(by, packed);
        true
    }

    /// Takes an element out and its hash off the digest.
    pub(super) fn take(&mut self, slot: u32, part: PartRef<'_>, dot: PackedDot, keep: bool) -> Option<Held> {
        let held = self.keys.body_mut(slot).take(part, dot, &self.replicas, keep)?;
        let hash = element_hash(self.keys.key(slot), part, self.replicas.unpack(dot), held.as_ref());
        self.digest = self.digest.wrapping_sub(hash);
        self.heap = self.heap.saturating_sub(element_bytes(part, held.as_ref()));
        Some(held)
    }

    /// Takes all of `dots` out of a key, whichever parts they are in.
    fn remove_anywhere(&mut self, slot: u32, dots: &[Dot], origin: u16, by: u64) {
        let mut wanted: Vec<Dot> = dots.to_vec();
        wanted.sort_unstable();
        let mut found: Vec<(Part, Dot)> = Vec::with_capacity(wanted.len());
        self.keys.body(slot).for_each(&self.replicas, &mut |element| {
            let dot = self.replicas.unpack(element.dot);
            if wanted.binary_search(&dot).is_ok() {
                found.push((element.part.to_part(), dot));
            }
        });
        for (part, dot) in &found {
            self.remove(slot, part.as_ref(), *dot, origin, by, false);
        }
        if found.len() < wanted.len() {
            let found: std::collections::HashSet<Dot> = found.into_iter().map(|(_, dot)| dot).collect();
            wanted.into_iter().filter(|dot| !found.contains(dot)).for_each(|dot| self.remove_absent(dot, origin, by));
        }
    }

    /// A removal of something that is not here: gone already, in which case somebody else's change is on record for it, or
    /// still to come, in which case it will not be let in, and this change is.
    fn remove_absent(&mut self, dot: Dot, origin: u16, by: u64) {
        if !self.vv.covers(dot) && self.early.insert(dot) {
            let packed = PackedDot::new(self.intern(dot.replica), dot.seq);
            self.tracks[usize::from(origin)].removed(by, packed);
        }
    }

    /// Brings everything derived from one key in step after its elements changed. `put`: who put something, and the last dot.
    pub(super) fn settle_slot(&mut self, slot: u32, was: Before, put: Option<(u16, u64)>) {
        let Self { keys, replicas, .. } = self;
        let body = keys.body_mut(slot);
        body.narrow(replicas);
        self.timed = self.timed + usize::from(body.is_timed()) - usize::from(was.timed);
        self.heap = (self.heap + body.shape_bytes()).saturating_sub(was.shape_bytes);
        if body.is_empty() {
            self.keys.remove(slot);
        } else if let Some((origin, seq)) = put {
            self.tracks[usize::from(origin)].note(seq, slot);
            self.compact_index();
        }
    }

    /// Compacts the dot index once it has grown by half, so that it costs a constant time per write.
    pub(super) fn compact_index(&mut self) {
        let entries: usize = self.tracks.iter().map(crate::track::Track::index_len).sum();
        if entries < self.compacted + self.compacted / 2 + 64 {
            return;
        }
        let Self { tracks, keys, .. } = self;
        for (index, track) in tracks.iter_mut().enumerate() {
            track.compact(keys.slots(), |slot| match keys.body(slot) {
                Body::Empty => false,
                Body::Lean(lean) => usize::from(lean.dot.replica()) == index,
                Body::Counter(counter) => usize::from(counter.dot.replica()) == index,
                Body::Full(_) => true,
            });
        }
        self.compacted = self.tracks.iter().map(crate::track::Track::index_len).sum();
    }

    /// Raises the context: everything of `origin` up to `seq` is part of the state.
    pub(super) fn cover(&mut self, origin: u16, seq: u64) {
        let id = self.replicas.id(origin);
        let track = &mut self.tracks[usize::from(origin)];
        track.seen = track.seen.max(seq);
        self.vv.raise(id, seq);
        if id != self.me && !self.news.contains(&origin) {
            self.news.push(origin);
        }
        if !self.early.is_empty() {
            let vv = &self.vv;
            self.early.retain(|dot| !vv.covers(*dot));
        }
    }
}

impl Part {
    /// [`Part::Any`] is no place; it shows as the cell, which the callers never ask for.
    pub(crate) fn as_ref(&self) -> PartRef<'_> {
        match self {
            Self::Any | Self::Cell => PartRef::Cell,
            Self::Field(field) => PartRef::Field(field),
            Self::Member(member) => PartRef::Member(member),
            Self::Deadline => PartRef::Deadline,
            Self::FieldDeadline(field) => PartRef::FieldDeadline(field),
            Self::Rated(member) => PartRef::Rated(member),
            Self::Item(position) => PartRef::Item(position),
            Self::Sketch => PartRef::Sketch,
            Self::Key => PartRef::Key,
        }
    }
}

/// What is to be known of a key before its elements change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    timed: bool,
    shape_bytes: usize,
}

impl Body {
    pub(super) fn before(&self) -> Before {
        Before { timed: self.is_timed(), shape_bytes: self.shape_bytes() }
    }

    /// Whether time will change anything: the key has a deadline, in force or not, or a field has one, or there is a mark.
    pub(crate) fn is_timed(&self) -> bool {
        match self {
            Self::Empty | Self::Counter(_) => false,
            Self::Lean(lean) => lean.deadline_ms != 0,
            Self::Full(full) => {
                !full.deadlines.is_empty()
                    || !full.marks.is_empty()
                    || full.fields.as_ref().is_some_and(|fields| fields.is_timed())
                    || full.members.as_ref().is_some_and(|members| members.marks().is_some())
                    || full.zset.as_ref().is_some_and(|zset| zset.marks().is_some())
            }
        }
    }
}
