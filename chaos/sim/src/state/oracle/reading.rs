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
    /// Fields of a hash whose own time has passed.
    pub(crate) expired_fields: BTreeSet<Bytes>,
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

    /// The register that shows, which a deadline is given to; `None` where the place is a count alone.
    fn anchor(&self) -> Option<Dot> {
        self.winner().map(|((_, replica, seq), _)| Dot { replica: *replica, seq: *seq })
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
                hundredths_of(text).map_or_else(|| text.clone(), |base| decimal(base + counted))
            }
            (Some((_, text)), None) => text.clone(),
            (None, counted) => decimal(counted?),
        };
        Some((rank, text))
    }
}

/// A number with at most two places behind the point, in hundredths: the workload counts in no others.
pub(crate) fn hundredths_of(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    if !digits.starts_with(|first: char| first.is_ascii_digit()) || places.len() > 2 {
        return None;
    }
    let number = whole.parse::<i128>().ok()? * 100 + format!("{places:0<2}").parse::<i128>().ok()?;
    Some(if negative { -number } else { number })
}

/// A number of hundredths as Redis writes it.
pub(crate) fn decimal(hundredths: i128) -> Bytes {
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, places) = (hundredths.abs() / 100, hundredths.abs() % 100);
    let text = if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{places:02}") };
    let text = if places == 0 { &text } else { text.trim_end_matches('0') };
    Bytes::copy_from_slice(text.as_bytes())
}

/// A score as text; the workload's have two places at most.
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
    field_deadlines: BTreeMap<Bytes, Vec<(Deadline, Dot)>>,
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
            Part::FieldDeadline(field) => {
                if let Value::Deadline(deadline) = value {
                    self.field_deadlines.entry(field.clone()).or_default().push((*deadline, dot));
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

    /// Fields that would show, but for their deadlines.
    fn expired_fields(&self, wall_ms: u64, counted: impl Fn(&Spot) -> Option<i128>) -> BTreeSet<Bytes> {
        let is_expired = |(field, deadlines): &(&Bytes, &Vec<(Deadline, Dot)>)| {
            let spot = Spot::Field((*field).clone());
            let Some(place) = self.places.get(&spot) else { return false };
            let shows = place.shown(counted(&spot)).is_some();
            shows && in_force(deadlines, place.anchor()).is_some_and(|at_ms| wall_ms >= at_ms)
        };
        self.field_deadlines.iter().filter(is_expired).map(|(field, _)| field.clone()).collect()
    }

    /// Each type that is there, with its last writer's rank.
    fn kinds(&self, gone: &BTreeSet<Bytes>, counted: impl Fn(&Spot) -> Option<i128>) -> Vec<(Rank, Shown)> {
        if self.marked {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        let (mut fields, mut scores) = (Named::default(), Named::default());
        for (spot, place) in &self.places {
            let Some((rank, text)) = place.shown(counted(spot)) else { continue };
            match spot {
                Spot::Field(name) if gone.contains(name) => {}
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
    let counted = |spot: &Spot| history.counted(partition, vv, key, spot);
    let expired_fields = found.expired_fields(wall_ms, counted);
    let kinds = found.kinds(&expired_fields, counted);
    let clash = kinds.len() > 1;
    let beneath = kinds.into_iter().max_by_key(|(rank, _)| *rank).map_or(Shown::Nothing, |(_, shown)| shown);
    let anchor = match &beneath {
        Shown::Text(_) => found.places.get(&Spot::Text).and_then(Place::anchor),
        _ => None,
    };
    let deadline_ms = in_force(&found.deadlines, anchor).filter(|_| beneath != Shown::Nothing);
    let expired = deadline_ms.is_some_and(|at| wall_ms >= at);
    let shown = if expired { Shown::Nothing } else { beneath.clone() };
    Reading { shown, deadline_ms, beneath, clash, marked: found.has_marks(), expired_fields }
}

/// Of the deadlines given to what shows, the latest; PERSIST is later than all.
fn in_force(deadlines: &[(Deadline, Dot)], anchor: Option<Dot>) -> Option<u64> {
    let given = deadlines.iter().filter(|(deadline, _)| deadline.bound == anchor);
    let latest = given.min_by_key(|(deadline, _)| Reverse(deadline.at_ms)).map(|(deadline, _)| deadline.at_ms);
    latest.filter(|at| *at != Deadline::NEVER)
}
