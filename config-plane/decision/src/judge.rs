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
//! - A due Down waits one hold at most for another subject that is brewing, so that regions that fall together are looked at
//!   together.
//! - A member of a pool is not judged while its region is Down or about to be: it died with it, and one decision takes it out of
//!   every pool.
//! - Views that began apart are not one event. A quorum that observers had waited for with lasting views of their own, and that one
//!   new view completes, must stand for longer: a path may be bad for hours, and any chance failure of another one would do. The view of
//!   an observer that has only just begun to look completes it at once: whoever comes back next to a dead region finds it dead.
//! - Three speeds: out after a hold, to less weight after a longer one, back after the longest, which doubles with each flap.
//! - Every plane member runs a judge on the same votes; only the leader's proposes. A new leader has seen what the old one saw.
//! - One proposal is under way at a time. After a lost answer the judge waits for a moment, after a refusal twice as long each time, or
//!   until a new Plan comes: no storm.

mod proposing;
mod standing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use model::{Plan, PlanId, RegionName, Subject, SubjectState, Verdict, Vote, VoteVector};

use crate::{Command, Demand, Now, Outcome, Penalty, Refusal, Tally, Timing, VoteBook, pace::Pace, votes::Counting};

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
    /// Since when each observer has seen each subject fail that it calls Down, monotonic milliseconds.
    blamed_ms: BTreeMap<Subject, BTreeMap<RegionName, u64>>,
    /// When a quorum first saw each subject fall that has not been seen to stand since, Unix milliseconds. What nobody has an
    /// opinion of for a moment has not risen: common mode asks when regions fell, not since when they are seen.
    fell_ms: BTreeMap<Subject, u64>,
    /// When a Plan came that first held each subject out, Unix milliseconds, of what this judge saw being taken out. What a dying
    /// leader proposed may be committed by the next one, minutes later and with its old time.
    out_ms: BTreeMap<Subject, u64>,
    held_back: BTreeMap<Subject, Refusal>,
    under_way: Option<UnderWay>,
    /// Refused proposals in a row since the Plan last changed.
    setbacks: u32,
    /// No proposal before this, monotonic milliseconds.
    quiet_until_ms: u64,
    /// Steps that a guard halts are looked at again at this time, monotonic milliseconds.
    steps_again_ms: u64,
    pace: Pace,
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
    /// The pause after an answer that was lost, and the first one after a refusal, milliseconds.
    const PAUSE_MS: u64 = 500;
    /// The longest pause after refusals, milliseconds.
    const PAUSE_MAX_MS: u64 = 30_000;
    /// From one look at steps that are halted to the next, milliseconds.
    const STEPS_PAUSE_MS: u64 = 500;

    /// A judge that has seen nothing and does not lead.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an input at a time, and looks at everything again.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Votes(vector) => self.take_votes(now, vector),
            Input::Plan(plan) => self.take_plan(now, plan),
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

    /// What users ask of the regions now, as far as the votes tell: for a human's drain ([`Command::SetOverride`]).
    pub fn demand(&self) -> Demand {
        self.plan.as_ref().map(|plan| self.book.demand(plan)).unwrap_or_default()
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

    fn take_plan(&mut self, now: Now, plan: Arc<Plan>) {
        if self.plan.as_ref().is_some_and(|held| held.id >= plan.id) {
            return;
        }
        self.note_removals(now, &plan);
        self.book.retain(&observers_of(&plan));
        self.leanings.retain(|subject, _| plan.verdicts.contains_key(subject));
        self.fell_ms.retain(|subject, _| plan.verdicts.contains_key(subject));
        self.blamed_ms.retain(|subject, _| plan.verdicts.contains_key(subject));
        if self.under_way.as_ref().is_some_and(|way| way.made.is_some_and(|made| made <= plan.id)) {
            self.under_way = None;
        }
        self.setbacks = 0;
        self.quiet_until_ms = 0;
        self.plan = Some(plan);
    }

    fn note_removals(&mut self, now: Now, plan: &Plan) {
        let wall_ms = self.pace.now_ms(now);
        let is_out = |plan: &Plan, subject: &Subject| {
            plan.verdicts.get(subject).is_some_and(|state| state.verdict == Verdict::Down)
        };
        self.out_ms.retain(|subject, _| is_out(plan, subject));
        let Some(before) = &self.plan else { return };
        let taken = plan.verdicts.keys().filter(|subject| is_out(plan, subject) && !is_out(before, subject));
        self.out_ms.extend(taken.map(|subject| (subject.clone(), wall_ms)));
    }

    fn take_answer(&mut self, now: Now, outcome: Option<&Outcome>) {
        let Some(way) = &mut self.under_way else { return };
        let held = self.plan.as_ref().map(|plan| plan.id);
        match outcome {
            Some(Outcome::Applied(id)) if held < Some(*id) => way.made = Some(*id),
            Some(Outcome::Applied(_)) => self.under_way = None,
            // Overtaken by a Plan that is here already: look again at once.
            Some(Outcome::Refused(Refusal::Stale { current, .. })) if held >= Some(*current) => self.under_way = None,
            Some(Outcome::Unchanged(_) | Outcome::Refused(_)) => self.set_back(now),
            None => self.lose(now),
        }
    }

    /// Nobody knows what became of the proposal. The pause does not grow: a leader without a quorum goes on leading and gets no
    /// answers, nobody tells it when the quorum is back, and what is due then shall not wait. An answer took seconds to be lost.
    fn lose(&mut self, now: Now) {
        self.under_way = None;
        self.quiet_until_ms = now.mono_ms.saturating_add(Self::PAUSE_MS);
    }

    fn set_back(&mut self, now: Now) {
        self.under_way = None;
        let pause = Self::PAUSE_MS.saturating_mul(1 << self.setbacks.min(10)).min(Self::PAUSE_MAX_MS);
        self.setbacks = self.setbacks.saturating_add(1);
        self.quiet_until_ms = now.mono_ms.saturating_add(pause);
    }

    fn evaluate(&mut self, now: Now) {
        self.wake_at_ms = None;
        let now = Now { wall_ms: self.pace.now_ms(now), ..now };
        let Some(plan) = self.plan.clone() else { return };
        let timing = Timing::of_world(&plan.world);
        let brewing = self.weigh(now, &plan, &timing);
        if !self.leading {
            return;
        }
        if self.under_way.as_ref().is_some_and(|way| way.until_ms <= now.mono_ms) {
            self.lose(now);
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
        let counting = self.book.counting(now.mono_ms, timing.vote_life_ms, &observers);
        let mut brewing = false;
        // Regions come before members in the order of subjects.
        let mut dying = BTreeSet::new();
        for (subject, state) in &plan.verdicts {
            let tally = counting.tally(subject);
            let blamed_ms = note_blame(&mut self.blamed_ms, now.mono_ms, &counting, subject, &tally);
            let rests_on_one = rests_on_one(&blamed_ms, timing.apart_ms);
            let dies_with_region = subject.pool().is_some() && dying.contains(subject.region());
            let wanted = tally.wants(state.verdict).filter(|_| !dies_with_region);
            if subject.pool().is_none() && (wanted.unwrap_or(state.verdict)) == Verdict::Down {
                dying.insert(subject.region());
            }
            brewing |= state.verdict != Verdict::Down && !dies_with_region && tally.is_suspect();
            if wanted == Some(Verdict::Down) {
                self.fell_ms.entry(subject.clone()).or_insert(now.wall_ms);
            } else if state.verdict == Verdict::Down || !(tally.is_blind() || tally.is_suspect()) {
                self.fell_ms.remove(subject);
            }
            let Some(to) = wanted else {
                self.leanings.remove(subject);
                self.held_back.remove(subject);
                continue;
            };
            let since = self.leanings.get(subject).filter(|leaning| leaning.to == to).map_or(now, |l| l.since);
            let hold_ms = match to {
                Verdict::Down if rests_on_one => timing.split_hold_ms,
                _ => hold_ms(timing, state, to, now),
            };
            let leaning = Leaning { to, since, hold_ms, tally };
            brewing |= to == Verdict::Down && leaning.due_ms() > now.mono_ms;
            self.leanings.insert(subject.clone(), leaning);
        }
        brewing
    }
}

/// An observer that calls a subject Down.
#[derive(Debug, Clone, Copy)]
struct Blamer {
    /// Since when it has seen it fail, monotonic milliseconds of the judge.
    since_ms: u64,
    saw_it_fall: bool,
}

/// Notes who calls a subject Down, and tells it. Who has no opinion for a moment has not changed it.
///
/// A view is as old as its observer says: behind a cut it may have been held for minutes before it was heard here.
fn note_blame(
    blamed_ms: &mut BTreeMap<Subject, BTreeMap<RegionName, u64>>,
    now_ms: u64,
    counting: &Counting<'_>,
    subject: &Subject,
    tally: &Tally,
) -> Vec<Blamer> {
    if tally.down == 0 && !blamed_ms.contains_key(subject) {
        return Vec::new();
    }
    let since_ms = blamed_ms.entry(subject.clone()).or_default();
    let mut blamers = Vec::with_capacity(tally.down);
    for (observer, vote) in &tally.votes {
        match vote {
            Vote::Down => blamers.push(Blamer {
                since_ms: *since_ms
                    .entry(observer.clone())
                    .or_insert_with(|| now_ms.saturating_sub(counting.failing_for_ms(observer, subject))),
                saw_it_fall: counting.saw_it_fall(observer, subject),
            }),
            Vote::Unknown => {}
            Vote::Up | Vote::Degraded => _ = since_ms.remove(observer),
        }
    }
    if since_ms.is_empty() {
        blamed_ms.remove(subject);
    }
    blamers
}

/// Whether only one of those who call a subject Down began to within `apart_ms`, and others long before: what the old views are of is
/// no event of now, and the new one stands alone. Unless it is new because its observer is: then nothing fell that had stood.
fn rests_on_one(blamers: &[Blamer], apart_ms: u64) -> bool {
    let last_ms = blamers.iter().map(|blamer| blamer.since_ms).max().unwrap_or(0);
    let mut new = blamers.iter().filter(|blamer| last_ms - blamer.since_ms <= apart_ms);
    blamers.len() > 1 && new.next().is_some_and(|blamer| blamer.saw_it_fall) && new.next().is_none()
}

/// How long a quorum must stand before it is acted on.
fn hold_ms(timing: &Timing, state: &SubjectState, to: Verdict, now: Now) -> u64 {
    match (state.verdict, to) {
        (_, Verdict::Down) => timing.hold_ms,
        (Verdict::Down, _) => timing.up_hold_after(Penalty::of(state, now.wall_ms).flaps()),
        (_, Verdict::Degraded) => timing.degraded_hold_ms,
        (_, Verdict::Up) => timing.up_hold_ms,
    }
}

fn observers_of(plan: &Plan) -> BTreeSet<RegionName> {
    plan.world.regions.iter().map(|region| region.name.clone()).collect()
}

#[cfg(test)]
mod tests;
