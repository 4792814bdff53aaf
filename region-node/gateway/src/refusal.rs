//! Why a request got no answer from a worker, and what its sender is told. The status is chosen here and only here.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{body::ResponseBody, deadline::Late, upstream::ConnectFailed};

/// A request that no worker answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The client's fault, in words for it.
    BadRequest(&'static str),
    /// A tunnel to anywhere is not on offer.
    Connect,
    /// The region runs no app.
    NoApp,
    /// No worker was ready in time.
    NoWorker,
    /// Ready workers were there, none took a connection.
    Unreachable(ConnectFailed),
    /// A worker took the request and failed it.
    Broken { worker: u16, error: hyper::Error },
    /// A worker switched protocols unasked.
    Switched { worker: u16 },
    /// Nothing happened for the whole limit.
    Late { who: Late, limit: Duration },
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoApp => StatusCode::NOT_FOUND,
            Self::NoWorker => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_) | Self::Broken { .. } | Self::Switched { .. } => StatusCode::BAD_GATEWAY,
            Self::Late { who: Late::Client, .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Late { who: Late::Worker, .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What the client reads: what happened, without addresses of the inside.
    fn message(&self) -> String {
        match self {
            Self::BadRequest(why) => (*why).to_owned(),
            Self::Connect => "CONNECT is not served here".to_owned(),
            Self::NoApp => "this region runs no app".to_owned(),
            Self::NoWorker => "no worker of the app is ready; try again in a moment".to_owned(),
            Self::Unreachable(_) => "the app's workers cannot be reached; try again in a moment".to_owned(),
            Self::Broken { .. } => "the worker closed its connection before it answered".to_owned(),
            Self::Switched { .. } => "the worker switched protocols unasked".to_owned(),
            Self::Late { who: Late::Client, limit } => {
                format!("the request's body did not arrive: nothing for {limit:?}")
            }
            Self::Late { who: Late::Worker, limit } => format!("the app did not answer within {limit:?}"),
        }
    }

    /// What the operator reads; `None` where the client's mistake is nobody else's business.
    pub(crate) fn log(&self) -> Option<String> {
        match self {
            Self::BadRequest(_) | Self::Connect | Self::NoApp | Self::Late { who: Late::Client, .. } => None,
            Self::NoWorker | Self::Late { .. } => Some(self.message()),
            Self::Unreachable(failed) => Some(failed.to_string()),
            Self::Broken { worker, error } => Some(format!("worker {worker} failed a request: {error}")),
            Self::Switched { worker } => {
                Some(format!("worker {worker} answered 101 to a request that asked for no upgrade"))
            }
        }
    }

    /// The answer, as JSON for who accepts JSON and as a line of text for everybody else.
    pub(crate) fn response(&self, json: bool, region: &str, request_id: &HeaderValue) -> Response<ResponseBody> {
        let (body, kind) = if json {
            let id = request_id.to_str().unwrap_or_default();
            let body = serde_json::json!({ "error": self.message(), "region": region, "request_id": id });
            (format!("{body}\n"), "application/json")
        } else {
            (format!("{}\n", self.message()), "text/plain; charset=utf-8")
        };
        let mut response = Response::new(ResponseBody::own(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::NoWorker | Self::Unreachable(_)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whether the client would rather read JSON.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("json"))
}
