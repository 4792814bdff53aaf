//! Votes: regions hand them in, people look at them.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use model::VoteVector;
use plane_client::{
    Problem, ProblemKind,
    api::{VoteReceipt, VotesReport},
};

use super::{auth::Caller, problem::No};
use crate::plane::Plane;

/// Takes a vector. A region speaks for itself only.
pub(super) async fn take(
    State(plane): State<Arc<Plane>>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<VoteReceipt>, No> {
    let body = body.map_err(|e| No::invalid(e.body_text()))?;
    // Several a second from every region: read without the bookkeeping that axum's extractor does for its error messages.
    let vector: VoteVector =
        serde_json::from_slice(&body).map_err(|e| No::invalid(format!("the votes do not parse: {e}")))?;
    if caller != Caller::Region(vector.observer.to_string()) {
        let message = format!("{caller} may not vote in the name of {}", vector.observer);
        return Err(No(Problem::new(ProblemKind::Forbidden, message)));
    }
    Ok(Json(plane.take_votes(vector)))
}

/// What this member holds.
pub(super) async fn report(State(plane): State<Arc<Plane>>) -> Result<Json<VotesReport>, No> {
    let stopped = || No(Problem::new(ProblemKind::Internal, "this member is shutting down"));
    plane.votes_report().await.map(Json).ok_or_else(stopped)
}
