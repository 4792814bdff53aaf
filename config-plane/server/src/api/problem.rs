//! How the API says no: `Problem` as an HTTP answer, and what each of our errors becomes.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use decision::Refusal;
use plane_client::{Problem, ProblemKind};

use crate::ProposeError;

/// When to ask again where there is no leader, seconds: an election takes one or two.
const RETRY_AFTER_S: &str = "1";

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct No(pub(super) Problem);

impl No {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self(Problem::new(ProblemKind::Invalid, message))
    }

    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        Self(Problem::new(ProblemKind::Internal, error.to_string()))
    }

    pub(super) fn not_founded() -> Self {
        let problem = Problem::new(ProblemKind::NotFound, "this world is not founded yet, so there is no Plan");
        Self(problem.hint("wait until a majority of the regions run"))
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let kind = self.0.error;
        let mut response = (kind.status(), Json(self.0)).into_response();
        if matches!(kind, ProblemKind::NoQuorum | ProblemKind::NotLeader | ProblemKind::Busy) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let problem = Problem::new(ProblemKind::Refused, refusal.to_string());
        Self(match rule_of(&refusal) {
            Some(rule) => problem.rule(rule),
            None => problem,
        })
    }
}

/// The refusal's name as the log writes it.
pub(super) fn rule_of(refusal: &Refusal) -> Option<String> {
    let written = serde_json::to_value(refusal).ok()?;
    written.get("rule")?.as_str().map(str::to_owned)
}

impl From<ProposeError> for No {
    fn from(error: ProposeError) -> Self {
        let message = error.to_string();
        Self(match error {
            ProposeError::NoQuorum => Problem::new(ProblemKind::NoQuorum, message)
                .hint("bring back regions until more than half of the plane's voters run, then ask again"),
            ProposeError::NotLeader { leader } => {
                Problem { leader, ..Problem::new(ProblemKind::NotLeader, message).hint("ask the leader") }
            }
            ProposeError::Unknown => Problem::new(ProblemKind::Timeout, "the plane gave no answer in time").hint(
                "the change may or may not come to pass: repeat it with the same request_id, or look at the Plan",
            ),
            ProposeError::Stopped { .. } => {
                Problem::new(ProblemKind::Internal, message).hint("ask another region, and restart this one")
            }
        })
    }
}
