//! The body of a key: all its elements, in the smallest shape that holds them.
//!
//! Elements come in by [`Body::insert`] and go by [`Body::take`], one at a time, and only from `partition/apply.rs`. After a round
//! of changes [`Body::narrow`] goes back to the smallest shape, so that a key costs what it holds and not what it once held.

use crate::blob::Blob;
use crate::delta::{Deadline, Part};
use crate::dots::{PackedDot, Replicas, Siblings, Tagged, take};
use crate::types::cell::Cell;
use crate::types::counter::Counter;
use crate::types::hash::Fields;
use crate::types::list::List;
use crate::types::set::Members;
use crate::types::sketch::Sketches;
use crate::types::zset::Zset;
use crate::types::{Element, Held, HeldRef, PartRef};
use crate::{Dot, Hlc};

/// All elements of one key. Most keys are one register without siblings, perhaps with the deadline it was set with, or what one
/// region counts: those fit without an allocation of their own.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    Lean(Lean),
    Counter(Counter),
    Full(Box<Full>),
}

/// What `SET key value [EX n]` leaves: a register and, in the same delta, so with the next dot and the same stamp, its deadline.
#[derive(Clone, Debug)]
pub(crate) struct Lean {
    pub(crate) dot: PackedDot,
    pub(crate) hlc: Hlc,
    /// Milliseconds since 1970, 0 for none.
    pub(crate) deadline_ms: u64,
    pub(crate) text: Blob,
}

/// Any combination of elements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Full {
    pub(crate) cell: Cell,
    pub(crate) fields: Option<Box<Fields>>,
    pub(crate) members: Option<Box<Members>>,
    pub(crate) list: Option<Box<List>>,
    pub(crate) zset: Option<Box<Zset>>,
    pub(crate) sketches: Option<Box<Sketches>>,
    pub(crate) deadlines: Siblings<Deadline>,
    /// Marks that hide the whole key.
    pub(crate) marks: Siblings<()>,
}

impl Full {
    /// How many tables it has.
    pub(crate) fn parts(&self) -> usize {
        let some = [self.fields.is_some(), self.members.is_some(), self.list.is_some(), self.zset.is_some()];
        some.into_iter().filter(|there| *there).count()
    }

    /// Shows every element that is in no table.
    pub(super) fn for_each_single(&self, visit: &mut dyn FnMut(Element<'_>)) {
        self.cell.for_each(PartRef::Cell, visit);
        if let Some(sketches) = &self.sketches {
            sketches.for_each(visit);
        }
        for Tagged { dot, hlc, .. } in &self.marks {
            visit(Element { part: PartRef::Key, dot: *dot, hlc: *hlc, value: HeldRef::Revoked });
        }
        for Tagged { dot, hlc, value } in &self.deadlines {
            let value = HeldRef::Deadline(value);
            visit(Element { part: PartRef::Deadline, dot: *dot, hlc: *hlc, value });
        }
    }
}

impl Lean {
    pub(crate) fn deadline_dot(&self) -> PackedDot {
        PackedDot::new(self.dot.replica(), self.dot.seq() + 1)
    }

    /// The deadline as the element it stands for.
    pub(crate) fn deadline(&self, replicas: &Replicas) -> Option<Tagged<Deadline>> {
        let value = Deadline { at_ms: self.deadline_ms, bound: Some(replicas.unpack(self.dot)) };
        (self.deadline_ms != 0).then(|| Tagged { dot: self.deadline_dot(), hlc: self.hlc, value })
    }
}

impl Body {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Adds an element. Tells whether it stands beside a sibling now: a conflict.
    pub(crate) fn insert(&mut self, part: &Part, new: Tagged<Held>, replicas: &Replicas) -> bool {
        let full = self.widen(replicas);
        let Tagged { dot, hlc, value } = new;
        let hidden = !full.marks.is_empty() && !matches!(part, Part::Key | Part::Deadline | Part::FieldDeadline(_));
        let conflict = match (part, value) {
            (Part::Cell, value) => full.cell.insert(Tagged { dot, hlc, value }),
            (Part::Field(field), value) => {
                let fields = full.fields.get_or_insert_default();
                fields.insert(field, Tagged { dot, hlc, value }, replicas)
            }
            (Part::FieldDeadline(field), Held::Deadline(value)) => {
                let fields = full.fields.get_or_insert_default();
                fields.insert_deadline(field, Tagged { dot, hlc, value }, replicas)
            }
            (Part::Member(member), value) => {
                full.members.get_or_insert_default().insert(member, Tagged { dot, hlc, value })
            }
            (Part::Rated(member), value) => {
                let zset = full.zset.get_or_insert_default();
                zset.insert(member, Tagged { dot, hlc, value }, replicas)
            }
            (Part::Item(position), Held::Text(value)) => {
                full.list.get_or_insert_default().insert(position, Tagged { dot, hlc, value })
            }
            (Part::Sketch, Held::Text(value)) => {
                full.sketches.get_or_insert_default().insert(Tagged { dot, hlc, value });
                false // sketches unite
            }
            (Part::Deadline, Held::Deadline(value)) => {
                full.deadlines.push(Tagged { dot, hlc, value });
                full.deadlines.len() > 1
            }
            (Part::Key, _) => {
                full.marks.push(Tagged { dot, hlc, value: () });
                full.families() > 0
            }
            // Decoder and planner make no such pair (`Value::fits`).
            (Part::Any | Part::Deadline | Part::FieldDeadline(_) | Part::Item(_) | Part::Sketch, _) => false,
        };
        conflict || hidden
    }

    /// Takes the element called `dot` out of `part`. `keep`: another one follows at once, so that what is left empty keeps its place
    /// in the order of the collection; if none follows after all, [`Body::tidy`].
    pub(crate) fn take(&mut self, part: PartRef<'_>, dot: PackedDot, replicas: &Replicas, keep: bool) -> Option<Held> {
        let full = match self {
            Self::Empty => return None,
            Self::Lean(lean) if part == PartRef::Cell && lean.dot == dot && lean.deadline_ms == 0 => {
                let Self::Lean(lean) = std::mem::take(self) else { return None };
                return Some(Held::Text(lean.text));
            }
            Self::Counter(counter) if part == PartRef::Cell && counter.dot == dot => {
                let count = counter.count();
                *self = Self::Empty;
                return Some(Held::Count(count));
            }
            _ => self.widen(replicas),
        };
        match part {
            PartRef::Cell => full.cell.take(dot),
            PartRef::Field(field) => {
                take_in(&mut full.fields, Fields::is_empty, |fields| fields.take(field, dot, replicas, keep))
            }
            PartRef::Member(member) => {
                take_in(&mut full.members, Members::is_empty, |members| members.take(member, dot, keep))
            }
            PartRef::Item(position) => {
                take_in(&mut full.list, List::is_empty, |list| list.take(position, dot)).map(Held::Text)
            }
            PartRef::Rated(member) => {
                take_in(&mut full.zset, Zset::is_empty, |zset| zset.take(member, dot, replicas, keep))
            }
            PartRef::Sketch => take_in(&mut full.sketches, Sketches::is_empty, |sketches| sketches.take(dot)),
            PartRef::Deadline => take(&mut full.deadlines, dot).map(Held::Deadline),
            PartRef::Key => take(&mut full.marks, dot).map(|()| Held::Revoked),
            PartRef::FieldDeadline(field) => {
                take_in(&mut full.fields, Fields::is_empty, |fields| fields.take_deadline(field, dot, replicas))
            }
        }
    }

    /// Forgets a place that was kept for an element that did not come.
    pub(crate) fn tidy(&mut self, part: PartRef<'_>, replicas: &Replicas) {
        let Self::Full(full) = self else { return };
        match (part, &mut **full) {
            (PartRef::Field(field), Full { fields: Some(fields), .. }) => fields.tidy(field),
            (PartRef::Member(member), Full { members: Some(members), .. }) => members.tidy(member),
            (PartRef::Rated(member), Full { zset: Some(zset), .. }) => zset.tidy(member, replicas),
            _ => {}
        }
        full.fields.take_if(|fields| fields.is_empty());
        full.members.take_if(|members| members.is_empty());
        full.zset.take_if(|zset| zset.is_empty());
    }

    /// Shows every element.
    pub(crate) fn for_each(&self, replicas: &Replicas, visit: &mut dyn FnMut(Element<'_>)) {
        match self {
            Self::Empty => {}
            Self::Lean(lean) => {
                let (dot, hlc) = (lean.dot, lean.hlc);
                visit(Element { part: PartRef::Cell, dot, hlc, value: HeldRef::Text(&lean.text) });
                if let Some(Tagged { dot, hlc, value }) = lean.deadline(replicas) {
                    visit(Element { part: PartRef::Deadline, dot, hlc, value: HeldRef::Deadline(&value) });
                }
            }
            Self::Counter(counter) => {
                let Counter { dot, hlc, .. } = *counter;
                visit(Element { part: PartRef::Cell, dot, hlc, value: HeldRef::Count(&counter.count()) });
            }
            Self::Full(full) => {
                full.for_each_single(visit);
                if let Some(fields) = &full.fields {
                    fields.for_each(visit);
                }
                if let Some(members) = &full.members {
                    members.for_each(visit);
                }
                if let Some(list) = &full.list {
                    list.for_each(visit);
                }
                if let Some(zset) = &full.zset {
                    zset.for_each(visit);
                }
            }
        }
    }

    /// Goes back to the smallest shape that holds what is there. Call once after a round of changes.
    pub(crate) fn narrow(&mut self, replicas: &Replicas) {
        let Self::Full(full) = self else { return };
        let Full { cell: _, fields, members, list, zset, sketches, deadlines: _, marks } = &**full;
        let plain = fields.is_none() && members.is_none() && list.is_none() && zset.is_none() && sketches.is_none();
        if !plain || !marks.is_empty() {
            return;
        }
        if full.cell.is_empty() && full.deadlines.is_empty() {
            *self = Self::Empty;
            return;
        }
        if let Some(only) = full.cell.only_count()
            && full.deadlines.is_empty()
            && let Some(counter) = Counter::of(only.dot, only.hlc, &only.value)
        {
            *self = Self::Counter(counter);
            return;
        }
        let Some((dot, hlc)) = full.cell.only_register() else { return };
        let deadline_ms = match &full.deadlines[..] {
            [] => 0,
            [only] if only.is_set_with(replicas.unpack(dot), replicas.unpack(only.dot), hlc) => only.value.at_ms,
            _ => return,
        };
        if let Some(text) = full.cell.take(dot).and_then(Held::into_text) {
            *self = Self::Lean(Lean { dot, hlc, deadline_ms, text });
        }
    }

    /// The sketches held, whether they show or not.
    pub(crate) fn sketches(&self) -> Option<&Sketches> {
        match self {
            Self::Full(full) => full.sketches.as_deref(),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }

    fn widen(&mut self, replicas: &Replicas) -> &mut Full {
        if !matches!(self, Self::Full(_)) {
            let mut full = Box::<Full>::default();
            match std::mem::take(self) {
                Self::Lean(lean) => {
                    full.deadlines.extend(lean.deadline(replicas));
                    full.cell.insert(Tagged { dot: lean.dot, hlc: lean.hlc, value: Held::Text(lean.text) });
                }
                Self::Counter(counter) => full.cell = counter.cell(),
                Self::Empty | Self::Full(_) => {}
            }
            *self = Self::Full(full);
        }
        match self {
            Self::Full(full) => full,
            Self::Empty | Self::Lean(_) | Self::Counter(_) => unreachable!("made full above"),
        }
    }
}

/// Takes something out of a table, and drops the table when that was the last of it.
fn take_in<T, H>(
    table: &mut Option<Box<T>>,
    is_empty: fn(&T) -> bool,
    taken: impl FnOnce(&mut T) -> Option<H>,
) -> Option<H> {
    let inside = table.as_mut()?;
    let taken = taken(inside);
    if is_empty(inside) {
        *table = None;
    }
    taken
}

impl Tagged<Deadline> {
    /// Whether this deadline and the register at `text` came from one SET: then [`Lean`] can stand for both.
    fn is_set_with(&self, text: Dot, own: Dot, hlc: Hlc) -> bool {
        let next = Dot { replica: text.replica, seq: text.seq + 1 };
        self.value.bound == Some(text) && own == next && self.hlc == hlc && self.value.at_ms != 0
    }
}
