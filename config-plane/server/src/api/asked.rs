//! What people ask before and after: what is in force by hand, what was decided and why, what would come of a death.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use model::{Gate, Home, Override, PlanId, Subject};
use plane_client::{
    Problem, ProblemKind,
    api::human::{DecisionExplanation, RefusedRequest, SurveyReport, WhatIfReport},
};
use serde::{Deserialize, Serialize};

use super::{
    objects::{plan_to_read, whole, world_value},
    problem::{No, rule_of},
    write::{rejected, subject_of},
};
use crate::{clock::unix_ms, plane::Plane};

type Shared = State<Arc<Plane>>;

/// The most subjects that a what-if is asked of.
const DEATHS_MOST: usize = 64;

/// Things of one Plan, with its number.
#[derive(Serialize)]
pub(super) struct Listed<T> {
    plan: PlanId,
    items: Vec<T>,
}

/// `?stale=1`: answer from what this member knows, without asking a quorum.
#[derive(Deserialize)]
pub(super) struct Freshness {
    stale: Option<String>,
}

impl Freshness {
    pub(super) fn stale(&self) -> bool {
        self.stale.as_deref().is_some_and(|stale| matches!(stale, "1" | "true" | ""))
    }
}

pub(super) async fn world(
    State(plane): Shared,
    Query(fresh): Query<Freshness>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let plan = plan_to_read(&plane, fresh.stale()).await?;
    Ok(whole(&world_value(&plan.world)?, &headers, &plan))
}

pub(super) async fn overrides(
    State(plane): Shared,
    Query(fresh): Query<Freshness>,
) -> Result<Json<Listed<Override>>, No> {
    let plan = plan_to_read(&plane, fresh.stale()).await?;
    Ok(Json(Listed { plan: plan.id, items: plan.overrides.clone() }))
}

pub(super) async fn gates(State(plane): Shared, Query(fresh): Query<Freshness>) -> Result<Json<Listed<Gate>>, No> {
    let plan = plan_to_read(&plane, fresh.stale()).await?;
    Ok(Json(Listed { plan: plan.id, items: plan.gates.clone() }))
}

/// Where one pool's state is at home.
#[derive(Serialize)]
pub(super) struct PoolsHome {
    pool: String,
    #[serde(flatten)]
    home: Home,
}

pub(super) async fn homes(State(plane): Shared, Query(fresh): Query<Freshness>) -> Result<Json<Listed<PoolsHome>>, No> {
    let plan = plan_to_read(&plane, fresh.stale()).await?;
    let items = plan.homes.iter().map(|(pool, home)| PoolsHome { pool: pool.clone(), home: home.clone() });
    Ok(Json(Listed { plan: plan.id, items: items.collect() }))
}

/// Why a version of the Plan is what it is, or why a request made none.
pub(super) async fn decision(
    State(plane): Shared,
    Path(version): Path<String>,
) -> Result<Json<DecisionExplanation>, No> {
    let version: u64 =
        version.parse().map_err(|_| No::invalid(format!("`{version}` is not a version: it is a number")))?;
    let state = plane.state();
    let made = plane.history.version(version);
    // A newer Plan still carries the latest decisions of older ones.
    let kept = state.plan().into_iter().flat_map(|plan| &plan.decisions).filter(|decision| decision.version == version);
    let mut decisions: Vec<_> = kept.cloned().collect();
    if let Some(made) = made.as_ref().filter(|_| decisions.is_empty()) {
        decisions = made.decisions.iter().filter(|decision| decision.version == version).cloned().collect();
    }
    let refused = state.refused().find(|refused| refused.index == version).map(|refused| RefusedRequest {
        proposed_at_ms: refused.proposed_at_ms,
        proposed_by: refused.proposed_by.clone(),
        kind: refused.kind.clone(),
        rule: rule_of(&refused.refusal),
        message: refused.refusal.to_string(),
    });
    if made.is_none() && decisions.is_empty() && refused.is_none() {
        let message = format!("region {} knows nothing of version {version}", plane.region);
        let hint = "a member keeps the last 64 Plans that it saw, a Plan its last 32 decisions; ask another region, or look at `/v1/plan`";
        return Err(No(Problem::new(ProblemKind::NotFound, message).hint(hint)));
    }
    Ok(Json(DecisionExplanation {
        version,
        made_by: made.as_ref().map(|plan| plan.made_by.clone()),
        made_at_ms: made.as_ref().map(|plan| plan.made_at_ms),
        decisions,
        refused,
    }))
}

#[derive(Deserialize)]
pub(super) struct Deaths {
    down: String,
}

/// Plays deaths on a copy of the state as this member knows it.
pub(super) async fn what_if(
    State(plane): Shared,
    deaths: Result<Query<Deaths>, QueryRejection>,
) -> Result<Json<WhatIfReport>, No> {
    let Query(Deaths { down }) = deaths.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let subjects = down.split(',').map(str::trim).filter(|text| !text.is_empty()).take(DEATHS_MOST + 1);
    let dead: BTreeSet<Subject> = subjects.map(subject_of).collect::<Result<_, No>>()?;
    if dead.is_empty() || dead.len() > DEATHS_MOST {
        return Err(No::invalid(format!("`down` names 1 to {DEATHS_MOST} regions or members, separated by commas")));
    }
    let demand = plane.demand().await;
    let state = plane.state();
    let plan = state.plan().ok_or_else(No::not_founded)?.id;
    let down = dead.iter().map(ToString::to_string).collect();
    // Every death is played through the real judge: too long for the thread that answers heartbeats.
    let played = tokio::task::spawn_blocking(move || decision::what_if(&state, &dead, &demand, unix_ms())).await;
    let what = played.map_err(|e| No::internal(&e))?.map_err(No::from)?;
    Ok(Json(WhatIfReport {
        plan,
        down,
        decided: what.decided.iter().map(|decision| format!("{} {:?}", decision.subject, decision.to)).collect(),
        serving: what.serving,
        cannot: what.cannot.iter().map(ToString::to_string).collect(),
        capacity_left_percent: what.capacity_left_percent,
    }))
}

/// What this member found at its last look.
pub(super) async fn survey(State(plane): Shared) -> Json<SurveyReport> {
    Json(plane.survey.borrow().as_ref().clone())
}
