//! What every new Plan is held against: the truth, the Plan before, and the guards' rules in a second writing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use decision::Command;
use model::{Override, OverrideAction, Plan, PlanId, RegionName, Subject, Verdict, World};

use super::{Rule, Violation};

/// What the truth said of a decision at the moment when it was proposed; none for what no judge made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    /// The changes that nobody's view could justify, and by which promise.
    pub(crate) wrong: Vec<(Subject, Rule)>,
}

/// What is remembered of the Plans so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last: Option<Arc<Plan>>,
    /// When each subject was last decided Down, true milliseconds.
    down_ms: BTreeMap<Subject, u64>,
    /// Words that ended, by subject and the time they were set at.
    ended: BTreeSet<(Subject, u64)>,
    /// Whether any clock ever stepped: promptness in wall time is not promised then.
    pub(crate) clocks_stepped: bool,
}

/// Room for proposals under way and for clocks that differ, milliseconds.
const SLACK_MS: u64 = 15_000;

impl Ledger {
    /// An empty one; with clocks that are wrong or right.
    pub(crate) fn new(clocks_stepped: bool) -> Self {
        Self { clocks_stepped, ..Self::default() }
    }

    /// The newest Plan.
    pub(crate) fn last(&self) -> Option<&Arc<Plan>> {
        self.last.as_ref()
    }

    /// A new Plan was made by a command at this true time.
    pub(crate) fn note(
        &mut self,
        now_ms: u64,
        plan: &Arc<Plan>,
        command: &Command,
        judged: &Judged,
    ) -> Result<(), Violation> {
        let before = self.last.replace(plan.clone());
        let Some(before) = before else { return Ok(()) };
        if plan.id <= before.id {
            return Err(broken(Rule::VersionsOnlyGrow, format!("Plan {} was made after {}", plan.id, before.id)));
        }
        never_the_last(plan)?;
        self.overrides_hold(&before, plan, command)?;
        if let Command::Decide { changes, .. } = command {
            if let Some((subject, rule)) = judged.wrong.first() {
                let change = changes.iter().find(|change| change.subject == *subject);
                let votes = change.map(|change| format!("{:?}, by {:?}", change.to, change.evidence.votes));
                return Err(broken(*rule, format!("{subject} was decided {}", votes.unwrap_or_default())));
            }
            for change in changes.iter().filter(|change| change.to == Verdict::Down) {
                self.down_ms.insert(change.subject.clone(), now_ms);
            }
            self.velocity(now_ms, &before, plan)?;
        }
        Ok(())
    }

    /// No word of a human goes but by a human's word or at its end; none comes back.
    fn overrides_hold(&mut self, before: &Plan, plan: &Plan, command: &Command) -> Result<(), Violation> {
        let key = |o: &Override| (o.subject.clone(), o.set_at_ms);
        for word in &plan.overrides {
            let is_out = !serves(plan, &word.subject);
            let wants_out = word.action == OverrideAction::Down && word.share_permille == 0;
            if self.ended.contains(&key(word)) {
                return Err(broken(Rule::OverridesHold, format!("the word on {} came back", word.subject)));
            }
            if word.action == OverrideAction::Up && is_out || wants_out && !is_out {
                return Err(broken(Rule::OverridesHold, format!("the word on {} is not followed", word.subject)));
            }
        }
        for word in before.overrides.iter().filter(|word| plan.overrides.iter().all(|o| key(o) != key(word))) {
            let by_people = match command {
                Command::SetOverride { subject, .. } | Command::ClearOverride { subject, .. } => {
                    *subject == word.subject
                }
                Command::ExpireOverrides { now_ms } => *now_ms >= word.expires_at_ms,
                _ => false,
            };
            if !by_people {
                let what = format!("{} took the word on {} away", command.kind(), word.subject);
                return Err(broken(Rule::OverridesHold, what));
            }
            self.ended.insert(key(word));
        }
        Ok(())
    }

    /// Automation takes one member of a pool, or a third of them, out within five minutes.
    fn velocity(&self, now_ms: u64, before: &Plan, plan: &Plan) -> Result<(), Violation> {
        for (name, pool) in &plan.world.pools {
            let is_in = |plan: &Plan, member: &RegionName| serves_in(plan, name, member);
            let newly = pool.members.iter().filter(|m| is_in(before, m) && !is_in(plan, m)).count();
            let window_ms = 300_000 - SLACK_MS;
            let lately = |subject: &Subject| {
                let is_down = plan.verdicts.get(subject).is_some_and(|state| state.verdict == Verdict::Down);
                let by_hand = plan.overrides.iter().any(|word| word.subject == *subject);
                is_down && !by_hand && self.down_ms.get(subject).is_some_and(|at| now_ms - at < window_ms)
            };
            let held_out = |member: &&RegionName| {
                let about = [Some(Subject::Region((*member).clone())), member_of(name, member)];
                !is_in(plan, member) && about.iter().flatten().any(lately)
            };
            let out = pool.members.iter().filter(held_out).count();
            if newly > 0 && out > 1 && out * 100 > 34 * pool.members.len() {
                let what = format!("{out} of {} members of {name} were taken out in five minutes", pool.members.len());
                return Err(broken(Rule::Velocity, what));
            }
        }
        Ok(())
    }

    /// Whether somebody would be left without an answer if a subject were taken out.
    pub(crate) fn is_last(plan: &Plan, subject: &Subject) -> bool {
        let mut after = plan.clone();
        if let Some(state) = after.verdicts.get_mut(subject) {
            state.verdict = Verdict::Down;
        }
        never_the_last(&after).is_err()
    }

    /// Whether a word that should be over may still hold: its end would leave a pool empty.
    pub(crate) fn must_stay(plan: &Plan, subject: &Subject) -> bool {
        let mut after = plan.clone();
        after.overrides.retain(|word| word.subject != *subject);
        never_the_last(&after).is_err()
    }
}

/// A holder of Plans, by name, shows one after another.
pub(crate) fn shown(who: &str, before: Option<PlanId>, after: PlanId) -> Result<(), Violation> {
    match before {
        Some(before) if after < before => {
            Err(broken(Rule::VersionsOnlyGrow, format!("{who} shows Plan {after} after {before}")))
        }
        _ => Ok(()),
    }
}

fn broken(rule: Rule, what: String) -> Violation {
    Violation::new(rule, what)
}

/// Every pool of two or more has somebody who serves, and so has each of its address families that has two or more.
fn never_the_last(plan: &Plan) -> Result<(), Violation> {
    for (name, pool) in &plan.world.pools {
        let with = |has: fn(&World, &RegionName) -> bool| {
            pool.members.iter().filter(move |member| has(&plan.world, member)).collect::<Vec<_>>()
        };
        let families: [(&str, Vec<&RegionName>); 3] =
            [("any address", with(|_, _| true)), ("IPv4", with(has_v4)), ("IPv6", with(has_v6))];
        for (family, members) in families {
            if members.len() > 1 && !members.iter().any(|member| serves_in(plan, name, member)) {
                return Err(broken(Rule::NeverTheLast, format!("nobody serves {name} over {family}")));
            }
        }
    }
    Ok(())
}

fn has_v4(world: &World, name: &RegionName) -> bool {
    world.regions.iter().any(|region| region.name == *name && region.gateway_v4.is_some())
}

fn has_v6(world: &World, name: &RegionName) -> bool {
    world.regions.iter().any(|region| region.name == *name && region.gateway_v6.is_some())
}

fn member_of(pool: &str, region: &RegionName) -> Option<Subject> {
    Some(Subject::Member { pool: RegionName::new(pool).ok()?, region: region.clone() })
}

/// A region serves in a pool if neither it nor its membership is out.
fn serves_in(plan: &Plan, pool: &str, region: &RegionName) -> bool {
    let about = [Some(Subject::Region(region.clone())), member_of(pool, region)];
    about.iter().flatten().all(|subject| serves(plan, subject))
}

/// A human's word if there is one, else the verdict; what nobody judges serves.
fn serves(plan: &Plan, subject: &Subject) -> bool {
    if let Some(word) = plan.overrides.iter().find(|word| word.subject == *subject) {
        return word.action == OverrideAction::Up || word.share_permille > 0;
    }
    plan.verdicts.get(subject).is_none_or(|state| state.verdict != Verdict::Down)
}
