//! How the API says no: one JSON shape for every error, and the HTTP status that goes with it.

use http::StatusCode;
use model::RegionName;
use serde::{Deserialize, Serialize};

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of no, for programs.
    pub error: ProblemKind,
    /// The guard that refused, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What happened, to what, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Who leads, where that is the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<RegionName>,
    /// What still refers to the thing that was to be removed: `pool web`, `name www.shop.test`. Boxed, since
    /// every error of the server carries a problem by value.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub referrers: Box<[String]>,
}

/// Kinds of no, by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request makes no sense. Correct it.
    Invalid,
    /// No certificate and no token, or wrong ones.
    Unauthorized,
    /// The credentials are good, but not for this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// A guard refused the change. Nothing happened.
    Refused,
    /// It is not (or no more) what the request's `If-Match` or `If-None-Match` says. Look again.
    Changed,
    /// The request must say what it was made from: `If-Match`, or `If-None-Match: *`.
    Unconditional,
    /// The body is larger than allowed.
    TooLarge,
    /// This member cannot take writes, another one can. Nothing happened.
    NotLeader,
    /// No member can take writes now. Nothing happened; ask again.
    NoQuorum,
    /// This member has as much to do as it takes on. Ask another one, or later.
    Busy,
    /// It took too long; the change may or may not come to pass. Repeat it with the same request id.
    Timeout,
    /// A fault on the server's side.
    Internal,
    /// A kind that a newer server knows.
    #[serde(other)]
    Unknown,
}

impl ProblemKind {
    /// The HTTP status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Refused => StatusCode::CONFLICT,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::Unconditional => StatusCode::PRECONDITION_REQUIRED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // 421: "directed at a server that is unable to produce a response", which is just what it is.
            Self::NotLeader => StatusCode::MISDIRECTED_REQUEST,
            Self::NoQuorum | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal | Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The best guess from a status alone, for answers without a body of ours.
    fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Self::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::SERVICE_UNAVAILABLE => Self::NoQuorum,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            status if status.is_client_error() => Self::Invalid,
            _ => Self::Internal,
        }
    }
}

impl Problem {
    /// A problem of a kind, in words.
    pub fn new(error: ProblemKind, message: impl Into<String>) -> Self {
        Self { error, rule: None, message: message.into(), hint: None, leader: None, referrers: Box::default() }
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the guard that refused.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Reads an error's body; one that is none of ours becomes the first words of it.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let words: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(200).collect();
            Self::new(ProblemKind::from_status(status), if words.is_empty() { status.to_string() } else { words })
        })
    }
}
