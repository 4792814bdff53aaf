//! Raft among the members. Bodies are opaque here.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::header, response::IntoResponse};
use tokio::time::Instant;

use super::problem::No;
use crate::{
    plane::Plane,
    raft::{carrier::MEDIA_TYPE, rpc::RpcFault},
};

type Shared = State<Arc<Plane>>;

fn answer(bytes: Result<Vec<u8>, RpcFault>) -> Result<impl IntoResponse, No> {
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], bytes?))
}

pub(super) async fn append(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    answer(plane.consensus.on_append(&body).await)
}

pub(super) async fn vote(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    answer(plane.consensus.on_vote(&body).await)
}

pub(super) async fn pre_vote(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    answer(plane.consensus.on_pre_vote(&body).await)
}

pub(super) async fn snapshot(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    answer(plane.consensus.on_snapshot(body).await)
}

pub(super) async fn transfer(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    answer(plane.consensus.on_transfer(&body).await)
}

pub(super) async fn propose(State(plane): Shared, body: Bytes) -> Result<impl IntoResponse, No> {
    let deadline = Instant::now() + plane.timing.write_deadline();
    answer(plane.consensus.on_propose(&body, deadline).await)
}

pub(super) async fn read_index(State(plane): Shared) -> Result<impl IntoResponse, No> {
    let deadline = Instant::now() + plane.timing.write_deadline();
    answer(plane.consensus.on_read_index(deadline).await)
}

pub(super) async fn pulse(State(plane): Shared) -> Result<impl IntoResponse, No> {
    answer(plane.on_pulse())
}
