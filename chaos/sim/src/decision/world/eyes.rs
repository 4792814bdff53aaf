//! The observers: rounds of probes, what they make of them, and votes, as `region-node/node/src/observer.rs` runs them.
//!
//! Most probes find what the one before found. A success on a machine that is Up without a failure changes nothing, so it is not
//! brought to the machine at all, as long as no other result of that subject is under way: half a million of those a day and
//! subject are what makes a day cheap. A test runs seeds both ways and wants equal traces.

use std::sync::Arc;

use decision::{Finding, Observer, ProbeMachine};
use model::{Subject, Vote, VoteVector};

use super::{Event, World, post::Letter};
use crate::decision::{
    coverage::Met,
    oracle::Violation,
    paths::Host,
    plant::Plant,
    shape::{Watched, region_name},
};

/// How many probes of one subject can be under way.
const OVERLAP: usize = 4;

/// One region's eyes.
pub(crate) struct Eye {
    observer: Observer,
    sights: Vec<Sight>,
    /// Which of the planned turns of votes is the one that counts.
    turn: u64,
    seq: u64,
    /// The last vector, as long as nothing has changed.
    vector: Option<(Arc<VoteVector>, bool)>,
    pub(crate) mutes: u32,
    /// Whom it calls Down against its better knowledge: all of them where there is no name.
    pub(crate) lies: Vec<Option<usize>>,
}

/// What is known of one subject besides the machine.
#[derive(Clone)]
struct Sight {
    /// The machine is Up and remembers no failure.
    is_clean: bool,
    /// Good results since a Poor one.
    goods: u32,
    /// Results on their way to the machine.
    under_way: u32,
    /// The last successes that were not brought to the machine: begun, and over.
    skipped: [(u64, u64); OVERLAP],
    next: usize,
    vote: Vote,
}

impl Eye {
    fn new(region: usize, epoch_ms: u64, subjects: usize) -> Self {
        let sight = Sight {
            is_clean: false,
            goods: u32::MAX,
            under_way: 0,
            skipped: [(0, 0); OVERLAP],
            next: 0,
            vote: Vote::Unknown,
        };
        Self {
            observer: Observer::new(region_name(region), epoch_ms),

            sights: vec![sight; subjects],
            turn: 0,
            seq: 0,
            vector: None,
            mutes: 0,
            lies: Vec::new(),
        }
    }

    /// Something about its words has changed.
    pub(crate) fn forget_vector(&mut self) {
        self.vector = None;
    }
}

impl World<'_> {
    /// A region's observer starts.
    pub(super) fn open_eye(&mut self, region: usize, first_ms: u64) {
        let life = self.lives[region].number;
        let (mutes, lies) = self.eyes[region].take().map(|eye| (eye.mutes, eye.lies)).unwrap_or_default();
        let mut eye = Eye { mutes, lies, ..Eye::new(region, self.now(region).wall_ms, self.subjects.len()) };
        eye.observer.watch(self.subjects.iter().map(|watched| (watched.subject.clone(), self.timing)));
        self.eyes[region] = Some(eye);
        self.queue.plan(self.now_ms + first_ms, Event::Round { region, life });
        self.queue.plan(self.now_ms + first_ms, Event::Turn { region, life, turn: 0 });
    }

    pub(super) fn round(&mut self, region: usize, life: u64) {
        if !self.is_living(region, life) {
            return;
        }
        self.queue.plan(self.now_ms + self.timing.interval_ms, Event::Round { region, life });
        for subject in 0..self.subjects.len() {
            self.probe(region, life, subject);
        }
    }

    fn probe(&mut self, region: usize, life: u64, subject: usize) {
        let Watched { region: to, is_member, .. } = self.subjects[subject];
        let gateway = &self.lives[to];
        let listens = gateway.gateway_faults == 0 && gateway.is_alive;
        let host = Host {
            listens,
            refuses: gateway.is_alive || gateway.refuses,
            timeout_ms: self.timing.timeout_ms,
            redial_ms: if self.plant == Some(Plant::OneConnection) { u64::MAX / 2 } else { self.timing.redial_ms },
        };
        let probed = self.paths.probe(region, to, host);
        self.probes += 1;
        self.redials += u64::from(probed.dials > 1);
        let finding = match probed.is_answered {
            true if is_member && gateway.member_faults > 0 => Finding::Failed,
            true if is_member && gateway.member_poor > 0 => Finding::Poor,
            true => Finding::Good,
            false => Finding::Failed,
        };
        let Some(eye) = &mut self.eyes[region] else { return };
        let sight = &mut eye.sights[subject];
        let (started_ms, ends_ms) = (self.now_ms, self.now_ms + probed.after_ms);
        if finding == Finding::Good && sight.is_clean && sight.under_way == 0 && !self.eager {
            sight.skipped[sight.next] = (started_ms, ends_ms);
            sight.next = (sight.next + 1) % OVERLAP;
            return;
        }
        let mut results = vec![(started_ms, ends_ms, finding)];
        if finding != Finding::Good {
            self.failed_probes += 1;
            // Successes that are still under way will come after this one was begun, and may come after it has failed.
            let skipped = sight.skipped.iter_mut().filter(|(_, ends)| *ends > started_ms);
            results.extend(skipped.map(std::mem::take).map(|(began, ends)| (began, ends, Finding::Good)));
            results.sort_unstable_by_key(|(began, _, _)| *began);
        }
        for (started_ms, at_ms, finding) in results {
            sight.under_way += 1;
            self.queue.plan(at_ms, Event::Result { region, life, subject, started_ms, finding });
        }
    }

    pub(super) fn result(
        &mut self,
        (region, life): (usize, u64),
        subject: usize,
        started_ms: u64,
        finding: Finding,
    ) -> Result<(), Violation> {
        if !self.is_living(region, life) {
            return Ok(());
        }
        let offset_ms = self.now(region).wall_ms.saturating_sub(self.now_ms - started_ms);
        let about = &self.subjects[subject].subject;
        let Some(eye) = &mut self.eyes[region] else { return Ok(()) };
        let vote = eye.observer.observe(about, offset_ms, finding);
        let failing = eye.observer.machine(about).and_then(ProbeMachine::failing_since_ms);
        let sight = &mut eye.sights[subject];
        sight.under_way -= 1;
        sight.goods = if finding == Finding::Good { sight.goods.saturating_add(1) } else { 0 };
        let enough = self.timing.up_after.max(self.timing.down_after);
        sight.is_clean = vote == Vote::Up && failing.is_none() && sight.goods > enough;
        let before = std::mem::replace(&mut sight.vote, vote);
        if before == vote && failing.is_none() {
            return Ok(());
        }
        eye.vector = None;
        if before == vote {
            return Ok(());
        }
        let name = about.to_string();
        self.trace.say(self.now_ms, format_args!("{} says {vote:?} of {name}", region + 1));
        if vote == Vote::Down && self.serves(subject) {
            self.coverage.met(Met::FalseDowns);
        }
        self.turn(region)
    }

    fn serves(&self, subject: usize) -> bool {
        let Watched { region, is_member, .. } = self.subjects[subject];
        let life = &self.lives[region];
        life.is_alive && life.gateway_faults == 0 && !(is_member && life.member_faults > 0)
    }

    pub(super) fn planned_turn(&mut self, region: usize, life: u64, turn: u64) -> Result<(), Violation> {
        if self.is_living(region, life) && self.eyes[region].as_ref().is_some_and(|eye| eye.turn == turn) {
            return self.turn(region);
        }
        Ok(())
    }

    /// The observer says all it has to say, and plans when to say it again.
    fn turn(&mut self, region: usize) -> Result<(), Violation> {
        let life = self.lives[region].number;
        let own = Subject::Region(region_name(region));
        let Some(eye) = &mut self.eyes[region] else { return Ok(()) };
        eye.turn += 1;
        eye.seq += 1;
        self.queue.plan(self.now_ms + self.timing.vote_period_ms, Event::Turn { region, life, turn: eye.turn });
        if eye.vector.is_none() {
            let self_ok = eye.observer.machine(&own).map(ProbeMachine::vote) != Some(Vote::Down);
            if !self_ok {
                self.coverage.met(Met::Blind);
            }
            let mut vector = eye.observer.vector(0, self_ok);
            for (about, vote) in vector.votes.iter_mut().filter(|(about, _)| **about != own) {
                if eye.lies.iter().any(|lie| lie.is_none_or(|of| region_name(of) == *about.region())) {
                    *vote = Vote::Down;
                }
            }
            let is_calm = vector.votes.values().all(|vote| matches!(vote, Vote::Up | Vote::Unknown));
            eye.vector = Some((Arc::new(vector), is_calm));
        }
        let Some((vector, is_calm)) = eye.vector.clone().filter(|_| eye.mutes == 0) else { return Ok(()) };
        let (seq, is_calm) = (eye.seq, is_calm && self.plant != Some(Plant::SlowVotes));
        let letter = Letter { vector, seq, sent_ms: self.now(region).wall_ms, is_calm };
        for member in 0..self.lives.len() {
            self.post(region, member, letter.clone())?;
        }
        Ok(())
    }
}
