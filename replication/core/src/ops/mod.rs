//! What each command answers and plans, one file per family. Read the key, answer, write down the changes; nothing here
//! touches state.

mod bitfield;
mod bits;
mod copy;
mod counter;
mod expiry;
mod hash;
mod hash_expiry;
mod key;
mod list;
mod luck;
mod mset;
mod object;
mod set;
mod set_algebra;
mod sides;
mod sketch;
mod string;
mod text;
mod zset;
mod zset_algebra;
mod zset_range;

use std::ops::Range;

use bytes::Bytes;
use hashbrown::HashSet;

pub use set_algebra::combine_sets;
pub use zset_algebra::combine_scores;

use crate::keyspace::Keyspace;
use crate::plan::Plan;
use crate::types::cell::Reading;
use crate::types::{Body, Kind, View, decimal};
use crate::{Ask, MAX_COMMAND_BYTES, MAX_KEY_BYTES, Op, OpError, Reply, Rules};

static EMPTY: Body = Body::Empty;

/// One command's view of the partition: the key it works on, the rules, the time, and its plan.
///
/// What it reads is the state before the command: a command that writes a key must not read it again.
pub(crate) struct Scene<'a> {
    /// What is held of the key in hand.
    pub(crate) body: &'a Body,
    /// What clients see of it.
    pub(crate) view: View,
    pub(crate) now_ms: u64,
    /// The shell's random word, another one for each command.
    pub(crate) luck: u64,
    pub(crate) rules: &'a Rules,
    /// The changes so far; the key in hand is [`Plan::key`].
    pub(crate) plan: Plan<'a>,
    keys: &'a Keyspace,
}

type Answer = Result<Reply, OpError>;

/// Answers `op` and plans its changes. After an error the plan is void.
pub(crate) fn run(op: &Op, scene: &mut Scene<'_>) -> Answer {
    match &op.ask {
        Ask::Key(ask) => key::run(ask, scene),
        Ask::Text(ask) => string::run(ask, scene),
        Ask::Bits(ask) => bits::run(ask, scene),
        Ask::Hash(ask) => hash::run(ask, scene),
        Ask::Set(ask) => set::run(ask, scene),
        Ask::List(ask) => list::run(ask, scene),
        Ask::Sketch(ask) => sketch::run(ask, scene),
        Ask::Zset(ask) => zset::run(ask, scene),
    }
}

impl<'a> Scene<'a> {
    /// The scene of a command on `slot`, the place of the plan's key if it has one.
    pub(crate) fn new(
        keys: &'a Keyspace,
        slot: Option<u32>,
        now_ms: u64,
        luck: u64,
        rules: &'a Rules,
        plan: Plan<'a>,
    ) -> Self {
        let body = slot.map_or(&EMPTY, |slot| keys.body(slot));
        let view = body.view(plan.replicas, now_ms);
        Self { body, view, now_ms, luck, rules, plan, keys }
    }

    /// Another key of the same partition: what is held of it, and what clients see.
    pub(crate) fn look(&self, key: &[u8]) -> (&'a Body, View) {
        let body = self.keys.find(key).map_or(&EMPTY, |slot| self.keys.body(slot));
        (body, body.view(self.plan.replicas, self.now_ms))
    }

    /// Takes another key in hand: what is read and planned from here on is about that one.
    pub(crate) fn turn_to(&mut self, key: &Bytes) {
        (self.body, self.view) = self.look(key);
        self.plan.key = key.clone();
    }

    /// Whether a key of `want` is there to be read; another type is an error.
    fn has(&self, want: Kind) -> Result<bool, OpError> {
        match self.view.present() {
            Kind::None => Ok(false),
            kind if kind == want => Ok(true),
            _ => Err(OpError::WrongType),
        }
    }

    /// Plans the removal of the key in hand. Where removes win, it leaves a mark.
    fn drop_key(&mut self) {
        self.plan.drop_key(self.body, self.remove_wins());
    }

    /// Whether removes win in the key in hand.
    fn remove_wins(&self) -> bool {
        self.rules.of(&self.plan.key).remove_wins
    }

    /// Opens the key for a write of `want`: a key that is not there, or past its deadline, starts from nothing (what is left
    /// of it is removed in the same delta, marks included); hidden parts of other types go. Where nothing but marks on single
    /// members or fields hides it, they stay: writing one member says nothing about the others.
    fn open(&mut self, want: Kind) -> Result<&'a Body, OpError> {
        if !self.has(want)? {
            let replicas = self.plan.replicas;
            if self.view.kind == Kind::None && self.body.hides_by_single_marks(want, self.now_ms, replicas) {
                self.plan.clear_deadlines(self.body);
                self.plan.clear_hidden(self.body, want);
                return Ok(self.body);
            }
            self.plan.clear_key(self.body);
            return Ok(&EMPTY);
        }
        if self.view.clash {
            self.plan.clear_hidden(self.body, want);
        }
        Ok(self.body)
    }
}

fn bulk(reading: Reading<'_>) -> Bytes {
    match reading {
        Reading::Text(text) => text.to_bytes(),
        Reading::Number(number) => Bytes::from(decimal::show(number)),
    }
}

/// Counts what a command is about to write that nobody sent (a union, a copy): one change may hold no more than a command may be
/// long.
#[derive(Default)]
struct SizeLimit(usize);

impl SizeLimit {
    /// One more element, with this much text.
    fn add(&mut self, bytes: usize) -> Result<(), OpError> {
        const EACH: usize = 64; // what an element takes beside its text
        self.0 = self.0.saturating_add(bytes + EACH);
        if self.0 > MAX_COMMAND_BYTES { Err(OpError::ResultTooLarge) } else { Ok(()) }
    }
}

/// Redis's indexes, both included and negative from the end, as a range within `0..len`.
fn indexes(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = from_end(start).clamp(0, len);
    let end = from_end(stop).saturating_add(1).clamp(start, len);
    start as usize..end as usize
}

/// How many a command takes at most, where 0 stands for all.
fn at_most(count: u64) -> usize {
    if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }
}

/// A page of a walk: the cursor to go on with, 0 at the end, and what it shows.
fn page(next: u64, shown: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::Int(next as i64), Reply::Array(shown)])
}

/// Each name once, in order of first appearance: a command that names a field twice must not count it twice.
fn distinct(names: &[Bytes]) -> Vec<&Bytes> {
    if let [only] = names {
        return vec![only];
    }
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().filter(|name| seen.insert(*name)).collect()
}

/// Refuses what is longer than the limits before any of it is looked at.
pub(crate) fn check_limits(op: &Op, rules: &Rules) -> Result<(), OpError> {
    if op.key.len() > MAX_KEY_BYTES || op.other_keys().iter().any(|key| key.len() > MAX_KEY_BYTES) {
        return Err(OpError::KeyTooLong);
    }
    let (mut total, mut longest) = (op.key.len(), 0);
    op.each_argument(&mut |bytes| {
        total = total.saturating_add(bytes.len());
        longest = longest.max(bytes.len());
    });
    if longest > rules.max_value_bytes {
        return Err(OpError::ValueTooLong(rules.max_value_bytes));
    }
    if total > MAX_COMMAND_BYTES { Err(OpError::CommandTooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_redis_s() {
        let check = |start, stop, expected| assert_eq!(indexes(start, stop, 5), expected, "{start} {stop}");
        check(0, -1, 0..5);
        check(1, 2, 1..3);
        check(-2, -1, 3..5);
        check(-100, 100, 0..5);
        check(3, 1, 3..3);
        check(7, 9, 5..5);
        check(0, -9, 0..0);
        check(i64::MIN, i64::MAX, 0..5);
    }
}
