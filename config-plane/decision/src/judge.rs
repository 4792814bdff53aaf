//! The leader's machine: from votes to proposals. Fast out, slow in, together, and never what a guard would refuse.
//!
//! ```text
//!              quorum for another verdict        it stood for the hold          guards say yes, on a copy
//!   steady ─────────────────────────────→ leaning ───────────────────→ due ─────────────────────────────→ proposed
//!     ↑                                      │                          │ guards say no: held back, silently
//!     └────────── quorum gone ───────────────┴──────────────────────────┘
//! ```
//!
//! - Too few observers with an opinion (*blind*) freezes a subject: a verdict that was right beats a guess.
//! - A due Down waits one hold at most for another subject that is brewing, so that regions that fall together are decided together.
//! - Every plane member runs a judge on the same votes; only the leader's proposes. A new leader has seen what the old one saw.
//! - One proposal is under way at a time. After a refusal or a lost answer the judge waits, twice as long each time, or until a
//!   new Plan comes: no storm.

mod standing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use model::{Evidence, Plan, PlanId, RegionName, Subject, Verdict, VoteVector};

use crate::{
    Change, Command, Now, Outcome, Refusal, Tally, Timing, VoteBook,
    guards::{self, expirable},
};

pub use standing::Standing;

/// What a judge is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An observer's votes.
    Votes(VoteVector),
    /// A Plan in force. Older ones than the one held are ignored.
    Plan(Arc<Plan>),
    /// Whether this member leads.
    Leading(bool),
    /// What became of the proposal under way; `None` if nobody knows.
    Answered(Option<Outcome>),
    /// Nothing but the time, because of [`Judge::wake_at`].
    Tick,
}

/// The leader's machine. A copy of it answers "what if".
#[derive(Debug, Clone, Default)]
pub struct Judge {
    book: VoteBook,
    plan: Option<Arc<Plan>>,
    leading: bool,
    leanings: BTreeMap<Subject, Leaning>,
    held_back: BTreeMap<Subject, Refusal>,
    under_way: Option<UnderWay>,
    /// Refused or lost proposals in a row since the Plan last changed.
    setbacks: u32,
    /// No proposal before this, monotonic milliseconds.
    quiet_until_ms: u64,
    outputs: VecDeque<Command>,
    wake_at_ms: Option<u64>,
}

#[derive(Debug, Clone)]
struct Leaning {
    to: Verdict,
    since: Now,
    hold_ms: u64,
    tally: Tally,
}

impl Leaning {
    fn due_ms(&self) -> u64 {
        self.since.mono_ms.saturating_add(self.hold_ms)
    }
}

#[derive(Debug, Clone)]
struct UnderWay {
    /// The Plan that must be seen before the next proposal, once it is known.
    made: Option<PlanId>,
    /// When to stop waiting, monotonic milliseconds.
    until_ms: u64,
}

impl Judge {
    /// A proposal without an answer is given up after this long, milliseconds: beyond any election.
    const PATIENCE_MS: u64 = 5000;
    /// The first pause after a setback, milliseconds; doubled each time.
    const PAUSE_MS: u64 = 500;
    /// The longest pause, milliseconds.
    const PAUSE_MAX_MS: u64 = 30_000;

    /// A judge that has seen nothing and does not lead.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an input at a time, and looks at everything again.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Votes(vector) => self.take_votes(now, vector),
            Input::Plan(plan) => self.take_plan(plan),
            Input::Leading(leading) => {
                if leading != self.leading {
                    self.leading = leading;
                    self.outputs.clear();
                    self.under_way = None;
                    self.setbacks = 0;
                    self.quiet_until_ms = 0;
                }
            }
            Input::Answered(outcome) => self.take_answer(now, outcome.as_ref()),
            Input::Tick => {}
        }
        self.evaluate(now);
    }

    /// A command to propose, if there is one.
    pub fn next_output(&mut self) -> Option<Command> {
        self.outputs.pop_front()
    }

    /// When to call again with [`Input::Tick`] at the latest, monotonic milliseconds. Always later than the last `now`.
    pub fn wake_at(&self) -> Option<u64> {
        self.wake_at_ms
    }

    /// The Plan it judges by.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The votes it holds.
    pub fn votes(&self) -> &VoteBook {
        &self.book
    }

    fn take_votes(&mut self, now: Now, vector: VoteVector) {
        // Without a Plan nobody is known to be an observer, so nothing is kept: what is held is bounded by the World.
        let Some(plan) = &self.plan else { return };
        if plan.world.region(&vector.observer).is_some() {
            self.book.offer(now.mono_ms, Timing::of_world(&plan.world).vote_life_ms, vector);
        }
    }

    fn take_plan(&mut self, plan: Arc<Plan>) {
        if self.plan.as_ref().is_some_and(|held| held.id >= plan.id) {
            return;
        }
        self.book.retain(&observers_of(&plan));
        self.leanings.retain(|subject, _| plan.verdicts.contains_key(subject));
        if self.under_way.as_ref().is_some_and(|way| way.made.is_some_and(|made| made <= plan.id)) {
            self.under_way = None;
        }
        self.setbacks = 0;
        self.quiet_until_ms = 0;
        self.plan = Some(plan);
    }

    fn take_answer(&mut self, now: Now, outcome: Option<&Outcome>) {
        let Some(way) = &mut self.under_way else { return };
        let held = self.plan.as_ref().map(|plan| plan.id);
        match outcome {
            Some(Outcome::Applied(id)) if held < Some(*id) => way.made = Some(*id),
            Some(Outcome::Applied(_)) => self.under_way = None,
            // Overtaken by a Plan that is here already: look again at once.
            Some(Outcome::Refused(Refusal::Stale { current, .. })) if held >= Some(*current) => self.under_way = None,
            Some(Outcome::Unchanged(_) | Outcome::Refused(_)) | None => self.set_back(now),
        }
    }

    fn set_back(&mut self, now: Now) {
        self.under_way = None;
        let pause = Self::PAUSE_MS.saturating_mul(1 << self.setbacks.min(10)).min(Self::PAUSE_MAX_MS);
        self.setbacks = self.setbacks.saturating_add(1);
        self.quiet_until_ms = now.mono_ms.saturating_add(pause);
    }

    fn evaluate(&mut self, now: Now) {
        self.wake_at_ms = None;
        let Some(plan) = self.plan.clone() else { return };
        let timing = Timing::of_world(&plan.world);
        let brewing = self.weigh(now, &plan, &timing);
        if !self.leading {
            return;
        }
        if self.under_way.as_ref().is_some_and(|way| way.until_ms <= now.mono_ms) {
            self.set_back(now);
        }
        let blocked_until = self.under_way.as_ref().map_or(self.quiet_until_ms, |way| way.until_ms);
        if blocked_until > now.mono_ms {
            self.wake_at_ms = Some(blocked_until);
            return;
        }
        self.propose(now, &plan, &timing, brewing);
    }

    /// Updates what every subject leans to. Returns whether some subject is on its way to Down without being due.
    fn weigh(&mut self, now: Now, plan: &Plan, timing: &Timing) -> bool {
        let observers = observers_of(plan);
        let mut brewing = false;
        for (subject, state) in &plan.verdicts {
            let tally = self.book.tally(now.mono_ms, timing.vote_life_ms, &observers, subject);
            brewing |= state.verdict != Verdict::Down && tally.is_suspect();
            let Some(to) = tally.wants().filter(|to| *to != state.verdict) else {
                self.leanings.remove(subject);
                self.held_back.remove(subject);
                continue;
            };
            let since = self.leanings.get(subject).filter(|leaning| leaning.to == to).map_or(now, |l| l.since);
            let hold_ms = match to {
                Verdict::Down => timing.hold_ms,
                _ => timing.up_hold_after(flaps(plan, subject, now.wall_ms)),
            };
            let leaning = Leaning { to, since, hold_ms, tally };
            brewing |= to == Verdict::Down && leaning.due_ms() > now.mono_ms;
            self.leanings.insert(subject.clone(), leaning);
        }
        brewing
    }

    fn propose(&mut self, now: Now, plan: &Plan, timing: &Timing, brewing: bool) {
        self.held_back.clear();
        let together_ms = self.together_ms(now, timing, brewing);
        if together_ms.is_none_or(|at| at <= now.mono_ms) {
            let changes = self.admissible(now, plan);
            if !changes.is_empty() {
                return self.put_under_way(now, Command::Decide { based_on: plan.id, changes });
            }
        }
        if !expirable(plan, now.wall_ms).is_empty() {
            return self.put_under_way(now, Command::ExpireOverrides { now_ms: now.wall_ms });
        }
        let dues = self.leanings.values().map(Leaning::due_ms);
        let expiries =
            plan.overrides.iter().map(|o| now.mono_ms.saturating_add(o.expires_at_ms.saturating_sub(now.wall_ms)));
        self.wake_at_ms = dues.chain(expiries).chain(together_ms).filter(|at| *at > now.mono_ms).min();
    }

    /// Until when a due Down waits for what is brewing; none if nothing waits.
    fn together_ms(&self, now: Now, timing: &Timing, brewing: bool) -> Option<u64> {
        let downs = self.leanings.values().filter(|leaning| leaning.to == Verdict::Down);
        let first_due = downs.map(Leaning::due_ms).filter(|due| *due <= now.mono_ms).min()?;
        brewing.then(|| first_due.saturating_add(timing.hold_ms))
    }

    /// The due changes that the guards let through together: returns first, since they can only widen a pool.
    fn admissible(&mut self, now: Now, plan: &Plan) -> Vec<Change> {
        let mut due: Vec<(&Subject, &Leaning)> =
            self.leanings.iter().filter(|(_, leaning)| leaning.due_ms() <= now.mono_ms).collect();
        due.sort_by_key(|(_, leaning)| leaning.to == Verdict::Down);
        let mut changes = Vec::new();
        for (subject, leaning) in due {
            let Some(state) = plan.verdicts.get(subject) else { continue };
            changes.push(change(subject, state.verdict, leaning));
            if let Err(refusal) = guards::check_change(plan, &changes) {
                changes.pop();
                self.held_back.insert(subject.clone(), refusal);
            }
        }
        changes
    }

    fn put_under_way(&mut self, now: Now, command: Command) {
        let until_ms = now.mono_ms.saturating_add(Self::PATIENCE_MS);
        self.outputs.push_back(command);
        self.under_way = Some(UnderWay { made: None, until_ms });
        self.wake_at_ms = Some(until_ms);
    }
}

fn change(subject: &Subject, from: Verdict, leaning: &Leaning) -> Change {
    let tally = &leaning.tally;
    Change {
        subject: subject.clone(),
        from,
        to: leaning.to,
        evidence: Evidence {
            votes: tally.votes.clone(),
            needed: tally.high(),
            qualified: tally.qualified,
            first_probe_ms: tally.first_probe_ms,
            quorum_at_ms: leaning.since.wall_ms,
            demand_rps: BTreeMap::new(),
        },
    }
}

fn observers_of(plan: &Plan) -> BTreeSet<RegionName> {
    plan.world.regions.iter().map(|region| region.name.clone()).collect()
}

/// How often a subject went Down lately, beyond the first time. Read from the Plan, so that every leader counts alike.
fn flaps(plan: &Plan, subject: &Subject, wall_ms: u64) -> u32 {
    let recent = plan.decisions.iter().filter(|decision| {
        decision.subject == *subject
            && decision.to == Verdict::Down
            && wall_ms.saturating_sub(decision.proposed_at_ms) <= Timing::FLAP_WINDOW_MS
    });
    u32::try_from(recent.count()).unwrap_or(u32::MAX).saturating_sub(1)
}

#[cfg(test)]
mod tests;
