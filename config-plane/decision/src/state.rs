//! The replicated state machine of the plane: requests in log order go in, numbered Plans come out.
//!
//! Laws (each has a test):
//! - **Same log, same state**: `apply` reads nothing but its arguments and itself, so every member gets equal bytes.
//! - **Only forward**: each accepted change makes a Plan with a greater `(lineage, index)`; anything else leaves the Plan alone.
//! - **Once**: a request id that was seen is answered with its first outcome.
//! - **Never the last**: no command leaves a pool of several members without a serving one.
//!
//! Verdicts are tracked beneath overrides, as gdnsd keeps the real state beneath a forced one: a decision on an overridden
//! subject is recorded and changes nobody's answers, and the moment a human's word ends, automation's *present* view holds
//! instead of the one from before the maintenance.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use model::{Decision, Override, OverrideAction, Plan, PlanId, RegionName, Subject, SubjectState, Verdict, World};
use serde::{Deserialize, Serialize};

use crate::{Change, Command, Outcome, Refusal, Request, guards, recent::Recent};

/// The plane's whole state. Its serde form is the snapshot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PlaneState {
    plan: Option<Arc<Plan>>,
    recent: Recent,
    /// Every region id ever used, and whose it is.
    ids: BTreeMap<u16, RegionName>,
    refused: VecDeque<RefusedRequest>,
}

/// A request that a guard refused, kept for `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRequest {
    /// Log index of the request.
    pub index: u64,
    /// When it was proposed, Unix milliseconds of the proposer.
    pub proposed_at_ms: u64,
    /// The region whose plane member proposed it.
    pub proposed_by: RegionName,
    /// [`Command::kind`].
    pub kind: String,
    /// Why it was refused.
    pub refusal: Refusal,
}

/// What a command does to a Plan: the next Plan's content, or nothing to do, or a refusal.
type Step = Result<Option<Plan>, Refusal>;

impl PlaneState {
    /// How many refused requests are kept for `explain`.
    pub const REFUSED_KEPT: usize = 32;

    /// How many lines of a wrong world a refusal carries along.
    const WORLD_ERRORS_KEPT: usize = 20;

    /// The state before the first entry: not founded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The Plan in force; none before the world is founded.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The latest refused requests, newest last.
    pub fn refused(&self) -> impl DoubleEndedIterator<Item = &RefusedRequest> {
        self.refused.iter()
    }

    /// Applies the request at `index` of the log. Deterministic: no clock, no randomness, no order of a hash map.
    pub fn apply(&mut self, index: u64, request: &Request) -> Outcome {
        if let Some(outcome) = self.recent.outcome_of(request.id) {
            return outcome.clone();
        }
        let outcome = match self.step(index, request) {
            Ok(Some(next)) => self.install(index, request, next),
            Ok(None) => self.unchanged(),
            Err(refusal) => self.refuse(index, request, refusal),
        };
        self.recent.remember(request.id, outcome.clone());
        outcome
    }

    fn step(&self, index: u64, request: &Request) -> Step {
        if let Command::Found { world, lineage } = &request.command {
            return self.found(world, *lineage, index, request);
        }
        let plan = self.plan.as_deref().ok_or(Refusal::NotFounded)?;
        match &request.command {
            Command::Found { .. } => Ok(None),
            Command::Decide { based_on, changes } => decide(plan, *based_on, changes, index, request),
            Command::SetOverride { subject, action, reason, who, lasts_ms } => {
                guards::check_signature(reason, who)?;
                guards::check_lifetime(*lasts_ms)?;
                set_override(plan, subject, *action, (reason, who), *lasts_ms, request)
            }
            Command::ClearOverride { subject, reason, who } => {
                guards::check_signature(reason, who)?;
                clear_override(plan, subject, (reason, who))
            }
            Command::ExpireOverrides { now_ms } => Ok(expire_overrides(plan, *now_ms)),
            Command::SetWorld { based_on, world, reason, who } => {
                check_fence(plan, *based_on)?;
                guards::check_signature(reason, who)?;
                self.set_world(plan, world, (reason, who), index, request)
            }
        }
    }

    fn found(&self, world: &World, lineage: u64, index: u64, request: &Request) -> Step {
        if let Some(plan) = &self.plan {
            return Err(Refusal::AlreadyFounded { lineage: plan.id.lineage });
        }
        check_world(world)?;
        let id = PlanId { lineage, version: index };
        let made_by = format!("world `{}` founded", world.name);
        let mut plan = Plan::new(id, request.proposed_at_ms, made_by, world.clone());
        sync_subjects(&mut plan, request.proposed_at_ms, index);
        Ok(Some(plan))
    }

    fn set_world(
        &self,
        plan: &Plan,
        world: &World,
        (reason, who): (&str, &str),
        index: u64,
        request: &Request,
    ) -> Step {
        check_world(world)?;
        self.check_ids(&plan.world, world)?;
        if plan.world == *world {
            return Ok(None);
        }
        let mut next = plan.clone();
        next.world = world.clone();
        next.made_by = format!("world changed by {who}: {reason}");
        sync_subjects(&mut next, request.proposed_at_ms.max(plan.made_at_ms), index);
        guards::check_nobody_last(plan, &next)?;
        Ok(Some(next))
    }

    /// A region's number is half of a replica's identity and a raft node id: it is never given to another name.
    fn check_ids(&self, was: &World, now: &World) -> Result<(), Refusal> {
        for region in &now.regions {
            if let Some(owner) = self.ids.get(&region.id).filter(|owner| **owner != region.name) {
                return Err(Refusal::IdReused { id: region.id, was: owner.clone(), now: region.name.clone() });
            }
            if let Some(old) = was.region(&region.name).filter(|old| old.id != region.id) {
                return Err(Refusal::IdChanged { region: region.name.clone(), was: old.id, now: region.id });
            }
        }
        Ok(())
    }

    fn install(&mut self, index: u64, request: &Request, mut next: Plan) -> Outcome {
        next.id.version = index;
        // Proposers' clocks differ; a Plan is never older than the one before it.
        let floor = self.plan.as_ref().map_or(0, |plan| plan.made_at_ms);
        next.made_at_ms = request.proposed_at_ms.max(floor);
        self.ids.extend(next.world.regions.iter().map(|region| (region.id, region.name.clone())));
        let id = next.id;
        self.plan = Some(Arc::new(next));
        Outcome::Applied(id)
    }

    fn unchanged(&self) -> Outcome {
        match &self.plan {
            Some(plan) => Outcome::Unchanged(plan.id),
            None => Outcome::Refused(Refusal::NotFounded),
        }
    }

    fn refuse(&mut self, index: u64, request: &Request, refusal: Refusal) -> Outcome {
        if self.refused.len() == Self::REFUSED_KEPT {
            self.refused.pop_front();
        }
        self.refused.push_back(RefusedRequest {
            index,
            proposed_at_ms: request.proposed_at_ms,
            proposed_by: request.proposed_by.clone(),
            kind: request.command.kind().to_owned(),
            refusal: refusal.clone(),
        });
        Outcome::Refused(refusal)
    }
}

fn check_fence(plan: &Plan, based_on: PlanId) -> Result<(), Refusal> {
    if based_on == plan.id {
        return Ok(());
    }
    let current = plan.id;
    Err(if based_on.lineage == current.lineage {
        Refusal::Stale { based_on, current }
    } else {
        Refusal::OtherLineage { based_on, current }
    })
}

fn check_world(world: &World) -> Result<(), Refusal> {
    world.validate().map_err(|errors| {
        let lines = errors.errors.iter().take(PlaneState::WORLD_ERRORS_KEPT).map(ToString::to_string);
        Refusal::InvalidWorld { errors: lines.collect() }
    })
}

/// New subjects begin Up, since nobody has said otherwise; subjects that are gone lose verdict and override.
fn sync_subjects(plan: &mut Plan, now_ms: u64, index: u64) {
    let subjects: Vec<Subject> = plan.world.subjects().map(|(subject, _)| subject).collect();
    plan.verdicts.retain(|subject, _| subjects.contains(subject));
    plan.overrides.retain(|o| subjects.contains(&o.subject));
    for subject in subjects {
        let fresh = || SubjectState::new(Verdict::Up, now_ms, index);
        plan.verdicts.entry(subject).or_insert_with(fresh);
    }
}

fn decide(plan: &Plan, based_on: PlanId, changes: &[Change], index: u64, request: &Request) -> Step {
    check_fence(plan, based_on)?;
    guards::check_change(plan, changes)?;
    let changes: Vec<&Change> = changes.iter().filter(|change| change.from != change.to).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    let mut next = plan.clone();
    let now_ms = request.proposed_at_ms.max(plan.made_at_ms);
    for change in &changes {
        let state = SubjectState::new(change.to, now_ms, index);
        next.verdicts.insert(change.subject.clone(), state);
        next.decisions.push(Decision {
            version: index,
            subject: change.subject.clone(),
            from: change.from,
            to: change.to,
            proposed_at_ms: request.proposed_at_ms,
            proposed_by: request.proposed_by.clone(),
            evidence: change.evidence.clone(),
        });
    }
    let surplus = next.decisions.len().saturating_sub(Plan::DECISIONS_KEPT);
    next.decisions.drain(..surplus);
    let words: Vec<String> = changes.iter().map(|c| format!("{} {:?}", c.subject, c.to)).collect();
    next.made_by = format!("decided: {}", words.join(", "));
    Ok(Some(next))
}

fn set_override(
    plan: &Plan,
    subject: &Subject,
    action: OverrideAction,
    (reason, who): (&str, &str),
    lasts_ms: u64,
    request: &Request,
) -> Step {
    guards::known(plan, subject)?;
    let word = Override::new(subject.clone(), action, (reason, who), request.proposed_at_ms, lasts_ms);
    let mut next = plan.clone();
    next.overrides.retain(|o| o.subject != *subject);
    next.overrides.push(word);
    next.overrides.sort_by(|a, b| a.subject.cmp(&b.subject));
    guards::check_nobody_last(plan, &next)?;
    next.made_by = format!("override {subject} {action:?} by {who}: {reason}");
    Ok(Some(next))
}

fn clear_override(plan: &Plan, subject: &Subject, (reason, who): (&str, &str)) -> Step {
    guards::known(plan, subject)?;
    if plan.override_on(subject).is_none() {
        return Ok(None);
    }
    guards::check_override_removal(plan, subject)?;
    let mut next = plan.clone();
    next.overrides.retain(|o| o.subject != *subject);
    next.made_by = format!("override {subject} cleared by {who}: {reason}");
    Ok(Some(next))
}

fn expire_overrides(plan: &Plan, now_ms: u64) -> Option<Plan> {
    let ends = guards::expirable(plan, now_ms);
    if ends.is_empty() {
        return None;
    }
    let mut next = plan.clone();
    next.overrides.retain(|o| !ends.contains(&o.subject));
    let words: Vec<String> = ends.iter().map(ToString::to_string).collect();
    next.made_by = format!("override expired: {}", words.join(", "));
    Some(next)
}

#[cfg(test)]
mod tests;
