//! `GET /v1/explain/dns`: what this region's DNS server would answer, and why, as lines for people.

use axum::{
    Json, Router,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use dns_server::{Views, locations::LocationStatus};
use model::RegionName;
use plane_client::{
    Problem, ProblemKind,
    api::{DnsExplanation, DnsQuestion, path},
};
use steering::{ExplainAnswer, Rtype, explain};
use tokio::sync::watch;

#[derive(Clone)]
struct Explainer {
    region: RegionName,
    views: Views,
    locations: watch::Receiver<LocationStatus>,
}

pub(crate) fn routes(region: RegionName, views: Views, locations: watch::Receiver<LocationStatus>) -> Router {
    Router::new().route(path::EXPLAIN_DNS, get(answer)).with_state(Explainer { region, views, locations })
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
        Ok(told) => {
            let spoilt = spoilt(&explainer.locations.borrow());
            Json(in_words(explainer.region, view.plan(), &told, spoilt)).into_response()
        }
        Err(error) => problem(ProblemKind::Invalid, &error.to_string()),
    }
}

fn problem(kind: ProblemKind, message: &str) -> Response {
    (kind.status(), Json(Problem::new(kind, message))).into_response()
}

/// Location files that cannot be used as they are: what they would say of the client is missing, or old.
fn spoilt(status: &LocationStatus) -> Vec<String> {
    let line = |file: &dns_server::locations::FileStatus| {
        let serves = if file.in_force.is_some() { "what was read of it before counts" } else { "nothing of it counts" };
        Some(format!("location file {}: {}; {serves}", file.path.display(), file.problem.as_ref()?))
    };
    status.files.iter().filter_map(line).collect()
}

fn in_words(region: RegionName, plan: model::PlanId, told: &ExplainAnswer, spoilt: Vec<String>) -> DnsExplanation {
    let steps = told.steps().into_iter().chain(spoilt).collect();
    DnsExplanation { region, plan: Some(plan), rcode: told.rcode.into(), answer: told.answers.clone(), steps }
}
