//! A request's way through the gateway.
//!
//! In: a client's request. Out: always an answer with the region's name on it: the gateway's own, a worker's, or a refusal.

use std::{
    ops::Deref,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, request::Parts};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use model::Token;
use tokio::time::timeout_at;
use traffic::{Outcome, deadline as travelling};

use crate::{
    accept::Connection,
    access_log::Note,
    app::{AppConfig, HashOn, Protocol},
    body::{ResponseBody, Upload},
    config::{GatewayConfig, Limits},
    deadline::{Late, Progress},
    fleet::Fleet,
    headers::{self, Origin, Outbound, Switch},
    health::{self, HEALTH_PATH, READY_PATH, Readiness},
    metrics::Metrics,
    outcome,
    refusal::{Refusal, Style},
    routes::{AppsError, Routes, has_dots, without_port},
    send::{Answer, Sender, Through},
    token::{self, TokenSource, Waited},
    traffic::{Recently, Traffic},
    tunnel::{self, Sides, WorkerSide},
    upstream::Keeping,
};

/// One of the gateway's doors: the public one, or the one that apps of this node call each other through.
pub(crate) struct Proxy {
    inner: Arc<Inner>,
    internal: bool,
}

impl Deref for Proxy {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// What all doors share.
pub(crate) struct Inner {
    config: GatewayConfig,
    region: HeaderValue,
    tokens: Arc<dyn TokenSource>,
    readiness: Arc<dyn Readiness>,
    stopping: AtomicBool,
    apps: ArcSwap<Apps>,
    /// Lists are taken one after the other.
    publishing: Mutex<()>,
    pub(crate) metrics: Metrics,
    recently: Recently,
}

/// The apps of one published list.
#[derive(Default)]
pub(crate) struct Apps {
    routes: Routes,
    all: Vec<Arc<App>>,
}

/// One app of one list.
pub(crate) struct App {
    pub(crate) config: AppConfig,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) keeping: Keeping,
}

impl App {
    /// Whether users reach it.
    fn is_public(&self) -> bool {
        self.config.default || !self.config.routes.is_empty()
    }
}

/// What was found out about a request before its app is asked.
struct Call {
    outbound: Outbound,
    upload: Option<Arc<Upload>>,
    upgrade: Option<OnUpgrade>,
    carried: Option<Token>,
    note: Option<Arc<Note>>,
    style: Style,
    version: Version,
    secure: bool,
}

impl Proxy {
    pub(crate) fn new(config: GatewayConfig, tokens: Arc<dyn TokenSource>, readiness: Arc<dyn Readiness>) -> Self {
        // A region's name is made of letters that a header may hold.
        let region = HeaderValue::from_str(config.region.as_str()).unwrap_or(HeaderValue::from_static("unknown"));
        let inner = Arc::new(Inner {
            config,
            region,
            tokens,
            readiness,
            stopping: AtomicBool::new(false),
            apps: ArcSwap::default(),
            publishing: Mutex::default(),
            metrics: Metrics::default(),
            recently: Recently::default(),
        });
        Self { inner, internal: false }
    }

    /// The door for calls from inside.
    pub(crate) fn internal(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), internal: true }
    }

    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let own = match request.uri().path() {
            HEALTH_PATH => Some(false),
            READY_PATH => Some(true),
            _ => None,
        };
        let mut response = match own {
            Some(readiness) => {
                let response = self.health(request.method(), readiness);
                self.metrics.answered(response.status(), started.elapsed());
                response
            }
            None => self.forward(request, connection, started).await,
        };
        response.headers_mut().insert(headers::REGION, self.region.clone());
        response
    }

    /// Puts the region's name on an answer of the edge.
    pub(crate) fn sign(&self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        response.headers_mut().insert(headers::REGION, self.region.clone());
        response
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        connection: &Arc<Connection>,
        started: Instant,
    ) -> Response<ResponseBody> {
        let style = Style::of(request.headers());
        let draw = fastrand::u128(..);
        let switch = switch(&request);
        let upgrade = (switch != Switch::No).then(|| hyper::upgrade::on(&mut request));
        let carried = token::carried(request.headers());
        let note = Note::of(request.extensions());
        let secure = connection.scheme() == "https";
        let (head, body) = request.into_parts();
        let version = head.version;
        let app = self.route(&head, switch);
        let answered = match app {
            Err(refusal) => Err((refusal, None, crate::ids::request_id(draw))),
            Ok(app) => {
                let origin = Origin {
                    peer: connection.peer.ip(),
                    trusted: self.config.trust_forwarded,
                    scheme: connection.scheme(),
                };
                match Outbound::read(head, origin, switch, draw) {
                    Err(why) => Err((Refusal::BadRequest(why), Some(app), crate::ids::request_id(draw))),
                    Ok(outbound) => {
                        let id = outbound.id.clone();
                        let mut call = Call {
                            outbound,
                            upload: None,
                            upgrade,
                            carried,
                            note: note.clone(),
                            style,
                            version,
                            secure,
                        };
                        match self.exchange(&app, &mut call, body, connection).await {
                            Ok(response) => Ok((response, app, id)),
                            Err(refusal) => Err((refusal, Some(app), id)),
                        }
                    }
                }
            }
        };
        let (mut response, app, id) = match answered {
            Ok((response, app, id)) => (response, Some(app), id),
            Err((refusal, app, id)) => (self.refuse(&refusal, app.as_deref(), style, note.as_deref(), &id), app, id),
        };
        response.headers_mut().entry(headers::REQUEST_ID).or_insert(id);
        let elapsed = started.elapsed();
        match app {
            Some(app) => app.fleet.cells.answered(response.status(), elapsed),
            None => self.metrics.answered(response.status(), elapsed),
        }
        response
    }

    /// The app that a request is for.
    fn route(&self, head: &Parts, switch: Switch) -> Result<Arc<App>, Refusal> {
        if head.method == Method::CONNECT && switch != Switch::Connect {
            return Err(Refusal::Connect);
        }
        let apps = self.apps.load();
        if apps.all.is_empty() {
            return Err(Refusal::NoApp);
        }
        let host = match head.uri.authority() {
            Some(authority) => Some(authority.host()),
            None => head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).map(without_port),
        };
        let path = head.uri.path();
        if apps.routes.by_path() && has_dots(path) {
            return Err(Refusal::BadRequest("the path has segments that mean another place"));
        }
        match apps.routes.find(host, path, self.internal) {
            Some(index) => Ok(Arc::clone(&apps.all[index])),
            None => Err(Refusal::UnknownHost(host.map(str::to_owned))),
        }
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        app: Option<&App>,
        style: Style,
        note: Option<&Note>,
        id: &HeaderValue,
    ) -> Response<ResponseBody> {
        self.metrics.refusals.add();
        if let Some(app) = app {
            app.fleet.cells.refusals.add();
        }
        if let Some(note) = note {
            note.refused(refusal.reason());
        }
        if let Some(what) = refusal.log() {
            let app = app.map_or("", |app| &*app.config.name);
            tracing::warn!(app, request_id = ?id, "{what}");
        }
        let fallback = app.and_then(|app| app.config.fallback.as_ref());
        refusal.response(style, self.config.region.as_str(), id, fallback)
    }

    async fn exchange(
        &self,
        app: &Arc<App>,
        call: &mut Call,
        body: Incoming,
        connection: &Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let config = &app.config;
        if let Some(note) = &call.note {
            note.for_app(&config.name);
            note.in_trace(call.outbound.trace.trace_id());
        }
        if call.outbound.switch == Switch::Upgrade
            && config.protocol == Protocol::H2c
            && !call.outbound.headers.contains_key(http::header::SEC_WEBSOCKET_KEY)
        {
            // A worker of HTTP/2 is not shown the key, so nobody else would miss it.
            return Err(Refusal::BadRequest("the WebSocket handshake has no Sec-WebSocket-Key"));
        }
        let max = config.limits.max_body_bytes;
        if let (Some(length), Some(max)) = (body.size_hint().exact(), max)
            && length > max
        {
            return Err(Refusal::TooLarge { max });
        }
        // After a switch of protocols what follows the head is no body.
        if !body.is_end_stream() && call.upgrade.is_none() {
            let progress = Progress::start(true).at_least(self.limits().min_rate, self.limits().rate_window);
            call.upload = Some(Upload::new(body, progress, config.limits.replay_bytes, max, call.note.clone()));
        }
        if call.upgrade.is_some() {
            // What stands behind a handshake may be meant for the tunnel. The connection that saw it is cut now, before a worker knows.
            tokio::task::yield_now().await;
        }
        let before = self.tokens.last_write();
        let limit = config.limits.request_timeout;
        let carried = carried_deadline(&call.outbound);
        let patience = carried.unwrap_or(limit).min(limit);
        let (peer, note) = (connection.peer.ip(), call.note.as_deref());
        let mut sender = Sender::new(self, app, &call.outbound, call.upload.as_ref(), note, peer, patience);
        let without_body = Progress::since(sender.begun, false);
        let outcome = {
            // Pinned here, and lent on: a future that is moved into another one takes its place in both.
            let asking = pin!(async {
                let stale = match call.carried {
                    Some(token) => Box::pin(self.hold(token)).await,
                    None => None,
                };
                (sender.send().await, stale)
            });
            let progress = call.upload.as_ref().map_or(&without_body, |upload| &upload.progress);
            let within = progress.within(limit, asking);
            match carried.filter(|carried| *carried < limit) {
                None => within.await,
                Some(carried) => match tokio::time::timeout(carried, within).await {
                    Ok(outcome) => outcome,
                    Err(_) => return Err(Refusal::Deadline),
                },
            }
        };
        let (answer, stale) = match outcome {
            Ok(done) => done,
            Err(who) => {
                sender.gave_up(if who == Late::Worker { Outcome::Broken } else { Outcome::Cancelled });
                return Err(Refusal::Late { who, limit });
            }
        };
        let answer = answer.map_err(|refusal| match (&call.upload, max) {
            (Some(upload), Some(max)) if upload.was_too_large() => Refusal::TooLarge { max },
            _ => refusal,
        })?;
        drop(sender);
        self.finish(app, call, answer, stale, before, connection)
    }

    fn finish(
        &self,
        app: &Arc<App>,
        call: &mut Call,
        answer: Answer,
        stale: Option<HeaderValue>,
        before: Token,
        connection: &Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let Answer { head: (status, mut fields), through, mut seat, sticky_slot } = answer;
        let config = &app.config;
        let grpc = call.style == Style::Grpc;
        seat.answered(outcome::of_answer(status, &fields, grpc));
        if let Some(sticky) = &config.sticky
            && sticky_slot != Some(seat.slot())
            && !token::may_be_shared(&fields)
        {
            let secure = if sticky.secure || call.secure { "; Secure" } else { "" };
            let value = sticky.key.encode(seat.slot());
            let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}", sticky.cookie);
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                fields.append(http::header::SET_COOKIE, cookie);
            }
        }
        token::attach(&mut fields, before, self.tokens.last_write());
        if let Some(region) = stale {
            fields.insert(headers::STALE, region);
        }
        let idle = config.limits.body_idle;
        let body = match through {
            Through::Switched(worker) => {
                let Some(client) = call.upgrade.take() else { return Err(Refusal::Switched { worker: seat.slot() }) };
                self.metrics.tunnels.add();
                let answers_key = matches!(worker, WorkerSide::Stream(..));
                let limits = self.limits();
                let bounds = tunnel::Bounds {
                    drain: config.limits.drain_timeout,
                    idle: limits.tunnel_idle,
                    stall: limits.rate_window,
                };
                let sides = Sides { client, worker };
                tunnel::spawn(sides, seat, Arc::clone(connection), Arc::clone(&self.inner), bounds);
                let mut response = Response::new(ResponseBody::own(""));
                // A tunnel has no length; a client that believes one would end it.
                fields.remove(http::header::CONTENT_LENGTH);
                if call.version == Version::HTTP_2 {
                    // RFC 8441: the stream is the tunnel as soon as it is accepted.
                    fields.remove("sec-websocket-accept");
                } else {
                    let key = call.outbound.headers.get(http::header::SEC_WEBSOCKET_KEY);
                    headers::mark_websocket(&mut fields, key.filter(|_| answers_key));
                    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                }
                *response.headers_mut() = fields;
                return Ok(response);
            }
            Through::H1(reading) => ResponseBody::h1(reading, seat, grpc, self.limits().pool_size, idle),
            Through::H2(incoming) => ResponseBody::h2(incoming, seat, grpc, idle),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        Ok(response)
    }
}

impl Inner {
    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Publishes a list of apps. One that keeps its name keeps its workers, connections and counters.
    pub(crate) fn set_apps(&self, configs: Vec<AppConfig>) -> Result<(), AppsError> {
        let routes = Routes::compile(&configs)?;
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.apps.load_full();
        let known = |name: &str| old.all.iter().find(|app| *app.config.name == *name).map(|app| Arc::clone(&app.fleet));
        let mut all = Vec::with_capacity(configs.len());
        for config in configs {
            let fleet =
                known(&config.name).unwrap_or_else(|| Fleet::new(Arc::clone(&config.name), config.pool.clone()));
            fleet.set_config(&config.pool);
            fleet.follow(&config.workers, self.limits().pool_idle);
            let keeping = Keeping { connect_timeout: config.limits.connect_timeout, max_idle: self.limits().pool_idle };
            all.push(Arc::new(App { config, fleet, keeping }));
        }
        let gone: Vec<Arc<Fleet>> = old
            .all
            .iter()
            .filter(|app| !all.iter().any(|new| Arc::ptr_eq(&new.fleet, &app.fleet)))
            .map(|app| Arc::clone(&app.fleet))
            .collect();
        self.apps.store(Arc::new(Apps { routes, all }));
        for fleet in gone {
            self.metrics.absorb(&fleet.cells);
            fleet.dissolve();
        }
        Ok(())
    }

    pub(crate) fn fleets(&self) -> Vec<Arc<Fleet>> {
        self.apps.load().all.iter().map(|app| Arc::clone(&app.fleet)).collect()
    }

    /// Requests under way at each worker of an app, by life.
    pub(crate) fn in_flight(&self, app: &str) -> Vec<(u64, u32)> {
        let fleet = self.fleets().into_iter().find(|fleet| *fleet.name == *app);
        fleet.map_or_else(Vec::new, |fleet| {
            fleet.snapshot().members.iter().map(|member| (member.life, member.in_flight)).collect()
        })
    }

    /// What users met here lately. Probes are not users.
    fn traffic(&self) -> Traffic {
        let (requests, failed) = self.metrics.of_users(&self.fleets());
        self.recently.read(Instant::now(), requests, failed)
    }

    fn health(&self, method: &Method, readiness: bool) -> Response<ResponseBody> {
        let mut problems = self.readiness.health_problems();
        // An app that users do not reach keeps nobody away.
        let apps = self.apps.load();
        let lacking = apps.all.iter().filter(|app| app.is_public() && !app.fleet.has_ready_worker());
        problems.extend(lacking.map(|app| format!("no worker of app {} is ready", app.config.name)));
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
}

fn switch(request: &Request<Incoming>) -> Switch {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    if request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket") {
        Switch::Connect
    } else if headers::wants_websocket(request.version(), request.headers()) {
        Switch::Upgrade
    } else {
        Switch::No
    }
}

/// What the caller says that it still waits: the shorter of its two ways to say so.
fn carried_deadline(outbound: &Outbound) -> Option<Duration> {
    let text = |name| outbound.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let ours = text(headers::DEADLINE).and_then(travelling::parse_header);
    let grpc = text(headers::GRPC_TIMEOUT).and_then(travelling::parse_grpc_timeout);
    match (ours, grpc) {
        (Some(ours), Some(grpc)) => Some(ours.min(grpc)),
        (one, other) => one.or(other),
    }
}

/// What a hash policy goes by.
pub(crate) fn hash_of(on: &HashOn, outbound: &Outbound, peer: std::net::IpAddr) -> u64 {
    let value = match on {
        HashOn::Address => None,
        HashOn::Path => Some(outbound.target.path().as_bytes()),
        HashOn::Header(name) => outbound.headers.get(name).map(HeaderValue::as_bytes),
        HashOn::Cookie(name) => headers::cookie(&outbound.headers, name).map(str::as_bytes),
    };
    value.map_or_else(|| traffic::hash::address(peer), traffic::hash::bytes)
}
