//! What a gateway is told of the apps behind it. One list, published whole: a request sees the old one or the new one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use model::Worker;
use tokio::sync::watch;
use traffic::{PoolConfig, StickyKey};

use crate::config::Limits;

/// One app.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// Its name: in logs, metrics and answers to people. An app that keeps its name from one list to the next keeps its
    /// connections, its counters and what was learnt about its workers.
    pub name: Arc<str>,
    /// Which requests are for it.
    pub routes: Vec<Route>,
    /// Whether it takes what no route takes. At most one app does.
    pub default: bool,
    /// The host name, such as `orders.internal`, by which apps of this node call it through the internal listener. Nobody else
    /// can: from outside it is an unknown host.
    pub internal: Option<String>,
    /// Its workers, as they come and go.
    pub workers: watch::Receiver<Arc<[Worker]>>,
    /// What its workers speak.
    pub protocol: Protocol,
    /// How its workers are chosen and protected.
    pub pool: PoolConfig,
    /// What a hash policy goes by.
    pub hash_on: HashOn,
    /// Whether a client stays with the slot it was sent to first.
    pub sticky: Option<Sticky>,
    /// Bounds in numbers and time.
    pub limits: AppLimits,
    /// What is answered where no worker can: instead of the gateway's own words.
    pub fallback: Option<Fallback>,
}

impl AppConfig {
    /// An app with default bounds that takes what no route takes.
    pub fn new(name: &str, workers: watch::Receiver<Arc<[Worker]>>) -> Self {
        Self {
            name: name.into(),
            routes: Vec::new(),
            default: true,
            internal: None,
            workers,
            protocol: Protocol::Http1,
            pool: PoolConfig::default(),
            hash_on: HashOn::Address,
            sticky: None,
            limits: AppLimits::default(),
            fallback: None,
        }
    }
}

/// Requests that are for an app: those for a host, below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `shop.test`, or `*.shop.test` for every name below it (not itself); `None` for any host. A name wins over a wildcard, a
    /// longer wildcard over a shorter one, any of them over none.
    pub host: Option<String>,
    /// `/` for everything, `/api` for `/api` and what is below it (not `/apis`). Of one host the longest path wins.
    pub path: String,
}

/// What workers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1, a connection for each request under way.
    #[default]
    Http1,
    /// HTTP/2 without TLS, without asking first (RFC 9113, 3.3): one connection for all requests of a worker. gRPC needs it.
    H2c,
}

/// What a hash policy goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address.
    Address,
    /// The path, without its query.
    Path,
    /// The value of a header; the address where it is missing.
    Header(HeaderName),
    /// The value of a cookie; the address where it is missing.
    Cookie(String),
}

/// A cookie that names, signed, the slot of a client's first worker.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// Its name.
    pub cookie: String,
    /// What signs it.
    pub key: StickyKey,
    /// Whether browsers send it over TLS only.
    pub secure: bool,
}

impl Sticky {
    /// The name of the cookie where nothing else is said.
    pub const COOKIE: &'static str = "atoll-worker";
}

/// Bounds of an app. The defaults are those of [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLimits {
    /// The worker must begin its answer so soon after the last byte of the request.
    pub request_timeout: Duration,
    /// A streamed answer may pause for so long.
    pub body_idle: Duration,
    /// Opening a connection to a worker may take so long.
    pub connect_timeout: Duration,
    /// A request waits so long for a worker to become ready.
    pub worker_wait: Duration,
    /// Bytes of a request's body; `None` for no bound.
    pub max_body_bytes: Option<u64>,
    /// Bytes of a request's body that are kept so that it can be sent again. 64 KiB.
    pub replay_bytes: usize,
    /// How often a request is sent at most. 3.
    pub attempts: u32,
    /// How long a draining worker's WebSockets are spread over, before they are asked to come back elsewhere. 30 s.
    pub drain_timeout: Duration,
}

impl AppLimits {
    /// The bounds of a gateway's only app.
    pub fn of(limits: &Limits) -> Self {
        Self {
            request_timeout: limits.request_timeout,
            body_idle: limits.body_idle,
            connect_timeout: limits.connect_timeout,
            worker_wait: limits.worker_wait,
            max_body_bytes: None,
            replay_bytes: 64 * 1024,
            attempts: 3,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for AppLimits {
    fn default() -> Self {
        Self::of(&Limits::default())
    }
}

/// An answer of the gateway's own, the same for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Its status. 503 tells machines the truth; 200 is for pages that are as good as any.
    pub status: StatusCode,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}
