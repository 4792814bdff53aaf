//! From probe results to votes: gdnsd's monitor state machine, one per subject, and the observer that holds them.
//!
//! ```text
//!            first success                     down_after failures, not nec. in a row
//!  Unknown ─────────────────→ Up ←──────────────────────────────────────────────┐
//!     │                        └────────────────────────────────────────────→ Down
//!     └──────── down_after failures ─────────────────────────────────────────→   │ up_after successes in a row → Up
//! ```
//!
//! A Poor result is a success: the member answers, badly. `down_after` of them with no more than as many Good ones in a row between
//! turn the vote of an Up machine into Degraded, `up_after` Good ones in a row turn it back.
//!
//! In Up, a success between failures does not clear their count; only as many successes in a row as failures are needed for
//! Down do (gdnsd's `ok_thresh`). So a member that fails every second probe goes Down, and one lost packet an hour never does.

use std::collections::BTreeMap;

use model::{RegionName, Subject, Vote, VoteVector};

use crate::Timing;

/// What a probe found. Ordered from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It serves.
    Good,
    /// It serves, but badly: its gateway tells of failed requests, its certificate is about to end.
    Poor,
    /// It does not serve.
    Failed,
}

/// What one observer makes of its probes of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeMachine {
    down_after: u32,
    up_after: u32,
    state: State,
    quality: Quality,
    /// Start of the first failed probe of the present bad streak, Unix milliseconds.
    failing_since_ms: Option<u64>,
    was_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown { failures: u32 },
    Up { failures: u32, successes: u32 },
    Down { successes: u32 },
}

/// How well what answers answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Quality {
    is_degraded: bool,
    /// Poor results since the last `down_after` Good ones in a row.
    poor: u32,
    /// Good results in a row.
    good: u32,
}

impl Quality {
    fn note(&mut self, is_poor: bool, down_after: u32, up_after: u32) {
        if is_poor {
            *self = Self { poor: self.poor.saturating_add(1), good: 0, ..*self };
            self.is_degraded |= self.poor >= down_after;
            return;
        }
        self.good = self.good.saturating_add(1);
        if self.good >= if self.is_degraded { up_after } else { down_after } {
            *self = Self::default();
        }
    }
}

impl ProbeMachine {
    /// A machine that has seen nothing yet. Thresholds below 1 count as 1.
    pub fn new(down_after: u32, up_after: u32) -> Self {
        let (down_after, up_after) = (down_after.max(1), up_after.max(1));
        Self {
            down_after,
            up_after,
            state: State::Unknown { failures: 0 },
            quality: Quality::default(),
            failing_since_ms: None,
            was_up: false,
        }
    }

    /// Takes the result of a probe that was started at `started_at_ms` (Unix milliseconds), and returns the vote.
    pub fn observe(&mut self, started_at_ms: u64, finding: Finding) -> Vote {
        if finding < Finding::Failed {
            self.succeeded();
            self.quality.note(finding == Finding::Poor, self.down_after, self.up_after);
        } else {
            // Probes overlap, so a slow failure may arrive after a quick one that was started later.
            self.failing_since_ms = Some(self.failing_since_ms.map_or(started_at_ms, |since| since.min(started_at_ms)));
            self.failed();
        }
        self.vote()
    }

    fn succeeded(&mut self) {
        let next = match self.state {
            State::Unknown { .. } | State::Up { failures: 0, .. } => State::Up { failures: 0, successes: 0 },
            State::Up { successes, .. } if successes + 1 >= self.down_after => State::Up { failures: 0, successes: 0 },
            State::Up { failures, successes } => State::Up { failures, successes: successes + 1 },
            State::Down { successes } if successes + 1 >= self.up_after => State::Up { failures: 0, successes: 0 },
            State::Down { successes } => State::Down { successes: successes + 1 },
        };
        self.state = next;
        self.was_up |= matches!(next, State::Up { .. });
        if matches!(next, State::Up { failures: 0, .. }) {
            self.failing_since_ms = None;
        }
    }

    fn failed(&mut self) {
        self.state = match self.state {
            State::Unknown { failures } | State::Up { failures, .. } if failures + 1 >= self.down_after => {
                State::Down { successes: 0 }
            }
            State::Unknown { failures } => State::Unknown { failures: failures + 1 },
            State::Up { failures, .. } => State::Up { failures: failures + 1, successes: 0 },
            State::Down { .. } => State::Down { successes: 0 },
        };
    }

    /// What the probes so far say.
    pub fn vote(&self) -> Vote {
        match self.state {
            State::Unknown { .. } => Vote::Unknown,
            State::Up { .. } if self.quality.is_degraded => Vote::Degraded,
            State::Up { .. } => Vote::Up,
            State::Down { .. } => Vote::Down,
        }
    }

    /// Start of the first failed probe of the present bad streak, Unix milliseconds.
    pub fn failing_since_ms(&self) -> Option<u64> {
        self.failing_since_ms
    }

    /// Whether it has ever stood since this machine began to look.
    pub fn was_up(&self) -> bool {
        self.was_up
    }

    /// How many results in a row it takes at least until the vote could change: the physics of a TTL (gdnsd).
    /// An Unknown may become Up with the very next one.
    pub fn results_until_change(&self) -> u32 {
        match self.state {
            State::Unknown { .. } => 1,
            State::Up { failures, .. } => self.down_after - failures,
            State::Down { successes } => self.up_after - successes,
        }
    }
}

/// One region's eyes: a machine per subject, and the vote vectors that go to every plane member.
#[derive(Debug, Clone)]
pub struct Observer {
    name: RegionName,
    epoch_ms: u64,
    seq: u64,
    machines: BTreeMap<Subject, ProbeMachine>,
    load_rps: BTreeMap<RegionName, u32>,
}

impl Observer {
    /// The eyes of region `name`, in a process that was started at `epoch_ms` (Unix milliseconds).
    pub fn new(name: RegionName, epoch_ms: u64) -> Self {
        Self { name, epoch_ms, seq: 0, machines: BTreeMap::new(), load_rps: BTreeMap::new() }
    }

    /// Watches these subjects from now on. What is known of a subject whose thresholds stay is kept.
    pub fn watch(&mut self, subjects: impl IntoIterator<Item = (Subject, Timing)>) {
        let mut was = std::mem::take(&mut self.machines);
        for (subject, timing) in subjects {
            let fresh = ProbeMachine::new(timing.down_after, timing.up_after);
            let kept =
                was.remove(&subject).filter(|m| (m.down_after, m.up_after) == (fresh.down_after, fresh.up_after));
            self.machines.insert(subject, kept.unwrap_or(fresh));
        }
        let machines = &self.machines;
        self.load_rps.retain(|region, _| machines.keys().any(|subject| subject.region() == region));
    }

    /// Takes a probe's result. A subject that is not watched (any more) is ignored: a late answer changes nothing.
    pub fn observe(&mut self, subject: &Subject, started_at_ms: u64, finding: Finding) -> Vote {
        let machine = self.machines.get_mut(subject);
        let vote = machine.map_or(Vote::Unknown, |machine| machine.observe(started_at_ms, finding));
        if matches!(subject, Subject::Region(_)) && !matches!(vote, Vote::Up | Vote::Degraded) {
            self.load_rps.remove(subject.region());
        }
        vote
    }

    /// Notes what a region's gateway says that it carries. Kept while the region answers.
    pub fn note_load(&mut self, subject: &Subject, rps: u32) {
        if self.machines.contains_key(subject) {
            self.load_rps.insert(subject.region().clone(), rps);
        }
    }

    /// What is known of one subject.
    pub fn machine(&self, subject: &Subject) -> Option<&ProbeMachine> {
        self.machines.get(subject)
    }

    /// The next vote vector, whole, said at `sent_ms` (Unix milliseconds). With `self_ok` false it says Unknown of everything.
    ///
    /// `self_ok` is the observer's control: its own gateway answers its own probe, and its own loop is not late by more than
    /// an interval. An observer that fails it cannot tell a dead subject from its own dead eyes.
    pub fn vector(&mut self, sent_ms: u64, self_ok: bool) -> VoteVector {
        self.seq += 1;
        let vote = |machine: &ProbeMachine| if self_ok { machine.vote() } else { Vote::Unknown };
        let machines = || self.machines.iter();
        let since =
            |(subject, machine): (&Subject, &ProbeMachine)| Some((subject.clone(), machine.failing_since_ms()?));
        let never_up = machines().filter(|(_, machine)| vote(machine) == Vote::Down && !machine.was_up());
        VoteVector {
            observer: self.name.clone(),
            epoch_ms: self.epoch_ms,
            seq: self.seq,
            votes: machines().map(|(subject, machine)| (subject.clone(), vote(machine))).collect(),
            failing_since_ms: machines().filter_map(since).collect(),
            never_up: never_up.map(|(subject, _)| subject.clone()).collect(),
            sent_ms,
            load_rps: self.load_rps.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
