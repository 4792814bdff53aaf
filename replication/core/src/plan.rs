//! A change in the making: an op reads the state and writes down what it wants; the partition then applies that exactly as it
//! would apply it coming from elsewhere. So there is one way in for changes, and local and remote cannot drift apart.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::delta::{Change, Floor, Part, Value};
use crate::dots::{Replicas, Tagged};
use crate::types::hash::Fields;
use crate::types::mark::Marks;
use crate::types::zset::Zset;
use crate::types::{Body, Counter, Full, Kind};
use crate::{Dot, ReplicaId};

/// The changes of one delta so far.
pub(crate) struct Plan<'a> {
    pub(crate) replicas: &'a Replicas,
    pub(crate) me: ReplicaId,
    pub(crate) key: Bytes,
    pub(crate) changes: Vec<Change>,
    /// The sequence number of the next put.
    pub(crate) next_seq: u64,
}

/// What a reset takes away, and the floors it must leave.
#[derive(Default)]
pub(crate) struct Clearing {
    pub(crate) removes: Vec<Dot>,
    pub(crate) floors: Vec<(Part, Floor)>,
}

impl<'a> Plan<'a> {
    /// An empty plan whose first put takes `next_seq`.
    pub(crate) fn new(replicas: &'a Replicas, me: ReplicaId, key: Bytes, next_seq: u64) -> Self {
        Self { replicas, me, key, changes: Vec::new(), next_seq }
    }

    pub(crate) fn put(&mut self, part: Part, removes: SmallVec<[Dot; 1]>, value: Value) {
        self.changes.push(Change { key: self.key.clone(), part, removes, put: Some(value) });
        self.next_seq += 1;
    }

    /// Plans a value that observed nothing, and gives the name it will have.
    pub(crate) fn put_named(&mut self, part: Part, value: Value) -> Dot {
        let dot = Dot { replica: self.me, seq: self.next_seq };
        self.put(part, SmallVec::new(), value);
        dot
    }

    pub(crate) fn remove(&mut self, part: Part, removes: SmallVec<[Dot; 1]>) {
        if !removes.is_empty() {
            self.changes.push(Change { key: self.key.clone(), part, removes, put: None });
        }
    }

    pub(crate) fn floors(&mut self, floors: Vec<(Part, Floor)>) {
        for (part, floor) in floors {
            self.put(part, SmallVec::new(), Value::Floor(Box::new(floor)));
        }
    }

    /// Plans the removal of everything observed in a key.
    pub(crate) fn clear_key(&mut self, body: &Body) {
        match body {
            Body::Empty => {}
            Body::Lean(lean) => {
                self.remove(Part::Cell, smallvec![self.replicas.unpack(lean.dot)]);
                if lean.deadline_ms != 0 {
                    self.remove(Part::Deadline, smallvec![self.replicas.unpack(lean.deadline_dot())]);
                }
            }
            Body::Counter(counter) => {
                let clearing = self.clearing_counter(counter);
                self.remove(Part::Any, clearing.removes.into());
                self.floors(clearing.floors);
            }
            Body::Full(full) => {
                let mut clearing = self.clearing(full, Kind::None);
                clearing.removes.extend(self.deadline_dots(full));
                self.remove(Part::Any, clearing.removes.into());
                self.floors(clearing.floors);
            }
        }
    }

    /// Plans the removal of a key: where removes win, it leaves a mark.
    pub(crate) fn drop_key(&mut self, body: &Body, remove_wins: bool) {
        self.clear_key(body);
        if remove_wins {
            self.put(Part::Key, SmallVec::new(), Value::Revoked);
        }
    }

    /// Plans the removal of a member or field of which `clearing` is what is observed: where removes win, it leaves a mark.
    pub(crate) fn drop_part(&mut self, part: Part, clearing: Clearing, remove_wins: bool) {
        if remove_wins {
            self.put(part, clearing.removes.into(), Value::Revoked);
        } else {
            self.remove(part, clearing.removes.into());
        }
        self.floors(clearing.floors);
    }

    /// What is observed of a hash field: its cell and its marks.
    pub(crate) fn observed_field(&self, fields: &Fields, field: &Bytes) -> Clearing {
        let mut clearing = Clearing::default();
        if let Some(cell) = fields.cell(field) {
            cell.clear(self.replicas, self.me, &Part::Field(field.clone()), &mut clearing);
        }
        clearing.removes.extend(fields.marks_of(field).iter().map(|mark| self.replicas.unpack(mark.dot)));
        clearing
    }

    /// What is observed of a sorted set's member: its cell and its marks.
    pub(crate) fn observed_rated(&self, zset: &Zset, member: &Bytes) -> Clearing {
        let mut clearing = Clearing::default();
        if let Some(cell) = zset.cell(member) {
            cell.clear(self.replicas, self.me, &Part::Rated(member.clone()), &mut clearing);
        }
        let marks = zset.marks().map_or(&[][..], |marks| marks.of(member));
        clearing.removes.extend(marks.iter().map(|mark| self.replicas.unpack(mark.dot)));
        clearing
    }

    /// The dots of a field's observed deadlines.
    pub(crate) fn observed_field_deadlines(&self, fields: &Fields, field: &[u8]) -> SmallVec<[Dot; 1]> {
        fields.deadlines_of(field).iter().map(|deadline| self.replicas.unpack(deadline.dot)).collect()
    }

    /// Plans the removal of a hash field, its deadlines included.
    pub(crate) fn drop_field(&mut self, fields: &Fields, field: &Bytes, remove_wins: bool) {
        let clearing = self.observed_field(fields, field);
        self.drop_part(Part::Field(field.clone()), clearing, remove_wins);
        self.remove(Part::FieldDeadline(field.clone()), self.observed_field_deadlines(fields, field));
    }

    /// Plans the removal of the types that hide behind `shown`: a write settles a type clash it has seen.
    pub(crate) fn clear_hidden(&mut self, body: &Body, shown: Kind) {
        if let Body::Full(full) = body {
            let clearing = self.clearing(full, shown);
            self.remove(Part::Any, clearing.removes.into());
            self.floors(clearing.floors);
        }
    }

    /// Plans the removal of all observed deadlines.
    pub(crate) fn clear_deadlines(&mut self, body: &Body) {
        self.remove(Part::Deadline, self.observed_deadlines(body));
    }

    /// The dots of all observed deadlines.
    pub(crate) fn observed_deadlines(&self, body: &Body) -> SmallVec<[Dot; 1]> {
        match body {
            Body::Empty | Body::Counter(_) => SmallVec::new(),
            Body::Lean(lean) if lean.deadline_ms == 0 => SmallVec::new(),
            Body::Lean(lean) => smallvec![self.replicas.unpack(lean.deadline_dot())],
            Body::Full(full) => self.deadline_dots(full).collect(),
        }
    }

    /// What a reset takes from a counter.
    pub(crate) fn clearing_counter(&self, counter: &Counter) -> Clearing {
        let mut clearing = Clearing::default();
        counter.cell().clear(self.replicas, self.me, &Part::Cell, &mut clearing);
        clearing
    }

    /// What a reset takes from every type but `keep`.
    pub(crate) fn clearing(&self, full: &Full, keep: Kind) -> Clearing {
        let mut clearing = Clearing::default();
        if keep != Kind::Text {
            full.cell.clear(self.replicas, self.me, &Part::Cell, &mut clearing);
        }
        if let Some(fields) = full.fields.as_ref().filter(|_| keep != Kind::Hash) {
            for (field, cell) in fields.cells() {
                let part = Part::Field(Bytes::copy_from_slice(field));
                cell.clear(self.replicas, self.me, &part, &mut clearing);
            }
            fields.for_each_aside(&mut |held| clearing.removes.push(self.replicas.unpack(held.dot)));
        }
        if let Some(members) = full.members.as_ref().filter(|_| keep != Kind::Set) {
            members.for_each(&mut |held| clearing.removes.push(self.replicas.unpack(held.dot)));
        }
        if let Some(zset) = full.zset.as_ref().filter(|_| keep != Kind::Zset) {
            for (member, cell) in zset.cells() {
                let part = Part::Rated(Bytes::copy_from_slice(member));
                cell.clear(self.replicas, self.me, &part, &mut clearing);
            }
            let marks = zset.marks().into_iter().flat_map(Marks::iter);
            clearing.removes.extend(marks.map(|mark| self.replicas.unpack(mark.dot)));
        }
        if let Some(list) = full.list.as_ref().filter(|_| keep != Kind::List) {
            list.for_each(&mut |text| clearing.removes.push(self.replicas.unpack(text.dot)));
        }
        if let Some(sketches) = full.sketches.as_ref().filter(|_| keep != Kind::Sketch) {
            clearing.removes.extend(sketches.dots().map(|dot| self.replicas.unpack(dot)));
        }
        clearing.removes.extend(full.marks.iter().map(|mark| self.replicas.unpack(mark.dot)));
        clearing
    }

    fn deadline_dots(&self, full: &Full) -> impl Iterator<Item = Dot> {
        full.deadlines.iter().map(|Tagged { dot, .. }| self.replicas.unpack(*dot))
    }
}
