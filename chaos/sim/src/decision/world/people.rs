//! Human words, and proposers gone wrong.

use std::{collections::BTreeMap, sync::Arc};

use decision::{Change, Command, Demand, Outcome, Request, Staging};
use model::{Evidence, OverrideAction, Plan, Subject, Verdict, Vote};

use super::{Event, World};
use crate::decision::{
    coverage::Met,
    oracle::{Judged, Ledger, Rule, Violation},
    scenario::{Rogue, Word},
    shape::region_name,
};

/// Two seconds of the leader's time, and what clocks may differ by, milliseconds.
const ENDED_WITHIN_MS: u64 = 2_000 + 1_500;

impl World<'_> {
    pub(super) fn say_word(&mut self, region: u16, word: Word, lasts_ms: u64) {
        let subject = Subject::Region(region_name(usize::from(region) - 1));
        let action = if word == Word::Keep { OverrideAction::Up } else { OverrideAction::Down };
        let staging = (word == Word::Staged)
            .then(|| Staging { shares_permille: vec![500, 100, 0], step_ms: (lasts_ms / 8).clamp(1_000, 60_000) });
        self.coverage.met(match word {
            Word::Drain => Met::Drains,
            Word::Staged => Met::StagedDrains,
            Word::Keep => Met::KeptIn,
        });
        self.ask(Command::SetOverride {
            subject,
            action,
            reason: "simulated".into(),
            who: "somebody".into(),
            lasts_ms,
            second: None,
            staging,
            demand_rps: Demand::new(),
        });
    }

    pub(super) fn take_back(&mut self, region: u16) {
        let subject = Subject::Region(region_name(usize::from(region) - 1));
        self.ask(Command::ClearOverride { subject, reason: "simulated".into(), who: "somebody".into() });
    }

    /// Somebody asks some member, which stamps the request with its own clock and passes it to the leader.
    fn ask(&mut self, command: Command) {
        self.truth.trouble.touch(self.now_ms);
        let Some(leader) = self.log.leader else { return };
        let joined = |member: &usize| self.lives[*member].is_alive && self.paths.are_joined(*member, leader);
        let members: Vec<usize> = (0..self.lives.len()).filter(joined).collect();
        if members.is_empty() {
            return;
        }
        let member = *self.luck.pick(&members);
        let request = Request::new(self.log.name(), self.now(member).wall_ms, region_name(member), command);
        self.propose(request, Judged::default(), None);
    }

    /// What was said in words is in force: it must end in time.
    pub(super) fn note_word(&mut self, command: &Command, plan: &Arc<Plan>) {
        let Command::SetOverride { subject, lasts_ms, .. } = command else { return };
        if let Some(word) = plan.override_on(subject) {
            let at_ms = self.now_ms + lasts_ms + ENDED_WITHIN_MS + self.bound_ms;
            self.queue.plan(at_ms, Event::LookAtWord { subject: subject.clone(), set_at_ms: word.set_at_ms });
        }
    }

    pub(super) fn look_at_word(&mut self, subject: Subject, set_at_ms: u64) -> Result<(), Violation> {
        let Some(plan) = self.ledger.last() else { return Ok(()) };
        let holds = plan.override_on(&subject).is_some_and(|word| word.set_at_ms == set_at_ms);
        if !holds || self.ledger.clocks_stepped {
            return Ok(());
        }
        let trouble_ms = self.truth.trouble.last_ms(self.now_ms) + self.bound_ms + ENDED_WITHIN_MS;
        if self.log.leader.is_none() || trouble_ms > self.now_ms || Ledger::must_stay(plan, &subject) {
            self.queue.plan(trouble_ms.max(self.now_ms + 5_000), Event::LookAtWord { subject, set_at_ms });
            return Ok(());
        }
        Err(Violation::new(Rule::OverridesEnd, format!("the word on {subject} outlives its end")))
    }

    pub(super) fn go_wrong(&mut self, rogue: Rogue) {
        let (Some(leader), Some(plan)) = (self.log.leader, self.ledger.last().cloned()) else { return };
        match rogue {
            Rogue::Again => {
                let from = self.log.entries.len().saturating_sub(3);
                let again: Vec<Arc<Request>> = self.log.entries[from..].iter().map(|e| e.request.clone()).collect();
                self.coverage.met(Met::Duplicates);
                again.into_iter().for_each(|request| self.propose((*request).clone(), Judged::default(), None));
            }
            Rogue::Stale => {
                let is_fall = |command: &Command| matches!(command, Command::Decide { changes, .. } if changes.iter().any(|c| c.to == Verdict::Down));
                let last = self.log.entries.iter().rev().find(|entry| is_fall(&entry.request.command));
                let Some(command) = last.map(|entry| entry.request.command.clone()) else { return };
                self.coverage.met(Met::StaleRequests);
                self.forge(leader, command);
            }
            Rogue::TooFew => {
                let living: Vec<usize> = (0..self.lives.len()).filter(|r| self.lives[*r].is_alive).collect();
                let about = *self.luck.pick(&living);
                let down = |seen: usize| if seen == 0 { Vote::Down } else { Vote::Unknown };
                self.forge_falls(leader, &plan, &[about], down);
            }
            Rogue::All => {
                let all: Vec<usize> = (0..self.lives.len()).collect();
                self.forge_falls(leader, &plan, &all, |_| Vote::Down);
            }
        }
    }

    fn forge_falls(&mut self, leader: usize, plan: &Plan, about: &[usize], vote: impl Fn(usize) -> Vote) {
        self.coverage.met(Met::ForgedRequests);
        let change = |region: &usize| {
            let subject = Subject::Region(region_name(*region));
            let others = (0..self.lives.len()).filter(|other| other != region).enumerate();
            let votes: BTreeMap<_, _> = others.map(|(n, other)| (region_name(other), vote(n))).collect();
            let from = plan.verdicts.get(&subject)?.verdict;
            let evidence = Evidence {
                qualified: votes.len(),
                needed: votes.len(),
                votes,
                first_probe_ms: None,
                quorum_at_ms: 0,
                demand_rps: Demand::new(),
            };
            (from != Verdict::Down).then_some(Change { subject, from, to: Verdict::Down, evidence })
        };
        let changes: Vec<Change> = about.iter().filter_map(change).collect();
        // What everybody says of one region that no human has a word on, no guard can tell from the truth.
        let free = changes.iter().filter(|change| plan.override_on(&change.subject).is_none()).count();
        let is_said_by_all =
            changes.iter().all(|change| change.evidence.votes.values().all(|vote| *vote == Vote::Down));
        if changes.is_empty() || (is_said_by_all && free < 2) {
            return;
        }
        let now_ms = self.now(leader).wall_ms;
        self.forge(leader, Command::Decide { based_on: plan.id, changes, falling: BTreeMap::new(), now_ms });
    }

    fn forge(&mut self, leader: usize, command: Command) {
        self.truth.trouble.touch(self.now_ms);
        let Command::Decide { changes, .. } = &command else { return };
        let wrong = changes.iter().filter_map(|change| Some((change.subject.clone(), self.is_wrong(leader, change)?)));
        let judged = Judged { wrong: wrong.collect() };
        let request = Request::new(self.log.name(), self.now(leader).wall_ms, region_name(leader), command);
        self.propose(request, judged, None);
    }

    /// Counts what became of an entry.
    pub(super) fn count_outcome(&mut self, command: &Command, outcome: &Outcome) {
        use decision::Refusal;
        match outcome {
            Outcome::Refused(refusal) => {
                self.coverage.met(match refusal {
                    _ if matches!(command, Command::SetOverride { .. } | Command::ClearOverride { .. }) => {
                        Met::PeopleRefused
                    }
                    Refusal::Stale { .. } | Refusal::OtherLineage { .. } => Met::HeldByFence,
                    Refusal::LastMember { .. } | Refusal::LastAddress { .. } => Met::HeldAsLast,
                    _ => Met::Refused,
                });
            }
            Outcome::Applied(_) => match command {
                Command::Advance { .. } => self.coverage.met(Met::Ramps),
                Command::ExpireOverrides { .. } => self.coverage.met(Met::Expired),
                Command::ClearOverride { .. } => self.coverage.met(Met::TakenBack),
                _ => {}
            },
            Outcome::Unchanged(_) => {}
        }
    }
}
