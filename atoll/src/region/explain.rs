//! `GET /v1/explain/dns`: what this region's DNS server would answer, and why, as lines for people.

use axum::{
    Json, Router,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use dns_server::Views;
use model::RegionName;
use plane_client::{
    Problem, ProblemKind,
    api::{DnsExplanation, DnsQuestion, path},
};
use steering::{ExplainAnswer, Rtype, explain};

#[derive(Clone)]
struct Explainer {
    region: RegionName,
    views: Views,
}

pub(crate) fn routes(region: RegionName, views: Views) -> Router {
    Router::new().route(path::EXPLAIN_DNS, get(answer)).with_state(Explainer { region, views })
}

async fn answer(State(explainer): State<Explainer>, Query(question): Query<DnsQuestion>) -> Response {
    let view = explainer.views.load();
    let Some(view) = view.as_deref() else {
        return problem(ProblemKind::Internal, "this region has no Plan yet, so its DNS server refuses every question");
    };
    let Ok(rtype) = question.record_type.parse::<Rtype>() else {
        return problem(
            ProblemKind::Invalid,
            &format!("`{}` is no record type known here; try A or AAAA", question.record_type),
        );
    };
    match explain(view, &question.name, question.from, rtype) {
        Ok(told) => Json(in_words(explainer.region, view.plan(), &told)).into_response(),
        Err(error) => problem(ProblemKind::Invalid, &error.to_string()),
    }
}

fn problem(kind: ProblemKind, message: &str) -> Response {
    (kind.status(), Json(Problem::new(kind, message))).into_response()
}

fn in_words(region: RegionName, plan: model::PlanId, told: &ExplainAnswer) -> DnsExplanation {
    DnsExplanation {
        region,
        plan: Some(plan),
        rcode: told.rcode.into(),
        answer: told.answers.clone(),
        steps: told.steps(),
    }
}
