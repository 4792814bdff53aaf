//! What concerns the member that is asked and nobody else: never forwarded, and answered without a quorum.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use plane_client::api::human::{LeverPulled, LeverReport, SetLever};

use super::{problem::No, request::Ask, write::rejected};
use crate::{clock::unix_ms, plane::Plane};

type Shared = State<Arc<Plane>>;

fn report(plane: &Plane) -> Json<LeverReport> {
    Json(LeverReport { region: plane.region.clone(), stopped: plane.lever.pulled() })
}

pub(super) async fn automation(State(plane): Shared) -> Json<LeverReport> {
    report(&plane)
}

pub(super) async fn set_automation(
    State(plane): Shared,
    ask: Ask,
    body: Result<Json<SetLever>, JsonRejection>,
) -> Result<Json<LeverReport>, No> {
    let Json(SetLever { enabled }) = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let (reason, who) = ask.signed()?;
    if !ask.dry_run {
        let word = LeverPulled { who: who.into(), reason: reason.into(), at_ms: unix_ms() };
        plane.lever.set((!enabled).then_some(word)).await.map_err(|e| No::internal(&e))?;
        tracing::warn!(caller = %ask.caller, who, reason, enabled, "the automation of this member was switched by hand");
    }
    Ok(report(&plane))
}
