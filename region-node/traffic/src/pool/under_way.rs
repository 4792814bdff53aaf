//! Requests under way: a slab, and for each member the list of those that wait for a first byte, in the order they were
//! sent.
//!
//! Everything is O(1) and nothing allocates once the slab is as large as it ever has to be. The list says for each
//! member how long the oldest request has been waiting that nobody overtook: what a stuck member shows before its first
//! late answer.

use std::time::Duration;

use crate::upstream::Permit;

/// No request.
pub(crate) const NONE: u32 = u32::MAX;

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) seat: u32,
    /// Its number among all requests of the pool.
    pub(crate) order: u64,
    pub(crate) sent: Duration,
    pub(crate) permit: Option<Permit>,
    /// It has been to another member before.
    pub(crate) again: bool,
    pub(crate) phase: Phase,
    previous: u32,
    next: u32,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has come back.
    Waiting,
    /// It was answered, so far well.
    Answered,
    /// It was answered and its outcome counted.
    Counted,
    /// The place is free.
    Free,
}

/// All requests under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    requests: Vec<Request>,
    free: Vec<u32>,
    count: u32,
}

/// Those of one member that wait for a first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) count: u32,
    first: u32,
    last: u32,
    /// The first one that nobody overtook.
    silent: u32,
    /// The largest number among those that were answered.
    answered: Option<u64>,
}

impl Request {
    /// The request of a number, sent to a seat.
    pub(crate) fn new(seat: u32, order: u64, sent: Duration, permit: Option<Permit>, again: bool) -> Self {
        Self { seat, order, sent, permit, again, phase: Phase::Waiting, previous: NONE, next: NONE }
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self { count: 0, first: NONE, last: NONE, silent: NONE, answered: None }
    }
}

impl Waiting {
    /// How long the oldest request waits that nobody overtook, in seconds; 0 if there is none.
    pub(crate) fn silent_secs(&self, requests: &UnderWay, now: Duration) -> f64 {
        match requests.requests.get(self.silent as usize) {
            Some(request) => now.saturating_sub(request.sent).as_secs_f64(),
            None => 0.0,
        }
    }

    /// Whether a request that was sent later has been answered.
    pub(crate) fn was_overtaken(&self, order: u64) -> bool {
        self.answered.is_some_and(|answered| answered > order)
    }
}

impl UnderWay {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The request of a ticket, if it is still under way.
    pub(crate) fn get(&self, index: u32, order: u64) -> Option<&Request> {
        self.requests.get(index as usize).filter(|request| request.order == order && request.phase != Phase::Free)
    }

    /// The permit of a request under way.
    pub(crate) fn permit(&mut self, index: u32) -> Option<&mut Permit> {
        self.requests[index as usize].permit.as_mut()
    }

    pub(crate) fn set_phase(&mut self, index: u32, phase: Phase) {
        self.requests[index as usize].phase = phase;
    }

    /// One more, at the end of its member's list.
    pub(crate) fn send(&mut self, waiting: &mut Waiting, request: Request) -> u32 {
        let request = Request { previous: waiting.last, ..request };
        let index = match self.free.pop() {
            Some(index) => {
                self.requests[index as usize] = request;
                index
            }
            None => {
                self.requests.push(request);
                self.requests.len() as u32 - 1
            }
        };
        match self.requests.get_mut(waiting.last as usize) {
            Some(last) => last.next = index,
            None => waiting.first = index,
        }
        if waiting.silent == NONE {
            waiting.silent = index;
        }
        waiting.last = index;
        waiting.count += 1;
        self.count += 1;
        index
    }

    /// Takes a request out of its member's list: it waits no more. If the member `answered`, those before it were
    /// overtaken.
    pub(crate) fn stop_waiting(&mut self, waiting: &mut Waiting, index: u32, answered: bool) {
        let Request { order, previous, next, .. } = self.requests[index as usize];
        match self.requests.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => waiting.first = next,
        }
        match self.requests.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => waiting.last = previous,
        }
        if answered && !waiting.was_overtaken(order) {
            waiting.answered = Some(order);
            waiting.silent = next;
        } else if waiting.silent == index {
            waiting.silent = next;
        }
        waiting.count = waiting.count.saturating_sub(1);
    }

    /// Forgets a request that waits no more.
    pub(crate) fn end(&mut self, index: u32) {
        self.requests[index as usize].phase = Phase::Free;
        self.free.push(index);
        self.count = self.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain list of what waits: the age of the oldest that nobody overtook.
        #[test]
        fn the_silence_is_what_a_plain_list_says(steps in proptest::collection::vec((0_usize..4, any::<usize>()), 1..200)) {
            let (mut under_way, mut waiting) = (UnderWay::default(), Waiting::default());
            let (mut list, mut answered): (Vec<(u64, u32)>, Option<u64>) = (Vec::new(), None);
            for (order, (what, which)) in steps.into_iter().enumerate() {
                let (order, now) = (order as u64, Duration::from_secs(order as u64));
                if what < 2 || list.is_empty() {
                    list.push((order, under_way.send(&mut waiting, Request::new(0, order, now, None, false))));
                } else {
                    let (order, index) = list.remove(which % list.len());
                    prop_assert_eq!(waiting.was_overtaken(order), answered.is_some_and(|answered| answered > order));
                    under_way.stop_waiting(&mut waiting, index, what == 2);
                    under_way.end(index);
                    if what == 2 {
                        answered = answered.max(Some(order));
                    }
                }
                let silent = list.iter().find(|(order, _)| answered.is_none_or(|answered| *order > answered));
                let age = silent.map_or(0.0, |(sent, _)| (now - Duration::from_secs(*sent)).as_secs_f64());
                prop_assert_eq!(waiting.silent_secs(&under_way, now), age);
                prop_assert_eq!(waiting.count as usize, list.len());
                prop_assert_eq!(under_way.count() as usize, list.len());
            }
        }
    }
}
