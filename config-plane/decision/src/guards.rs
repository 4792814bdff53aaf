//! The guards: pure questions about a Plan and a wish. `apply` asks them at the one place where Plans are made; the judge and
//! `what-if` ask the same functions on the same Plan, so that nobody proposes what would be refused.
//!
//! In this order; the first one that says no is the refusal that is recorded. Each answers to an outage that others had.
//!
//! | guard | asks | automation | people | broken glass | file |
//! |---|---|---|---|---|---|
//! | fence | is the Plan that was looked at the one in force? | yes | new Worlds, homes | yes | here |
//! | quorum | do the stored votes carry it? | yes | – | – | `evidence` |
//! | gate | is automation on, is every gate open? | yes | gates that bind people | yes | `gates` |
//! | damping | has the subject been quiet for long enough? | returns | – | – | here |
//! | never the last | does somebody serve each pool, over each address family that it has, and does every safety rule hold? | yes | yes | **yes** | `left` |
//! | `min_healthy` | are as many members left as the pool wants? | yes | – | – | `left` |
//! | capacity | can what is left carry what users ask for? If not, only what fits is taken out | yes | drains | – | `capacity` |
//! | velocity | does automation hold out more than it may, lately or in this hour? | removals | – | – | `velocity` |
//! | common mode | did too much fall at once to be believed? | removals | – | – | `common_mode` |
//! | homes | a home moves by command only, with a new epoch | never | yes | yes | `state/homes` |
//!
//! A human's word needs no guard of its own against automation: it lies above the verdict (`model::Plan::serving`), so a decision
//! beneath it changes no answer, is asked neither for capacity nor velocity, and shows when the word ends.
//!
//! A guard refuses what makes things worse, never what leaves them as bad or mends them: whatever state a world got into, the way
//! out of it is open.

mod capacity;
mod common_mode;
mod evidence;
mod gates;
mod left;
mod steps;
mod velocity;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use model::{Plan, PlanId, Subject, SubjectState, Verdict, World};

use crate::{Change, Demand, Refusal, damping::Penalty, serving::emptied_pool};

pub use capacity::{Capacity, capacity_left};
pub(crate) use gates::{Behind, check_people_gate, knows_scope};
pub(crate) use steps::{DueStep, due_steps, first_ramp_permille, next_due_ms};
pub(crate) use velocity::note_removals;
pub(crate) use words::{check_lifetime, check_signature, check_staging, expirable_of_old, is_broken_glass};
pub use words::{expirable, openable};

/// The generation of guards that takes out as much as the others can carry, where all of it is too much.
pub(crate) const CUTS_TO_FIT: u32 = 2;
/// The generation of guards that holds several cuts at once against what was asked before the first of them.
pub(crate) const CUTS_TOGETHER: u32 = 3;

/// What automation wishes, and what it sees besides.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What is to change.
    pub changes: &'a [Change],
    /// What else a quorum calls Down, since when (Unix milliseconds).
    pub falling: &'a BTreeMap<Subject, u64>,
    /// Since when subjects are out, as far as the judge saw it happen (Unix milliseconds): later than the Plan says, where a proposal
    /// was committed long after it was made. Where the guards are asked again, in `apply`, nobody knows of it.
    pub out_ms: &'a BTreeMap<Subject, u64>,
    /// The judge's clock, Unix milliseconds.
    pub now_ms: u64,
    /// The generation of guards that it is judged by, 1 at least ([`crate::Request::GENERATION`]).
    pub generation: u32,
}

/// Whether a decision may be made on this Plan: every guard but the fence, in order.
pub fn check_decision(plan: &Plan, wish: Wish<'_>) -> Result<(), Refusal> {
    check_form(plan, wish.changes)?;
    for change in wish.changes {
        evidence::check(plan, change, evidence::Reading::Strict)?;
    }
    for change in wish.changes {
        gates::check_automation(plan, &change.subject, wish.now_ms)?;
        check_damping(plan, change, wish.now_ms)?;
    }
    let before = sketch(plan);
    let after = decided(&before, wish);
    left::check(&before, &after)?;
    left::check_min_healthy(&before, &after)?;
    capacity::check(&before, &after, &demand_of(wish.changes))?;
    velocity::check(&before, &after, wish)?;
    common_mode::check(plan, wish)
}

/// The guards of generation 0: quorum, and never the last by pool.
pub(crate) fn check_decision_of_old(plan: &Plan, changes: &[Change]) -> Result<(), Refusal> {
    check_form(plan, changes)?;
    for change in changes {
        evidence::check(plan, change, evidence::Reading::Lenient)?;
    }
    let mut after = plan.clone();
    for change in changes {
        if let Some(state) = after.verdicts.get_mut(&change.subject) {
            state.verdict = change.to;
        }
    }
    check_pools(plan, &after)
}

/// The Plan that a request was made from must be the one in force.
pub(crate) fn check_fence(plan: &Plan, based_on: PlanId) -> Result<(), Refusal> {
    let current = plan.id;
    match based_on {
        _ if based_on == current => Ok(()),
        _ if based_on.lineage == current.lineage => Err(Refusal::Stale { based_on, current }),
        _ => Err(Refusal::OtherLineage { based_on, current }),
    }
}

/// Every subject is known, named once, and stands where the proposer believes.
fn check_form(plan: &Plan, changes: &[Change]) -> Result<(), Refusal> {
    let mut named = BTreeSet::new();
    for change in changes {
        let state = known(plan, &change.subject)?;
        if !named.insert(&change.subject) {
            return Err(Refusal::NamedTwice { subject: change.subject.clone() });
        }
        if state.verdict != change.from {
            return Err(Refusal::OtherVerdict {
                subject: change.subject.clone(),
                believed: change.from,
                actual: state.verdict,
            });
        }
    }
    Ok(())
}

/// The subject's state, or a refusal that lists what there is.
pub(crate) fn known<'p>(plan: &'p Plan, subject: &Subject) -> Result<&'p SubjectState, Refusal> {
    plan.verdicts.get(subject).ok_or_else(|| unknown(plan, subject))
}

/// A human's word may be said about anything that is judged, and about any member of a pool.
pub(crate) fn check_known_to_people(plan: &Plan, subject: &Subject) -> Result<(), Refusal> {
    let members = subject.pool().and_then(|pool| plan.world.pools.get(pool)).map(|pool| &pool.members);
    if plan.verdicts.contains_key(subject) || members.is_some_and(|members| members.contains(subject.region())) {
        return Ok(());
    }
    Err(unknown(plan, subject))
}

fn unknown(plan: &Plan, subject: &Subject) -> Refusal {
    Refusal::UnknownSubject { subject: subject.clone(), known: plan.verdicts.keys().cloned().collect() }
}

/// A subject that flaps stays out until its penalty has decayed.
fn check_damping(plan: &Plan, change: &Change, now_ms: u64) -> Result<(), Refusal> {
    let Some(state) = plan.verdicts.get(&change.subject) else { return Ok(()) };
    let penalty = Penalty::of(state, now_ms);
    if change.from != Verdict::Down || change.to == Verdict::Down || !penalty.is_frozen() {
        return Ok(());
    }
    Err(Refusal::Damped {
        subject: change.subject.clone(),
        penalty: penalty.left(),
        release: Penalty::RELEASE,
        left_ms: penalty.frozen_for_ms(),
    })
}

/// What the change of a World must keep: somebody in every pool, and every safety rule. Pools that gates hold shut stay as they are.
pub(crate) fn check_world_change(before: &Plan, after: &Plan, now_ms: u64) -> Result<(), Refusal> {
    gates::check_world(before, after, now_ms)?;
    left::check(before, after)
}

/// What a drain, or the end of any other human's word, must keep. The glass is broken if two people signed.
pub(crate) fn check_word(
    before: &Plan,
    after: &Plan,
    demand_rps: &Demand,
    is_broken_glass: bool,
) -> Result<(), Refusal> {
    left::check(before, after)?;
    if is_broken_glass { Ok(()) } else { capacity::check(before, after, demand_rps) }
}

/// Never the last, by pool alone.
pub(crate) fn check_pools(before: &Plan, after: &Plan) -> Result<(), Refusal> {
    match emptied_pool(Some(before), after) {
        None => Ok(()),
        Some(pool) => Err(Refusal::LastMember {
            pool: pool.to_owned(),
            members: after.world.pools.get(pool).map(|p| p.members.clone()).unwrap_or_default(),
        }),
    }
}

/// A copy of what guards look at: no zones, no history. Ten thousand names cost them nothing.
pub(crate) fn sketch(plan: &Plan) -> Plan {
    let world = World {
        pools: plan.world.pools.clone(),
        automation: plan.world.automation.clone(),
        safety: plan.world.safety.clone(),
        ..World::of(&plan.world.name, plan.world.regions.clone())
    };
    Plan {
        verdicts: plan.verdicts.clone(),
        overrides: plan.overrides.clone(),
        gates: plan.gates.clone(),
        homes: plan.homes.clone(),
        removals: plan.removals.clone(),
        ..Plan::new(plan.id, plan.made_at_ms, "", world)
    }
}

/// What a decision makes of a [`sketch`]. From generation 2 on, what falls keeps the users whom the others cannot carry.
pub(crate) fn decided(before: &Plan, wish: Wish<'_>) -> Plan {
    let demand_rps = demand_of(wish.changes);
    let mut after = before.clone();
    for Change { subject, to, .. } in wish.changes {
        let Some(state) = before.verdicts.get(subject) else { continue };
        after.verdicts.insert(subject.clone(), next_state(state, *to, wish.now_ms, before));
        if wish.generation >= CUTS_TO_FIT && state.verdict != *to && *to == Verdict::Down {
            let kept = capacity::kept(before, &after, subject, &demand_rps, wish.now_ms);
            capacity::keep(&mut after, subject, kept);
        }
    }
    after
}

/// A subject's state after a decision. Coming back from Down it starts at the foot of the ramp; each Down costs a penalty.
pub(crate) fn next_state(was: &SubjectState, to: Verdict, now_ms: u64, plan: &Plan) -> SubjectState {
    let mut next = SubjectState { verdict: to, since_ms: now_ms, ..was.clone() };
    match (was.verdict, to) {
        (_, Verdict::Down) => {
            (next.penalty, next.penalty_at_ms) = (Penalty::of(was, now_ms).raised(), now_ms);
            (next.ramp_permille, next.ramp_at_ms) = (1000, 0);
        }
        (Verdict::Down, _) => {
            let sent_permille = was.kept.map_or(0, |kept| kept.permille);
            (next.ramp_permille, next.ramp_at_ms) =
                (first_ramp_permille(&plan.world.automation, sent_permille), now_ms);
            next.kept = None;
        }
        _ => {}
    }
    next
}

/// What the evidence says that users ask for: of each region the most that any of the changes tells.
fn demand_of(changes: &[Change]) -> Demand {
    let mut demand = Demand::new();
    for (region, rps) in changes.iter().flat_map(|change| &change.evidence.demand_rps) {
        let known = demand.entry(region.clone()).or_default();
        *known = (*known).max(*rps);
    }
    demand
}
