//! "What if these died now?": the real judge and the real state machine, on a copy of the live state.
//!
//! ```text
//! state, who dies, what users ask for ─→ votes of the living ─→ Judge ─→ guards, apply (a copy) ─→ who serves; what cannot be carried
//! ```
//!
//! [`survey`] asks it of every region by itself. The plane does so every minute: a world that could not carry a loss says so
//! before the loss.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use model::{Decision, OverrideAction, Plan, RegionName, Subject, Verdict, Vote, VoteVector};
use serde::Serialize;

use crate::{
    Command, Demand, Input, Judge, Now, Outcome, PlaneState, Refusal, Request, RequestId, Standing, Timing,
    capacity_left, guards, serving_members,
};

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIf {
    /// The decisions that would be made.
    pub decided: Vec<Decision>,
    /// Who would serve each pool then.
    pub serving: BTreeMap<String, Vec<RegionName>>,
    /// Where every subject would stand then: blind, held back by a guard, or steady.
    pub standings: BTreeMap<Subject, Standing>,
    /// Why users would go on being sent to the dead, or nowhere; empty if the loss can be carried.
    pub cannot: Vec<Cannot>,
    /// How much of the World's capacity would be left, percent; none if it is not known.
    pub capacity_left_percent: Option<u32>,
}

/// Why a loss cannot be carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Cannot {
    /// Too few would be left who see it.
    Blind {
        /// What died.
        subject: Subject,
        /// How many others would have an opinion.
        qualified: usize,
        /// How many must have one.
        sight: usize,
    },
    /// A guard would keep it in answers.
    Refused {
        /// What died.
        subject: Subject,
        /// What the guard would say.
        refusal: Refusal,
    },
    /// It would be left out as far as the others can carry its users, and keep the rest.
    Shed {
        /// What died.
        subject: Subject,
        /// How many of its users it would keep, percent.
        kept_percent: u32,
    },
    /// A human's word would keep it in answers.
    Overridden {
        /// What died.
        subject: Subject,
        /// Whose word.
        who: String,
    },
    /// All members of a pool would be dead or left out.
    NobodyLeft {
        /// Which pool.
        pool: String,
    },
}

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blind { subject, qualified, sight } => {
                write!(f, "{subject} would stay in answers: {qualified} observers would see it, and {sight} must")
            }
            Self::Refused { subject, refusal } => write!(f, "{subject} would stay in answers: {refusal}"),
            Self::Shed { subject, kept_percent } => {
                write!(
                    f,
                    "{kept_percent} % of the users of {subject} would stay with it: the others could not carry them"
                )
            }
            Self::Overridden { subject, who } => {
                write!(f, "{subject} would stay in answers: {who} keeps it there with an override")
            }
            Self::NobodyLeft { pool } => write!(f, "nobody alive would serve pool `{pool}`"),
        }
    }
}

/// Plays the deaths of `dead`, seen by everybody else, against a copy of `state`, while users ask for `demand_rps`
/// ([`Judge::demand`]). Refused for a world that is not founded, or for a subject that it does not judge.
pub fn what_if(
    state: &PlaneState,
    dead: &BTreeSet<Subject>,
    demand_rps: &Demand,
    wall_ms: u64,
) -> Result<WhatIf, Refusal> {
    let before = state.plan().ok_or(Refusal::NotFounded)?;
    for subject in dead {
        guards::known(before, subject)?;
    }
    let mut copy = state.clone();
    let (judge, now) = play(&mut copy, before, dead, demand_rps, wall_ms);
    let plan = copy.plan().ok_or(Refusal::NotFounded)?;
    let serving = |pool: &String| (pool.clone(), serving_members(plan, pool).into_iter().cloned().collect());
    let standings: BTreeMap<_, _> = judge.standings(now);
    let lost = dead.iter().filter_map(|subject| match subject {
        Subject::Region(region) => Some(region.clone()),
        Subject::Member { .. } => None,
    });
    Ok(WhatIf {
        decided: plan.decisions.iter().filter(|decision| decision.version > before.id.version).cloned().collect(),
        serving: plan.world.pools.keys().map(serving).collect(),
        cannot: dead
            .iter()
            .filter_map(|subject| {
                let (tally, standing) = standings.get(subject)?;
                still_named(plan, subject, (tally.qualified, tally.sight), standing)
            })
            .chain(nobody_left(plan, dead))
            .collect(),
        standings: standings.into_iter().map(|(about, (_, standing))| (about, standing)).collect(),
        capacity_left_percent: capacity_left(before, &lost.collect()),
    })
}

/// Two looks: the first one starts the holds, the second one comes when the holds of Down are over, waiting included.
fn play(
    state: &mut PlaneState,
    start: &Plan,
    dead: &BTreeSet<Subject>,
    demand_rps: &Demand,
    wall_ms: u64,
) -> (Judge, Now) {
    let mut judge = Judge::new();
    let mut now = Now { mono_ms: 0, wall_ms };
    if let Some(plan) = state.plan() {
        judge.handle(now, Input::Plan(plan.clone()));
    }
    judge.handle(now, Input::Leading(true));
    let step_ms = 2 * Timing::of_world(&start.world).hold_ms;
    for seq in 1..=2 {
        if seq > 1 {
            now = Now { mono_ms: now.mono_ms + step_ms, wall_ms: now.wall_ms.saturating_add(step_ms) };
        }
        for vector in votes(start, dead, demand_rps, seq) {
            judge.handle(now, Input::Votes(vector));
            while let Some(command) = judge.next_output() {
                let outcome = apply(state, command, now);
                judge.handle(now, Input::Answered(Some(outcome)));
                if let Some(plan) = state.plan() {
                    judge.handle(now, Input::Plan(plan.clone()));
                }
            }
        }
    }
    (judge, now)
}

fn is_dead(dead: &BTreeSet<Subject>, subject: &Subject) -> bool {
    dead.contains(subject) || dead.contains(&Subject::Region(subject.region().clone()))
}

/// What the living would say.
fn votes(plan: &Plan, dead: &BTreeSet<Subject>, demand_rps: &Demand, seq: u64) -> Vec<VoteVector> {
    let regions = plan.world.regions.iter().map(|region| &region.name);
    let living = regions.filter(|name| !dead.contains(&Subject::Region((*name).clone())));
    let vote = |about: &Subject| if is_dead(dead, about) { Vote::Down } else { Vote::Up };
    let vector = |observer: &RegionName| {
        let votes = plan.verdicts.keys().map(|about| (about.clone(), vote(about))).collect();
        VoteVector { load_rps: demand_rps.clone(), ..VoteVector::new(observer.clone(), 0, seq, votes) }
    };
    living.map(vector).collect()
}

/// Why a dead subject is named in answers nevertheless.
fn still_named(
    plan: &Plan,
    subject: &Subject,
    (qualified, sight): (usize, usize),
    standing: &Standing,
) -> Option<Cannot> {
    let subject = subject.clone();
    if let Some(word) = plan.override_on(&subject) {
        let kept = word.action == OverrideAction::Up;
        return kept.then(|| Cannot::Overridden { subject, who: word.who.clone() });
    }
    if let Some(state) = plan.verdicts.get(&subject).filter(|state| state.verdict == Verdict::Down) {
        return state.kept.map(|kept| Cannot::Shed { subject, kept_percent: kept.permille / 10 });
    }
    match standing {
        Standing::HeldBack { refusal, .. } => Some(Cannot::Refused { subject, refusal: refusal.clone() }),
        Standing::Blind => Some(Cannot::Blind { subject, qualified, sight }),
        Standing::Steady | Standing::Leaning { .. } => None,
    }
}

/// The pools whose members that serve are all dead.
fn nobody_left(plan: &Plan, dead: &BTreeSet<Subject>) -> Vec<Cannot> {
    let is_dead_in = |pool: &str, region: &RegionName| {
        let member = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: region.clone() });
        dead.contains(&Subject::Region(region.clone())) || member.is_some_and(|member| dead.contains(&member))
    };
    let lost = |pool: &&String| serving_members(plan, pool).iter().all(|region| is_dead_in(pool, region));
    plan.world.pools.keys().filter(lost).map(|pool| Cannot::NobodyLeft { pool: pool.clone() }).collect()
}

fn apply(state: &mut PlaneState, command: Command, now: Now) -> Outcome {
    let index = state.plan().map_or(1, |plan| plan.id.version + 1);
    let mut id = [0xff; 16];
    id[8..].copy_from_slice(&index.to_be_bytes());
    let proposed_by = state.plan().and_then(|plan| plan.world.regions.first()).map(|region| region.name.clone());
    let Some(proposed_by) = proposed_by else { return Outcome::Refused(Refusal::NotFounded) };
    state.apply(index, &Request::new(RequestId::from_bytes(id), now.wall_ms, proposed_by, command))
}

/// What the death of each region by itself would come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// By region that serves now; the others can be lost without anybody noticing.
    pub losses: BTreeMap<RegionName, Loss>,
}

/// What the death of one region would come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loss {
    /// Why it could not be carried; empty if it could.
    pub cannot: Vec<Cannot>,
    /// How much of the World's capacity would be left, percent; none if it is not known.
    pub capacity_left_percent: Option<u32>,
}

impl Survey {
    /// The regions whose loss could not be carried, and why: what people are to be called for.
    pub fn alarms(&self) -> impl Iterator<Item = (&RegionName, &Cannot)> {
        self.losses.iter().flat_map(|(region, loss)| loss.cannot.iter().map(move |cannot| (region, cannot)))
    }
}

/// Asks [`what_if`] of each region that serves. Refused for a world that is not founded.
pub fn survey(state: &PlaneState, demand_rps: &Demand, wall_ms: u64) -> Result<Survey, Refusal> {
    let plan = state.plan().ok_or(Refusal::NotFounded)?;
    let serving = plan.world.regions.iter().map(|region| &region.name).filter(|name| plan.serving(name).serves);
    let loss = |region: &RegionName| {
        let dead = [Subject::Region(region.clone())].into();
        let WhatIf { cannot, capacity_left_percent, .. } = what_if(state, &dead, demand_rps, wall_ms)?;
        Ok((region.clone(), Loss { cannot, capacity_left_percent }))
    };
    Ok(Survey { losses: serving.map(loss).collect::<Result<_, Refusal>>()? })
}

#[cfg(test)]
mod tests;
