//! Whole objects of the World over HTTP: lists, and one of them by `GET`, `PUT` and `DELETE`.
//!
//! ```text
//! GET     quorum read ─→ the object, its ETag              (`?stale=1`: from what this member knows)
//! PUT     quorum read ─→ If-Match? ─→ World with it ─→ validate ─→ SetWorld, compare and set ─┐
//! DELETE  quorum read ─→ If-Match? ─→ referrers? ─→ World without it ──────────────────────────┤
//!              ↑                                                                              │
//!              └─────────── the Plan moved on meanwhile: look at the object again ────────────┘
//! ```
//!
//! Every change goes through [`change::change_world`]. An object's ETag is a hash of its content, so a verdict or an override that
//! moves the Plan on does not spoil a change of a pool; another change of the same pool does.

pub(super) mod change;
mod condition;
mod edit;
mod kinds;
mod refer;

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Plan, World};
use plane_client::{
    Problem, ProblemKind,
    api::objects::{ObjectItem, ObjectList},
};
use serde_json::Value;

pub(super) use condition::{Condition, etag};
pub(super) use edit::world_value;
pub(super) use kinds::{KINDS, Kind, Shape};

use super::{problem::No, request::Ask, write::rejected};
use crate::plane::Plane;
use change::{Done, change_world};

/// The Plan to read from: no older than the request, or the one at hand.
pub(super) async fn plan_to_read(plane: &Plane, stale: bool) -> Result<Arc<Plan>, No> {
    let plan = if stale { plane.plan() } else { plane.read_state().await?.plan().cloned() };
    plan.ok_or_else(No::not_founded)
}

/// All objects of a kind.
pub(super) async fn list(kind: &Kind, plane: &Plane, stale: bool) -> Result<Response, No> {
    let plan = plan_to_read(plane, stale).await?;
    let world = world_value(&plan.world)?;
    let item = |(name, object): (String, &Value)| ObjectItem { etag: etag(object), name, object: object.clone() };
    let items: Vec<ObjectItem> = edit::all(&world, kind).into_iter().map(item).collect();
    let tag = etag(&serde_json::to_value(&items).map_err(|e| No::internal(&e))?);
    Ok(tagged(Json(ObjectList { plan: plan.id, items }).into_response(), &tag, &plan))
}

/// One object.
pub(super) async fn get(
    kind: &Kind,
    plane: &Plane,
    name: &str,
    headers: &HeaderMap,
    stale: bool,
) -> Result<Response, No> {
    let plan = plan_to_read(plane, stale).await?;
    let world = world_value(&plan.world)?;
    let object = edit::find(&world, kind, name).ok_or_else(|| absent(kind, name, &world))?;
    Ok(whole(object, headers, &plan))
}

/// An object with its ETag, or nothing if the reader has just that one.
pub(super) fn whole(object: &Value, headers: &HeaderMap, plan: &Plan) -> Response {
    let tag = etag(object);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return tagged(StatusCode::NOT_MODIFIED.into_response(), &tag, plan);
    }
    tagged(Json(object).into_response(), &tag, plan)
}

/// Makes or replaces an object.
pub(super) async fn put(
    kind: &'static Kind,
    plane: &Plane,
    name: &str,
    (ask, headers): (&Ask, &HeaderMap),
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, No> {
    let body = body.map_err(|e| rejected(e.status(), &e.body_text()))?;
    let condition = Condition::of(headers)?;
    let object: Value = serde_json::from_slice(&body)
        .map_err(|e| No::invalid(format!("the {} does not parse as JSON: {e}", kind.noun)))?;
    let object = edit::named(kind, name, object)?;
    let edited = |world: &World| {
        let mut value = world_value(world)?;
        condition.check(kind.noun, name, edit::find(&value, kind, name))?;
        edit::put(&mut value, kind, name, object.clone());
        edit::read(value)
    };
    answer(kind, name, change_world(plane, ask, edited).await?)
}

/// Removes an object; one of which there is always one becomes what it is by default.
pub(super) async fn delete(
    kind: &'static Kind,
    plane: &Plane,
    name: &str,
    (ask, headers): (&Ask, &HeaderMap),
) -> Result<Response, No> {
    let condition = Condition::of(headers)?;
    let edited = |world: &World| {
        let mut value = world_value(world)?;
        let object = edit::find(&value, kind, name).ok_or_else(|| absent(kind, name, &value))?;
        condition.check(kind.noun, name, Some(object))?;
        refer::check_free(kind, name, world)?;
        edit::remove(&mut value, kind, name);
        edit::read(value)
    };
    answer(kind, name, change_world(plane, ask, edited).await?)
}

fn answer(kind: &Kind, name: &str, done: Done) -> Result<Response, No> {
    Ok(match done {
        Done::Tried(preview) => Json(preview).into_response(),
        Done::Applied(applied, plan) => {
            let value = world_value(&plan.world)?;
            let response = Json(applied).into_response();
            match edit::find(&value, kind, name) {
                Some(object) => tagged(response, &etag(object), &plan),
                None => response,
            }
        }
    })
}

/// With the ETag, and with the number of the Plan that it was read from.
fn tagged(mut response: Response, tag: &str, plan: &Plan) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Ok(id) = HeaderValue::try_from(plan.id.to_string()) {
        headers.insert("x-atoll-plan", id);
    }
    response
}

fn absent(kind: &Kind, name: &str, world: &Value) -> No {
    let names: Vec<String> = edit::all(world, kind).into_iter().take(20).map(|(name, _)| name).collect();
    let hint = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    let message = format!("there is no {} `{name}` in this world", kind.noun);
    No(Problem::new(ProblemKind::NotFound, message).hint(hint))
}

#[cfg(test)]
mod tests;
