//! One place of a key by itself: what stands there side by side, and what housekeeping should look at.

use bytes::Bytes;

use crate::Hlc;
use crate::dots::{PackedDot, Replicas, Tagged};
use crate::types::{Body, Element, Full, HeldRef, Kind, PartRef};

/// Places for housekeeping to look at; see [`Body::sweep`].
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) fields: Vec<Bytes>,
    pub(crate) members: Vec<Bytes>,
    pub(crate) rated: Vec<Bytes>,
}

impl Body {
    /// Shows the elements at one place, and the marks that hide them. Nothing for sketches, which unite.
    pub(crate) fn at(&self, part: PartRef<'_>, replicas: &Replicas, visit: &mut dyn FnMut(Element<'_>)) {
        let Self::Full(full) = self else {
            return self.for_each(replicas, &mut |element| {
                if element.part == part {
                    visit(element);
                }
            });
        };
        let mut show = |dot, hlc, value: HeldRef<'_>| visit(Element { part, dot, hlc, value });
        full.marks.iter().for_each(|mark| show(mark.dot, mark.hlc, HeldRef::Revoked));
        match part {
            PartRef::Cell => full.cell.for_each(part, &mut |element| show(element.dot, element.hlc, element.value)),
            PartRef::Field(field) => {
                let Some(fields) = &full.fields else { return };
                fields.marks_of(field).iter().for_each(|mark| show(mark.dot, mark.hlc, HeldRef::Revoked));
                if let Some(cell) = fields.cell(field) {
                    cell.for_each(part, &mut |element| show(element.dot, element.hlc, element.value));
                }
            }
            PartRef::FieldDeadline(field) => {
                let deadlines = full.fields.as_ref().map_or(&[][..], |fields| fields.deadlines_of(field));
                each(deadlines, HeldRef::Deadline, &mut show);
            }
            PartRef::Member(member) => {
                let Some(members) = &full.members else { return };
                members.each_sibling(member, &mut |element| show(element.dot, element.hlc, element.value));
            }
            PartRef::Rated(member) => {
                let Some(zset) = &full.zset else { return };
                let marks = zset.marks().map_or(&[][..], |marks| marks.of(member));
                marks.iter().for_each(|mark| show(mark.dot, mark.hlc, HeldRef::Revoked));
                if let Some(cell) = zset.cell(member) {
                    cell.for_each(part, &mut |element| show(element.dot, element.hlc, element.value));
                }
            }
            PartRef::Item(position) => {
                let texts =
                    full.list.as_ref().and_then(|list| list.at(position)).map_or(&[][..], |(_, item)| item.texts());
                each(texts, HeldRef::Text, &mut show);
            }
            PartRef::Deadline => each(&full.deadlines, HeldRef::Deadline, &mut show),
            PartRef::Sketch | PartRef::Key => {}
        }
    }

    /// The next places, `count` at most of each kind, in which time may have changed something: round after round all of them.
    pub(crate) fn sweep(&mut self, now_ms: u64, count: usize) -> Swept {
        let Self::Full(full) = self else { return Swept::default() };
        Swept {
            fields: full.fields.as_mut().map(|fields| fields.sweep(now_ms, count)).unwrap_or_default(),
            members: full.members.as_mut().map(|members| members.sweep(count)).unwrap_or_default(),
            rated: full.zset.as_mut().map(|zset| zset.sweep(count)).unwrap_or_default(),
        }
    }

    /// Whether a key of that type is hidden by marks on its single members or fields, and by nothing else: neither by a mark on
    /// the key nor by its deadline, which hide members that would show again without them.
    pub(crate) fn hides_by_single_marks(&self, kind: Kind, now_ms: u64, replicas: &Replicas) -> bool {
        let Self::Full(full) = self else { return false };
        if !full.marks.is_empty() {
            return false;
        }
        match kind {
            Kind::Hash => full
                .fields
                .as_ref()
                .is_some_and(|fields| fields.marks().is_some() && !fields.has_visible(now_ms, replicas)),
            Kind::Set => full.members.as_ref().is_some_and(|set| set.marks().is_some() && !set.has_visible()),
            Kind::Zset => full.zset.as_ref().is_some_and(|zset| zset.marks().is_some() && !zset.has_visible()),
            _ => false,
        }
    }
}

fn each<'a, T>(
    siblings: &'a [Tagged<T>],
    held: fn(&'a T) -> HeldRef<'a>,
    show: &mut dyn FnMut(PackedDot, Hlc, HeldRef<'_>),
) {
    siblings.iter().for_each(|tagged| show(tagged.dot, tagged.hlc, held(&tagged.value)));
}

impl PartRef<'_> {
    /// The type that such a part makes the key; none for deadlines and marks.
    pub(crate) fn family(self) -> Option<Kind> {
        match self {
            Self::Cell => Some(Kind::Text),
            Self::Field(_) => Some(Kind::Hash),
            Self::Member(_) => Some(Kind::Set),
            Self::Rated(_) => Some(Kind::Zset),
            Self::Item(_) => Some(Kind::List),
            Self::Sketch => Some(Kind::Sketch),
            Self::Deadline | Self::FieldDeadline(_) | Self::Key => None,
        }
    }
}

impl Full {
    /// Whether a mark hides what is held of a member or field.
    pub(crate) fn is_marked(&self, part: PartRef<'_>) -> bool {
        match part {
            PartRef::Field(field) => self.fields.as_ref().is_some_and(|fields| !fields.marks_of(field).is_empty()),
            PartRef::Member(member) => self.members.as_ref().is_some_and(|members| members.is_marked(member)),
            PartRef::Rated(member) => self.zset.as_ref().is_some_and(|zset| zset.is_marked(member)),
            _ => false,
        }
    }

    /// Of how many types something is held.
    pub(crate) fn families(&self) -> usize {
        let Self { cell, fields, members, list, zset, sketches, deadlines: _, marks: _ } = self;
        let held =
            [!cell.is_empty(), fields.is_some(), members.is_some(), list.is_some(), zset.is_some(), sketches.is_some()];
        held.into_iter().filter(|held| *held).count()
    }
}
