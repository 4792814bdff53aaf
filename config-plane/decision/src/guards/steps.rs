//! Ramps and staged drains: what goes step by step, when the next step is due, and what halts it.
//!
//! | | starts | steps | is halted while |
//! |---|---|---|---|
//! | ramp | a verdict returns from Down, or a drain ends | the World's `ramp_percent`, then all of it | the subject is not Up, or a gate is closed |
//! | staged drain | `SetOverride` with stages | the shares that it named, then 0 | another member that it hands users to is Degraded or Down, what is left could carry no more of them, somebody would be the last, or a gate that binds people is closed |
//! | cut of what a subject keeps though it is Down | a decision that the others could not carry whole | as far as fits, each minute | nothing more fits, or a gate is closed |
//!
//! A stage of a drain that what is left could not carry is taken as far as fits, in whole percents; the rest of it comes later.
//!
//! Halted means that it stays where it is, and goes on by itself once nothing holds it: nothing is taken back.

use model::{Automation, Kept, Override, Plan, RegionName, Stages, Subject, SubjectState, Verdict, Why};

use super::{Behind, capacity, gates, left, sketch};
use crate::Demand;

const WHOLE: u32 = 1000;

/// From one cut of what a subject keeps to the next, milliseconds: until then the loads that are heard may be those from before it,
/// while caches still know the old answers.
const CUT_STEP_MS: u64 = 60_000;

/// A step that is due and that nothing halts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DueStep {
    /// A ramp goes up to this share, per mille.
    Ramp(Subject, u32),
    /// The drain by the override on this subject takes its next stage.
    Drain(Subject),
    /// It goes to this share, per mille: as much of its next stage as fits.
    DrainInPart(Subject, u32),
    /// A subject that is Down keeps no more than this share, per mille.
    Cut(Subject, u32),
}

/// The steps to take now, one at most per subject, each checked on top of those before it, by the guards of that generation.
pub(crate) fn due_steps(plan: &Plan, now_ms: u64, demand_rps: &Demand, generation: u32) -> Vec<DueStep> {
    let automation = &plan.world.automation;
    let ramps = plan.verdicts.iter().filter(|(subject, state)| {
        is_ramping(state)
            && state.verdict == Verdict::Up
            && is_due(ramp_due_ms(automation, state), ramp_step_ms(automation), now_ms)
            && gates::check_gates(plan, Behind::Subject(subject), now_ms).is_ok()
    });
    let mut steps: Vec<DueStep> = ramps
        .map(|(subject, state)| DueStep::Ramp(subject.clone(), next_ramp_permille(automation, state.ramp_permille)))
        .collect();
    let mut drains = plan.overrides.iter().filter(|o| drain_is_due(o, now_ms)).peekable();
    let mut cuts = plan.verdicts.iter().filter(|(_, state)| cut_is_due(state, now_ms)).peekable();
    if drains.peek().is_none() && cuts.peek().is_none() {
        return steps;
    }
    let mut now = sketch(plan);
    let mut take = |now: &mut Plan, step: DueStep| {
        step.take(now, now_ms);
        steps.push(step);
    };
    for (subject, _) in cuts {
        let may = gates::check_automation(plan, subject, now_ms).is_ok();
        let asked_by = if generation >= super::CUTS_TOGETHER { plan } else { &now };
        if let Some(permille) = capacity::cut(asked_by, &now, subject, demand_rps).filter(|_| may) {
            take(&mut now, DueStep::Cut(subject.clone(), permille));
        }
    }
    if generation >= super::CUTS_TOGETHER {
        for wait in others_wait(plan, &now) {
            take(&mut now, wait);
        }
    }
    for drain in drains {
        if let Some(step) = drain_step(&now, drain, now_ms, demand_rps, generation) {
            take(&mut now, step);
        }
    }
    steps
}

/// After a cut of one subject the others keep what they keep for a whole step: those whom the first one let go are not heard in the
/// loads yet, and the room that they need seems free.
fn others_wait(before: &Plan, after: &Plan) -> Vec<DueStep> {
    let kept = |plan: &Plan, subject: &Subject| plan.verdicts.get(subject).and_then(kept_by);
    let was_cut = |subject: &Subject| kept(before, subject) != kept(after, subject);
    if !before.verdicts.keys().any(was_cut) {
        return Vec::new();
    }
    let others = after.verdicts.iter().filter(|(subject, _)| !was_cut(subject));
    others.filter_map(|(subject, state)| Some(DueStep::Cut(subject.clone(), kept_by(state)?.permille))).collect()
}

/// As much of a drain's next stage as may be taken; none if it is halted.
fn drain_step(now: &Plan, drain: &Override, now_ms: u64, demand_rps: &Demand, generation: u32) -> Option<DueStep> {
    let mut next = now.clone();
    take_stage(&mut next, &drain.subject, now_ms);
    if !may_drain(now, &next, drain, now_ms) {
        return None;
    }
    if drain.second.is_some() || capacity::check(now, &next, demand_rps).is_ok() {
        return Some(DueStep::Drain(drain.subject.clone()));
    }
    let stage_permille = next.override_on(&drain.subject).map_or(0, |drain| drain.share_permille);
    let between = stage_permille / 10 + 1..drain.share_permille.div_ceil(10);
    let percent = capacity::least_percent(between, |percent| {
        drain_to(&mut next, &drain.subject, percent * 10);
        capacity::check(now, &next, demand_rps).is_ok()
    });
    let percent = percent.filter(|_| generation >= super::CUTS_TO_FIT)?;
    Some(DueStep::DrainInPart(drain.subject.clone(), percent * 10))
}

/// When the first step of the Plan is due, Unix milliseconds.
pub(crate) fn next_due_ms(plan: &Plan) -> Option<u64> {
    let automation = &plan.world.automation;
    let ramps = plan.verdicts.values().filter(|state| is_ramping(state) && state.verdict == Verdict::Up);
    let ramps = ramps.map(|state| ramp_due_ms(automation, state));
    let drains = plan.overrides.iter().filter_map(|o| o.stages.as_ref()).map(|stages| stages.next_at_ms);
    let cuts = plan.verdicts.values().filter_map(|state| kept_by(state).map(cut_due_ms));
    ramps.chain(drains).chain(cuts).min()
}

impl DueStep {
    /// Takes the step in a Plan.
    pub(crate) fn take(&self, plan: &mut Plan, now_ms: u64) {
        match self {
            Self::Ramp(subject, permille) => {
                if let Some(state) = plan.verdicts.get_mut(subject) {
                    (state.ramp_permille, state.ramp_at_ms) = (*permille, now_ms);
                }
            }
            Self::Drain(subject) => take_stage(plan, subject, now_ms),
            Self::DrainInPart(subject, permille) => {
                drain_to(plan, subject, *permille);
                let drain = plan.overrides.iter_mut().find(|o| o.subject == *subject);
                if let Some(stages) = drain.and_then(|drain| drain.stages.as_mut()) {
                    stages.next_at_ms = now_ms.saturating_add(stages.step_ms);
                }
            }
            Self::Cut(subject, permille) => {
                let was = plan.verdicts.get(subject).and_then(|state| state.kept);
                let kept = was.map(|kept| Kept { permille: *permille, at_ms: now_ms, ..kept });
                capacity::keep(plan, subject, kept);
            }
        }
    }
}

fn is_ramping(state: &SubjectState) -> bool {
    state.verdict != Verdict::Down && state.ramp_permille < WHOLE
}

/// The share that a ramp starts with, not below what is sent already, per mille.
pub(crate) fn first_ramp_permille(automation: &Automation, sent_permille: u32) -> u32 {
    automation.ramp_percent.first().map_or(WHOLE, |percent| (percent * 10).max(sent_permille).min(WHOLE))
}

fn next_ramp_permille(automation: &Automation, now_permille: u32) -> u32 {
    automation.ramp_percent.iter().map(|percent| percent * 10).find(|next| *next > now_permille).unwrap_or(WHOLE)
}

fn ramp_step_ms(automation: &Automation) -> u64 {
    u64::from(automation.ramp_step_s) * 1000
}

fn ramp_due_ms(automation: &Automation, state: &SubjectState) -> u64 {
    state.ramp_at_ms.saturating_add(ramp_step_ms(automation))
}

/// Due at that time; or at once if that is more than a step ahead, which it can only be by a clock that was set back since.
fn is_due(due_ms: u64, step_ms: u64, now_ms: u64) -> bool {
    now_ms >= due_ms || due_ms - now_ms > step_ms
}

fn drain_is_due(o: &Override, now_ms: u64) -> bool {
    o.stages.as_ref().is_some_and(|stages| is_due(stages.next_at_ms, stages.step_ms, now_ms))
}

/// What a subject that is Down keeps.
fn kept_by(state: &SubjectState) -> Option<Kept> {
    state.kept.filter(|_| state.verdict == Verdict::Down)
}

fn cut_due_ms(kept: Kept) -> u64 {
    kept.at_ms.saturating_add(CUT_STEP_MS)
}

fn cut_is_due(state: &SubjectState, now_ms: u64) -> bool {
    kept_by(state).is_some_and(|kept| is_due(cut_due_ms(kept), CUT_STEP_MS, now_ms))
}

fn drain_to(plan: &mut Plan, subject: &Subject, permille: u32) {
    if let Some(drain) = plan.overrides.iter_mut().find(|o| o.subject == *subject) {
        drain.share_permille = permille;
    }
}

fn take_stage(plan: &mut Plan, subject: &Subject, now_ms: u64) {
    let Some(drain) = plan.overrides.iter_mut().find(|o| o.subject == *subject) else { return };
    let Some(Stages { left_permille, step_ms, next_at_ms }) = &mut drain.stages else { return };
    if !left_permille.is_empty() {
        drain.share_permille = left_permille.remove(0);
    }
    *next_at_ms = now_ms.saturating_add(*step_ms);
    if left_permille.is_empty() {
        drain.stages = None;
    }
}

/// Whether a stage may be taken, as far as it is not a question of capacity.
fn may_drain(before: &Plan, after: &Plan, drain: &Override, now_ms: u64) -> bool {
    let is_broken_glass = drain.second.is_some();
    gates::check_people_gate(before, Behind::Subject(&drain.subject), now_ms).is_ok()
        && left::check(before, after).is_ok()
        && (is_broken_glass || receivers_are_well(before, &drain.subject))
}

/// Whether every other member of the subject's pools that automation speaks for is Up.
fn receivers_are_well(plan: &Plan, drained: &Subject) -> bool {
    let pools = plan.world.pools.iter().filter(|(name, pool)| {
        drained.pool().is_none_or(|own| own == name.as_str()) && pool.members.contains(drained.region())
    });
    let mut receivers = pools.flat_map(|(name, pool)| pool.members.iter().map(move |member| (name, member)));
    receivers.all(|(pool, member)| member == drained.region() || is_well(plan, pool, member))
}

fn is_well(plan: &Plan, pool: &str, member: &RegionName) -> bool {
    if plan.serving_in(pool, member).why == Why::Override {
        return true;
    }
    let is_up = |subject: &Subject| plan.verdicts.get(subject).is_none_or(|state| state.verdict == Verdict::Up);
    let own = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: member.clone() });
    is_up(&Subject::Region(member.clone())) && own.is_none_or(|own| is_up(&own))
}
