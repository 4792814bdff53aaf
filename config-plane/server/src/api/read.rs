//! Reads: any member answers at once, from what it knows. Each answer carries the Plan's number, so that a reader sees its age.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use plane_client::{Problem, ProblemKind, api::PlaneStatus};

use super::problem::No;
use crate::plane::Plane;

pub(super) async fn status(State(plane): State<Arc<Plane>>) -> Json<PlaneStatus> {
    Json(plane.status())
}

pub(super) async fn plan(State(plane): State<Arc<Plane>>) -> Result<impl IntoResponse, No> {
    plane.plan().map(Json).ok_or_else(|| {
        let problem = Problem::new(ProblemKind::NotFound, "this world is not founded yet, so there is no Plan");
        No(problem.hint("wait until a majority of the regions run"))
    })
}

pub(super) async fn plan_version(
    State(plane): State<Arc<Plane>>,
    Path(version): Path<String>,
) -> Result<impl IntoResponse, No> {
    let number = version.parse().map_err(|_| No::invalid(format!("`{version}` is not a version: it is a number")))?;
    plane.history.version(number).map(Json).ok_or_else(|| {
        let message = format!("region {} does not hold Plan version {number}", plane.region);
        No(Problem::new(ProblemKind::NotFound, message)
            .hint("a member keeps the last 64 Plans that it saw; ask another one"))
    })
}
