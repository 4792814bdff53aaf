//! The votes' way to the members: a courier for each observer and member, who brings one letter at a time, the newest.
//!
//! A letter whose receipt does not come within the life of a vote is given up. Two of those in a row, and the connection is
//! condemned: a new one needs both directions.

use std::sync::Arc;

use model::VoteVector;

use super::{Event, World};
use crate::decision::{coverage::Met, oracle::Violation, plant::Plant};

/// A vote vector on its way. Observers number their vectors and tell the time; both are kept apart, since most vectors differ in
/// nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) vector: Arc<VoteVector>,
    pub(crate) seq: u64,
    pub(crate) sent_ms: u64,
    /// It calls nobody anything but Up or Unknown.
    pub(crate) is_calm: bool,
}

impl Letter {
    /// As the member reads it.
    pub(crate) fn open(&self) -> VoteVector {
        VoteVector { seq: self.seq, sent_ms: self.sent_ms, ..(*self.vector).clone() }
    }
}

/// Who brings one observer's votes to one member.
#[derive(Debug, Default)]
pub(crate) struct Courier {
    busy_until_ms: u64,
    waiting: Option<Letter>,
    /// Letters without a receipt in a row.
    unanswered: u32,
}

/// How long `slow-votes` holds a letter back, milliseconds.
const SLOW_MS: u64 = 10_000;

impl World<'_> {
    pub(super) fn post(&mut self, from: usize, to: usize, letter: Letter) -> Result<(), Violation> {
        if from == to {
            // By the wiring, without a detour over the network.
            return self.arrive(from, to, &letter);
        }
        self.votes += 1;
        let courier = &mut self.couriers[from][to];
        if courier.busy_until_ms > self.now_ms {
            if courier.waiting.replace(letter).is_none() {
                self.queue.plan(courier.busy_until_ms, Event::Free { from, to });
            }
            self.coverage.met(Met::LateVotes);
            return Ok(());
        }
        self.dispatch(from, to, letter);
        Ok(())
    }

    pub(super) fn free(&mut self, from: usize, to: usize) {
        let letter = self.couriers[from][to].waiting.take();
        if let Some(letter) = letter.filter(|_| self.eyes[from].is_some()) {
            self.dispatch(from, to, letter);
        }
    }

    fn dispatch(&mut self, from: usize, to: usize, letter: Letter) {
        let life_ms = self.timing.vote_life_ms;
        let may_go =
            self.lives[to].is_alive && (self.couriers[from][to].unanswered < 2 || self.paths.are_joined(from, to));
        let there = self.paths.message(from, to).filter(|ms| *ms <= life_ms && may_go);
        let back = there.and_then(|there| Some(there + self.paths.message(to, from)?)).filter(|ms| *ms <= life_ms);
        let courier = &mut self.couriers[from][to];
        courier.busy_until_ms = self.now_ms + back.unwrap_or(life_ms);
        courier.unanswered = if back.is_some() { 0 } else { courier.unanswered + 1 };
        let Some(there) = there else {
            self.coverage.met(Met::LostVotes);
            return;
        };
        let slow_ms =
            if self.plant == Some(Plant::SlowVotes) && letter.vector.votes.values().any(|v| *v == model::Vote::Down) {
                SLOW_MS
            } else {
                0
            };
        let at_ms = self.now_ms + there + slow_ms;
        if !self.set_aside(from, to, at_ms, &letter) {
            self.queue.plan(at_ms, Event::Arrive { from, to, letter });
        }
    }
}
