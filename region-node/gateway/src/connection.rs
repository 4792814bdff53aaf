//! The life of one connection: who it is from, TLS, which protocol, its requests, its end.
//!
//! ```text
//! PROXY header ─ TLS handshake ─ first bytes ─┬─ HTTP/1 ─┬─ request ─ strict ─ redirect? ─ covered? ─ Proxy ─ answer
//!   each with header_timeout                  └─ HTTP/2 ─┘
//! ```
//!
//! hyper's own builder for both protocols waits without end for a first byte, and times a head only once it knows the protocol;
//! so the first bytes are read here. What is due is asked of `Pace` whenever the connection moves, and when its timer says so.
//!
//! An HTTP/1 connection that is idle for a quarter of a second is parked: hyper's buffers, sixteen kilobytes of them, are given back, and made
//! again when a byte comes.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, futures::Notified, watch},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};

use crate::{
    access_log,
    answer::{self, Answer, Open, Watched},
    body::ResponseBody,
    config::Limits,
    edge::{Admission, Cut, Edge},
    pace::{Due, Pace, SETTLE},
    proxy::Proxy,
    proxy_protocol::{Source, Step, step},
    strict::{self, Violation, frames::Frames, framing::Framing},
    tls::{Handshake, TlsFacts},
    wire::{Guard, Socket, Wire},
};

/// How far the gateway is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are accepted.
    Serving,
    /// No new connection; requests under way may finish.
    Closing,
    /// Everything is cut.
    Closed,
}

/// The first bytes of HTTP/2 (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Header lines that hyper takes where it is not told.
const HEADERS_OF_HYPER: u16 = 100;
/// What is read before the protocol is known.
const SNIFF_BYTES: usize = 4096;
/// A connection that is asked to end does so within this, or is cut.
const GOODBYE: Duration = Duration::from_secs(2);
/// HTTP/2: bytes of an answer that hyper may hold for a client that does not take them.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// One client's connection; tunnels that grow out of it hold it too, so its slot is free when both are gone.
pub(crate) struct Connection {
    /// The client, as the socket or a trusted PROXY header says.
    pub(crate) peer: SocketAddr,
    pub(crate) phase: watch::Receiver<Phase>,
    /// What was agreed on if the connection is encrypted.
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) pace: Pace,
    watched: Mutex<Vec<Watched>>,
    _slot: OwnedSemaphorePermit,
    _admission: Admission,
}

impl Connection {
    /// `https` or `http`: how the client speaks to the gateway.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What an accepted connection needs to be served.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) from: SocketAddr,
    pub(crate) slot: OwnedSemaphorePermit,
    /// Whether it came to the port of HTTPS.
    pub(crate) tls: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(accepted: Accepted, edge: Arc<Edge>, proxy: Arc<Proxy>, mut phase: watch::Receiver<Phase>) {
    let _open = proxy.metrics.connection_opened();
    let serving = phase.clone();
    let prepared = tokio::select! {
        biased;
        // Who has not said anything yet loses nothing.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        prepared = Box::pin(prepare(accepted, &edge, serving)) => prepared,
    };
    let why = match prepared {
        Ok(Some(prepared)) => prepared.run(&edge, &proxy).await,
        Ok(None) => None,
        Err(why) => Some(why),
    };
    if let Some(why) = why {
        edge.count_cut(why);
    }
}

/// A connection whose protocol is known.
struct Prepared {
    connection: Arc<Connection>,
    socket: Socket,
    sniffed: Bytes,
    http2: bool,
}

/// All that comes before the first request. `None` if the client left.
async fn prepare(accepted: Accepted, edge: &Arc<Edge>, phase: watch::Receiver<Phase>) -> Result<Option<Prepared>, Cut> {
    let Accepted { mut stream, from, slot, tls } = accepted;
    let limit = edge.limits.header_timeout;
    let mut peer = from;
    if edge.expects_proxy_header(from.ip()) {
        match timeout(limit, proxy_header(&mut stream)).await {
            Ok(Ok(Source::Direct)) => {}
            Ok(Ok(Source::Client(client))) => peer = client,
            Ok(Err(error)) => {
                tracing::debug!(%from, %error, "no PROXY header");
                return Err(Cut::ProxyHeader);
            }
            Err(_) => return Err(Cut::ProxyHeader),
        }
    }
    let admission = edge.admit(peer.ip()).ok_or(Cut::ClientLimit)?;
    let (mut socket, facts) = match edge.certificates.as_ref().filter(|_| tls) {
        None => (Socket::Plain(stream), None),
        Some(certificates) => match timeout(limit, certificates.accept(stream)).await {
            Ok(Ok(Handshake { stream, facts })) => {
                edge.count_handshake();
                (Socket::Tls(Box::new(stream)), Some(facts))
            }
            Ok(Err(error)) => {
                tracing::debug!(client = %peer, %error, "TLS handshake failed");
                return Err(Cut::Handshake);
            }
            Err(_) => return Err(Cut::Handshake),
        },
    };
    let pace = Pace::start();
    let sniffing = async {
        tokio::select! {
            biased;
            sniffed = timeout(limit, sniff(&mut socket)) => Ok(sniffed),
            () = async { sleep(SETTLE).await; edge.shed.notified().await } => Err(Cut::Pressure),
        }
    };
    let sniffed = match sniffing.await? {
        Ok(Ok(sniffed)) if sniffed.is_empty() => return Ok(None),
        Ok(Ok(sniffed)) => sniffed,
        Ok(Err(error)) => {
            tracing::debug!(client = %peer, %error, "a client left before its first request");
            return Ok(None);
        }
        Err(_) => return Err(Cut::Head),
    };
    let connection =
        Connection { peer, phase, tls: facts, pace, watched: Mutex::default(), _slot: slot, _admission: admission };
    let http2 = sniffed.starts_with(PREFACE);
    Ok(Some(Prepared { connection: Arc::new(connection), socket, sniffed, http2 }))
}

/// Reads a PROXY header and not a byte more.
async fn proxy_header(stream: &mut TcpStream) -> io::Result<Source> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        match step(&bytes) {
            Step::Done(source) => return Ok(source),
            Step::Malformed(why) => return Err(io::Error::other(why)),
            Step::Need(more) => {
                let before = bytes.len();
                bytes.resize(before + more, 0);
                let read = stream.read(&mut bytes[before..]).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                bytes.truncate(before + read);
            }
        }
    }
}

/// Reads until it is clear whether this is HTTP/2. Empty if the client left.
async fn sniff(socket: &mut Socket) -> io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(SNIFF_BYTES);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(bytes.freeze());
        }
        let known = bytes.len().min(PREFACE.len());
        if bytes[..known] != PREFACE[..known] || known == PREFACE.len() {
            return Ok(bytes.freeze());
        }
    }
}

/// One of hyper's connections.
trait Http: Future<Output = hyper::Result<()>> {
    fn close_gracefully(self: Pin<&mut Self>);
}

impl<S> Http for http1::UpgradeableConnection<TokioIo<Wire>, S>
where
    S: HttpService<Incoming, ResBody = Answer> + Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Http for http2::Connection<TokioIo<Wire>, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Prepared {
    /// Serves requests; says why the connection was cut, if it was.
    async fn run(self, edge: &Arc<Edge>, proxy: &Arc<Proxy>) -> Option<Cut> {
        let Self { connection, socket, sniffed, http2 } = self;
        let service = || {
            service_fn(|request| {
                let (connection, edge, proxy) = (Arc::clone(&connection), Arc::clone(edge), Arc::clone(proxy));
                async move { Ok::<_, Infallible>(respond(&connection, &edge, &proxy, request).await) }
            })
        };
        let limits = &edge.limits;
        // In boxes of their own, so that a connection that is parked does not hold their place.
        if http2 {
            let guard = Guard::Http2(Frames::new(Duration::ZERO), limits.max_head_bytes);
            let io = TokioIo::new(Wire::new(socket, sniffed, guard, Arc::clone(&connection)));
            let mut http = Box::pin(http2_builder(limits).serve_connection(io, service()));
            return match connection.drive(http.as_mut(), edge, true).await {
                End::Over(why) => why,
                End::Parked => None,
            };
        }
        let guard = Guard::Http1(Framing::new(limits.max_head_bytes as usize));
        let mut wire = Wire::new(socket, sniffed, guard, Arc::clone(&connection));
        loop {
            let http = http1_builder(limits).serve_connection(TokioIo::new(wire), service());
            let mut http = Box::new(http.with_upgrades());
            match connection.drive(Pin::new(&mut *http), edge, false).await {
                End::Over(why) => return why,
                End::Parked => {
                    let parts = http.into_parts()?;
                    wire = parts.io.into_inner();
                    if !parts.read_buf.is_empty() {
                        // Never seen; were it so, hyper looks at it again, at leisure.
                        connection.pace.rest();
                    }
                    wire.unread(parts.read_buf);
                    if let Some(over) = connection.park(&mut wire, edge).await {
                        return over;
                    }
                }
            }
        }
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Pace` times heads, and knows an idle connection from one that has begun a request.
        .header_read_timeout(None)
        .max_buf_size((limits.max_head_bytes as usize).max(8192))
        .max_header_size(limits.max_head_bytes as usize);
    // Asked for any number, hyper makes room for it on the heap for each head. Up to its own hundred it has room on the stack, and
    // `strict` counts.
    if limits.max_headers > HEADERS_OF_HYPER {
        builder.max_headers(usize::from(limits.max_headers));
    }
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(limits.max_head_bytes)
        .max_concurrent_streams(limits.max_streams)
        // WebSocket on a stream (RFC 8441).
        .enable_connect_protocol()
        // Streams that were reset before we looked at them (CVE-2023-44487); those that we looked at are counted in `frames`.
        .max_pending_accept_reset_streams(20)
        // Streams that we reset for their faults.
        .max_local_error_reset_streams(256)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(limits.idle_timeout / 2)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// A timer that is only ever moved when it has to be.
struct Timer<'a> {
    sleep: Pin<Box<Sleep>>,
    parked: Option<Pin<Box<Notified<'a>>>>,
    /// When to look at answers that nobody takes.
    look_at: Option<Instant>,
}

/// Why hyper does not drive a connection any more.
enum End {
    /// It has ended; the reason if the gateway wanted it.
    Over(Option<Cut>),
    /// HTTP/1, and idle for a while: hyper's buffers would wait in vain.
    Parked,
}

impl Connection {
    async fn drive(self: &Arc<Self>, mut http: Pin<&mut impl Http>, edge: &Edge, http2: bool) -> End {
        let mut phase = self.phase.clone();
        let mut timer = Timer { sleep: Box::pin(sleep_until(Instant::now())), parked: None, look_at: None };
        let mut goodbye: Option<(Pin<Box<Sleep>>, Cut)> = None;
        loop {
            tokio::select! {
                biased;
                served = http.as_mut() => {
                    if let Err(error) = &served {
                        tracing::debug!(client = %self.peer, %error, "connection ended early");
                    }
                    let cut = match self.pace.due(&edge.limits, http2) {
                        Due::Cut(why) if served.is_err() => Some(why),
                        _ => goodbye.map(|(_, why)| why),
                    };
                    return End::Over(cut.or(self.pace.is_malformed().then_some(Cut::Malformed)));
                }
                changed = phase.changed() => match changed.map(|()| *phase.borrow_and_update()) {
                    Ok(Phase::Serving) => {}
                    Ok(Phase::Closing) => http.as_mut().close_gracefully(),
                    Ok(Phase::Closed) | Err(_) => return End::Over(None),
                },
                due = poll_fn(|cx| self.poll_due(cx, &mut timer, edge, http2)), if goodbye.is_none() => match due {
                    None => return End::Parked,
                    // There is no request whose answer could be lost: the client is told in its protocol.
                    Some(why @ (Cut::Idle | Cut::Pressure)) => {
                        http.as_mut().close_gracefully();
                        goodbye = Some((Box::pin(sleep(GOODBYE)), why));
                    }
                    // `Wire` has given it a reason to end with GOAWAY.
                    Some(why @ Cut::Flood) => goodbye = Some((Box::pin(sleep(GOODBYE)), why)),
                    why => return End::Over(why),
                },
                () = async { match &mut goodbye { Some((sleep, _)) => sleep.as_mut().await, None => std::future::pending().await } } => {
                    return End::Over(goodbye.map(|(_, why)| why));
                }
            }
        }
    }

    /// Ready when the connection must end, or (with `None`) can be parked.
    fn poll_due<'a>(
        &self,
        cx: &mut Context<'_>,
        timer: &mut Timer<'a>,
        edge: &'a Edge,
        http2: bool,
    ) -> Poll<Option<Cut>> {
        if !http2 && self.pace.is_answering() {
            return Poll::Pending;
        }
        loop {
            let due = match self.pace.due(&edge.limits, http2) {
                Due::Cut(why) => return Poll::Ready(Some(why)),
                due => due,
            };
            let mut next = match due {
                Due::Parked(_) if !http2 => return Poll::Ready(None),
                Due::Parked(next) => {
                    let parked = timer.parked.get_or_insert_with(|| Box::pin(edge.shed.notified()));
                    if parked.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Some(Cut::Pressure));
                    }
                    next
                }
                Due::At(next) => {
                    timer.parked = None;
                    next
                }
                Due::Cut(why) => return Poll::Ready(Some(why)),
            };
            if http2 {
                if timer.look_at.is_none_or(|at| at <= Instant::now()) {
                    timer.look_at = match self.look(edge) {
                        Ok(at) => at,
                        Err(why) => return Poll::Ready(Some(why)),
                    };
                }
                next = timer.look_at.map_or(next, |at| next.min(at));
            }
            if timer.sleep.is_elapsed() || next < timer.sleep.deadline() {
                timer.sleep.as_mut().reset(next);
            }
            if timer.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Waits for the first byte of a next request, with nothing but the socket. `Some` when the connection is over.
    async fn park(&self, wire: &mut Wire, edge: &Edge) -> Option<Option<Cut>> {
        let end = match self.pace.due(&edge.limits, false) {
            // It moved just now, or is due already: back to hyper, which knows how to go on.
            Due::At(_) | Due::Cut(_) => return None,
            Due::Parked(end) => end,
        };
        let _parked = edge.count_parked();
        let mut phase = self.phase.clone();
        let why = tokio::select! {
            biased;
            more = wire.wake() => return if more { None } else { Some(None) },
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => None,
            () = edge.shed.notified() => Some(Cut::Pressure),
            () = sleep_until(end) => Some(Cut::Idle),
        };
        // There is no request whose answer could be lost. TLS says goodbye.
        let _ = timeout(GOODBYE, wire.shutdown()).await;
        Some(why)
    }

    /// Looks at answers that nobody takes; says when to look again, if there are answers.
    fn look(&self, edge: &Edge) -> Result<Option<Instant>, Cut> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_empty() {
            return Ok(None);
        }
        let look = answer::look(&mut watched, &edge.limits);
        (0..look.released).for_each(|_| edge.count_released());
        if look.hopeless { Err(Cut::Stalled) } else { Ok(Some(Instant::now() + edge.limits.rate_window / 4)) }
    }

    fn watch(&self, watched: Watched, limits: &Limits) {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two looks more answers may end than there are streams.
        if all.len() >= 2 * limits.max_streams as usize {
            all.retain(Watched::is_alive);
        }
        all.push(watched);
    }
}

/// One request, from its head to its answer.
async fn respond(
    connection: &Arc<Connection>,
    edge: &Edge,
    proxy: &Proxy,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let http2 = request.version() == Version::HTTP_2;
    let tls = connection.tls.as_ref().map(|facts| facts.version);
    let from = access_log::From { client: connection.peer.ip(), tls };
    let record = edge.log.as_ref().and_then(|log| log.begin(&mut request, from));
    let mut open = Open::new(connection, record);
    let connect = request.method() == Method::CONNECT;
    let mut response = match turn_away(connection, edge, &request) {
        Some((response, why)) => {
            if let Some(record) = &open.record {
                record.refused(why);
            }
            proxy.sign(response)
        }
        None => proxy.handle(request, connection).await,
    };
    if response.status() == StatusCode::BAD_GATEWAY && connection.pace.has_malformed_body() {
        // The worker lost its request in the middle because we stopped reading it.
        response =
            proxy.sign(refuse(Violation { status: StatusCode::BAD_REQUEST, why: "the request's body is malformed" }));
    }
    connection.pace.decide(response.status() == StatusCode::SWITCHING_PROTOCOLS);
    if connect && !http2 {
        // What follows may be meant for the tunnel that did not come to be.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(record) = &mut open.record {
        record.answered(response.status(), response.headers());
    }
    if !http2 {
        return response.map(|body| Answer::direct(body, open));
    }
    let (head, body) = response.into_parts();
    let (body, watched) = Answer::held(body, open);
    if let Some(watched) = watched {
        connection.watch(watched, &edge.limits);
    }
    Response::from_parts(head, body)
}

/// What the edge itself says to a request that should not go on, and why.
fn turn_away(
    connection: &Connection,
    edge: &Edge,
    request: &Request<Incoming>,
) -> Option<(Response<ResponseBody>, &'static str)> {
    if let Err(violation) = strict::check(request, edge.limits.max_headers) {
        let mut response = refuse(violation);
        if request.version() != Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        return Some((response, violation.why));
    }
    if let Some(facts) = &connection.tls {
        if !facts.covers(host_of(request)) {
            // RFC 9110 15.5.20: the client asks again on a connection that is for this host.
            edge.count_misdirected();
            let why = "this connection's certificate is not for this host";
            return Some((refuse(Violation { status: StatusCode::MISDIRECTED_REQUEST, why }), why));
        }
        return None;
    }
    let port = edge.redirect_to?;
    let path = request.uri().path();
    // Probes come without TLS.
    if path == crate::HEALTH_PATH || path == crate::READY_PATH {
        return None;
    }
    let host = host_of(request);
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let target = request.uri().path_and_query().map_or("/", |both| both.as_str());
    let to = HeaderValue::from_str(&format!("https://{host}{port}{target}")).ok().filter(|_| !host.is_empty())?;
    let mut response = Response::new(ResponseBody::own(""));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, to);
    Some((response, "redirected to HTTPS"))
}

/// The host that a request names, without a port; empty if it names none.
fn host_of<B>(request: &Request<B>) -> &str {
    let line = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(line).unwrap_or_default();
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn refuse(violation: Violation) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(format!("{}\n", violation.why)));
    *response.status_mut() = violation.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if violation.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    response
}
