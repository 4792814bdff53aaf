//! What the documentation says of each type, as simply as it can be said: every write puts things under a place and removes the
//! things it saw. What is there is what was put and not removed; nothing else is remembered.
//!
//! It shares no code with the machine. The machine holds one number per region for a counter, floors, slots and indexes; here
//! each increment is a thing by itself, and a removal names the things it removes.

use std::collections::{BTreeMap, BTreeSet};

use replication_core::Hlc;

/// Names a thing: the event that put it, and which of the event's things it is.
pub(crate) type Id = (usize, usize);

/// A thing that was put.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    /// A field, a member; empty for a key's own value.
    pub(crate) place: String,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// It is there, that is all.
    Present,
    /// A value: the latest of those that nobody saw replaced shows.
    Text(String),
    /// An increment: all that were not removed add up.
    Add(i64),
    /// What one region counted: all regions' are united.
    Counted(BTreeSet<String>),
}

/// What one command did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    pub(crate) puts: Vec<Thing>,
    pub(crate) removes: Vec<Id>,
}

/// A thing that is there.
#[derive(Clone, Debug)]
pub(crate) struct Live<'a> {
    pub(crate) id: Id,
    pub(crate) thing: &'a Thing,
    /// Which of two values that nobody saw replaced is the later one.
    pub(crate) stamp: (Hlc, usize),
}

/// What somebody sees.
pub(crate) struct Seen<'a>(pub(crate) Vec<Live<'a>>);

/// A value as its reader finds it.
#[derive(Debug, PartialEq)]
enum Reading {
    Text(String),
    Number(i64),
}

impl Seen<'_> {
    fn at<'s>(&'s self, place: &'s str) -> impl Iterator<Item = &'s Live<'s>> {
        self.0.iter().filter(move |live| live.thing.place == place)
    }

    fn ids_at(&self, place: &str) -> Vec<Id> {
        self.at(place).map(|live| live.id).collect()
    }

    fn places(&self) -> BTreeSet<&str> {
        self.0.iter().map(|live| live.thing.place.as_str()).collect()
    }

    /// The latest value and all increments; a text that is no number hides the increments.
    fn read(&self, place: &str) -> Option<Reading> {
        let adds: Vec<i64> = self
            .at(place)
            .filter_map(|live| if let Content::Add(n) = live.thing.content { Some(n) } else { None })
            .collect();
        let texts = self.at(place).filter_map(|live| match &live.thing.content {
            Content::Text(text) => Some((live.stamp, text)),
            _ => None,
        });
        match texts.max_by_key(|(stamp, _)| *stamp) {
            None if adds.is_empty() => None,
            None => Some(Reading::Number(adds.iter().sum())),
            Some((_, text)) => Some(match text.parse::<i64>() {
                Ok(number) => Reading::Number(number + adds.iter().sum::<i64>()),
                Err(_) => Reading::Text(text.clone()),
            }),
        }
    }

    fn shown(&self, place: &str) -> String {
        match self.read(place) {
            None => "nil".to_owned(),
            Some(Reading::Text(text)) => text,
            Some(Reading::Number(number)) => number.to_string(),
        }
    }

    /// What a writing command does to what is seen here, when `region` runs it.
    pub(crate) fn effect(&self, command: &str, region: usize) -> Effect {
        let words: Vec<&str> = command.split(' ').collect();
        let put = |place: &str, content: Content| Effect {
            puts: vec![Thing { place: place.to_owned(), content }],
            removes: Vec::new(),
        };
        match words[..] {
            ["DEL" | "GETDEL", _] => Effect { puts: Vec::new(), removes: self.0.iter().map(|live| live.id).collect() },
            ["SET", _, text] => self.replace("", Content::Text(text.to_owned())),
            ["APPEND", _, text] => {
                let old = self.read("").map_or_else(String::new, |_| self.shown(""));
                self.replace("", Content::Text(old + text))
            }
            ["INCRBY", _, by] => self.add("", by),
            ["HSET", _, field, text] | ["ZADD", _, text, field] => self.replace(field, Content::Text(text.to_owned())),
            ["HINCRBY", _, field, by] | ["ZINCRBY", _, by, field] => self.add(field, by),
            ["SADD", _, member] => self.replace(member, Content::Present),
            ["RPUSH" | "LPUSH", _, element] => put(element, Content::Present),
            ["HDEL" | "SREM" | "ZREM", _, place] | ["LREM", _, _, place] => {
                Effect { puts: Vec::new(), removes: self.ids_at(place) }
            }
            ["PFADD", _, item] => {
                let mine = format!("region {region}");
                let mut counted = self.counted(&mine);
                if !self.places().into_iter().any(|place| self.counted(place).contains(item)) {
                    counted.insert(item.to_owned());
                    return self.replace(&mine, Content::Counted(counted));
                }
                Effect::default()
            }
            _ => panic!("the model does not know {command}"),
        }
    }

    fn replace(&self, place: &str, content: Content) -> Effect {
        Effect { puts: vec![Thing { place: place.to_owned(), content }], removes: self.ids_at(place) }
    }

    fn add(&self, place: &str, by: &str) -> Effect {
        if matches!(self.read(place), Some(Reading::Text(_))) {
            return Effect::default();
        }
        let thing = Thing { place: place.to_owned(), content: Content::Add(by.parse().unwrap()) };
        Effect { puts: vec![thing], removes: Vec::new() }
    }

    fn counted(&self, place: &str) -> BTreeSet<String> {
        let sets = self.at(place).filter_map(|live| match &live.thing.content {
            Content::Counted(set) => Some(set.clone()),
            _ => None,
        });
        sets.flatten().collect()
    }

    /// What a question finds.
    pub(crate) fn answer(&self, question: &str) -> String {
        let words: Vec<&str> = question.split(' ').collect();
        let joined = |items: Vec<String>| format!("{{{}}}", items.join(" "));
        match words[..] {
            ["EXISTS", _] => i64::from(!self.0.is_empty()).to_string(),
            ["GET", _] => self.shown(""),
            ["HGETALL", _] => {
                joined(self.places().into_iter().map(|field| format!("{field}={}", self.shown(field))).collect())
            }
            ["SMEMBERS", _] => joined(self.places().into_iter().map(str::to_owned).collect()),
            ["ZSCORE", _, member] => self.shown(member),
            ["ZCARD" | "HLEN" | "SCARD" | "LLEN", _] => self.places().len().to_string(),
            ["PFCOUNT", _] => {
                let all: BTreeSet<String> = self.places().into_iter().flat_map(|place| self.counted(place)).collect();
                all.len().to_string()
            }
            _ => panic!("the model cannot answer {question}"),
        }
    }
}

/// What is there of the events that somebody knows: put by one of them, and removed by none.
pub(crate) fn live<'a>(known: impl Iterator<Item = (usize, &'a Effect, (Hlc, usize))> + Clone) -> Seen<'a> {
    let removed: BTreeSet<Id> = known.clone().flat_map(|(_, effect, _)| effect.removes.iter().copied()).collect();
    let mut there = BTreeMap::new();
    for (event, effect, stamp) in known {
        for (nth, thing) in effect.puts.iter().enumerate() {
            there.insert((event, nth), Live { id: (event, nth), thing, stamp });
        }
    }
    there.retain(|id, _| !removed.contains(id));
    Seen(there.into_values().collect())
}
