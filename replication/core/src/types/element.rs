//! Elements: the smallest things that a change puts and that another one removes, each under its own dot.
//!
//! A value and its place come in two forms. What changes say of them ([`Value`], [`Part`]) owns its bytes; what lies in memory is
//! shown by reference, so that looking at a key copies nothing.

use bytes::Bytes;

use crate::Hlc;
use crate::blob::Blob;
use crate::delta::{Count, Deadline, Floor, Part, Score, Value};
use crate::dots::PackedDot;

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

    pub(super) fn into_text(self) -> Option<Blob> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
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
