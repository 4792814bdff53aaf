//! Reads: any member answers at once, from what it knows. Each answer carries the Plan's number, so that a reader sees its age.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use plane_client::{
    Problem, ProblemKind,
    api::{KeptWorld, PlanHistory, PlaneStatus, WorldHead},
};

use super::problem::No;
use crate::{concerns, plane::Plane};

pub(super) async fn status(State(plane): State<Arc<Plane>>) -> Json<PlaneStatus> {
    let concerns = concerns::all(&plane).await;
    Json(PlaneStatus { concerns, ..plane.status() })
}

pub(super) async fn plan(State(plane): State<Arc<Plane>>) -> Result<impl IntoResponse, No> {
    plane.plan().map(Json).ok_or_else(No::not_founded)
}

pub(super) async fn plan_version(
    State(plane): State<Arc<Plane>>,
    Path(version): Path<String>,
) -> Result<impl IntoResponse, No> {
    let version = number(&version)?;
    plane.history.version(version).map(Json).ok_or_else(|| {
        let message = format!("region {} does not hold Plan version {version}", plane.region);
        No(Problem::new(ProblemKind::NotFound, message)
            .hint("a member keeps the last 64 Plans that it saw, fewer of large worlds; ask another one, or for the World alone"))
    })
}

/// What is known of earlier Plans: everything that this member saw, and the Worlds that all members keep.
pub(super) async fn plan_history(State(plane): State<Arc<Plane>>) -> Json<PlanHistory> {
    let worlds = plane.state().worlds().heads().cloned().map(head).collect();
    Json(PlanHistory { region: plane.region.clone(), plans: plane.history.heads(), worlds })
}

/// The World that was in force at a version.
pub(super) async fn plan_world(
    State(plane): State<Arc<Plane>>,
    Path(version): Path<String>,
) -> Result<Json<KeptWorld>, No> {
    let version = number(&version)?;
    let state = plane.state();
    let found = state.plan().and_then(|plan| state.worlds().at(plan, version));
    let Some((kept, world)) = found else {
        let message = format!("the World of Plan version {version} is not kept, or that version was never made");
        return Err(No(Problem::new(ProblemKind::NotFound, message).hint("`atoll plan history` shows which are")));
    };
    Ok(Json(KeptWorld { head: head(kept), world: world.clone() }))
}

fn head(kept: decision::WorldHead) -> WorldHead {
    WorldHead { version: kept.version, made_at_ms: kept.made_at_ms, made_by: kept.made_by }
}

fn number(version: &str) -> Result<u64, No> {
    version.parse().map_err(|_| No::invalid(format!("`{version}` is not a version: it is a number")))
}
