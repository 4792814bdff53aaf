//! From a command to an answer: proposed through the log, or tried on a copy of the state.

use axum::{
    Json,
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use decision::{Command, Outcome, PlaneState, RequestId};
use plane_client::api::{Applied, human::Preview};

use super::{
    problem::No,
    request::{Ask, REQUEST_ID},
};
use crate::plane::Plane;

/// Proposes a command, or only tries it.
pub(super) async fn submit(plane: &Plane, ask: &Ask, command: Command) -> Result<Response, No> {
    if ask.dry_run {
        let state = plane.read_state().await?;
        return Ok(Json(preview(plane, &state, ask.id, command)?).into_response());
    }
    let applied = applied(propose(plane, ask, ask.id, command).await?)?;
    let mut response = Json(applied).into_response();
    if let Ok(id) = HeaderValue::try_from(ask.id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// Proposes a command under an id, and writes down who asked for it.
pub(super) async fn propose(plane: &Plane, ask: &Ask, id: RequestId, command: Command) -> Result<Outcome, No> {
    let kind = command.kind();
    let outcome = plane.propose(plane.request_with(id, command)).await?;
    tracing::info!(caller = %ask.caller, kind, request = %id, ?outcome, "a request of a person");
    Ok(outcome)
}

pub(super) fn applied(outcome: Outcome) -> Result<Applied, No> {
    match outcome {
        Outcome::Applied(plan) => Ok(Applied { plan, changed: true }),
        Outcome::Unchanged(plan) => Ok(Applied { plan, changed: false }),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// What would come of a command: the real guards, on a copy of the state.
pub(super) fn preview(plane: &Plane, state: &PlaneState, id: RequestId, command: Command) -> Result<Preview, No> {
    let plan = state.plan().ok_or_else(No::not_founded)?;
    let (mut copy, next) = (state.clone(), plan.id.version.saturating_add(1));
    let outcome = copy.apply(next, &plane.request_with(id, command));
    let changed = matches!(outcome, Outcome::Applied(_));
    Ok(Preview {
        dry_run: true,
        plan: plan.id,
        changes: changed,
        made_by: copy.plan().filter(|_| changed).map(|plan| plan.made_by.clone()),
        refused: match outcome {
            Outcome::Refused(refusal) => Some(No::from(refusal).0),
            Outcome::Applied(_) | Outcome::Unchanged(_) => None,
        },
        diff: None,
    })
}
