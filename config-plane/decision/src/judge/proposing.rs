//! What the leader's judge proposes: one thing at a time, and only what the guards let through on the Plan that it holds.
//!
//! In this order, since it is the order of harm: verdicts, words that end, steps of ramps and drains.

use std::collections::BTreeMap;

use model::{Evidence, Plan, Subject, Verdict};

use super::{Judge, Leaning, UnderWay};
use crate::{
    Change, Command, Demand, Now, Request, Timing,
    guards::{self, Wish, expirable, openable},
};

impl Judge {
    pub(super) fn propose(&mut self, now: Now, plan: &Plan, timing: &Timing, brewing: bool) {
        self.held_back.clear();
        let together_ms = self.together_ms(now, timing, brewing);
        if together_ms.is_none_or(|at| at <= now.mono_ms) {
            let changes = self.admissible(now, plan);
            if !changes.is_empty() {
                let falling = self.falling_beside(&changes);
                let command = Command::Decide { based_on: plan.id, changes, falling, now_ms: now.wall_ms };
                return self.put_under_way(now, command);
            }
        }
        if !expirable(plan, now.wall_ms).is_empty() || openable(plan, now.wall_ms).next().is_some() {
            return self.put_under_way(now, Command::ExpireOverrides { now_ms: now.wall_ms });
        }
        if let Some(command) = self.steps(now, plan) {
            return self.put_under_way(now, command);
        }
        let dues = self.leanings.values().map(Leaning::due_ms);
        let in_mono = |at_ms: u64| now.mono_ms.saturating_add(at_ms.saturating_sub(now.wall_ms));
        let ends = plan.overrides.iter().map(|o| o.expires_at_ms).chain(plan.gates.iter().map(|g| g.expires_at_ms));
        let steps = guards::next_due_ms(plan).map(|at_ms| in_mono(at_ms).max(self.steps_again_ms));
        let all = dues.chain(ends.map(in_mono)).chain(together_ms).chain(steps);
        self.wake_at_ms = all.filter(|at| *at > now.mono_ms).min();
    }

    /// The command that takes ramps and drains further, if one is due and not halted.
    fn steps(&mut self, now: Now, plan: &Plan) -> Option<Command> {
        let due_ms = guards::next_due_ms(plan)?;
        if now.mono_ms < self.steps_again_ms {
            return None;
        }
        let demand_rps = self.book.demand(plan);
        if !guards::due_steps(plan, now.wall_ms, &demand_rps, Request::GENERATION).is_empty() {
            return Some(Command::Advance { now_ms: now.wall_ms, demand_rps });
        }
        if due_ms <= now.wall_ms {
            self.steps_again_ms = now.mono_ms.saturating_add(Self::STEPS_PAUSE_MS);
        }
        None
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
        let demand_rps = if due.is_empty() { BTreeMap::new() } else { self.book.demand(plan) };
        let mut changes = Vec::new();
        for (subject, leaning) in due {
            let Some(state) = plan.verdicts.get(subject) else { continue };
            let quorum_at_ms = self.quorum_at_ms(subject, leaning);
            changes.push(change(subject, state.verdict, leaning, quorum_at_ms, &demand_rps));
            let falling = self.falling_beside(&changes);
            let generation = Request::GENERATION;
            let (falling, out_ms) = (&falling, &self.out_ms);
            let wish = Wish { changes: &changes, falling, out_ms, now_ms: now.wall_ms, generation };
            if let Err(refusal) = guards::check_decision(plan, wish) {
                changes.pop();
                self.held_back.insert(subject.clone(), refusal);
            }
        }
        changes
    }

    /// What a quorum calls Down besides these changes, due or not, and since when.
    fn falling_beside(&self, changes: &[Change]) -> BTreeMap<Subject, u64> {
        let falls = self.leanings.iter().filter(|(_, leaning)| leaning.to == Verdict::Down);
        falls
            .filter(|(subject, _)| changes.iter().all(|change| change.subject != **subject))
            .map(|(subject, leaning)| (subject.clone(), self.quorum_at_ms(subject, leaning)))
            .collect()
    }

    /// When a quorum first wanted what it wants; of a fall, however often it was out of sight since.
    fn quorum_at_ms(&self, subject: &Subject, leaning: &Leaning) -> u64 {
        let fell_ms = self.fell_ms.get(subject).filter(|_| leaning.to == Verdict::Down);
        fell_ms.copied().unwrap_or(leaning.since.wall_ms)
    }

    fn put_under_way(&mut self, now: Now, command: Command) {
        let until_ms = now.mono_ms.saturating_add(Self::PATIENCE_MS);
        self.outputs.push_back(command);
        self.under_way = Some(UnderWay { made: None, until_ms });
        self.wake_at_ms = Some(until_ms);
    }
}

fn change(subject: &Subject, from: Verdict, leaning: &Leaning, quorum_at_ms: u64, demand_rps: &Demand) -> Change {
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
            quorum_at_ms,
            demand_rps: demand_rps.clone(),
        },
    }
}
