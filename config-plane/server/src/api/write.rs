//! Writes: each becomes one request of the log, under the id that its sender drew.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, JsonRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use decision::{Command, Staging};
use model::{GateScope, OverrideAction, PlanId, RegionName, Subject, World};
use plane_client::{
    Problem, ProblemKind,
    api::{
        SetOverride,
        human::{MoveHome, SetGate},
    },
};

use super::{
    objects::{
        Condition,
        change::{Done, change_world, tried},
        etag, world_value,
    },
    problem::No,
    request::{Ask, parse_id},
    submit::submit,
};
use crate::plane::Plane;

type Shared = State<Arc<Plane>>;

pub(super) async fn set_override(
    State(plane): Shared,
    mut ask: Ask,
    body: Result<Json<SetOverride>, JsonRejection>,
) -> Result<Response, No> {
    let Json(word) = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    if !word.request_id.is_empty() {
        ask.id = parse_id(&word.request_id)?;
    }
    // Only what lowers what is served is weighed against what users ask for.
    let demand_rps = match word.action {
        OverrideAction::Down => plane.demand().await,
        OverrideAction::Up => Default::default(),
    };
    let command = Command::SetOverride {
        subject: word.subject,
        action: word.action,
        reason: word.reason,
        who: word.who,
        lasts_ms: word.ttl_ms,
        second: word.second,
        staging: word.staging.map(|s| Staging { shares_permille: s.shares_permille, step_ms: s.step_ms }),
        demand_rps,
    };
    submit(&plane, &ask, command).await
}

pub(super) async fn clear_override(
    State(plane): Shared,
    ask: Ask,
    Path(subject): Path<String>,
) -> Result<Response, No> {
    let (reason, who) = signature(&ask)?;
    submit(&plane, &ask, Command::ClearOverride { subject: subject_of(&subject)?, reason, who }).await
}

pub(super) async fn clear_damping(State(plane): Shared, ask: Ask, Path(subject): Path<String>) -> Result<Response, No> {
    let (reason, who) = signature(&ask)?;
    submit(&plane, &ask, Command::ClearDamping { subject: subject_of(&subject)?, reason, who }).await
}

pub(super) async fn set_gate(
    State(plane): Shared,
    ask: Ask,
    Path(scope): Path<String>,
    body: Result<Json<SetGate>, JsonRejection>,
) -> Result<Response, No> {
    let Json(SetGate { binds_people, ttl_ms }) = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let (reason, who) = signature(&ask)?;
    let scope = scope_of(&scope)?;
    submit(&plane, &ask, Command::SetGate { scope, binds_people, reason, who, lasts_ms: ttl_ms }).await
}

pub(super) async fn clear_gate(State(plane): Shared, ask: Ask, Path(scope): Path<String>) -> Result<Response, No> {
    let (reason, who) = signature(&ask)?;
    submit(&plane, &ask, Command::ClearGate { scope: scope_of(&scope)?, reason, who }).await
}

pub(super) async fn move_home(
    State(plane): Shared,
    ask: Ask,
    Path(pool): Path<String>,
    body: Result<Json<MoveHome>, JsonRejection>,
) -> Result<Response, No> {
    let Json(MoveHome { to, epoch }) = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let (reason, who) = signature(&ask)?;
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => {
            let state = plane.read_state().await?;
            // A repeated request is answered by its id; a pool without a home is refused by name.
            state.plan().and_then(|plan| plan.homes.get(&pool)).map_or(0, |home| home.epoch)
        }
    };
    submit(&plane, &ask, Command::MoveHome { pool, to, epoch, reason, who }).await
}

pub(super) async fn set_world(
    State(plane): Shared,
    ask: Ask,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, No> {
    let body = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let base = base_of(&headers)?;
    let world = world_in(&headers, &body)?;
    let based_on = match base {
        Base::Plan(id) => id,
        Base::Content(condition) => {
            let edited = |now: &World| {
                condition.check("world", &now.name, Some(&world_value(now)?))?;
                Ok(world.clone())
            };
            return Ok(match change_world(&plane, &ask, edited).await? {
                Done::Tried(preview) => Json(preview).into_response(),
                Done::Applied(applied, plan) => {
                    ([(header::ETAG, etag(&world_value(&plan.world)?))], Json(applied)).into_response()
                }
            });
        }
    };
    let (reason, who) = signature(&ask)?;
    let command = Command::SetWorld { based_on, world: world.into(), reason, who };
    if ask.dry_run {
        let state = plane.read_state().await?;
        return Ok(Json(tried(&plane, &state, &ask, command)?).into_response());
    }
    submit(&plane, &ask, command).await
}

fn signature(ask: &Ask) -> Result<(String, String), No> {
    ask.signed().map(|(reason, who)| (reason.to_owned(), who.to_owned()))
}

/// A subject as addresses have it: `region/eu-west`, `pool/web/eu-west`, or a region's name alone.
pub(super) fn subject_of(text: &str) -> Result<Subject, No> {
    let read = match text.contains('/') {
        true => text.parse(),
        false => text.parse::<RegionName>().map(Subject::Region),
    };
    read.map_err(|e| No::invalid(e.to_string()))
}

/// `world`, or `pool/NAME`.
fn scope_of(text: &str) -> Result<GateScope, No> {
    match text.split_once('/') {
        None if text == "world" => Ok(GateScope::World),
        Some(("pool", name)) if !name.is_empty() => Ok(GateScope::Pool(name.to_owned())),
        _ => Err(No::invalid(format!("`{text}` is not what a gate stands before: write `world` or `pool/NAME`"))),
    }
}

pub(super) fn rejected(status: StatusCode, why: &str) -> No {
    let kind = if status == StatusCode::PAYLOAD_TOO_LARGE { ProblemKind::TooLarge } else { ProblemKind::Invalid };
    No(Problem::new(kind, why))
}

/// What a change of the whole World was made from.
enum Base {
    /// `If-Match: "LINEAGE:VERSION"`: from this Plan, whatever has changed in it since.
    Plan(PlanId),
    /// An ETag: from this World.
    Content(Condition),
}

fn base_of(headers: &HeaderMap) -> Result<Base, No> {
    let given = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    match given.and_then(|text| parse_plan_id(text.trim_matches('"'))) {
        Some(id) => Ok(Base::Plan(id)),
        None => Condition::of(headers).map(Base::Content),
    }
}

/// The reverse of `PlanId`'s `Display`.
pub(super) fn parse_plan_id(text: &str) -> Option<PlanId> {
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
    fn subjects_and_gates_are_read_as_addresses_have_them() {
        let subject = |text: &str| subject_of(text).map(|subject| subject.to_string()).ok();
        assert_eq!(subject("eu-west").as_deref(), Some("region/eu-west"));
        assert_eq!(subject("region/eu-west").as_deref(), Some("region/eu-west"));
        assert_eq!(subject("pool/web/eu-west").as_deref(), Some("pool/web/eu-west"));
        for wrong in ["", "EU", "pool/web", "region/", "a/b/c/d"] {
            assert_eq!(subject(wrong), None, "{wrong}");
        }
        assert_eq!(scope_of("world").ok(), Some(GateScope::World));
        assert_eq!(scope_of("pool/web").ok(), Some(GateScope::Pool("web".into())));
        for wrong in ["", "web", "pool/", "world/web"] {
            assert!(scope_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_number_of_a_plan_is_read_as_it_is_written_and_nothing_else_is() {
        let id = PlanId { lineage: 0xbeef, version: 17 };
        assert_eq!(parse_plan_id(&id.to_string()), Some(id));
        for wrong in ["", "17", "beef:", ":17", "xyz:17", "beef:-1", "beef:17:1"] {
            assert_eq!(parse_plan_id(wrong), None, "{wrong}");
        }
    }
}
