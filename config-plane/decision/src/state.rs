//! The replicated state machine of the plane: requests in log order go in, numbered Plans come out.
//!
//! Laws (each has a test):
//! - **Same log, same state**: `apply` reads nothing but its arguments and itself, so every member gets equal bytes.
//! - **Only forward**: each accepted change makes a Plan with a greater `(lineage, index)`; anything else leaves the Plan alone.
//! - **Once**: a request id that was seen is answered with its first outcome.
//! - **Guarded**: whatever is asked by whomever, a Plan is made only if the guards let it through (`guards.rs`).
//!
//! Verdicts are tracked beneath overrides, as gdnsd keeps the real state beneath a forced one: a decision on an overridden
//! subject is recorded and changes nobody's answers, and the moment a human's word ends, automation's *present* view holds
//! instead of the one from before the maintenance.
//!
//! **Time** is an argument: the judge's clock where a command carries one, the proposer's otherwise. It may step, so nothing that
//! protects may depend on it alone: a time that lies in the future counts as this moment.
//!
//! **Generations**: a log from before a guard existed replays without it, to the same bytes ([`Request::GENERATION`]).

mod advance;
mod decide;
mod homes;
mod words;
mod world;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use model::{Plan, RegionName};
use serde::{Deserialize, Serialize};

use crate::{Command, Outcome, Refusal, Request, RequestId, Worlds, guards, recent::Recent};

/// The plane's whole state. Its serde form is the snapshot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PlaneState {
    plan: Option<Arc<Plan>>,
    recent: Recent,
    /// The Worlds that went before.
    #[serde(default, skip_serializing_if = "Worlds::is_empty")]
    worlds: Worlds,
    /// Every region id ever used, and whose it is.
    ids: BTreeMap<u16, RegionName>,
    refused: VecDeque<RefusedRequest>,
    /// The newest generation of guards that the log has seen.
    #[serde(default, skip_serializing_if = "is_first")]
    generation: u32,
}

fn is_first(generation: &u32) -> bool {
    *generation == 0
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

/// One entry of the log on its way through `apply`.
#[derive(Clone, Copy)]
struct Entry<'r> {
    index: u64,
    request: &'r Request,
    /// By which guards it is judged.
    generation: u32,
}

impl Entry<'_> {
    /// When it was proposed; never before the Plan that it changes.
    fn now_ms(&self, plan: &Plan) -> u64 {
        self.request.proposed_at_ms.max(plan.made_at_ms)
    }

    /// Whether it is judged by everything that this program knows, or comes from a log that knew only the first guards.
    fn is_guarded(&self) -> bool {
        self.generation >= 1
    }
}

impl PlaneState {
    /// How many refused requests are kept for `explain`.
    pub const REFUSED_KEPT: usize = 32;

    /// The state before the first entry: not founded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The Plan in force; none before the world is founded.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The Worlds that went before, for `plan show`, `plan diff` and `plan rollback`.
    pub fn worlds(&self) -> &Worlds {
        &self.worlds
    }

    /// The latest refused requests, newest last.
    pub fn refused(&self) -> impl DoubleEndedIterator<Item = &RefusedRequest> {
        self.refused.iter()
    }

    /// What became of a request, if it is one of the last 1024.
    pub fn outcome_of(&self, id: RequestId) -> Option<&Outcome> {
        self.recent.outcome_of(id)
    }

    /// Applies the request at `index` of the log. Deterministic: no clock, no randomness, no order of a hash map.
    pub fn apply(&mut self, index: u64, request: &Request) -> Outcome {
        if let Some(outcome) = self.recent.outcome_of(request.id) {
            return outcome.clone();
        }
        self.generation = self.generation.max(request.generation);
        let entry = Entry { index, request, generation: self.generation };
        let outcome = match self.step(entry) {
            Ok(Some(next)) => self.install(entry, next),
            Ok(None) => self.unchanged(),
            Err(refusal) => self.refuse(index, request, refusal),
        };
        self.recent.remember(request.id, outcome.clone());
        outcome
    }

    fn step(&self, entry: Entry<'_>) -> Step {
        if let Command::Found { world, lineage } = &entry.request.command {
            return self.found(world, *lineage, entry);
        }
        let plan = self.plan.as_deref().ok_or(Refusal::NotFounded)?;
        match &entry.request.command {
            Command::Found { .. } => Ok(None),
            Command::Decide { based_on, changes, falling, now_ms } => {
                guards::check_fence(plan, *based_on)?;
                decide::decide(plan, changes, falling, *now_ms, entry)
            }
            Command::SetOverride { reason, who, .. } => {
                guards::check_signature(reason, who)?;
                words::set_override(plan, &entry.request.command, entry)
            }
            Command::ClearOverride { subject, reason, who } => {
                guards::check_signature(reason, who)?;
                words::clear_override(plan, subject, (reason, who), entry)
            }
            Command::ExpireOverrides { now_ms } => Ok(words::expire(plan, *now_ms, entry)),
            Command::SetWorld { based_on, world, reason, who } => {
                guards::check_fence(plan, *based_on)?;
                guards::check_signature(reason, who)?;
                self.set_world(plan, world, (reason, who), entry)
            }
            Command::Advance { now_ms, demand_rps } => Ok(advance::advance(plan, *now_ms, demand_rps, entry)),
            Command::SetGate { scope, binds_people, reason, who, lasts_ms } => {
                guards::check_signature(reason, who)?;
                words::set_gate(plan, (scope, *binds_people), (reason, who), *lasts_ms, entry)
            }
            Command::ClearGate { scope, reason, who } => {
                guards::check_signature(reason, who)?;
                words::clear_gate(plan, scope, (reason, who))
            }
            Command::ClearDamping { subject, reason, who } => {
                guards::check_signature(reason, who)?;
                words::clear_damping(plan, subject, (reason, who), entry)
            }
            Command::MoveHome { pool, to, epoch, reason, who } => {
                guards::check_signature(reason, who)?;
                homes::move_home(plan, (pool, to), *epoch, (reason, who), entry)
            }
        }
    }

    fn install(&mut self, entry: Entry<'_>, mut next: Plan) -> Outcome {
        next.id.version = entry.index;
        // Proposers' clocks differ; a Plan is never older than the one before it.
        let floor = self.plan.as_ref().map_or(0, |plan| plan.made_at_ms);
        next.made_at_ms = entry.request.proposed_at_ms.max(floor);
        self.ids.extend(next.world.regions.iter().map(|region| (region.id, region.name.clone())));
        let id = next.id;
        let changes_world = matches!(entry.request.command, Command::Found { .. } | Command::SetWorld { .. });
        if changes_world && entry.is_guarded() {
            self.worlds.note(self.plan.as_deref(), &next);
        }
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

#[cfg(test)]
mod tests;
