//! The documented conflict rules, written a second time, from the documentation and from scratch: what a key reads as in a
//! given context at a given time. Slow and plain on purpose.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use replication_core::{Deadline, Dot, Hlc, Part, ReplicaId, Value, VersionVector};

use super::history::{Element, History};

/// What a client sees of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// No such key.
    Nothing,
    /// A string, or a counter as text.
    Text(Bytes),
    /// A hash.
    Hash(BTreeMap<Bytes, Bytes>),
    /// A set.
    Set(BTreeSet<Bytes>),
    /// A list.
    List(Vec<Bytes>),
    /// A type that has no second description here: its regions are compared with each other only.
    Other,
}

/// A key as it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What shows.
    pub(crate) shown: Shown,
    /// When it goes, in milliseconds since 1970; `None` if it stays.
    pub(crate) deadline_ms: Option<u64>,
    /// What would show if its deadline had not passed.
    pub(crate) beneath: Shown,
    /// Another type lies hidden beside it.
    pub(crate) clash: bool,
}

impl Reading {
    /// Whether something is there whose time has passed.
    pub(crate) fn is_expired(&self) -> bool {
        self.shown == Shown::Nothing && self.beneath != Shown::Nothing
    }
}

/// The order of concurrent writes: stamp, then replica, then number.
type Rank = (Hlc, ReplicaId, u64);

/// A place that can hold texts and be counted on.
#[derive(Default)]
struct Place<'a> {
    texts: Vec<(Rank, &'a Bytes)>,
    counts: Vec<Rank>,
}

impl Place<'_> {
    fn shown(&self, counted: Option<i128>) -> Option<Bytes> {
        let text = self.texts.iter().max_by_key(|(rank, _)| *rank).map(|(_, text)| *text);
        let Some(counted) = counted else { return text.cloned() };
        match text {
            None => Some(counted.to_string().into()),
            Some(text) => Some(match integer(text) {
                Some(base) => (base + counted).to_string().into(),
                None => text.clone(),
            }),
        }
    }

    fn rank(&self, counted: Option<i128>) -> Option<Rank> {
        let counts = self.counts.iter().copied().filter(|_| counted.is_some());
        self.texts.iter().map(|(rank, _)| *rank).chain(counts).max()
    }
}

fn integer(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What `key` reads as for somebody who has seen `vv`, by a wall clock that shows `wall_ms`.
pub(crate) fn read(history: &History, partition: u16, vv: &VersionVector, key: &[u8], wall_ms: u64) -> Reading {
    let elements = history.elements(partition, vv, key);
    let mut places: BTreeMap<Option<Bytes>, Place<'_>> = BTreeMap::new();
    let mut members: BTreeMap<Bytes, Rank> = BTreeMap::new();
    let mut items: BTreeMap<Bytes, Place<'_>> = BTreeMap::new();
    let (mut deadlines, mut other): (Vec<(Deadline, Dot)>, Option<Rank>) = (Vec::new(), None);
    for (dot, Element { part, hlc, value, .. }) in &elements {
        let rank = (*hlc, dot.replica, dot.seq);
        let mut place = |name: Option<&Bytes>| match value {
            Value::Text(text) => places.entry(name.cloned()).or_default().texts.push((rank, text)),
            Value::Count(_) => places.entry(name.cloned()).or_default().counts.push(rank),
            _ => {}
        };
        match part {
            Part::Cell => place(None),
            Part::Field(field) => place(Some(field)),
            Part::Member(member) => {
                let last = members.entry(member.clone()).or_insert(rank);
                *last = rank.max(*last);
            }
            Part::Item(position) => {
                if let Value::Text(text) = value {
                    items.entry(position.clone()).or_default().texts.push((rank, text));
                }
            }
            Part::Deadline => deadlines.extend(deadline(value).map(|deadline| (deadline, *dot))),
            _ => other = other.max(Some(rank)),
        }
    }
    let counted = |field: Option<&Bytes>| history.counted(partition, vv, key, field.map(|f| &f[..]));
    let text = places.get(&None).and_then(|place| {
        let counted = counted(None);
        Some((place.rank(counted)?, Shown::Text(place.shown(counted)?)))
    });
    let fields = places.iter().filter_map(|(name, place)| {
        let name = name.as_ref()?;
        let counted = counted(Some(name));
        Some((place.rank(counted)?, name.clone(), place.shown(counted)?))
    });
    let fields: Vec<(Rank, Bytes, Bytes)> = fields.collect();
    let hash = fields.iter().map(|(rank, ..)| *rank).max();
    let hash = hash.map(|rank| (rank, Shown::Hash(fields.into_iter().map(|(_, name, text)| (name, text)).collect())));
    let set = members.values().max().copied().map(|rank| (rank, Shown::Set(members.into_keys().collect())));
    let list = items.values().filter_map(|place| place.rank(None)).max();
    let list = list.map(|rank| (rank, Shown::List(items.values().filter_map(|place| place.shown(None)).collect())));
    let other = other.map(|rank| (rank, Shown::Other));
    let clash = [&text, &hash, &set, &list, &other].into_iter().flatten().count() > 1;
    let (_, beneath) = [text, hash, set, list, other]
        .into_iter()
        .flatten()
        .max_by_key(|(rank, _)| *rank)
        .unwrap_or(((Hlc::ZERO, ReplicaId { region: 0, incarnation: 0 }, 0), Shown::Nothing));
    let anchor = match &beneath {
        Shown::Text(_) => places.get(&None).and_then(|place| place.texts.iter().max_by_key(|(rank, _)| *rank)),
        _ => None,
    };
    let anchor = anchor.map(|((_, replica, seq), _)| Dot { replica: *replica, seq: *seq });
    let deadline_ms = in_force(&deadlines, anchor).filter(|_| beneath != Shown::Nothing);
    let expired = deadline_ms.is_some_and(|at| wall_ms >= at);
    Reading { shown: if expired { Shown::Nothing } else { beneath.clone() }, deadline_ms, beneath, clash }
}

fn deadline(value: &Value) -> Option<Deadline> {
    match value {
        Value::Deadline(deadline) => Some(*deadline),
        _ => None,
    }
}

/// Of the deadlines given to what shows, the latest; PERSIST is later than all.
fn in_force(deadlines: &[(Deadline, Dot)], anchor: Option<Dot>) -> Option<u64> {
    let given = deadlines.iter().filter(|(deadline, _)| deadline.bound == anchor);
    let latest = given.min_by_key(|(deadline, _)| Reverse(deadline.at_ms)).map(|(deadline, _)| deadline.at_ms);
    latest.filter(|at| *at != Deadline::NEVER)
}
