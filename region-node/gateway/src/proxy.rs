//! A request's way through the gateway.
//!
//! In: a client's request. Out: always an answer with the region's name on it: the gateway's own, a worker's, or a refusal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use model::Token;
use tokio::time::timeout_at;

use crate::{
    accept::Connection,
    access_log::Note,
    body::{RequestBody, ResponseBody},
    config::{GatewayConfig, Limits},
    deadline::Progress,
    fleet::Fleet,
    headers::{self, Origin},
    health::{self, HEALTH_PATH, READY_PATH, Readiness},
    metrics::Metrics,
    refusal::{self, Refusal},
    token::{self, TokenSource, Waited},
    traffic::{Recently, Traffic},
    tunnel,
    upstream::Link,
};

/// How often a request that was not sent at all may meet a connection that just closed.
const UNSENT_RETRIES: u32 = 3;

pub(crate) struct Proxy {
    config: GatewayConfig,
    region: HeaderValue,
    tokens: Arc<dyn TokenSource>,
    readiness: Arc<dyn Readiness>,
    stopping: AtomicBool,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) metrics: Metrics,
    recently: Recently,
}

/// A worker's answer and what must happen to it.
struct Answer {
    response: Response<Incoming>,
    link: Link,
    /// The region whose writes the answer may lack.
    stale: Option<HeaderValue>,
}

impl Proxy {
    pub(crate) fn new(config: GatewayConfig, tokens: Arc<dyn TokenSource>, readiness: Arc<dyn Readiness>) -> Self {
        // A region's name is made of letters that a header may hold.
        let region = HeaderValue::from_str(config.region.as_str()).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            config,
            region,
            tokens,
            readiness,
            stopping: AtomicBool::new(false),
            fleet: Arc::new(Fleet::new()),
            metrics: Metrics::default(),
            recently: Recently::default(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn serve(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let mut response = match request.uri().path() {
            HEALTH_PATH => self.health(request.method(), false),
            READY_PATH => self.health(request.method(), true),
            _ => self.forward(connection, request).await,
        };
        response.headers_mut().insert(headers::REGION, self.region.clone());
        self.metrics.answered(response.status(), started.elapsed());
        response
    }

    /// Puts the region's name on an answer of the edge.
    pub(crate) fn sign(&self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        response.headers_mut().insert(headers::REGION, self.region.clone());
        response
    }

    /// What users met here lately. Probes are not users.
    fn traffic(&self) -> Traffic {
        let (requests, failed) = self.metrics.of_users();
        self.recently.read(Instant::now(), requests, failed)
    }

    fn health(&self, method: &Method, readiness: bool) -> Response<ResponseBody> {
        let mut problems = self.readiness.health_problems();
        if let Some(app) = self.config.app.as_ref().filter(|_| !self.fleet.has_ready_worker()) {
            problems.push(format!("no worker of app {app} is ready"));
        }
        if self.stopping.load(Ordering::Relaxed) {
            problems.push("the region is stopping".to_owned());
        }
        if readiness {
            problems.extend(self.readiness.readiness_problems());
        }
        let traffic = self.traffic();
        let response = health::answer(method, self.config.region.as_str(), &problems, traffic);
        self.metrics.probed(response.status());
        response
    }

    async fn forward(&self, connection: &Arc<Connection>, mut request: Request<Incoming>) -> Response<ResponseBody> {
        let json = refusal::wants_json(request.headers());
        if !self.config.trust_forwarded {
            request.headers_mut().remove(headers::REQUEST_ID);
        }
        let id = headers::request_id(request.headers_mut(), || fastrand::u64(..));
        let mut response = match self.exchange(connection, request).await {
            Ok(response) => response,
            Err(refusal) => {
                self.metrics.refusals.add();
                if let Some(what) = refusal.log() {
                    tracing::warn!(request_id = ?id, "{what}");
                }
                refusal.response(json, self.config.region.as_str(), &id)
            }
        };
        response.headers_mut().entry(headers::REQUEST_ID).or_insert(id);
        response
    }

    async fn exchange(
        &self,
        connection: &Arc<Connection>,
        mut request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        if self.config.app.is_none() {
            return Err(Refusal::NoApp);
        }
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let upgrade =
            headers::wants_websocket(request.version(), request.headers()).then(|| hyper::upgrade::on(&mut request));
        let carried = token::carried(request.headers());
        let note = Note::of(request.extensions());
        let (mut head, body) = request.into_parts();
        // hyper's notes about the client's connection must not travel to the worker's.
        head.extensions.clear();
        let origin =
            Origin { peer: connection.peer.ip(), trusted: self.config.trust_forwarded, scheme: connection.scheme() };
        headers::prepare_request(&mut head, origin, upgrade.is_some()).map_err(Refusal::BadRequest)?;

        let before = self.tokens.last_write();
        let limit = self.limits().request_timeout;
        let progress = Progress::start(!hyper::body::Body::is_end_stream(&body));
        let progress = Arc::new(progress.at_least(self.limits().min_rate, self.limits().rate_window));
        let body = RequestBody::new(body, &progress, note.clone());
        let answer = progress.within(limit, self.ask(Request::from_parts(head, body), carried)).await;
        let answer = answer.map_err(|who| Refusal::Late { who, limit })??;
        self.finish(answer, upgrade, before, connection)
    }

    /// Holds the request until its token is reached, then gets an answer.
    async fn ask(&self, request: Request<RequestBody>, carried: Option<Token>) -> Result<Answer, Refusal> {
        let stale = match carried {
            Some(token) => self.hold(token).await,
            None => None,
        };
        let (response, link) = self.send(request).await?;
        Ok(Answer { response, link, stale })
    }

    /// Waits for another region's token; `Some` names the region if it was not reached.
    async fn hold(&self, token: Token) -> Option<HeaderValue> {
        if token.region == self.tokens.last_write().region {
            return None;
        }
        self.metrics.token_waits.add();
        let deadline = tokio::time::Instant::now() + self.limits().token_wait;
        let waited = timeout_at(deadline, self.tokens.wait_for(token, deadline)).await.unwrap_or(Waited::TimedOut);
        if waited == Waited::Reached {
            return None;
        }
        self.metrics.token_stale.add();
        let name = self.tokens.region_name(token.region).map_or_else(|| token.region.to_string(), String::from);
        HeaderValue::from_str(&name).ok()
    }

    /// Sends the request to a worker, and again where that cannot be noticed.
    async fn send(&self, mut request: Request<RequestBody>) -> Result<(Response<Incoming>, Link), Refusal> {
        let mut unsent = 0;
        let mut repeated = false;
        loop {
            let mut link = self.fleet.connect(self.limits(), &self.metrics).await?;
            if request.headers().get(http::header::HOST).is_none() {
                // HTTP/1.0 may come without; HTTP/1.1 must not.
                if let Ok(host) = HeaderValue::from_str(&link.seat.address().to_string()) {
                    request.headers_mut().insert(http::header::HOST, host);
                }
            }
            let spare = (!repeated).then(|| copy_if_repeatable(&request)).flatten();
            let mut failed = match link.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, link)),
                Err(failed) => failed,
            };
            request = match (failed.take_message(), spare) {
                (Some(same), _) if unsent < UNSENT_RETRIES => {
                    unsent += 1;
                    same
                }
                (None, Some(spare)) if died_silently(failed.error()) => {
                    repeated = true;
                    spare
                }
                _ => return Err(Refusal::Broken { worker: link.seat.worker(), error: failed.into_error() }),
            };
            self.metrics.retries.add();
        }
    }

    fn finish(
        &self,
        answer: Answer,
        upgrade: Option<OnUpgrade>,
        before: Token,
        connection: &Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let Answer { mut response, link, stale } = answer;
        headers::strip_hop_by_hop(response.headers_mut());
        let mut response = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = upgrade else { return Err(Refusal::Switched { worker: link.seat.worker() }) };
            headers::mark_websocket(response.headers_mut());
            let worker = hyper::upgrade::on(&mut response);
            self.metrics.tunnels.add();
            tunnel::spawn(client, worker, link, Arc::clone(connection));
            response.map(|_| ResponseBody::own(""))
        } else {
            let idle = self.limits().body_idle;
            response.map(|body| ResponseBody::worker(body, link, idle))
        };
        token::attach(response.headers_mut(), before, self.tokens.last_write());
        if let Some(region) = stale {
            response.headers_mut().insert(headers::STALE, region);
        }
        Ok(response)
    }
}

/// A copy to send again, if sending it twice changes nothing: a safe method (RFC 9110, 9.2.1) without a body.
fn copy_if_repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let safe = request.method().is_safe() && request.body().is_empty();
    safe.then(|| {
        let mut copy = Request::new(RequestBody::Empty);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        copy
    })
}

/// Whether the connection ended instead of answering: the worker died or closed an idle connection. A broken answer is none.
fn died_silently(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !error.is_timeout()
}
