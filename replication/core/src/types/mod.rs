//! The state of one key: its elements, by part.
//!
//! The laws, for every type, now and later:
//!
//! - **State is a function of the context.** The live elements are those put by a delta in the context and removed by none.
//!   Nothing else ever adds or removes an element: no clock, no eviction, no cleaning up that is not itself a delta. So equal
//!   contexts have equal elements, and merging is idempotent, commutative and associative.
//! - **A put removes what it observed.** What it did not observe stays beside it, as a sibling, until a write that saw both.
//! - **Conflict rules are read rules.** Who wins is computed from the live siblings (and `now`, for deadlines) when somebody
//!   asks. A loser is hidden, not gone, and `explain` shows it.
//!
//! | part | siblings read as |
//! |---|---|
//! | cell, hash field | see `cell.rs`: greatest stamp, plus what everybody counted |
//! | set member | there if any put is live (add wins), unless a mark hides it (see `mark.rs`) |
//! | sorted set member | as a cell: greatest stamp, plus what everybody counted (see `zset.rs`) |
//! | list element | greatest stamp; the others are there in the order of their positions (see `list.rs`) |
//! | sketch | all of them united, see `sketch.rs` |
//! | deadline | the latest, of those given to the value that shows (see `ttl.rs`) |
//! | types side by side | the type of the live part with the greatest stamp |
//!
//! A new type is a new file here, a field of [`Full`], a [`Part`] and its line in `insert`, `take` and `for_each`.

pub(crate) mod cell;
pub(crate) mod decimal;
pub(crate) mod extended;
pub(crate) mod float;
pub(crate) mod hash;
pub(crate) mod list;
pub(crate) mod mark;
pub(crate) mod position;
#[allow(dead_code, reason = "sorted sets and lists use it as they come")]
pub(crate) mod ranked;
pub(crate) mod register;
pub(crate) mod set;
mod siblings;
pub(crate) mod sketch;
mod submap;
pub(crate) mod ttl;
mod view;
pub(crate) mod zset;

use bytes::Bytes;

use crate::blob::Blob;
use crate::delta::{Count, Deadline, Floor, Part, Score, Value};
use crate::dots::{PackedDot, Replicas, Siblings, Tagged, take};
use crate::{Dot, Hlc};
use cell::Cell;
use hash::Fields;
use list::List;
use set::Members;
pub(crate) use siblings::Swept;
use sketch::Sketches;
pub(crate) use view::{Kind, View};
use zset::Zset;

/// A value as it lies in memory.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Text(Blob),
    Count(Count),
    Floor(Floor),
    Member,
    Deadline(Deadline),
    Score(Score),
    Revoked,
}

/// A value on show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeldRef<'a> {
    Text(&'a Blob),
    Count(&'a Count),
    Floor(&'a Floor),
    Member,
    Deadline(&'a Deadline),
    Score(Score),
    Revoked,
}

/// A place within a key, on show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartRef<'a> {
    Cell,
    Field(&'a [u8]),
    Member(&'a [u8]),
    Deadline,
    FieldDeadline(&'a [u8]),
    Rated(&'a [u8]),
    Item(&'a [u8]),
    Sketch,
    Key,
}

/// One live element, on show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) part: PartRef<'a>,
    pub(crate) dot: PackedDot,
    pub(crate) hlc: Hlc,
    pub(crate) value: HeldRef<'a>,
}

/// All elements of one key. Most keys are one register without siblings, perhaps with the deadline it was set with: those fit
/// without an allocation of their own.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    Lean(Lean),
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
}

impl Held {
    pub(crate) fn new(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(Blob::new(text)),
            Value::Count(count) => Self::Count(**count),
            Value::Floor(floor) => Self::Floor(**floor),
            Value::Member => Self::Member,
            Value::Deadline(deadline) => Self::Deadline(*deadline),
            Value::Score(score) => Self::Score(*score),
            Value::Revoked => Self::Revoked,
        }
    }

    pub(crate) fn as_ref(&self) -> HeldRef<'_> {
        match self {
            Self::Text(text) => HeldRef::Text(text),
            Self::Count(count) => HeldRef::Count(count),
            Self::Floor(floor) => HeldRef::Floor(floor),
            Self::Member => HeldRef::Member,
            Self::Deadline(deadline) => HeldRef::Deadline(deadline),
            Self::Score(score) => HeldRef::Score(*score),
            Self::Revoked => HeldRef::Revoked,
        }
    }
}

impl HeldRef<'_> {
    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.to_bytes()),
            Self::Count(count) => Value::Count(Box::new(*count)),
            Self::Floor(floor) => Value::Floor(Box::new(*floor)),
            Self::Member => Value::Member,
            Self::Deadline(deadline) => Value::Deadline(*deadline),
            Self::Score(score) => Value::Score(score),
            Self::Revoked => Value::Revoked,
        }
    }
}

impl PartRef<'_> {
    pub(crate) fn to_part(self) -> Part {
        match self {
            Self::Cell => Part::Cell,
            Self::Field(field) => Part::Field(Bytes::copy_from_slice(field)),
            Self::Member(member) => Part::Member(Bytes::copy_from_slice(member)),
            Self::Deadline => Part::Deadline,
            Self::FieldDeadline(field) => Part::FieldDeadline(Bytes::copy_from_slice(field)),
            Self::Rated(member) => Part::Rated(Bytes::copy_from_slice(member)),
            Self::Item(position) => Part::Item(Bytes::copy_from_slice(position)),
            Self::Sketch => Part::Sketch,
            Self::Key => Part::Key,
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
            (Part::Member(member), value) => {
                full.members.get_or_insert_default().insert(member, Tagged { dot, hlc, value })
            }
            (Part::Item(position), Held::Text(value)) => {
                full.list.get_or_insert_default().insert(position, Tagged { dot, hlc, value })
            }
            (Part::Sketch, Held::Text(value)) => {
                full.sketches.get_or_insert_default().insert(Tagged { dot, hlc, value });
                false // sketches unite
            }
            (Part::Deadline, Held::Deadline(deadline)) => {
                full.deadlines.push(Tagged { dot, hlc, value: deadline });
                full.deadlines.len() > 1
            }
            (Part::Rated(member), value) => {
                let zset = full.zset.get_or_insert_default();
                zset.insert(member, Tagged { dot, hlc, value }, replicas)
            }
            // Decoder and planner make no such pair (`Value::fits`).
            (Part::Deadline | Part::Any, _) => false,
            (Part::Key, _) => {
                full.marks.push(Tagged { dot, hlc, value: () });
                full.families() > 0
            }
            (Part::FieldDeadline(field), Held::Deadline(value)) => {
                let fields = full.fields.get_or_insert_default();
                fields.insert_deadline(field, Tagged { dot, hlc, value }, replicas)
            }
            (Part::FieldDeadline(_) | Part::Item(_) | Part::Sketch, _) => false,
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
            _ => self.widen(replicas),
        };
        match part {
            PartRef::Cell => full.cell.take(dot),
            PartRef::Field(field) => {
                let fields = full.fields.as_mut()?;
                let taken = fields.take(field, dot, replicas, keep);
                if fields.is_empty() {
                    full.fields = None;
                }
                taken
            }
            PartRef::Member(member) => {
                let members = full.members.as_mut()?;
                let taken = members.take(member, dot, keep);
                if members.is_empty() {
                    full.members = None;
                }
                taken
            }
            PartRef::Item(position) => {
                let list = full.list.as_mut()?;
                let taken = list.take(position, dot);
                if list.is_empty() {
                    full.list = None;
                }
                taken.map(Held::Text)
            }
            PartRef::Rated(member) => {
                let zset = full.zset.as_mut()?;
                let taken = zset.take(member, dot, replicas, keep);
                if zset.is_empty() {
                    full.zset = None;
                }
                taken
            }
            PartRef::Sketch => {
                let sketches = full.sketches.as_mut()?;
                let taken = sketches.take(dot);
                if sketches.is_empty() {
                    full.sketches = None;
                }
                taken
            }
            PartRef::Deadline => take(&mut full.deadlines, dot).map(Held::Deadline),
            PartRef::Key => take(&mut full.marks, dot).map(|()| Held::Revoked),
            PartRef::FieldDeadline(field) => {
                let fields = full.fields.as_mut()?;
                let taken = fields.take_deadline(field, dot, replicas);
                if fields.is_empty() {
                    full.fields = None;
                }
                taken
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
            Self::Full(full) => {
                full.cell.for_each(PartRef::Cell, visit);
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
                if let Some(sketches) = &full.sketches {
                    sketches.for_each(visit);
                }
                for Tagged { dot, hlc, .. } in &full.marks {
                    visit(Element { part: PartRef::Key, dot: *dot, hlc: *hlc, value: HeldRef::Revoked });
                }
                for Tagged { dot, hlc, value } in &full.deadlines {
                    let value = HeldRef::Deadline(value);
                    visit(Element { part: PartRef::Deadline, dot: *dot, hlc: *hlc, value });
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
            Self::Empty | Self::Lean(_) => None,
        }
    }

    fn widen(&mut self, replicas: &Replicas) -> &mut Full {
        if !matches!(self, Self::Full(_)) {
            let mut full = Box::<Full>::default();
            if let Self::Lean(lean) = std::mem::take(self) {
                full.deadlines.extend(lean.deadline(replicas));
                full.cell.insert(Tagged { dot: lean.dot, hlc: lean.hlc, value: Held::Text(lean.text) });
            }
            *self = Self::Full(full);
        }
        match self {
            Self::Full(full) => full,
            Self::Empty | Self::Lean(_) => unreachable!("made full above"),
        }
    }
}

impl Held {
    fn into_text(self) -> Option<Blob> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Tagged<Deadline> {
    /// Whether this deadline and the register at `text` came from one SET: then [`Lean`] can stand for both.
    fn is_set_with(&self, text: Dot, own: Dot, hlc: Hlc) -> bool {
        let next = Dot { replica: text.replica, seq: text.seq + 1 };
        self.value.bound == Some(text) && own == next && self.hlc == hlc && self.value.at_ms != 0
    }
}
