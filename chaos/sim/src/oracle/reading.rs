//! The documented conflict rules, written a second time, from the documentation and from scratch: what a key reads as in a
//! given context at a given time. Slow and plain on purpose.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use replication_core::{Deadline, Dot, Hlc, Part, ReplicaId, Score, Value, VersionVector};

use super::history::{Element, History, Spot};

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
    /// A sorted set: its members with their scores as text.
    Zset(BTreeMap<Bytes, Bytes>),
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
    /// A removal mark hides something.
    pub(crate) marked: bool,
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
struct Place {
    texts: Vec<(Rank, Bytes)>,
    counts: Vec<Rank>,
    marked: bool,
}

impl Place {
    fn winner(&self) -> Option<&(Rank, Bytes)> {
        self.texts.iter().max_by_key(|(rank, _)| *rank)
    }

    /// What shows here, and who wrote last; nothing beside a removal mark.
    fn shown(&self, counted: Option<i128>) -> Option<(Rank, Bytes)> {
        if self.marked {
            return None;
        }
        let counts = self.counts.iter().copied().filter(|_| counted.is_some());
        let rank = self.texts.iter().map(|(rank, _)| *rank).chain(counts).max()?;
        let text = match (self.winner(), counted) {
            (Some((_, text)), Some(counted)) => {
                integer(text).map_or_else(|| text.clone(), |base| digits(base + counted))
            }
            (Some((_, text)), None) => text.clone(),
            (None, counted) => digits(counted?),
        };
        Some((rank, text))
    }
}

fn integer(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn digits(number: i128) -> Bytes {
    number.to_string().into()
}

/// A score as text; the workload's are whole.
pub(crate) fn score_text(score: Score) -> Bytes {
    score.0.to_string().into()
}

/// Everything live under a key, sorted by where it lies.
#[derive(Default)]
struct Found {
    places: BTreeMap<Spot, Place>,
    members: BTreeMap<Bytes, Rank>,
    marked_members: BTreeSet<Bytes>,
    items: BTreeMap<Bytes, Place>,
    deadlines: Vec<(Deadline, Dot)>,
    other: Option<Rank>,
    /// The whole key is marked as removed.
    marked: bool,
}

impl Found {
    fn add(&mut self, dot: Dot, element: &Element) {
        let Element { part, hlc, value, .. } = element;
        let rank = (*hlc, dot.replica, dot.seq);
        match part {
            Part::Cell => self.put(Spot::Text, rank, value),
            Part::Field(field) => self.put(Spot::Field(field.clone()), rank, value),
            Part::Rated(member) => self.put(Spot::Member(member.clone()), rank, value),
            Part::Member(member) if *value == Value::Revoked => drop(self.marked_members.insert(member.clone())),
            Part::Member(member) => {
                let last = self.members.entry(member.clone()).or_insert(rank);
                *last = rank.max(*last);
            }
            Part::Item(position) => {
                if let Value::Text(text) = value {
                    self.items.entry(position.clone()).or_default().texts.push((rank, text.clone()));
                }
            }
            Part::Deadline => {
                if let Value::Deadline(deadline) = value {
                    self.deadlines.push((*deadline, dot));
                }
            }
            Part::Key => self.marked = true,
            _ => self.other = self.other.max(Some(rank)),
        }
    }

    fn put(&mut self, spot: Spot, rank: Rank, value: &Value) {
        let place = self.places.entry(spot).or_default();
        match value {
            Value::Text(text) => place.texts.push((rank, text.clone())),
            Value::Score(score) => place.texts.push((rank, score_text(*score))),
            Value::Count(_) => place.counts.push(rank),
            Value::Revoked => place.marked = true,
            _ => {}
        }
    }

    fn has_marks(&self) -> bool {
        self.marked || !self.marked_members.is_empty() || self.places.values().any(|place| place.marked)
    }

    /// Each type that is there, with its last writer's rank.
    fn kinds(&self, counted: impl Fn(&Spot) -> Option<i128>) -> Vec<(Rank, Shown)> {
        if self.marked {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        let (mut fields, mut scores) = (Named::default(), Named::default());
        for (spot, place) in &self.places {
            let Some((rank, text)) = place.shown(counted(spot)) else { continue };
            match spot {
                Spot::Text => kinds.push((rank, Shown::Text(text))),
                Spot::Field(name) => fields.add(rank, name, text),
                Spot::Member(name) => scores.add(rank, name, text),
            }
        }
        kinds.extend(fields.last.map(|rank| (rank, Shown::Hash(fields.texts))));
        kinds.extend(scores.last.map(|rank| (rank, Shown::Zset(scores.texts))));
        let members = self.members.iter().filter(|(name, _)| !self.marked_members.contains(*name));
        let last = members.clone().map(|(_, rank)| *rank).max();
        kinds.extend(last.map(|rank| (rank, Shown::Set(members.map(|(name, _)| name.clone()).collect()))));
        let items: Vec<(Rank, Bytes)> = self.items.values().filter_map(|place| place.shown(None)).collect();
        let last = items.iter().map(|(rank, _)| *rank).max();
        kinds.extend(last.map(|rank| (rank, Shown::List(items.into_iter().map(|(_, text)| text).collect()))));
        kinds.extend(self.other.map(|rank| (rank, Shown::Other)));
        kinds
    }
}

/// Named texts, and who wrote the last of them.
#[derive(Default)]
struct Named {
    texts: BTreeMap<Bytes, Bytes>,
    last: Option<Rank>,
}

impl Named {
    fn add(&mut self, rank: Rank, name: &Bytes, text: Bytes) {
        self.texts.insert(name.clone(), text);
        self.last = self.last.max(Some(rank));
    }
}

/// What `key` reads as for somebody who has seen `vv`, by a wall clock that shows `wall_ms`.
pub(crate) fn read(history: &History, partition: u16, vv: &VersionVector, key: &[u8], wall_ms: u64) -> Reading {
    let mut found = Found::default();
    history.elements(partition, vv, key).into_iter().for_each(|(dot, element)| found.add(dot, element));
    let kinds = found.kinds(|spot| history.counted(partition, vv, key, spot));
    let clash = kinds.len() > 1;
    let beneath = kinds.into_iter().max_by_key(|(rank, _)| *rank).map_or(Shown::Nothing, |(_, shown)| shown);
    let anchor = match &beneath {
        Shown::Text(_) => found.places.get(&Spot::Text).and_then(Place::winner),
        _ => None,
    };
    let anchor = anchor.map(|((_, replica, seq), _)| Dot { replica: *replica, seq: *seq });
    let deadline_ms = in_force(&found.deadlines, anchor).filter(|_| beneath != Shown::Nothing);
    let expired = deadline_ms.is_some_and(|at| wall_ms >= at);
    let shown = if expired { Shown::Nothing } else { beneath.clone() };
    Reading { shown, deadline_ms, beneath, clash, marked: found.has_marks() }
}

/// Of the deadlines given to what shows, the latest; PERSIST is later than all.
fn in_force(deadlines: &[(Deadline, Dot)], anchor: Option<Dot>) -> Option<u64> {
    let given = deadlines.iter().filter(|(deadline, _)| deadline.bound == anchor);
    let latest = given.min_by_key(|(deadline, _)| Reverse(deadline.at_ms)).map(|(deadline, _)| deadline.at_ms);
    latest.filter(|at| *at != Deadline::NEVER)
}
