//! What clients see of a key: its type, its deadline, whether it is gone.

use crate::Dot;
use crate::dots::{Rank, Replicas, winner};
use crate::types::{Body, Full, ttl};

/// A Redis type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    None,
    Text,
    /// A HyperLogLog: to clients a string too.
    Sketch,
    Hash,
    Set,
    List,
    Zset,
}

impl Kind {
    /// The answer of TYPE.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Text | Self::Sketch => "string",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::List => "list",
            Self::Zset => "zset",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The type that shows; `None` also where only floors and deadlines are left.
    pub(crate) kind: Kind,
    /// Parts of another type lie hidden beside it.
    pub(crate) clash: bool,
    /// The register that shows, to which a new deadline is bound.
    pub(crate) anchor: Option<Dot>,
    /// Milliseconds since 1970; `None` if the key persists.
    pub(crate) deadline_ms: Option<u64>,
    /// The deadline has passed.
    pub(crate) expired: bool,
}

impl View {
    pub(crate) const NOTHING: Self =
        Self { kind: Kind::None, clash: false, anchor: None, deadline_ms: None, expired: false };

    /// The type, as far as clients are concerned at this moment.
    pub(crate) fn present(&self) -> Kind {
        if self.expired { Kind::None } else { self.kind }
    }

    fn until(mut self, deadline_ms: Option<u64>, now_ms: u64) -> Self {
        self.deadline_ms = deadline_ms;
        self.expired = deadline_ms.is_some_and(|at| now_ms >= at);
        self
    }
}

/// The types that clients could see under a key, one bit each, in the order of [`Kinds::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    const ALL: [Kind; 6] = [Kind::Text, Kind::Hash, Kind::Set, Kind::List, Kind::Zset, Kind::Sketch];

    /// Any of them.
    pub(crate) fn first(self) -> Option<Kind> {
        Self::ALL.get(self.0.trailing_zeros() as usize).copied()
    }

    /// Any that is not among `others`.
    pub(crate) fn first_beyond(self, others: Self) -> Option<Kind> {
        Self(self.0 & !others.0).first()
    }
}

impl Body {
    /// The types under the key.
    pub(crate) fn kinds(&self, replicas: &Replicas) -> Kinds {
        match self {
            Self::Empty => Kinds::default(),
            Self::Lean(_) | Self::Counter(_) => Kinds(1),
            Self::Full(full) => full.kinds(replicas),
        }
    }

    /// The greatest stamp of one type under the key.
    pub(crate) fn rank_of(&self, kind: Kind, replicas: &Replicas) -> Option<Rank> {
        match self {
            Self::Full(full) => full.rank(kind, replicas),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }
}

impl Body {
    pub(crate) fn view(&self, replicas: &Replicas, now_ms: u64) -> View {
        match self {
            Self::Empty => View::NOTHING,
            Self::Lean(lean) => {
                let anchor = Some(replicas.unpack(lean.dot));
                let deadline = Some(lean.deadline_ms).filter(|&at| at != 0 && at != crate::Deadline::NEVER);
                View { kind: Kind::Text, anchor, ..View::NOTHING }.until(deadline, now_ms)
            }
            Self::Counter(_) => View { kind: Kind::Text, ..View::NOTHING },
            Self::Full(full) => full.view(replicas, now_ms),
        }
    }
}

impl Full {
    fn view(&self, replicas: &Replicas, now_ms: u64) -> View {
        let (kind, clash) = self.kind(replicas, now_ms);
        let register = if kind == Kind::Text { winner(&self.cell.registers, replicas) } else { None };
        let anchor = register.map(|tagged| replicas.unpack(tagged.dot));
        let deadline = ttl::in_force(&self.deadlines, anchor).map(|tagged| tagged.value.at_ms);
        View { kind, clash, anchor, ..View::NOTHING }.until(deadline.filter(|_| kind != Kind::None), now_ms)
    }

    fn kinds(&self, replicas: &Replicas) -> Kinds {
        if !self.marks.is_empty() {
            return Kinds::default();
        }
        let present = [
            self.cell.is_visible(replicas),
            self.fields.as_ref().is_some_and(|fields| fields.has_visible(0, replicas)),
            self.members.as_ref().is_some_and(|members| members.has_visible()),
            self.list.is_some(),
            self.zset.as_ref().is_some_and(|zset| zset.has_visible()),
            self.sketches.is_some(),
        ];
        Kinds(present.iter().enumerate().map(|(bit, present)| u8::from(*present) << bit).sum())
    }

    fn kind(&self, replicas: &Replicas, now_ms: u64) -> (Kind, bool) {
        if !self.marks.is_empty() {
            return (Kind::None, false);
        }
        let text = self.cell.is_visible(replicas).then_some(Kind::Text);
        let hash = self.fields.as_ref().filter(|fields| fields.has_visible(now_ms, replicas)).map(|_| Kind::Hash);
        let set = self.members.as_ref().filter(|members| members.has_visible()).map(|_| Kind::Set);
        let list = self.list.as_ref().map(|_| Kind::List);
        let zset = self.zset.as_ref().filter(|zset| zset.has_visible()).map(|_| Kind::Zset);
        let sketch = self.sketches.as_ref().map(|_| Kind::Sketch);
        let kinds = [text, hash, set, list, zset, sketch];
        let mut present = kinds.into_iter().flatten();
        match (present.next(), present.next()) {
            (None, _) => (Kind::None, false),
            (Some(only), None) => (only, false),
            // Only here, in a clash, does it matter who wrote last.
            _ => {
                (kinds.into_iter().flatten().max_by_key(|&kind| self.rank(kind, replicas)).unwrap_or(Kind::None), true)
            }
        }
    }

    fn rank(&self, kind: Kind, replicas: &Replicas) -> Option<Rank> {
        match kind {
            Kind::None => None,
            Kind::Text => self.cell.rank(replicas),
            Kind::Sketch => self.sketches.as_ref().and_then(|sketches| sketches.rank(replicas)),
            Kind::Hash => self.fields.as_ref().and_then(|fields| fields.rank(replicas)),
            Kind::Set => self.members.as_ref().and_then(|members| members.rank(replicas)),
            Kind::List => self.list.as_ref().and_then(|list| list.rank(replicas)),
            Kind::Zset => self.zset.as_ref().and_then(|zset| zset.rank(replicas)),
        }
    }
}
