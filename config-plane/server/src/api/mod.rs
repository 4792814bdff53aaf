//! The HTTP API. What travels is described in `plane_client::api`; here is who may ask for it, and who answers.

mod auth;
mod follow;
mod members;
mod problem;
mod read;
mod votes;
mod write;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post, put},
};
use model::World;
use plane_client::{Problem, ProblemKind, api::path};

pub(crate) use auth::{Admission, Peer};
pub(crate) use follow::Followers;

use crate::{plane::Plane, raft, raft::rpc};
use problem::No;

/// The longest body of a request for people's use, bytes: a World.
const BODY_MOST: usize = World::JSON_MAX;
/// The longest vote vector, bytes: 64 subjects.
const VOTES_MOST: usize = 64 << 10;
/// The longest body between members, bytes: a snapshot, or 300 log entries that each replace the World.
const RAFT_MOST: usize = raft::snapshot::MAX_BYTES + (1 << 20);

/// All routes, `extra` among them, behind the authentication.
pub(crate) fn router(plane: Arc<Plane>, admission: Admission, extra: Router) -> Router {
    let members = Router::new()
        .route(path::RAFT_APPEND, post(members::append))
        .route(path::RAFT_VOTE, post(members::vote))
        .route(path::RAFT_PRE_VOTE, post(members::pre_vote))
        .route(path::RAFT_SNAPSHOT, post(members::snapshot))
        .route(path::RAFT_TRANSFER, post(members::transfer))
        .route(rpc::PROPOSE, post(members::propose))
        .route(rpc::READ_INDEX, post(members::read_index))
        .route(rpc::PULSE, post(members::pulse))
        .layer(DefaultBodyLimit::max(RAFT_MOST))
        .merge(Router::new().route(path::VOTES, post(votes::take)).layer(DefaultBodyLimit::max(VOTES_MOST)))
        .layer(middleware::from_fn(auth::regions_only));
    let people = Router::new()
        .route(path::STATUS, get(read::status))
        .route(path::PLAN, get(read::plan))
        .route(path::PLAN_HISTORY, get(read::plan_history))
        .route(&format!("{}/{{version}}", path::PLAN), get(read::plan_version))
        .route(&format!("{}/{{version}}/world", path::PLAN), get(read::plan_world))
        .route(path::VOTES, get(votes::report))
        .route(path::FOLLOW, get(follow::follow))
        .route(path::OVERRIDES, post(write::set_override))
        .route(&format!("{}/{{region}}", path::OVERRIDES), delete(write::clear_override))
        .route(&format!("{}/{{*subject}}", path::DAMPING), delete(write::clear_damping))
        .route(path::WORLD, put(write::set_world))
        .layer(DefaultBodyLimit::max(BODY_MOST));
    members
        .merge(people)
        .with_state(plane)
        .merge(extra)
        .fallback(async || No(Problem::new(ProblemKind::NotFound, "there is no such path in this API")))
        .method_not_allowed_fallback(async || {
            No(Problem::new(ProblemKind::NotFound, "this path of the API does not take this method"))
        })
        .layer(middleware::from_fn_with_state(Arc::new(admission), auth::admit))
}
