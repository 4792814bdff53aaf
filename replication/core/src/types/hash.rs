//! The hash: fields, each a cell. Add wins: HDEL removes what it observed of a field, and a concurrent HSET survives it, unless the
//! rules of the key's prefix say that removes win: then a mark hides the field (see `mark.rs`).
//!
//! A field may have a deadline of its own, under the laws of `ttl.rs`: the latest of concurrent ones counts, one that was given to
//! a register is in force only while that register shows, and it makes no field exist. HSET replaces the register, so it ends the
//! deadlines it saw; HINCRBY leaves register and deadline alone. A field past its deadline reads as absent everywhere.
//!
//! How many fields are visible whatever the time is kept up to date; what time takes away is counted when somebody asks, among the
//! fields that have deadlines, and only once the soonest deadline is past.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::Dot;
use crate::delta::Deadline;
use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, take, winner};
use crate::types::cell::{Cell, Reading};
use crate::types::mark::Marks;
use crate::types::submap::SubMap;
use crate::types::{Element, Held, HeldRef, PartRef, ttl};

#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    fields: SubMap<Cell>,
    /// How many fields show but for their deadlines: the others hold only floors, or are hidden by a mark.
    visible: usize,
    /// What most hashes do not have.
    aside: Option<Box<Aside>>,
}

#[derive(Clone, Debug, Default)]
struct Aside {
    marks: Marks,
    deadlines: SubMap<Siblings<Deadline>>,
    /// No deadline is before this; milliseconds since 1970. It may lag behind until a round of housekeeping is complete.
    soonest_ms: u64,
    /// The soonest deadline that the present round has met.
    least_ms: u64,
    /// Where the round goes on.
    cursor: u64,
    /// Fields with a deadline that do not show: their deadlines are left over.
    strays: usize,
}

impl Fields {
    /// Adds an element of a field; tells whether that is a conflict.
    pub(crate) fn insert(&mut self, field: &[u8], new: Tagged<Held>, replicas: &Replicas) -> bool {
        if matches!(new.value, Held::Revoked) {
            let before = self.standing(field, replicas);
            let mark = Tagged { dot: new.dot, hlc: new.hlc, value: () };
            self.aside.get_or_insert_default().marks.insert(field, mark);
            self.recount(field, before, replicas);
            self.tidy(field);
            return self.fields.get(field).is_some_and(|cell| cell.is_visible(replicas));
        }
        if self.aside.is_some() {
            let before = self.standing(field, replicas);
            let siblings = self.fields.get_or_insert(field).insert(new);
            self.recount(field, before, replicas);
            return siblings || self.is_marked(field);
        }
        let cell = self.fields.get_or_insert(field);
        let before = cell.is_visible(replicas);
        let siblings = cell.insert(new);
        self.visible = self.visible + usize::from(cell.is_visible(replicas)) - usize::from(before);
        siblings
    }

    /// Adds a deadline of a field; tells whether it has a sibling now.
    pub(crate) fn insert_deadline(&mut self, field: &[u8], new: Tagged<Deadline>, replicas: &Replicas) -> bool {
        let before = self.standing(field, replicas);
        let aside = self.aside.get_or_insert_default();
        if aside.deadlines.is_empty() {
            (aside.soonest_ms, aside.least_ms, aside.cursor) = (Deadline::NEVER, Deadline::NEVER, 0);
        }
        aside.soonest_ms = aside.soonest_ms.min(new.value.at_ms);
        aside.least_ms = aside.least_ms.min(new.value.at_ms);
        let deadlines = aside.deadlines.get_or_insert(field);
        deadlines.push(new);
        let conflict = deadlines.len() > 1;
        self.recount(field, before, replicas);
        conflict
    }

    /// Takes an element out. `keep`: another one follows at once, so the field keeps its place.
    pub(crate) fn take(&mut self, field: &[u8], dot: PackedDot, replicas: &Replicas, keep: bool) -> Option<Held> {
        let taken = if self.aside.is_some() {
            let before = self.standing(field, replicas);
            let taken = self.fields.get_mut(field).and_then(|cell| cell.take(dot));
            let taken = taken.or_else(|| self.aside.as_mut()?.marks.take(field, dot).map(|()| Held::Revoked));
            self.recount(field, before, replicas);
            taken
        } else {
            let cell = self.fields.get_mut(field)?;
            let before = cell.is_visible(replicas);
            let taken = cell.take(dot);
            self.visible = self.visible + usize::from(cell.is_visible(replicas)) - usize::from(before);
            taken
        };
        if !keep {
            self.tidy(field);
        }
        taken
    }

    pub(crate) fn take_deadline(&mut self, field: &[u8], dot: PackedDot, replicas: &Replicas) -> Option<Held> {
        let before = self.standing(field, replicas);
        let taken = take(self.aside.as_mut()?.deadlines.get_mut(field)?, dot);
        self.recount(field, before, replicas);
        self.tidy_aside(field);
        taken.map(Held::Deadline)
    }

    /// Forgets a field of which nothing is left.
    pub(crate) fn tidy(&mut self, field: &[u8]) {
        if self.fields.get(field).is_some_and(Cell::is_empty) {
            self.fields.remove(field);
        }
        self.tidy_aside(field);
    }

    fn tidy_aside(&mut self, field: &[u8]) {
        let Some(aside) = &mut self.aside else { return };
        if aside.deadlines.get(field).is_some_and(SmallVec::is_empty) {
            aside.deadlines.remove(field);
        }
        if aside.deadlines.is_empty() && aside.marks.is_empty() {
            self.aside = None;
        }
    }

    /// Whether a field shows but for its deadline, and whether it has deadlines without showing.
    fn standing(&self, field: &[u8], replicas: &Replicas) -> (bool, bool) {
        let shown = self.is_shown(field, replicas);
        (shown, !shown && !self.deadlines_of(field).is_empty())
    }

    fn recount(&mut self, field: &[u8], before: (bool, bool), replicas: &Replicas) {
        let after = self.standing(field, replicas);
        self.visible = self.visible + usize::from(after.0) - usize::from(before.0);
        if let Some(aside) = &mut self.aside {
            aside.strays = aside.strays + usize::from(after.1) - usize::from(before.1);
        }
    }

    /// Whether a field shows but for its deadline.
    fn is_shown(&self, field: &[u8], replicas: &Replicas) -> bool {
        self.fields.get(field).is_some_and(|cell| cell.is_visible(replicas)) && !self.is_marked(field)
    }

    fn is_marked(&self, field: &[u8]) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.marks.has(field))
    }

    /// Nothing at all is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.aside.is_none()
    }

    /// Whether clients see any field; then the key exists.
    pub(crate) fn has_visible(&self, now_ms: u64, replicas: &Replicas) -> bool {
        let timed = self.due(now_ms).map_or(0, SubMap::len);
        self.visible > timed || self.visible > 0 && (timed == 0 || self.readings(now_ms, replicas).next().is_some())
    }

    /// How many fields clients see.
    pub(crate) fn len(&self, now_ms: u64, replicas: &Replicas) -> usize {
        let due = self.due(now_ms).into_iter().flat_map(SubMap::iter);
        let gone = due.filter(|(field, _)| self.is_shown(field, replicas) && self.has_expired(field, now_ms, replicas));
        self.visible - gone.count()
    }

    /// The deadlines, if any of them can be past.
    fn due(&self, now_ms: u64) -> Option<&SubMap<Siblings<Deadline>>> {
        let aside = self.aside.as_deref()?;
        (!aside.deadlines.is_empty() && aside.soonest_ms <= now_ms).then_some(&aside.deadlines)
    }

    fn has_expired(&self, field: &[u8], now_ms: u64, replicas: &Replicas) -> bool {
        self.deadline(field, replicas).is_some_and(|deadline| deadline.value.at_ms <= now_ms)
    }

    /// The deadline in force for a field, if it has one.
    pub(crate) fn deadline(&self, field: &[u8], replicas: &Replicas) -> Option<&Tagged<Deadline>> {
        let deadlines = self.aside.as_deref()?.deadlines.get(field)?;
        ttl::in_force(deadlines, self.anchor(field, replicas))
    }

    /// The register of a field that shows, to which a deadline is bound; `None` where the field is a count alone.
    pub(crate) fn anchor(&self, field: &[u8], replicas: &Replicas) -> Option<Dot> {
        winner(&self.fields.get(field)?.registers, replicas).map(|register| replicas.unpack(register.dot))
    }

    /// What clients see of a field.
    pub(crate) fn shown(&self, field: &[u8], now_ms: u64, replicas: &Replicas) -> Option<&Cell> {
        let cell = self.fields.get(field).filter(|cell| cell.is_visible(replicas))?;
        let hidden = self.is_marked(field) || self.due(now_ms).is_some() && self.has_expired(field, now_ms, replicas);
        (!hidden).then_some(cell)
    }

    /// What is held of a field, whether or not clients see it.
    pub(crate) fn cell(&self, field: &[u8]) -> Option<&Cell> {
        self.fields.get(field)
    }

    /// Every field, also those that clients do not see.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&[u8], &Cell)> {
        self.fields.iter()
    }

    /// The fields that clients see.
    pub(crate) fn readings<'a>(
        &'a self,
        now_ms: u64,
        replicas: &'a Replicas,
    ) -> impl Iterator<Item = (&'a [u8], Reading<'a>)> {
        self.fields.iter().filter_map(move |(field, cell)| self.reading(field, cell, now_ms, replicas))
    }

    /// A page of the fields that clients see; see [`SubMap::page`].
    pub(crate) fn page<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        now_ms: u64,
        replicas: &'a Replicas,
    ) -> (u64, impl Iterator<Item = (&'a [u8], Reading<'a>)>) {
        let (next, page) = self.fields.page(cursor, count);
        (next, page.filter_map(move |(field, cell)| self.reading(field, cell, now_ms, replicas)))
    }

    fn reading<'a>(
        &'a self,
        field: &'a [u8],
        cell: &'a Cell,
        now_ms: u64,
        replicas: &Replicas,
    ) -> Option<(&'a [u8], Reading<'a>)> {
        let plain = self.aside.is_none() || self.shown(field, now_ms, replicas).is_some();
        if plain { cell.read(replicas).map(|reading| (field, reading)) } else { None }
    }

    /// The field at a place, where every place is a field that clients see.
    pub(crate) fn at(&self, place: usize) -> Option<&[u8]> {
        let all = self.aside.is_none() && self.visible == self.fields.len();
        if all { self.fields.at(place).map(|(field, _)| field) } else { None }
    }

    /// The marks of a field.
    pub(crate) fn marks_of(&self, field: &[u8]) -> &[Tagged<()>] {
        self.aside.as_ref().map_or(&[], |aside| aside.marks.of(field))
    }

    /// The deadlines of a field, in force or not.
    pub(crate) fn deadlines_of(&self, field: &[u8]) -> &[Tagged<Deadline>] {
        let deadlines = self.aside.as_ref().and_then(|aside| aside.deadlines.get(field));
        deadlines.map_or(&[], |deadlines| &deadlines[..])
    }

    /// Every marked field.
    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.aside.as_deref().map(|aside| &aside.marks).filter(|marks| !marks.is_empty())
    }

    /// Whether time will change anything here: a deadline or a mark.
    pub(crate) fn is_timed(&self) -> bool {
        self.aside.is_some()
    }

    /// The next fields, `count` at most, in which time may have changed something: those with deadlines, if any is past or left
    /// over, and those with marks. Round after round it comes by all of them.
    pub(crate) fn sweep(&mut self, now_ms: u64, count: usize) -> Vec<Bytes> {
        let Some(aside) = &mut self.aside else { return Vec::new() };
        let mut fields = aside.marks.sweep(count);
        if aside.soonest_ms > now_ms && aside.strays == 0 {
            return fields;
        }
        let (next, page) = aside.deadlines.page(aside.cursor, count);
        for (field, deadlines) in page {
            fields.push(Bytes::copy_from_slice(field));
            let soonest = deadlines.iter().map(|deadline| deadline.value.at_ms).min();
            aside.least_ms = aside.least_ms.min(soonest.unwrap_or(Deadline::NEVER));
        }
        aside.cursor = next;
        if next == 0 {
            aside.soonest_ms = std::mem::replace(&mut aside.least_ms, Deadline::NEVER);
        }
        fields
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        let shown = self.fields.iter().filter(|(field, _)| !self.is_marked(field));
        shown.filter_map(|(_, cell)| cell.rank(replicas)).max()
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for (field, cell) in self.fields.iter() {
            cell.for_each(PartRef::Field(field), visit);
        }
        self.for_each_aside(visit);
    }

    /// How many entries its tables have.
    pub(crate) fn entries(&self) -> usize {
        self.fields.len() + self.aside.as_ref().map_or(0, |aside| aside.marks.len() + aside.deadlines.len())
    }

    /// A page of what the fields hold but for marks and deadlines; see [`SubMap::page`].
    pub(crate) fn walk(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> u64 {
        let (next, page) = self.fields.page(cursor, count);
        page.for_each(|(field, cell)| cell.for_each(PartRef::Field(field), visit));
        next
    }

    /// A page of the deadlines; see [`SubMap::page`].
    pub(crate) fn walk_deadlines(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> u64 {
        let Some(aside) = &self.aside else { return 0 };
        let (next, page) = aside.deadlines.page(cursor, count);
        for (field, deadlines) in page {
            for Tagged { dot, hlc, value } in deadlines {
                let (part, value) = (PartRef::FieldDeadline(field), HeldRef::Deadline(value));
                visit(Element { part, dot: *dot, hlc: *hlc, value });
            }
        }
        next
    }

    /// Shows marks and deadlines.
    pub(crate) fn for_each_aside(&self, visit: &mut dyn FnMut(Element<'_>)) {
        let Some(aside) = &self.aside else { return };
        aside.marks.for_each(PartRef::Field, visit);
        for (field, deadlines) in aside.deadlines.iter() {
            for Tagged { dot, hlc, value } in deadlines {
                let (part, value) = (PartRef::FieldDeadline(field), HeldRef::Deadline(value));
                visit(Element { part, dot: *dot, hlc: *hlc, value });
            }
        }
    }
}
