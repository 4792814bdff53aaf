//! Raft in the small: a leader that a majority of the voters can hear and be heard by, proposals that are committed after a quorum
//! has them, elections that take what `config-plane/server/src/timing.rs` says.
//!
//! What is left out (terms on the wire, logs that differ, snapshots in transit) has simulations of its own in
//! `config-plane/server/src/raft/tests/sim`. What is kept is what the decision can feel: how long it takes, that a proposal of a
//! leader that was cut off may or may not survive, that answers get lost, that a request may be in the log twice, and that a
//! deposed leader goes on proposing until it hears of the new one.

use std::sync::Arc;

use decision::{Command, Input, Outcome, PlaneState, Request, RequestId};
use model::Plan;

use super::{Event, World, members::tampered_request};
use crate::{
    decision::{
        coverage::Met,
        oracle::{Judged, Violation},
        plant::Plant,
        shape::region_name,
    },
    rng::Rng,
};

/// One committed entry.
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) request: Arc<Request>,
    pub(crate) judged: Judged,
    /// What it came to, on whoever applied it first.
    pub(crate) end: Option<(Outcome, Arc<Plan>)>,
}

/// One proposal under way.
struct Proposal {
    number: u64,
    request: Arc<Request>,
    judged: Judged,
    /// Whose judge waits for the answer, in which life.
    asker: Option<(usize, u64)>,
    commit_ms: u64,
    /// By region: when it has it.
    held_ms: Vec<Option<u64>>,
}

/// The log, and who leads.
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    pub(crate) leader: Option<usize>,
    voters: usize,
    next_index: u64,
    proposals: Vec<Proposal>,
    proposed: u64,
    named: u64,
    /// Which of the planned losses of the lead and elections is the one that counts.
    turn: u64,
    /// The leader is in doubt, or gone.
    in_doubt: bool,
    luck: Rng,
    election_ms: (u64, u64),
    /// A leader that says nothing for this long is missed.
    silence_ms: u64,
}

/// What the disks of a quorum take for one entry, milliseconds.
const FSYNCS_MS: u64 = 20;
/// From one look of a member at what the observers say to the next, milliseconds.
const LOOK_MS: u64 = 50;
/// A proposer hears nothing at all after this long, milliseconds.
const ANSWER_MS: u64 = 3_000;

impl Log {
    pub(crate) fn new(seed: u64, regions: usize, round_trip_ms: u64) -> Self {
        let voters = if regions >= 5 { 5 } else { 3 };
        let (silence_ms, election_ms) = match round_trip_ms {
            0..=10 => (300, (300, 500)),
            11..=50 => (300, (600, 1200)),
            51..=150 => (600, (1200, 2000)),
            151..=250 => (1000, (2000, 3000)),
            _ => (round_trip_ms * 4, (round_trip_ms * 8, round_trip_ms * 12)),
        };
        Self {
            entries: Vec::new(),
            leader: None,
            voters: voters.min(regions),
            next_index: 1,
            proposals: Vec::new(),
            proposed: 0,
            named: 0,
            turn: 0,
            in_doubt: false,
            luck: Rng::of(seed, "raft"),
            election_ms,
            silence_ms,
        }
    }

    fn majority(&self) -> usize {
        self.voters / 2 + 1
    }

    /// The longest that an election takes from the moment when a leader is lost, milliseconds, by a round trip.
    pub(crate) fn longest_election_ms(&self, round_trip_ms: u64) -> u64 {
        2 * self.election_ms.1 + 3 * round_trip_ms
    }

    /// A name that no request had.
    pub(crate) fn name(&mut self) -> RequestId {
        self.named += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.named.to_be_bytes());
        RequestId::from_bytes(id)
    }
}

impl World<'_> {
    /// The judge of a member that believes to lead proposes.
    pub(super) fn propose_of_judge(&mut self, region: usize, command: Command, judged: Judged) {
        let id = self.log.name();
        let request = Request::new(id, self.now(region).wall_ms, region_name(region), command);
        let asker = Some((region, self.lives[region].number));
        if self.log.leader == Some(region) && !self.is_deposed(region) {
            self.propose(request, judged, asker);
        } else {
            self.coverage.met(Met::DeposedProposals);
            self.plan_answer(asker, None);
        }
    }

    /// Whether it leads in its own eyes only.
    fn is_deposed(&self, region: usize) -> bool {
        self.log.leader != Some(region) || !self.lives[region].is_alive
    }

    /// A request reaches the leader.
    pub(super) fn propose(&mut self, request: Request, judged: Judged, asker: Option<(usize, u64)>) {
        self.log.proposed += 1;
        let number = self.log.proposed;
        let held_ms = vec![None; self.lives.len()];
        let proposal = Proposal { number, request: Arc::new(request), judged, asker, commit_ms: u64::MAX, held_ms };
        self.log.proposals.push(proposal);
        self.replicate(self.log.proposals.len() - 1);
    }

    /// Sends a proposal to all voters, and reckons when a majority will have it.
    fn replicate(&mut self, at: usize) {
        let Some(leader) = self.log.leader else { return };
        let mut acks = Vec::new();
        for voter in (0..self.log.voters).filter(|voter| *voter != leader) {
            if !self.lives[voter].is_alive || !self.paths.are_joined(leader, voter) {
                continue;
            }
            let there = self.paths.message(leader, voter).map(|ms| self.now_ms + ms);
            let back = self.paths.message(voter, leader);
            self.log.proposals[at].held_ms[voter] = there;
            acks.extend(there.zip(back).map(|(there, back)| there + back + FSYNCS_MS));
        }
        acks.sort_unstable();
        // The leader is one of the majority.
        let enough = self.log.majority() - 1;
        let commit_ms = match enough {
            0 => Some(self.now_ms + FSYNCS_MS),
            _ => acks.get(enough - 1).copied(),
        };
        let proposal = &mut self.log.proposals[at];
        proposal.held_ms[leader] = Some(self.now_ms);
        proposal.commit_ms = commit_ms.unwrap_or(u64::MAX);
        if let Some(at_ms) = commit_ms {
            self.queue.plan(at_ms, Event::Commit { number: proposal.number });
        }
    }

    pub(super) fn commit(&mut self, number: u64) -> Result<(), Violation> {
        let Some(at) = self.log.proposals.iter().position(|p| p.number == number) else { return Ok(()) };
        let Some(leader) = self.log.leader.filter(|_| self.log.proposals[at].commit_ms <= self.now_ms) else {
            return Ok(());
        };
        // An entry takes those before it along.
        for proposal in self.log.proposals.drain(..=at).collect::<Vec<_>>() {
            self.append(leader, &proposal)?;
        }
        Ok(())
    }

    fn append(&mut self, leader: usize, proposal: &Proposal) -> Result<(), Violation> {
        let in_fog = self.fogs > 0;
        let twice = in_fog && self.log.luck.percent(30);
        for _ in 0..=u32::from(twice) {
            let (request, judged) = (proposal.request.clone(), proposal.judged.clone());
            self.log.entries.push(Entry { index: self.log.next_index, request, judged, end: None });
            self.log.next_index += 1;
        }
        self.coverage.add(Met::Duplicates, u64::from(twice));
        let upto = self.log.entries.len();
        self.learn(leader, upto)?;
        self.tell_members(leader);
        let outcome = self.log.entries[upto - 1].end.as_ref().map(|(outcome, _)| outcome.clone());
        let is_lost = in_fog && self.log.luck.percent(40);
        self.coverage.add(Met::LostAnswers, u64::from(is_lost && proposal.asker.is_some()));
        self.plan_answer(proposal.asker, outcome.filter(|_| !is_lost));
        Ok(())
    }

    /// The leader tells the others how far the log is.
    fn tell_members(&mut self, leader: usize) {
        let upto = self.log.entries.len();
        for member in (0..self.lives.len()).filter(|member| *member != leader) {
            if self.lives[member].is_alive
                && self.members[member].applied < upto
                && self.paths.are_joined(leader, member)
            {
                let Some(after_ms) = self.paths.message(leader, member) else { continue };
                self.queue.plan(self.now_ms + after_ms, Event::Learn { member, upto });
            }
        }
    }

    fn plan_answer(&mut self, asker: Option<(usize, u64)>, outcome: Option<Outcome>) {
        let Some((region, life)) = asker else { return };
        let after_ms = if outcome.is_some() { 0 } else { ANSWER_MS };
        self.queue.plan(self.now_ms + after_ms, Event::Answer { region, life, outcome });
    }

    pub(super) fn answer(&mut self, region: usize, life: u64, outcome: Option<Outcome>) -> Result<(), Violation> {
        if self.is_living(region, life) { self.tell(region, Input::Answered(outcome)) } else { Ok(()) }
    }

    /// Paths or lives have changed: who can still lead, and who hears of the log now?
    pub(super) fn look_at_lead(&mut self) -> Result<(), Violation> {
        if let Some(leader) = self.log.leader {
            if self.has_majority(leader) {
                if self.log.in_doubt {
                    self.log.in_doubt = false;
                    self.log.turn += 1;
                }
                (0..self.log.proposals.len()).for_each(|at| self.replicate(at));
                self.tell_members(leader);
            } else if !self.log.in_doubt {
                self.doubt_lead();
            }
        }
        // Who led before hears of the one that leads now.
        for region in 0..self.lives.len() {
            let hears = self.log.leader.is_some_and(|leader| leader != region && self.paths.are_joined(leader, region));
            if self.members[region].leads && hears && self.lives[region].is_alive {
                self.members[region].leads = false;
                self.tell(region, Input::Leading(false))?;
            }
        }
        Ok(())
    }

    /// The leader's lease begins to run out.
    pub(super) fn doubt_lead(&mut self) {
        self.log.in_doubt = true;
        self.log.turn += 1;
        self.queue.plan(self.now_ms + self.log.election_ms.1, Event::LoseLead { turn: self.log.turn });
        self.queue.plan(self.now_ms + self.log.silence_ms, Event::Succeed { turn: self.log.turn });
    }

    /// Members that miss the leader look whether the observers call its region Down, and do not wait for the lease if a majority finds
    /// that they do.
    pub(super) fn succeed(&mut self, turn: u64) -> Result<(), Violation> {
        let Some(old) = self.log.leader.filter(|_| turn == self.log.turn) else { return Ok(()) };
        let region = region_name(old);
        let mut sure = 0;
        for voter in 0..self.log.voters {
            let misses = !self.lives[old].is_alive || !self.paths.are_joined(old, voter);
            if voter == old || !misses || !self.has_majority(voter) {
                continue;
            }
            self.tell(voter, Input::Tick)?;
            sure += usize::from(self.members[voter].judge.is_called_down(self.now(voter), &region));
        }
        // Telling the judges may have changed who leads.
        if turn != self.log.turn {
            return Ok(());
        }
        if sure < self.log.majority() {
            self.queue.plan(self.now_ms + LOOK_MS, Event::Succeed { turn });
            return Ok(());
        }
        self.coverage.met(Met::Successions);
        self.end_lead()?;
        self.log.turn += 1;
        // Would you, and will you.
        self.queue.plan(self.now_ms + 2 * self.round_trip_ms, Event::Elect { turn: self.log.turn });
        Ok(())
    }

    fn has_majority(&self, region: usize) -> bool {
        let hears = |voter: &usize| self.lives[*voter].is_alive && self.paths.are_joined(region, *voter);
        self.lives[region].is_alive && (0..self.log.voters).filter(hears).count() >= self.log.majority()
    }

    /// The leader's lease is over.
    pub(super) fn lose_lead(&mut self, turn: u64) -> Result<(), Violation> {
        if turn != self.log.turn {
            return Ok(());
        }
        self.end_lead()?;
        self.plan_election();
        Ok(())
    }

    fn end_lead(&mut self) -> Result<(), Violation> {
        self.coverage.met(Met::Leaderless);
        self.trace.say(self.now_ms, format_args!("nobody leads"));
        let old = self.log.leader.take();
        // Its own clock of the lease may be the slower one: then it believes in itself until it hears of another.
        if let Some(old) = old.filter(|old| self.lives[*old].is_alive && self.log.luck.percent(60)) {
            self.members[old].leads = false;
            self.tell(old, Input::Leading(false))?;
        }
        Ok(())
    }

    fn plan_election(&mut self) {
        let (low, high) = self.log.election_ms;
        let after_ms = self.log.luck.between(low, high) + 3 * self.round_trip_ms;
        self.log.turn += 1;
        self.queue.plan(self.now_ms + after_ms, Event::Elect { turn: self.log.turn });
    }

    pub(super) fn elect(&mut self, turn: u64) -> Result<(), Violation> {
        if turn != self.log.turn {
            return Ok(());
        }
        let able: Vec<usize> = (0..self.log.voters).filter(|voter| self.has_majority(*voter)).collect();
        if able.is_empty() {
            self.plan_election();
            return Ok(());
        }
        // Who is elected has seen as much as any of its majority.
        let now_ms = self.now_ms;
        let seen = |log: &Log, voter: usize| {
            let has = |p: &&Proposal| p.held_ms[voter].is_some_and(|at_ms| at_ms <= now_ms);
            log.proposals.iter().take_while(has).count()
        };
        let most = able.iter().map(|voter| seen(&self.log, *voter)).max().unwrap_or(0);
        let able: Vec<usize> = able.into_iter().filter(|voter| seen(&self.log, *voter) == most).collect();
        let leader = *self.log.luck.pick(&able);
        self.take_lead(leader, most)
    }

    /// A new leader, who has so many of the proposals that were under way.
    fn take_lead(&mut self, leader: usize, seen: usize) -> Result<(), Violation> {
        self.trace.say(self.now_ms, format_args!("{} leads", leader + 1));
        self.coverage.met(Met::Elections);
        self.coverage.add(Met::SavedEntries, seen as u64);
        self.truth.trouble.touch(self.now_ms);
        self.truth.upset.touch(self.now_ms);
        for lost in self.log.proposals.split_off(seen) {
            self.coverage.met(Met::DroppedEntries);
            self.plan_answer(lost.asker, None);
        }
        self.log.leader = Some(leader);
        self.log.in_doubt = false;
        self.log.turn += 1;
        // The blank entry of a new term.
        self.log.next_index += 1;
        for proposal in &mut self.log.proposals {
            proposal.asker = None;
        }
        // It has every committed entry, and applies what it has not yet.
        self.learn(leader, self.log.entries.len())?;
        self.members[leader].leads = true;
        self.tell(leader, Input::Leading(true))?;
        self.look_at_lead()
    }

    /// The first leader; the world is founded.
    pub(super) fn found(&mut self, world: model::World) -> Result<(), Violation> {
        let command = Command::Found { world: world.into(), lineage: 0xa7011 };
        self.log.leader = Some(0);
        self.members[0].leads = true;
        let request = Request::new(self.log.name(), self.now(0).wall_ms, region_name(0), command);
        let proposal = Proposal {
            number: 0,
            request: Arc::new(request),
            judged: Judged::default(),
            asker: None,
            commit_ms: 0,
            held_ms: Vec::new(),
        };
        self.append(0, &proposal)?;
        (1..self.lives.len()).try_for_each(|member| self.learn(member, 1))?;
        self.tell(0, Input::Leading(true))
    }

    pub(super) fn hand_over(&mut self) -> Result<(), Violation> {
        let Some(old) = self.log.leader.filter(|_| !self.log.in_doubt) else { return Ok(()) };
        let able: Vec<usize> = (0..self.log.voters)
            .filter(|v| *v != old && self.has_majority(*v) && self.paths.are_joined(old, *v))
            .collect();
        if able.is_empty() {
            return Ok(());
        }
        let target = *self.log.luck.pick(&able);
        self.coverage.met(Met::HandOvers);
        // It is handed over to whoever has all of the log.
        let all = self.log.proposals.len();
        self.members[old].leads = false;
        self.tell(old, Input::Leading(false))?;
        self.take_lead(target, all)
    }

    /// The state that a member finds when it starts: a snapshot, or its log once more.
    pub(super) fn state_on_disk(&mut self, region: usize) -> PlaneState {
        let applied = self.members[region].applied;
        let forgets = self.plant == Some(Plant::ForgetExpiry);
        if !forgets && self.log.luck.percent(50) {
            self.coverage.met(Met::SnapshotStarts);
            let text = serde_json::to_string(&self.members[region].state).unwrap_or_default();
            if let Ok(state) = serde_json::from_str(&text) {
                return state;
            }
        }
        self.replay(region, applied)
    }

    /// What a part of the log makes, applied once more by a region's member.
    pub(super) fn replay(&self, region: usize, upto: usize) -> PlaneState {
        let mut state = PlaneState::new();
        for entry in &self.log.entries[..upto] {
            let is_expiry = matches!(entry.request.command, Command::ExpireOverrides { .. });
            if !(is_expiry && self.plant == Some(Plant::ForgetExpiry)) {
                let request = tampered_request(self.plant, region, state.plan(), entry.request.clone());
                state.apply(entry.index, &request);
            }
        }
        state
    }
}
