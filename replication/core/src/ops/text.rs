//! Strings as clients read them, whatever they are made of: a text, a sum, a sketch. And how a command that changes a string in
//! place writes it back.

use bytes::Bytes;

use super::Scene;
use super::string::plan_set;
use crate::blob::Blob;
use crate::dots::Replicas;
use crate::types::cell::Reading;
use crate::types::sketch::Union;
use crate::types::{Body, Kind, View, decimal};
use crate::{Deadline, OpError};

/// A string.
pub(super) enum Text<'a> {
    Held(&'a Blob),
    Made(Bytes),
}

impl Text<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Held(blob) => blob.as_slice(),
            Self::Made(bytes) => bytes,
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Held(blob) => blob.to_bytes(),
            Self::Made(bytes) => bytes,
        }
    }
}

/// The string that a key shows; `None` without a key, an error for another type.
pub(super) fn read<'a>(body: &'a Body, view: &View, replicas: &Replicas) -> Result<Option<Text<'a>>, OpError> {
    match view.present() {
        Kind::None => Ok(None),
        Kind::Text => Ok(match body {
            Body::Empty => None,
            Body::Lean(lean) => Some(Text::Held(&lean.text)),
            Body::Counter(counter) => Some(Text::Made(Bytes::from(decimal::show(counter.shown())))),
            Body::Full(full) => full.cell.read(replicas).map(|reading| match reading {
                Reading::Text(text) => Text::Held(text),
                Reading::Number(number) => Text::Made(Bytes::from(decimal::show(number))),
            }),
        }),
        Kind::Sketch => Ok(body.sketches().map(|sketches| match sketches.union() {
            Union::One(blob) => Text::Held(blob),
            Union::Made(bytes) => Text::Made(bytes),
        })),
        _ => Err(OpError::WrongType),
    }
}

impl<'a> Scene<'a> {
    /// The string at the key in hand.
    pub(super) fn string(&self) -> Result<Option<Text<'a>>, OpError> {
        read(self.body, &self.view, self.plan.replicas)
    }

    /// Plans `value` in place of the string that shows, as a whole: strings do not merge. The deadline stays.
    pub(super) fn rewrite(&mut self, value: Vec<u8>) {
        let deadline_ms = self.kept_deadline();
        plan_set(self, &Bytes::from(value), deadline_ms);
    }

    /// The deadline that a write in place leaves in force.
    pub(super) fn kept_deadline(&self) -> Option<u64> {
        self.view.deadline_ms.filter(|at_ms| !self.view.expired && *at_ms != Deadline::NEVER)
    }

    /// Refuses a string of that length before it is made.
    pub(super) fn check_length(&self, bytes: u64) -> Result<(), OpError> {
        if bytes > self.rules.max_value_bytes as u64 { Err(OpError::StringTooLong) } else { Ok(()) }
    }
}
