//! Writes: each becomes one request of the log, under the id that its sender drew.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, JsonRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
};
use decision::{Command, Outcome, RequestId};
use model::{PlanId, RegionName, Subject, World};
use plane_client::{
    Problem, ProblemKind,
    api::{Applied, SetOverride, Signed},
};

use super::{auth::Caller, problem::No};
use crate::plane::Plane;

type Shared = State<Arc<Plane>>;

pub(super) async fn set_override(
    State(plane): Shared,
    Extension(caller): Extension<Caller>,
    body: Result<Json<SetOverride>, JsonRejection>,
) -> Result<Json<Applied>, No> {
    let Json(SetOverride { subject, action, reason, who, ttl_ms, request_id }) =
        body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let mut command = Command::set_override(subject, action, (&reason, &who), ttl_ms);
    if let Command::SetOverride { demand_rps, .. } = &mut command {
        *demand_rps = plane.demand().await;
    }
    propose(&plane, &caller, &request_id, command).await
}

pub(super) async fn clear_override(
    State(plane): Shared,
    Extension(caller): Extension<Caller>,
    Path(region): Path<String>,
    signed: Result<Query<Signed>, QueryRejection>,
) -> Result<Json<Applied>, No> {
    let Query(Signed { who, reason, request_id }) = signed.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let region: RegionName = region.parse().map_err(|e| No::invalid(format!("{e}")))?;
    let command = Command::ClearOverride { subject: Subject::Region(region), reason, who };
    propose(&plane, &caller, &request_id, command).await
}

pub(super) async fn clear_damping(
    State(plane): Shared,
    Extension(caller): Extension<Caller>,
    Path(subject): Path<String>,
    signed: Result<Query<Signed>, QueryRejection>,
) -> Result<Json<Applied>, No> {
    let Query(Signed { who, reason, request_id }) = signed.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let subject: Subject = subject.parse().map_err(|e| No::invalid(format!("{e}")))?;
    propose(&plane, &caller, &request_id, Command::ClearDamping { subject, reason, who }).await
}

pub(super) async fn set_world(
    State(plane): Shared,
    Extension(caller): Extension<Caller>,
    signed: Result<Query<Signed>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Applied>, No> {
    let Query(Signed { who, reason, request_id }) = signed.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let body = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let based_on = based_on(&headers)?;
    let world = world_in(&headers, &body)?;
    propose(&plane, &caller, &request_id, Command::SetWorld { based_on, world, reason, who }).await
}

async fn propose(plane: &Plane, caller: &Caller, request_id: &str, command: Command) -> Result<Json<Applied>, No> {
    let id: RequestId = request_id.parse().map_err(|why| No::invalid(format!("`{request_id}`: {why}")))?;
    let kind = command.kind();
    let outcome = plane.propose(plane.request_with(id, command)).await?;
    tracing::info!(%caller, kind, request = %id, ?outcome, "a request of a person");
    match outcome {
        Outcome::Applied(plan) => Ok(Json(Applied { plan, changed: true })),
        Outcome::Unchanged(plan) => Ok(Json(Applied { plan, changed: false })),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

fn rejected(status: StatusCode, why: &str) -> No {
    let kind = if status == StatusCode::PAYLOAD_TOO_LARGE { ProblemKind::TooLarge } else { ProblemKind::Invalid };
    No(Problem::new(kind, why))
}

/// Which Plan the change was made from: `If-Match: "LINEAGE:VERSION"`, as a [`PlanId`] is written.
fn based_on(headers: &HeaderMap) -> Result<PlanId, No> {
    let hint = "send `If-Match: \"LINEAGE:VERSION\"` with the number of the Plan that you changed";
    let wrong = |message: String| No(Problem::new(ProblemKind::Invalid, message).hint(hint));
    let text = headers
        .get(header::IF_MATCH)
        .ok_or_else(|| wrong("the request does not say from which Plan it was made".into()))?;
    let text = text.to_str().unwrap_or_default().trim_matches('"');
    parse_plan_id(text).ok_or_else(|| wrong(format!("`{text}` is not the number of a Plan")))
}

/// The reverse of `PlanId`'s `Display`.
fn parse_plan_id(text: &str) -> Option<PlanId> {
    let (lineage, version) = text.split_once(':')?;
    Some(PlanId { lineage: u64::from_str_radix(lineage, 16).ok()?, version: version.parse().ok()? })
}

fn world_in(headers: &HeaderMap, body: &[u8]) -> Result<World, No> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    if media_type.starts_with("application/toml") {
        let text = std::str::from_utf8(body).map_err(|e| No::invalid(format!("the World is not text: {e}")))?;
        return World::parse(text, "world.toml").map_err(|errors| No::invalid(errors.to_string()));
    }
    serde_json::from_slice(body).map_err(|e| No::invalid(format!("the World does not parse: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_plan_is_read_as_it_is_written_and_nothing_else_is() {
        let id = PlanId { lineage: 0xbeef, version: 17 };
        assert_eq!(parse_plan_id(&id.to_string()), Some(id));
        for wrong in ["", "17", "beef:", ":17", "xyz:17", "beef:-1", "beef:17:1"] {
            assert_eq!(parse_plan_id(wrong), None, "{wrong}");
        }
    }
}
