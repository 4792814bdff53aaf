//! The HTTP API. What travels is described in `plane_client::api`; here is who may ask for it, and who answers.
//!
//! ```text
//! request ─→ auth.rs: who? ─→ request.rs: its id ─→ routes.rs ─┬─→ read.rs, asked.rs, events/     answers
//!                                                              ├─→ objects/, write.rs ─→ submit.rs ─→ the log
//!                                                              └─→ node.rs                        this member alone
//! ```

mod asked;
mod auth;
mod events;
mod follow;
mod node;
mod objects;
mod openapi;
mod problem;
mod read;
mod request;
mod routes;
mod submit;
mod votes;
mod write;

use std::sync::Arc;

use axum::{Router, middleware};
use plane_client::{Problem, ProblemKind};

pub(crate) use auth::{Admission, Peer};
pub(crate) use follow::Followers;

use crate::plane::Plane;
use problem::No;
use routes::Audience;

/// All routes, `extra` among them, behind the authentication.
pub(crate) fn router(plane: Arc<Plane>, admission: Admission, extra: Router) -> Router {
    let members = routes::router(Audience::Regions).layer(middleware::from_fn(auth::regions_only));
    let people = routes::router(Audience::People).layer(middleware::from_fn(request::tag));
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
