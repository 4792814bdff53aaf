//! A worker: a queue in front of as many servers as it has concurrency, and what is wrong with it.

use std::{collections::VecDeque, time::Duration};

use traffic::Member;

/// What is wrong with a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Well,
    Slow,
    Failing { percent: u64 },
    Hanging,
    Dead,
    Refusing,
}

/// One life of a worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) member: Member,
    pub(crate) mode: Mode,
    /// It is on the list.
    pub(crate) listed: bool,
    pub(crate) was_ready: bool,
    /// Requests that the gateway has sent here and that are not over, by the gateway's own count.
    pub(crate) in_flight: u32,
    busy: u32,
    waiting: VecDeque<u32>,
    /// When it was picked.
    pub(crate) picks: Vec<u64>,
    pub(crate) ejections: u64,
    /// It is ejected, and not to be tried before this moment.
    pub(crate) out_until: Option<Duration>,
}

impl Worker {
    pub(crate) fn new(life: u64, slot: u16) -> Self {
        Self {
            member: Member { life, ..Member::ready(slot) },
            mode: Mode::Well,
            listed: true,
            was_ready: true,
            in_flight: 0,
            busy: 0,
            waiting: VecDeque::new(),
            picks: Vec::new(),
            ejections: 0,
            out_until: None,
        }
    }

    /// Whether requests may go there: in panic health does not count.
    pub(crate) fn is_usable(&self, panic: bool) -> bool {
        let Member { ready, draining, .. } = self.member;
        let healthy = ready && self.out_until.is_none();
        self.listed && self.was_ready && !draining && (healthy || panic)
    }

    /// An attempt arrives; whether its service begins now.
    pub(crate) fn take(&mut self, attempt: u32, concurrency: u32) -> bool {
        let begins = self.busy < concurrency;
        if begins {
            self.busy += 1;
        } else {
            self.waiting.push_back(attempt);
        }
        begins
    }

    /// A service ends; the attempt whose service begins now, if one waits.
    pub(crate) fn next(&mut self) -> Option<u32> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.busy = self.busy.saturating_sub(1);
        }
        next
    }

    /// Everything that waits is lost.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
    }
}
