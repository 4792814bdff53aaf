//! Rows of the plane itself: how it does, its Plans, votes, streams.

use axum::{
    http::Method,
    routing::{get, post},
};
use plane_client::api::path;

use super::{Param, Route};
use crate::api::{asked, events, follow, openapi, read, votes};

/// The longest vote vector, bytes: 64 subjects.
const VOTES_MOST: usize = 64 << 10;

const DOWN: Param = Param::needed("down", "Who dies: regions or `pool/NAME/REGION`, separated by commas.");
const LAST_EVENT: Param =
    Param::maybe("last_event_id", "Resume after this event, where the header `Last-Event-ID` cannot be set.");
const NAME: Param = Param::needed("name", "The name that a DNS client asks for, absolute.");
const FROM: Param = Param::needed("from", "The client's address.");
const TYPE: Param = Param::maybe("type", "The record type; A if left out.");

pub(super) fn rows() -> Vec<Route> {
    let mut rows = public();
    rows.extend(between_regions());
    rows.extend(elsewhere());
    rows
}

fn public() -> Vec<Route> {
    vec![
        Route::new(Method::GET, path::OPENAPI, "This API as OpenAPI 3.1.").by(get(openapi::document)).gives("OpenApi"),
        Route::new(Method::GET, path::STATUS, "How the plane does, seen by the member that answers.")
            .by(get(read::status))
            .gives("PlaneStatus"),
        Route::new(Method::GET, path::PLAN, "The Plan in force, as far as the member that answers knows.")
            .by(get(read::plan))
            .gives("Plan")
            .fails(&[404]),
        Route::new(Method::GET, format!("{}/{{version}}", path::PLAN), "An earlier Plan, if it is still kept.")
            .by(get(read::plan_version))
            .gives("Plan")
            .fails(&[404]),
        Route::new(Method::GET, path::PLAN_HISTORY, "The Plans that this member saw, and the Worlds that all keep.")
            .by(get(read::plan_history))
            .gives("PlanHistory"),
        Route::new(
            Method::GET,
            format!("{}/{{version}}/world", path::PLAN),
            "The World that was in force at a version, if it is kept.",
        )
        .by(get(read::plan_world))
        .gives("KeptWorld")
        .fails(&[404]),
        Route::new(Method::GET, path::VOTES, "The latest votes that the member holds.")
            .by(get(votes::report))
            .gives("VotesReport"),
        Route::new(
            Method::GET,
            path::FOLLOW,
            "Endless: the Plan at once and at each change, a sign of life each second.",
        )
        .by(get(follow::follow))
        .gives_bytes("application/vnd.atoll.follow"),
        Route::new(Method::GET, path::EVENTS, "Endless: what changes, as server-sent events.")
            .by(get(events::events))
            .gives_bytes("text/event-stream")
            .param(LAST_EVENT)
            .fails(&[503]),
        Route::new(
            Method::GET,
            format!("{}/{{version}}", path::EXPLAIN_DECISION),
            "Why a version of the Plan is what it is, with the evidence; or why a request made none.",
        )
        .by(get(asked::decision))
        .gives("DecisionExplanation")
        .fails(&[404]),
        Route::new(
            Method::GET,
            path::WHAT_IF,
            "What would come of these deaths: the real judge and guards, on a copy.",
        )
        .by(get(asked::what_if))
        .gives("WhatIfReport")
        .param(DOWN)
        .fails(&[409]),
        Route::new(
            Method::GET,
            path::SURVEY,
            "Whether the loss of each region could be carried, as of the last minute.",
        )
        .by(get(asked::survey))
        .gives("SurveyReport"),
    ]
}

fn between_regions() -> Vec<Route> {
    vec![
        Route::new(Method::POST, path::VOTES, "A region hands in what it sees.")
            .by(post(votes::take))
            .takes("VoteVector")
            .gives("VoteReceipt")
            .for_regions(VOTES_MOST),
    ]
}

/// Served by the region's own routes, on the same listener.
fn elsewhere() -> Vec<Route> {
    vec![
        Route::new(Method::GET, path::STATE, "The replicated state of the region that answers.").gives("StateSummary"),
        Route::new(Method::GET, path::EXPLAIN_DNS, "What a DNS client would be told, and why.")
            .gives("DnsExplanation")
            .param(NAME)
            .param(FROM)
            .param(TYPE),
        Route::new(Method::GET, path::METRICS, "Metrics in Prometheus' text format.").gives_bytes("text/plain"),
    ]
}
