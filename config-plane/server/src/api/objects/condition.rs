//! What a change was made from: ETags, `If-Match`, `If-None-Match`.

use axum::http::{HeaderMap, HeaderName, header};
use plane_client::{Problem, ProblemKind};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::api::problem::No;

/// The ETag of an object: a hash of what it says, quotes included. Equal objects have equal ones, at every member.
pub(crate) fn etag(object: &Value) -> String {
    // A `Value` that cannot be written does not exist: its keys are texts.
    let written = serde_json::to_vec(object).unwrap_or_default();
    format!("\"{:032x}\"", xxh3_128(&written))
}

/// What a change demands of the object as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `If-Match: "…"`: it is one of these.
    Is(Vec<String>),
    /// `If-Match: *`: it is there.
    Present,
    /// `If-None-Match: *`: it is not there.
    Absent,
}

impl Condition {
    /// Reads it. A change without one is not taken: it would undo what somebody else did meanwhile, unseen.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, No> {
        let text = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
            (Some(tags), None) if tags.trim() == "*" => Ok(Self::Present),
            (Some(tags), None) => Ok(Self::Is(tags.split(',').map(|tag| tag.trim().to_owned()).collect())),
            (None, Some(star)) if star.trim() == "*" => Ok(Self::Absent),
            (None, Some(_)) => Err(No::invalid("a change takes no `If-None-Match` but `*`")),
            (Some(_), Some(_)) => Err(No::invalid("`If-Match` and `If-None-Match` contradict each other")),
            (None, None) => {
                let message = "the request does not say what it was made from";
                let hint = "send `If-Match` with the object's ETag, `If-Match: *` for whatever it is, or `If-None-Match: *` to make a new one";
                Err(No(Problem::new(ProblemKind::Unconditional, message).hint(hint)))
            }
        }
    }

    /// Whether the object is as demanded.
    pub(crate) fn check(&self, noun: &str, name: &str, object: Option<&Value>) -> Result<(), No> {
        let now = object.map(etag);
        let (holds, wanted) = match self {
            Self::Is(tags) => (now.as_ref().is_some_and(|now| tags.contains(now)), tags.join(", ")),
            Self::Present => (now.is_some(), "there".to_owned()),
            Self::Absent => (now.is_none(), "not there yet".to_owned()),
        };
        if holds {
            return Ok(());
        }
        let message = match &now {
            Some(now) => format!("the {noun} `{name}` was to be {wanted}, and is {now}"),
            None => format!("the {noun} `{name}` was to be {wanted}, and there is none of that name"),
        };
        Err(No(
            Problem::new(ProblemKind::Changed, message).hint("get it again, and make the change from what it is now")
        ))
    }
}
