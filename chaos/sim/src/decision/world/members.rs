//! The plane's members: a judge and a state machine each, as `config-plane/server/src/judging.rs` runs them.
//!
//! A judge looks at everything again with each vote. Where nothing but calm letters (Up, Unknown) has reached it since its last
//! look, every verdict is Up and it has nothing planned, that look changes nothing but when and with which number it last heard
//! each observer. Such a *calm* judge is not told at once: the newest letter of each observer is set aside with the moment of its
//! arrival, and told at that moment before the judge is told anything else. A test runs seeds both ways and wants equal traces.

use std::sync::Arc;

use decision::{Change, Command, Input, Judge, Now, Outcome, PlaneState};
use model::{Plan, Verdict, Vote};

use super::{Event, World, post::Letter};
use crate::decision::{
    oracle::{Judged, Rule, Violation, shown},
    plant::Plant,
    shape::region_name,
};

/// One region's member of the plane.
pub(crate) struct Member {
    pub(crate) judge: Judge,
    pub(crate) state: PlaneState,
    /// How many entries of the log it has applied.
    pub(crate) applied: usize,
    /// It believes that it leads.
    pub(crate) leads: bool,
    /// The newest Plan that it published.
    pub(crate) published: Option<Arc<Plan>>,
    is_calm: bool,
    /// By observer: when a vote of its was last told to the judge.
    heard_ms: Vec<Option<u64>>,
    /// By observer: whether the last letter told to the judge was calm.
    told_calm: Vec<bool>,
    /// By observer: the letters set aside, the one before and the newest, with their arrival.
    aside: Vec<[Option<(u64, Letter)>; 2]>,
    /// When the judge last looked.
    looked_ms: u64,
    woken_ms: Option<u64>,
    /// Until then its clock is not what it was before.
    unsettled_until_ms: u64,
}

/// A calm judge looks at least this often, milliseconds, so that a drifting clock is followed as in life.
const LOOK_MS: u64 = 60_000;
/// So long after a step of the clock the judge has made up its mind about it, milliseconds.
const SETTLED_MS: u64 = 700_000;

impl Member {
    pub(crate) fn new(regions: usize) -> Self {
        Self {
            judge: Judge::new(),
            state: PlaneState::new(),
            applied: 0,
            leads: false,
            published: None,
            is_calm: false,
            heard_ms: vec![None; regions],
            told_calm: vec![true; regions],
            aside: vec![[None, None]; regions],
            looked_ms: 0,
            woken_ms: None,
            unsettled_until_ms: 0,
        }
    }

    /// A process that starts with the state that the one before left behind.
    pub(crate) fn restarted(&mut self, state: PlaneState) {
        let regions = self.told_calm.len();
        *self = Self { state, applied: self.applied, published: self.published.take(), ..Self::new(regions) };
    }
}

impl World<'_> {
    /// Both clocks of a region.
    pub(super) fn now(&self, region: usize) -> Now {
        self.now_at(region, self.now_ms)
    }

    fn now_at(&self, region: usize, at_ms: u64) -> Now {
        let pace = if self.plant == Some(Plant::HastyClock) { 3 } else { 1 };
        Now { mono_ms: at_ms, wall_ms: self.clocks[region].wall_ms(at_ms * pace) }
    }

    /// Takes a letter that will arrive at `at_ms` off the queue's hands, if the judge is calm about it.
    pub(super) fn set_aside(&mut self, from: usize, to: usize, at_ms: u64, letter: &Letter) -> bool {
        let now_ms = self.now_ms;
        let member = &mut self.members[to];
        if self.eager || !member.is_calm || !letter.is_calm || at_ms > member.looked_ms + LOOK_MS {
            return false;
        }
        let aside = &mut member.aside[from];
        if aside[1].as_ref().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            aside[0] = aside[1].take();
        }
        if aside[1].is_some() {
            return false;
        }
        aside[1] = Some((at_ms, letter.clone()));
        true
    }

    pub(super) fn arrive(&mut self, from: usize, to: usize, letter: &Letter) -> Result<(), Violation> {
        if !self.lives[to].is_alive || (from == to && self.set_aside(from, to, self.now_ms, letter)) {
            return Ok(());
        }
        self.members[to].told_calm[from] = letter.is_calm;
        self.members[to].heard_ms[from] = Some(self.now_ms);
        self.tell(to, Input::Votes(self.tampered(letter)))?;
        self.tamper_after(from, to, letter)
    }

    /// Tells a judge something, after everything that it should have heard before.
    pub(super) fn tell(&mut self, region: usize, input: Input) -> Result<(), Violation> {
        self.catch_up(region);
        let now = self.now(region);
        self.members[region].judge.handle(now, input);
        self.listen(region)
    }

    /// Brings what was set aside to the judge, each letter at its own moment.
    pub(super) fn catch_up(&mut self, region: usize) {
        self.members[region].is_calm = false;
        let mut due: Vec<(u64, usize, Letter)> = Vec::new();
        for from in 0..self.lives.len() {
            for (at_ms, letter) in std::mem::take(&mut self.members[region].aside[from]).into_iter().flatten() {
                if at_ms > self.now_ms {
                    self.queue.plan(at_ms, Event::Arrive { from, to: region, letter });
                } else {
                    due.push((at_ms, from, letter));
                }
            }
        }
        due.sort_by_key(|(at_ms, ..)| *at_ms);
        for (at_ms, from, letter) in due {
            self.members[region].heard_ms[from] = Some(at_ms);
            let now = self.now_at(region, at_ms);
            self.members[region].judge.handle(now, Input::Votes(letter.open()));
        }
    }

    /// The clock is about to step.
    pub(super) fn unsettle(&mut self, region: usize) {
        self.catch_up(region);
        self.members[region].unsettled_until_ms = self.now_ms + SETTLED_MS;
    }

    /// What a judge wants after it has looked.
    fn listen(&mut self, region: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        self.members[region].looked_ms = now_ms;
        while let Some(command) = self.members[region].judge.next_output() {
            let judged = self.judged(region, &command);
            self.propose_of_judge(region, command, judged);
        }
        let wake_ms = self.members[region].judge.wake_at();
        if let Some(at_ms) = wake_ms {
            if at_ms <= now_ms {
                let what = format!("judge {} wants to be woken at {at_ms} ms", region + 1);
                return Err(Violation::new(Rule::FallsAreDecidedInTime, what));
            }
            if self.members[region].woken_ms != Some(at_ms) {
                self.members[region].woken_ms = Some(at_ms);
                self.queue.plan(at_ms, Event::Wake { region, life: self.lives[region].number });
            }
        }
        let member = &mut self.members[region];
        let all_up = |plan: &Arc<Plan>| plan.verdicts.values().all(|state| state.verdict == Verdict::Up);
        member.is_calm = wake_ms.is_none()
            && member.told_calm.iter().all(|calm| *calm)
            && member.unsettled_until_ms < now_ms
            && member.judge.plan().is_some_and(all_up);
        Ok(())
    }

    pub(super) fn wake(&mut self, region: usize, life: u64) -> Result<(), Violation> {
        let is_due = self.members[region].judge.wake_at().is_some_and(|at_ms| at_ms <= self.now_ms);
        if self.is_living(region, life) && is_due {
            self.members[region].woken_ms = None;
            return self.tell(region, Input::Tick);
        }
        Ok(())
    }

    /// What the truth has to say of a proposal.
    fn judged(&self, region: usize, command: &Command) -> Judged {
        let Command::Decide { changes, .. } = command else { return Judged::default() };
        let wrong = |change: &Change| Some((change.subject.clone(), self.is_wrong(region, change)?));
        Judged { wrong: changes.iter().filter_map(wrong).collect() }
    }

    /// Which promise a change breaks.
    pub(super) fn is_wrong(&self, proposer: usize, change: &Change) -> Option<Rule> {
        let subject = self.subjects.iter().position(|watched| watched.subject == change.subject)?;
        if change.to < change.from {
            let is_dead = change.from == Verdict::Down && self.truth.is_surely_dead(self.now_ms, subject);
            return is_dead.then_some(Rule::NoFlaps);
        }
        let also_poor = change.to == Verdict::Degraded;
        let heard: Vec<bool> = (0..self.lives.len()).map(|observer| self.hears(proposer, observer)).collect();
        if self.truth.may_fall(self.now_ms, (proposer, &heard), subject, also_poor) {
            return None;
        }
        let (blame, vouch) = self.truth.views(self.now_ms, (proposer, &heard), subject, also_poor);
        Some(match (blame, vouch) {
            (1, _) => Rule::OneFalseViewChangesNothing,
            (0, vouch) if vouch + 1 < self.lives.len() => Rule::LostObserversChangeNothing,
            _ => Rule::NoFalseFailover,
        })
    }

    /// Whether a vote of an observer has reached a member within the life of a vote.
    fn hears(&self, member: usize, observer: usize) -> bool {
        let member = &self.members[member];
        let aside = member.aside[observer].iter().flatten().map(|(at_ms, _)| *at_ms);
        let newest_ms = aside.filter(|at_ms| *at_ms <= self.now_ms).chain(member.heard_ms[observer]).max();
        newest_ms.is_some_and(|at_ms| self.now_ms - at_ms <= self.timing.vote_life_ms)
    }

    /// A member applies the log up to an entry.
    pub(super) fn learn(&mut self, region: usize, upto: usize) -> Result<(), Violation> {
        if !self.lives[region].is_alive {
            return Ok(());
        }
        while self.members[region].applied < upto.min(self.log.entries.len()) {
            let at = self.members[region].applied;
            let (index, request) = (self.log.entries[at].index, self.log.entries[at].request.clone());
            let member = &mut self.members[region];
            let request = tampered_request(self.plant, region, member.state.plan(), request);
            let mut outcome = member.state.apply(index, &request);
            member.applied += 1;
            let forged = if self.plant == Some(Plant::TakeTheLast) {
                forged(&request.command, &outcome, index, member)
            } else {
                None
            };
            let plan = forged.or_else(|| member.state.plan().cloned());
            let Some(plan) = plan else { continue };
            if plan.id.version == index {
                outcome = Outcome::Applied(plan.id);
            }
            self.applied(region, at, &outcome, &plan)?;
        }
        Ok(())
    }

    /// Every member comes to the same end; the first one to do so tells the story.
    fn applied(&mut self, region: usize, at: usize, outcome: &Outcome, plan: &Arc<Plan>) -> Result<(), Violation> {
        let is_new = self.members[region].published.as_ref().is_none_or(|held| held.id != plan.id);
        match &self.log.entries[at].end {
            Some((first, made)) if first != outcome || made != plan => {
                let what = format!("entry {at} ended as {outcome:?} on {}, as {first:?} elsewhere", region + 1);
                return Err(Violation::new(Rule::SameLogSameState, what));
            }
            Some(_) => {}
            None => {
                self.log.entries[at].end = Some((outcome.clone(), plan.clone()));
                self.story(at, outcome, plan)?;
            }
        }
        if is_new {
            let before = self.members[region].published.as_ref().map(|held| held.id);
            shown(&format!("member {}", region + 1), before, plan.id)?;
            self.members[region].published = Some(plan.clone());
            self.publish(region, plan);
            self.tell(region, Input::Plan(plan.clone()))?;
        }
        Ok(())
    }

    /// The bus of votes with a bug in it.
    fn tampered(&self, letter: &Letter) -> model::VoteVector {
        let mut vector = letter.open();
        if self.plant == Some(Plant::UnknownIsDown) {
            let unknown = vector.votes.values_mut().filter(|vote| **vote == Vote::Unknown);
            unknown.for_each(|vote| *vote = Vote::Down);
        }
        vector
    }

    /// What a bus with a bug in it adds to a letter.
    fn tamper_after(&mut self, from: usize, to: usize, letter: &Letter) -> Result<(), Violation> {
        let (life_ms, now_ms) = (self.timing.vote_life_ms, self.now_ms);
        let downs = |vector: &model::VoteVector| {
            vector.votes.iter().filter(|(_, v)| **v == Vote::Down).map(|(s, _)| s.clone()).collect::<Vec<_>>()
        };
        for other in (0..self.lives.len()).filter(|other| *other != from) {
            let mut vector = letter.open();
            vector.observer = region_name(other);
            match self.plant {
                Some(Plant::QuorumOfOne) if !downs(&vector).is_empty() => {}
                Some(Plant::UnknownIsDown) => {
                    let heard = self.members[to].judge.votes().heard_ms_ago(now_ms, &region_name(other));
                    if heard.is_none_or(|ago| ago <= life_ms) {
                        continue;
                    }
                    vector.votes.values_mut().for_each(|vote| *vote = Vote::Down);
                }
                _ => continue,
            }
            // Newer than whatever the real observer will say for a while.
            vector.epoch_ms = 0;
            vector.seq = 0;
            if self.plant == Some(Plant::QuorumOfOne) {
                let own = self.eyes[other].as_ref().map_or(0, |_| u64::MAX / 2);
                vector.epoch_ms = own;
                vector.seq = now_ms;
            }
            self.members[to].told_calm[other] = false;
            self.tell(to, Input::Votes(vector))?;
        }
        Ok(())
    }
}

/// A request with its fence made to fit, where that is planted.
pub(super) fn tampered_request(
    plant: Option<Plant>,
    region: usize,
    plan: Option<&Arc<Plan>>,
    request: Arc<decision::Request>,
) -> Arc<decision::Request> {
    let fits = plant == Some(Plant::NoFence) || (plant == Some(Plant::OwnOpinion) && region == 0);
    let (Some(plan), Command::Decide { .. }, true) = (plan, &request.command, fits) else { return request };
    let mut request = (*request).clone();
    if let Command::Decide { based_on, changes, .. } = &mut request.command {
        *based_on = plan.id;
        for change in changes {
            change.from = plan.verdicts.get(&change.subject).map_or(change.from, |state| state.verdict);
        }
    }
    Arc::new(request)
}

/// What the guards refused, done all the same.
fn forged(command: &Command, outcome: &Outcome, index: u64, member: &Member) -> Option<Arc<Plan>> {
    use decision::Refusal::{LastAddress, LastMember};
    let (Command::Decide { changes, .. }, Outcome::Refused(LastMember { .. } | LastAddress { .. })) =
        (command, outcome)
    else {
        return None;
    };
    let mut plan = (**member.state.plan()?).clone();
    plan.id.version = index;
    for change in changes {
        plan.verdicts.get_mut(&change.subject)?.verdict = change.to;
    }
    Some(Arc::new(plan))
}
