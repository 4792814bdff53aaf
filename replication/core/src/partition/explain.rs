//! Why a key reads as it does: every live element, who wrote it, when, and what beats it.

use bytes::Bytes;

use super::Partition;
use crate::dots::{Tagged, winner};
use crate::types::cell::Cell;
use crate::types::register::Register;
use crate::types::{Body, Element, Full, HeldRef, PartRef, View, decimal, ttl};
use crate::{Deadline, Dot, Hlc};

/// Everything that is known of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The key.
    pub key: Bytes,
    /// What TYPE answers.
    pub visible_type: &'static str,
    /// When it expires, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// Whether that moment has passed (the key reads as absent and waits for its purge).
    pub expired: bool,
    /// Live elements; those that clients see come first.
    pub parts: Vec<ExplainedPart>,
}

/// One live element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPart {
    /// What it is: `string`, `counter`, `set member`, `removal mark` …
    pub kind: &'static str,
    /// Field or member, a list element's index; empty where there is none; shortened, printable.
    pub sub: String,
    /// Who wrote it, and their how-manieth change of the partition it was.
    pub dot: Dot,
    /// When, by the writer's clock.
    pub hlc: Hlc,
    /// The value, shortened, printable.
    pub value: String,
    /// Whether clients see it.
    pub visible: bool,
    /// Why, or why not.
    pub why: &'static str,
}

impl Partition {
    /// Every live element of a key; `None` if there is none.
    pub fn explain(&self, key: &[u8], now_ms: u64) -> Option<Explanation> {
        let body = self.keys.body(self.keys.find(key)?);
        let view = body.view(&self.replicas, now_ms);
        let mut parts = Vec::new();
        body.for_each(&self.replicas, &mut |element| {
            let (visible, why) = match body {
                Body::Full(full) => self.judge(full, view, &element, now_ms),
                Body::Empty | Body::Lean(_) => (true, "the only one"),
                Body::Counter(counter) => self.judge_cell(&counter.cell(), &element),
            };
            let visible = visible && !(view.expired && element.part != PartRef::Deadline);
            parts.push(ExplainedPart {
                kind: kind(&element),
                sub: sub(element.part, body),
                dot: self.replicas.unpack(element.dot),
                hlc: element.hlc,
                value: value(element.value),
                visible,
                why: if view.expired && element.part != PartRef::Deadline { "the deadline has passed" } else { why },
            });
        });
        parts.sort_by_key(|part| (!part.visible, std::cmp::Reverse(part.hlc)));
        Some(Explanation {
            key: Bytes::copy_from_slice(key),
            visible_type: view.present().name(),
            deadline_ms: view.deadline_ms,
            expired: view.expired,
            parts,
        })
    }

    fn judge(&self, full: &Full, view: View, element: &Element<'_>, now_ms: u64) -> (bool, &'static str) {
        const HIDDEN: (bool, &str) = (false, "another type of the same key was written later");
        const LATEST: (bool, &str) = (true, "the latest of the deadlines given to what shows");
        const LATER: (bool, &str) =
            (false, "a later deadline is in force, or it was given to a value that does not show");
        match element.value {
            HeldRef::Revoked => return MARK,
            HeldRef::Floor(_) => return FLOOR,
            _ if !full.marks.is_empty() => return KEY_MARKED,
            _ if full.is_marked(element.part) => return MARKED,
            _ => {}
        }
        if element.part.family().is_some_and(|family| family != view.kind) {
            return HIDDEN;
        }
        match element.part {
            PartRef::Cell => self.judge_cell(&full.cell, element),
            PartRef::Field(field) => {
                let shown = full.fields.as_ref().and_then(|fields| fields.shown(field, now_ms, &self.replicas));
                shown.map_or(FIELD_PAST, |cell| self.judge_cell(cell, element))
            }
            PartRef::Member(_) => (true, "added, and no remove has observed this add"),
            PartRef::Item(position) => {
                let item = full.list.as_ref().and_then(|list| list.at(position));
                item.map_or(HIDDEN, |(_, item)| self.judge_siblings(item.texts(), element))
            }
            PartRef::Rated(member) => {
                let cell = full.zset.as_ref().and_then(|zset| zset.cell(member));
                cell.map_or(HIDDEN, |cell| self.judge_cell(cell, element))
            }
            PartRef::Sketch => (true, "one region's part of the union"),
            PartRef::FieldDeadline(field) => {
                let in_force = full.fields.as_ref().and_then(|fields| fields.deadline(field, &self.replicas));
                if in_force.is_some_and(|given| given.dot == element.dot) { LATEST } else { LATER }
            }
            PartRef::Deadline => match ttl::in_force(&full.deadlines, view.anchor) {
                Some(in_force) if in_force.dot == element.dot => LATEST,
                Some(_) => LATER,
                None => (false, "nothing shows, the key persists, or it was given to a value that does not show"),
            },
            PartRef::Key => MARK,
        }
    }

    fn judge_cell<R: Register>(&self, cell: &Cell<R>, element: &Element<'_>) -> (bool, &'static str) {
        let shown = winner(&cell.registers, &self.replicas);
        match element.value {
            HeldRef::Count(count) => {
                let folded = count.folded(cell.tally(), self.replicas.id(element.dot.replica()));
                if folded.last <= folded.base_seq {
                    (false, "all of it was reset")
                } else if shown.is_some_and(|register| register.value.number().is_none()) {
                    (false, "what shows is no number that can be counted on")
                } else {
                    (true, "part of the sum: no reset has observed all of it")
                }
            }
            HeldRef::Floor(_) => FLOOR,
            _ => self.judge_siblings(&cell.registers, element),
        }
    }

    fn judge_siblings<T>(&self, siblings: &[Tagged<T>], element: &Element<'_>) -> (bool, &'static str) {
        match winner(siblings, &self.replicas) {
            Some(shown) if shown.dot == element.dot => match siblings.len() {
                1 => (true, "the only one"),
                _ => (true, "the latest of concurrent writes"),
            },
            _ => (false, "a concurrent write has a later stamp"),
        }
    }
}

const MARK: (bool, &str) =
    (false, "hides whatever is written here without knowing of the remove; goes with the next write, or after 24 h");
const KEY_MARKED: (bool, &str) =
    (false, "a removal mark hides the whole key: this was written without knowing of the remove");
const FIELD_PAST: (bool, &str) = (false, "the field's deadline has passed, or all of it was reset");
const MARKED: (bool, &str) = (false, "a removal mark hides it: this was written without knowing of the remove");
const FLOOR: (bool, &str) =
    (false, "what a reset had seen of another replica's count; goes when that replica settles it");

pub(super) fn kind(element: &Element<'_>) -> &'static str {
    match (element.part, element.value) {
        (_, HeldRef::Count(_)) => "counter",
        (_, HeldRef::Floor(_)) => "floor",
        (_, HeldRef::Revoked) => "removal mark",
        (PartRef::Cell, _) => "string",
        (PartRef::Field(_), _) => "hash field",
        (PartRef::Member(_), _) => "set member",
        (PartRef::Deadline, _) => "deadline",
        (PartRef::FieldDeadline(_), _) => "field deadline",
        (PartRef::Rated(_), _) => "sorted set member",
        (PartRef::Item(_), _) => "list element",
        (PartRef::Sketch, _) => "sketch",
        (PartRef::Key, _) => "key",
    }
}

pub(super) fn sub(part: PartRef<'_>, body: &Body) -> String {
    match part {
        PartRef::Item(position) => body.index_of(position).map(|index| index.to_string()).unwrap_or_default(),
        PartRef::Cell | PartRef::Deadline | PartRef::Sketch | PartRef::Key => String::new(),
        PartRef::Field(name) | PartRef::Member(name) | PartRef::FieldDeadline(name) | PartRef::Rated(name) => {
            short(name)
        }
    }
}

impl Body {
    /// The index of a list element.
    fn index_of(&self, position: &[u8]) -> Option<usize> {
        match self {
            Self::Full(full) => full.list.as_ref()?.at(position).map(|(index, _)| index),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }
}

pub(super) fn value(value: HeldRef<'_>) -> String {
    match value {
        HeldRef::Text(text) => short(text.as_slice()),
        HeldRef::Count(count) => match count.base_sum {
            0 => signed(count.sum),
            base => format!("{} of which {} reset", signed(count.sum), signed(base)),
        },
        HeldRef::Floor(floor) => format!("{} of {} up to its change {}", signed(floor.sum), floor.owner, floor.seq),
        HeldRef::Member | HeldRef::Revoked => String::new(),
        HeldRef::Score(score) => score.0.to_string(),
        HeldRef::Deadline(Deadline { at_ms: Deadline::NEVER, .. }) => "never".to_owned(),
        HeldRef::Deadline(deadline) => deadline.at_ms.to_string(),
    }
}

fn signed(decimal: i128) -> String {
    let plus = if decimal < 0 { "" } else { "+" };
    format!("{plus}{}", decimal::show(decimal))
}

/// At most 64 bytes, with everything unprintable escaped.
pub(super) fn short(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let head = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    if bytes.len() > SHOWN { format!("{head}… ({} bytes)", bytes.len()) } else { head.to_string() }
}
