//! The oracle's looks at the world: at each new Plan, at falls that should be decided, and at the end.

use std::sync::Arc;

use decision::{Command, Outcome};
use model::{Plan, Subject, Verdict};

use super::{Event, World};
use crate::decision::{
    coverage::Met,
    oracle::{Ledger, Looked, Rule, Violation},
    shape::region_name,
};

/// Falls that are further apart than this may have been seen further apart than the window of common mode, milliseconds.
const SURELY_TOGETHER_MS: u64 = 25_000;

impl World<'_> {
    /// An entry was applied for the first time.
    pub(super) fn story(&mut self, at: usize, outcome: &Outcome, plan: &Arc<Plan>) -> Result<(), Violation> {
        let entry = &self.log.entries[at];
        let (index, request, judged) = (entry.index, entry.request.clone(), entry.judged.clone());
        let kind = request.command.kind();
        self.count_outcome(&request.command, outcome);
        if plan.id.version != index {
            let what = match outcome {
                Outcome::Refused(refusal) => refusal.to_string(),
                _ => "nothing new".into(),
            };
            self.trace.say(self.now_ms, format_args!("{index}: {kind}: {what}"));
            return Ok(());
        }
        self.trace.say(self.now_ms, format_args!("{index}: {}", plan.made_by));
        if let Command::Decide { changes, .. } = &request.command {
            self.together(changes.iter().filter(|c| c.to == Verdict::Down).map(|c| &c.subject), plan)?;
            changes.iter().for_each(|change| self.note_change(&change.subject, change.to));
        }
        if matches!(kind, "set_override" | "clear_override" | "expire_overrides") {
            self.truth.trouble.touch(self.now_ms);
        }
        self.note_word(&request.command, plan);
        self.ledger.note(self.now_ms, plan, &request.command, &judged)
    }

    fn note_change(&mut self, subject: &Subject, to: Verdict) {
        self.coverage.met(match to {
            Verdict::Up => Met::DecidedUp,
            Verdict::Degraded => Met::DecidedDegraded,
            Verdict::Down => Met::DecidedDown,
        });
        let Some(number) = self.subjects.iter().position(|watched| watched.subject == *subject) else { return };
        if to == Verdict::Down {
            match self.falls.decided(number) {
                Some((true, _)) => self.coverage.met(Met::LeaderFell),
                Some((false, true)) => self.coverage.met(Met::InTime),
                Some((false, false)) => {}
                None => self.coverage.met(Met::Cutoffs),
            }
        } else if self.truth.fails[number].is_active() {
            // It came back just before it fell again.
            let look_ms = self.falls.begin(self.now_ms, number, false);
            self.queue.plan(look_ms, Event::LookAtFall { subject: number, at_ms: self.now_ms });
        }
        self.truth.trouble.touch(self.now_ms);
    }

    /// Of what fell together and is still down, at most one is out; unless there was trouble meanwhile, so that it may have been
    /// seen at other times.
    fn together<'a>(&self, falling: impl Iterator<Item = &'a Subject>, plan: &Plan) -> Result<(), Violation> {
        for subject in falling.filter(|subject| subject.pool().is_none()) {
            let fell = |region: usize| self.truth.fails[region].since_ms();
            let about = |region: usize| Subject::Region(region_name(region));
            let Some(own) = (0..self.lives.len()).find(|region| about(*region) == *subject) else { continue };
            let Some(at_ms) = fell(own) else { continue };
            for other in (0..self.lives.len()).filter(|other| *other != own) {
                let Some(other_ms) = fell(other).filter(|ms| ms.abs_diff(at_ms) <= SURELY_TOGETHER_MS) else {
                    continue;
                };
                let is_out = self.ledger.last().is_some_and(|before| {
                    before.verdicts.get(&about(other)).is_some_and(|state| state.verdict == Verdict::Down)
                });
                let by_hand = [own, other].iter().any(|region| plan.override_on(&about(*region)).is_some());
                // The first one's own decision is the only thing that may have happened.
                let quiet = self.truth.upset.last_ms(self.now_ms) < at_ms.min(other_ms);
                // A third one that was down itself could not say what it saw: a quorum saw the fall when that one came back.
                let third = |region: &usize| *region != own && *region != other;
                let failed = |region: usize| self.truth.fails[region].last_ms(self.now_ms) >= at_ms.min(other_ms);
                let quiet = quiet && !(0..self.lives.len()).filter(third).any(failed);
                if is_out && !by_hand && quiet {
                    let what = format!("{subject} was taken out beside {}, which fell with it", about(other));
                    return Err(Violation::new(Rule::CommonMode, what));
                }
            }
        }
        Ok(())
    }

    pub(super) fn look_at_fall(&mut self, subject: usize, at_ms: u64) -> Result<(), Violation> {
        if !self.falls.is_open(subject) {
            return Ok(());
        }
        let is_out = |plan: &Arc<Plan>, subject: &Subject| {
            plan.verdicts.get(subject).is_some_and(|state| state.verdict == Verdict::Down)
        };
        if self.ledger.last().is_some_and(|plan| is_out(plan, &self.subjects[subject].subject)) {
            self.falls.end(subject);
            return Ok(());
        }
        let is_held = self.is_held(subject);
        let trouble_ms = self.truth.trouble.last_ms(self.now_ms);
        match self.falls.look(self.now_ms, subject, at_ms, trouble_ms, is_held) {
            Looked::Over => {}
            Looked::Again(look_ms) => {
                if is_held && self.falls_beside(subject) {
                    self.coverage.met(Met::HeldAsCommonMode);
                } else if is_held {
                    self.coverage.met(Met::HeldByVelocity);
                }
                self.queue.plan(look_ms, Event::LookAtFall { subject, at_ms });
            }
            Looked::Late(since_ms) => {
                let name = &self.subjects[subject].subject;
                let what =
                    format!("{name} fell at {since_ms} ms and is not decided, {} ms were promised", self.bound_ms);
                return Err(Violation::new(Rule::FallsAreDecidedInTime, what));
            }
        }
        Ok(())
    }

    /// Whether a guard may hold a fallen subject in: others are out or fall, or its region does, or it is the last.
    fn is_held(&self, subject: usize) -> bool {
        let own = &self.subjects[subject];
        if self.ledger.last().is_some_and(|plan| Ledger::is_last(plan, &own.subject)) {
            return true;
        }
        (0..self.subjects.len()).filter(|other| *other != subject).any(|other| {
            let it = &self.subjects[other];
            // The region's own fall takes its memberships along; these hold nothing in.
            if it.region == own.region && it.is_member {
                return false;
            }
            let is_out = self
                .ledger
                .last()
                .is_some_and(|plan| plan.verdicts.get(&it.subject).is_some_and(|state| state.verdict == Verdict::Down));
            is_out || self.truth.fails[other].is_active()
        })
    }

    /// The end: the whole log once more makes what every member made that has heard all of it.
    pub(super) fn close(&mut self) -> Result<(), Violation> {
        self.finished = true;
        // By nobody of them, so that a bug planted in one is not in here.
        let state = self.replay(usize::MAX, self.log.entries.len());
        for (region, member) in self.members.iter().enumerate() {
            if member.applied == self.log.entries.len() && member.state != state {
                let what = format!("member {} holds another state than its log makes", region + 1);
                return Err(Violation::new(Rule::SameLogSameState, what));
            }
        }
        Ok(())
    }
}
