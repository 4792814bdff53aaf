//! Why a request got no answer from a worker, and what its sender is told. The status is chosen here and only here.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{
    app::Fallback,
    body::ResponseBody,
    deadline::Late,
    headers::{REFUSED, is_grpc},
    upstream::ConnectFailed,
};

/// A request that no worker answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The client's fault, in words for it.
    BadRequest(&'static str),
    /// A tunnel to anywhere is not on offer.
    Connect,
    /// The region runs no app.
    NoApp,
    /// No app is known by this host.
    UnknownHost(Option<String>),
    /// The request's body is longer than the app allows.
    TooLarge { max: u64 },
    /// The app's workers speak HTTP/2, and this one has no WebSocket there.
    NoUpgrade { worker: u16 },
    /// No worker was ready in time.
    NoWorker,
    /// The app, or each of its workers, has as much under way as it may.
    Full,
    /// The breaker of the whole app is open.
    Open { retry_after: Duration },
    /// Ready workers were there, none took a connection.
    Unreachable(ConnectFailed),
    /// A worker took the request and failed it.
    Broken { worker: u16, error: String },
    /// A worker switched protocols unasked.
    Switched { worker: u16 },
    /// Nothing happened for the whole limit.
    Late { who: Late, limit: Duration },
    /// The time is over that the caller itself gave.
    Deadline,
}

/// How a client would like to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Text,
    Json,
    Grpc,
}

impl Style {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        match accept {
            _ if is_grpc(headers) => Self::Grpc,
            Some(accept) if accept.contains("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoApp | Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoUpgrade { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::NoWorker | Self::Full | Self::Open { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_) | Self::Broken { .. } | Self::Switched { .. } => StatusCode::BAD_GATEWAY,
            Self::Late { who: Late::Client, .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Late { who: Late::Worker, .. } | Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The same as a status of gRPC.
    fn grpc_status(&self) -> &'static str {
        match self {
            // INVALID_ARGUMENT, UNIMPLEMENTED, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, UNAVAILABLE.
            Self::BadRequest(_) => "3",
            Self::Connect | Self::NoApp | Self::UnknownHost(_) | Self::NoUpgrade { .. } => "12",
            Self::TooLarge { .. } => "8",
            Self::Late { .. } | Self::Deadline => "4",
            _ => "14",
        }
    }

    /// One word for machines: the value of `x-atoll-refused`, of logs and of metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::Connect => "connect",
            Self::NoApp => "no-app",
            Self::UnknownHost(_) => "unknown-host",
            Self::TooLarge { .. } => "too-large",
            Self::NoUpgrade { .. } => "no-upgrade",
            Self::NoWorker => "no-worker",
            Self::Full => "full",
            Self::Open { .. } => "breaker-open",
            Self::Unreachable(_) => "unreachable",
            Self::Broken { .. } => "broken",
            Self::Switched { .. } => "switched",
            Self::Late { who: Late::Client, .. } => "client-late",
            Self::Late { who: Late::Worker, .. } => "worker-late",
            Self::Deadline => "deadline",
        }
    }

    /// What the client reads: what happened, without addresses of the inside.
    fn message(&self) -> String {
        match self {
            Self::BadRequest(why) => (*why).to_owned(),
            Self::Connect => "CONNECT is not served here".to_owned(),
            Self::NoApp => "this region runs no app".to_owned(),
            Self::UnknownHost(Some(host)) => {
                format!("no app of this region is known as {host}; give one of them a route for it")
            }
            Self::UnknownHost(None) => {
                "the request names no host, and no app of this region takes such requests".to_owned()
            }
            Self::TooLarge { max } => format!("the request's body is larger than the {max} bytes that the app allows"),
            Self::NoUpgrade { .. } => {
                "the app speaks HTTP/2 and takes no WebSocket there: its server does not announce \
                                       SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)"
                    .to_owned()
            }
            Self::NoWorker => "no worker of the app is ready; try again in a moment".to_owned(),
            Self::Full => "the app has as many requests under way as it may have; try again in a moment".to_owned(),
            Self::Open { .. } => "the app fails too often and is left alone for a while; try again later".to_owned(),
            Self::Unreachable(_) => "the app's workers cannot be reached; try again in a moment".to_owned(),
            Self::Broken { .. } => "the app failed to answer".to_owned(),
            Self::Switched { .. } => "the app switched protocols without being asked".to_owned(),
            Self::Late { who: Late::Client, limit } => {
                format!("the rest of the request did not arrive: nothing for {limit:?}")
            }
            Self::Late { who: Late::Worker, limit } => format!("the app did not answer within {limit:?}"),
            Self::Deadline => "the app did not answer within the time that the request gives it".to_owned(),
        }
    }

    /// What the operator reads; `None` where the client's mistake is nobody else's business.
    pub(crate) fn log(&self) -> Option<String> {
        match self {
            Self::BadRequest(_)
            | Self::Connect
            | Self::NoApp
            | Self::UnknownHost(_)
            | Self::TooLarge { .. }
            | Self::Deadline
            | Self::Late { who: Late::Client, .. } => None,
            Self::NoWorker | Self::Full | Self::Open { .. } | Self::Late { .. } => Some(self.message()),
            Self::NoUpgrade { worker } => {
                Some(format!("worker {worker} speaks HTTP/2 without WebSocket: it does not announce RFC 8441"))
            }
            Self::Unreachable(failed) => Some(failed.to_string()),
            Self::Broken { worker, error } => Some(format!("worker {worker} failed a request: {error}")),
            Self::Switched { worker } => {
                Some(format!("worker {worker} answered 101 to a request that asked for no upgrade"))
            }
        }
    }

    /// In how many seconds another try makes sense.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::NoWorker | Self::Full | Self::Unreachable(_) => Some(1),
            Self::Open { retry_after } => Some(retry_after.as_millis().div_ceil(1000).max(1) as u64),
            _ => None,
        }
    }

    /// The answer: trailers only for gRPC, JSON for who accepts JSON, a line of text for everybody else; the app's own fallback where
    /// it has one and it was not the client's fault.
    pub(crate) fn response(
        &self,
        style: Style,
        region: &str,
        request_id: &HeaderValue,
        fallback: Option<&Fallback>,
    ) -> Response<ResponseBody> {
        let mut response = match (style, fallback) {
            (Style::Grpc, _) => self.grpc(),
            (_, Some(fallback)) if self.status().is_server_error() => from_fallback(fallback),
            (Style::Json, _) => {
                let id = request_id.to_str().unwrap_or_default();
                let body = serde_json::json!({
                    "error": self.message(), "reason": self.reason(), "region": region, "request_id": id,
                });
                self.plain(format!("{body}\n"), "application/json")
            }
            (Style::Text, _) => self.plain(format!("{}\n", self.message()), "text/plain; charset=utf-8"),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFUSED, HeaderValue::from_static(self.reason()));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    fn plain(&self, body: String, kind: &'static str) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::own(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    /// gRPC over HTTP/2, "Trailers-Only": the status is in the head, and the HTTP status is 200.
    fn grpc(&self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::own(""));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(self.grpc_status()));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.message())) {
            headers.insert("grpc-message", message);
        }
        response
    }
}

fn from_fallback(fallback: &Fallback) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(fallback.body.clone()));
    *response.status_mut() = fallback.status;
    if let Ok(kind) = HeaderValue::from_str(&fallback.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// As gRPC wants it: everything but printable ASCII, and `%`, is encoded.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
