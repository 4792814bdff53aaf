//! What every request says about itself: its id, and for a change who wants it, why, and whether it is only tried.
//!
//! The id is the name of the command in the log. A client that repeats a change under the same `x-request-id` gets the first
//! outcome; so an answer that was lost can be asked for again.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Query, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use decision::RequestId;
use plane_client::{Problem, ProblemKind};
use serde::Deserialize;

use super::{auth::Caller, problem::No};
use crate::plane::Plane;

/// Comes with a request if its sender has drawn an id, and goes with every answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest reason or name that is read, bytes; the plane keeps 200 characters of each.
const TEXT_MOST: usize = 2048;

/// Gives every request an id, and every answer the id of its request.
pub(super) async fn tag(mut request: Request, next: Next) -> Response {
    let id = match id_of(request.headers(), request.uri()) {
        Ok(id) => id,
        Err(no) => return no.into_response(),
    };
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}

#[derive(Deserialize)]
struct IdOnly {
    request_id: Option<String>,
}

/// The header's, else the query's, else a fresh one.
fn id_of(headers: &HeaderMap, uri: &Uri) -> Result<RequestId, No> {
    let given = match headers.get(REQUEST_ID) {
        Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        None => Query::<IdOnly>::try_from_uri(uri).ok().and_then(|Query(query)| query.request_id),
    };
    match given {
        Some(text) => parse_id(&text),
        None => fresh_id(),
    }
}

pub(super) fn parse_id(text: &str) -> Result<RequestId, No> {
    text.parse().map_err(|why| No::invalid(format!("`{text}`: {why}")))
}

fn fresh_id() -> Result<RequestId, No> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|e| No(Problem::new(ProblemKind::Internal, format!("no random bytes for a request id: {e}"))))?;
    Ok(RequestId::from_bytes(id))
}

/// What a change says about itself, apart from what it wants.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) caller: Caller,
    pub(super) id: RequestId,
    pub(super) dry_run: bool,
    who: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    who: Option<String>,
    reason: Option<String>,
    dry_run: Option<String>,
}

impl Ask {
    /// Why, and who. Whoever gives no name is who they came in as; a change without a reason is not taken.
    pub(super) fn signed(&self) -> Result<(&str, &str), No> {
        let hint = "add `?reason=…` to the address: it is what others read in `atoll explain`";
        let unsaid = || No(Problem::new(ProblemKind::Invalid, "the change does not say why it is made").hint(hint));
        Ok((self.reason.as_deref().ok_or_else(unsaid)?, &self.who))
    }
}

impl FromRequestParts<Arc<Plane>> for Ask {
    type Rejection = No;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Plane>) -> Result<Self, No> {
        let lost = || No(Problem::new(ProblemKind::Internal, "the request came in past the door"));
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(lost)?;
        let id = *parts.extensions.get::<RequestId>().ok_or_else(lost)?;
        let Query(said) = Query::<Said>::try_from_uri(&parts.uri).map_err(|e| No::invalid(e.body_text()))?;
        let dry_run = match said.dry_run.as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true" | "") => true,
            Some(other) => return Err(No::invalid(format!("`dry_run={other}` is neither 1 nor 0"))),
        };
        let who = said.who.unwrap_or_else(|| caller.to_string());
        if who.len() > TEXT_MOST || said.reason.as_ref().is_some_and(|reason| reason.len() > TEXT_MOST) {
            return Err(No::invalid(format!("`who` and `reason` have {TEXT_MOST} bytes at most")));
        }
        Ok(Self { caller, id, dry_run, who, reason: said.reason })
    }
}

/// The id under which a change is proposed for the `n`th time, after the Plan has moved on under it. The first is the request's own.
pub(super) fn nth_id(id: RequestId, n: u8) -> RequestId {
    let number = u128::from_str_radix(&id.to_string(), 16).unwrap_or_default();
    RequestId::from_bytes(number.wrapping_add(u128::from(n)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_request_before_the_query_does_and_nonsense_is_refused() {
        let (a, b) = ("0123456789abcdef0123456789abcdef", "f".repeat(32));
        let id = |header: Option<&str>, query: &str| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(REQUEST_ID, header.parse().unwrap());
            }
            id_of(&headers, &format!("/v1/pools/web?{query}").parse().unwrap()).map(|id| id.to_string())
        };
        assert_eq!(id(Some(a), &format!("request_id={b}")).unwrap(), a);
        assert_eq!(id(None, &format!("reason=why&request_id={b}")).unwrap(), b);
        assert_ne!(id(None, "").unwrap(), id(None, "").unwrap(), "drawn");
        assert!(id(Some("17"), "").is_err());
        assert!(id(None, "request_id=17").is_err());
    }

    #[test]
    fn each_repetition_has_an_id_of_its_own_and_the_first_has_the_requests() {
        let id = RequestId::from_bytes([0xff; 16]);
        assert_eq!(nth_id(id, 0), id);
        let ids: std::collections::BTreeSet<_> = (0..4).map(|n| nth_id(id, n)).collect();
        assert_eq!(ids.len(), 4);
    }
}
