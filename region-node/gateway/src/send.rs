//! Sending a request to a worker, and again where that cannot be noticed.
//!
//! Laws:
//! - A worker that takes no connection is left for the next one, whatever the method: nothing was sent.
//! - What was sent is sent again only if it is harmless twice (idempotent, or with an `Idempotency-Key`) and whole (no body, or a body
//!   whose beginning is kept), only while the app's budget of retries lasts, and three times at most. One that two workers took and
//!   broke over is not given to a third: a request that crashes its worker shall not crash all of them.
//! - A connection that had been used before and dies without a byte of an answer says nothing about its worker, which may just
//!   have closed it: the next try is on a fresh one, and costs no budget. What must not be sent twice still is not.
//! - Where nobody takes requests, the request waits for a change, up to `worker_wait`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use traffic::{Ask, Attempt, NoPick, Outcome, Policy, may_repeat};

use crate::{
    access_log::Note,
    app::Protocol,
    body::{RequestBody, Upload},
    fleet::Seat,
    h1::{
        encode::Framing,
        exchange::{Exchange, Failed, Reading, Sending},
        head::Bounds,
    },
    headers::{IDEMPOTENCY_KEY, Outbound, Switch, is_grpc, strip_hop_by_hop},
    proxy::{App, Inner, hash_of},
    refusal::Refusal,
    tunnel::WorkerSide,
    upstream::ConnectFailed,
};

/// When every worker has been tried, the next round starts so soon: one of them may just be starting.
const NEXT_ROUND: Duration = Duration::from_millis(25);
/// Dead connections that one request may meet before it asks for a fresh one; they cost no attempt.
const STALE_MAX: u32 = 1;

/// A worker's answer, and how the rest of it comes.
pub(crate) struct Answer {
    pub(crate) head: (StatusCode, HeaderMap),
    pub(crate) through: Through,
    pub(crate) seat: Seat,
    /// The slot that the client's cookie named.
    pub(crate) sticky_slot: Option<u16>,
}

/// How the rest of an answer comes.
pub(crate) enum Through {
    H1(Box<Reading>),
    H2(Incoming),
    /// It does not: the connection, or the stream, speaks another protocol now.
    Switched(WorkerSide),
}

/// One request on its way.
pub(crate) struct Sender<'a> {
    proxy: &'a Inner,
    app: &'a Arc<App>,
    outbound: &'a Outbound,
    upload: Option<&'a Arc<Upload>>,
    note: Option<&'a Note>,
    hash: u64,
    sticky_slot: Option<u16>,
    pub(crate) begun: Instant,
    /// How long the worker may take, in all.
    limit: Duration,
    /// The pool knows of it.
    counted: bool,
    /// Where it is now; left here when the time is over.
    seat: Option<Seat>,
    tried: Vec<u64>,
    last: Option<Refusal>,
    attempts: u32,
    stale: u32,
    /// The workers that took it, and nothing came back. One may be twice unlucky: its connections die with it one after another.
    unanswered: Vec<u64>,
}

/// What became of one attempt.
enum Tried {
    Answered(StatusCode, HeaderMap, Through),
    /// Nothing was sent.
    NotReached(ConnectFailed),
    /// A connection that had been used before died without a word.
    Stale {
        sent: bool,
        error: String,
    },
    Broken {
        sent: bool,
        malformed: bool,
        error: String,
    },
    /// The client's side of the body broke.
    Client,
    /// The worker's HTTP/2 has no WebSocket.
    NoWebSocket,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(
        proxy: &'a Inner,
        app: &'a Arc<App>,
        outbound: &'a Outbound,
        upload: Option<&'a Arc<Upload>>,
        note: Option<&'a Note>,
        peer: IpAddr,
        limit: Duration,
    ) -> Self {
        let hash = match app.config.pool.policy {
            Policy::IpHash => traffic::hash::address(peer),
            Policy::Rendezvous => hash_of(&app.config.hash_on, outbound, peer),
            Policy::Ewma | Policy::RoundRobin | Policy::LeastConnections => 0,
        };
        let sticky = app.config.sticky.as_ref();
        let sticky_slot =
            sticky.and_then(|sticky| sticky.key.decode(crate::headers::cookie(&outbound.headers, &sticky.cookie)?));
        Self {
            proxy,
            app,
            outbound,
            upload,
            note,
            hash,
            sticky_slot,
            begun: Instant::now(),
            limit,
            counted: false,
            seat: None,
            tried: Vec::new(),
            last: None,
            attempts: 0,
            stale: 0,
            unanswered: Vec::new(),
        }
    }

    /// The time is over. What it means for the worker that has the request is said by `outcome`.
    pub(crate) fn gave_up(self, outcome: Outcome) {
        if let Some(seat) = self.seat {
            seat.broke(outcome);
        }
    }

    /// Gets an answer.
    pub(crate) async fn send(&mut self) -> Result<Answer, Refusal> {
        let fleet = &self.app.fleet;
        loop {
            self.seat = Some(self.sit_down().await?);
            let tried = self.attempt().await;
            // It was put there two lines above.
            let Some(mut seat) = self.seat.take() else { return Err(Refusal::NoWorker) };
            match tried {
                Tried::Answered(status, headers, through) => {
                    return Ok(Answer { head: (status, headers), through, seat, sticky_slot: self.sticky_slot });
                }
                Tried::NotReached(failed) => {
                    self.proxy.metrics.connect_failures.add();
                    tracing::debug!("{failed}");
                    self.tried.push(seat.upstream.life);
                    self.last = Some(Refusal::Unreachable(failed));
                    seat.broke(Outcome::Broken);
                }
                Tried::Stale { sent, error } => {
                    let worker = seat.slot();
                    self.stale += 1;
                    self.note_unanswered(&seat, sent);
                    seat.ends_as(Outcome::Cancelled);
                    drop(seat);
                    if !self.repeatable(sent) {
                        return Err(Refusal::Broken { worker, error });
                    }
                    self.count_retry();
                }
                Tried::Broken { sent, malformed, error } => {
                    let refusal = Refusal::Broken { worker: seat.slot(), error };
                    self.tried.push(seat.upstream.life);
                    self.note_unanswered(&seat, sent);
                    seat.broke(Outcome::Broken);
                    self.attempts += 1;
                    let again = !malformed && self.repeatable(sent) && self.attempts < self.app.config.limits.attempts;
                    if !again || !fleet.may_retry() {
                        return Err(refusal);
                    }
                    self.last = Some(refusal);
                    self.count_retry();
                }
                Tried::NoWebSocket => {
                    seat.ends_as(Outcome::Cancelled);
                    return Err(Refusal::NoUpgrade { worker: seat.slot() });
                }
                Tried::Client => {
                    seat.ends_as(Outcome::Cancelled);
                    return Err(Refusal::BadRequest("the request's body ended early"));
                }
            }
        }
    }

    /// A seat at the worker that the pool chooses; waits where that may help.
    async fn sit_down(&mut self) -> Result<Seat, Refusal> {
        let mut until = None;
        loop {
            // Registered before the look, so that a change between look and wait is not missed.
            let changed = self.app.fleet.changed.notified();
            let ask = Ask {
                hash: self.hash,
                sticky_slot: self.sticky_slot,
                tried: &self.tried,
                draw: fastrand::u64(..),
                repeatable: self.upload.is_none() && self.harmless_twice(),
            };
            let round = match self.app.fleet.pick(&ask, !std::mem::replace(&mut self.counted, true)) {
                Ok(seat) => {
                    if let Some(note) = self.note {
                        note.sent_to(seat.slot());
                    }
                    if self.attempts + self.stale > 0 {
                        seat.upstream.cells.retried();
                    }
                    return Ok(seat);
                }
                Err(NoPick::MembersFull | NoPick::PoolFull) => return Err(Refusal::Full),
                Err(NoPick::Open { retry_after }) => return Err(Refusal::Open { retry_after }),
                Err(NoPick::NoMember) => None,
                Err(NoPick::AllTried) => Some(NEXT_ROUND),
            };
            let until = *until.get_or_insert_with(|| self.begun + self.app.config.limits.worker_wait);
            let now = Instant::now();
            if now >= until {
                return Err(self.last.take().unwrap_or(Refusal::NoWorker));
            }
            let round = round.map_or(until, |round| until.min(now + round));
            // Whichever comes first, the next turn of the loop looks again.
            let _ = timeout_at(round, changed).await;
            self.tried.clear();
        }
    }

    async fn attempt(&self) -> Tried {
        match self.app.config.protocol {
            Protocol::Http1 => self.attempt_h1().await,
            // Rare beside the other, and large: in a box, so that not every request's task has room for it.
            Protocol::H2c => Box::pin(self.attempt_h2()).await,
        }
    }

    async fn attempt_h1(&self) -> Tried {
        let Some(seat) = &self.seat else { return Tried::Client };
        let wire = match seat.upstream.wire(self.app.keeping, self.stale < STALE_MAX).await {
            Ok(wire) => wire,
            Err(failed) => return Tried::NotReached(failed),
        };
        let method = &self.outbound.method;
        let framing = match self.upload {
            None => Framing::None,
            // Trailers have no place after a body of known length.
            Some(_) if self.may_have_trailers() => Framing::Chunked,
            Some(upload) => upload.length().map_or(Framing::Chunked, Framing::Length),
        };
        let sending = Sending {
            framing,
            expect: self.outbound.expects && self.upload.is_some(),
            to_head: method == Method::HEAD,
            bounds: self.bounds(),
        };
        let left = self.limit.saturating_sub(self.begun.elapsed());
        let address = seat.upstream.address;
        let mut exchange = Exchange::new(wire, &sending, self.body(), |out| {
            self.outbound.write_h1(out, address, left, framing, sending.expect);
        });
        match exchange.head().await {
            Ok(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                let asked = self.outbound.switch != Switch::No;
                if !asked {
                    return Tried::Broken {
                        sent: true,
                        malformed: true,
                        error: "it switched protocols unasked".into(),
                    };
                }
                let (socket, said) = exchange.into_wire().into_parts();
                let side = WorkerSide::Socket { socket, said };
                Tried::Answered(head.status, head.headers, Through::Switched(side))
            }
            Ok(mut head) => {
                let (status, headers) = (head.status, std::mem::take(&mut head.headers));
                Tried::Answered(status, headers, Through::H1(Box::new(exchange.into_reading(&head))))
            }
            Err(Failed::Client) => Tried::Client,
            Err(error) => {
                let (sent, malformed) = (exchange.sent(), matches!(error, Failed::Malformed(_)));
                let error = error.to_string();
                if exchange.on_used_wire() && !exchange.received() {
                    Tried::Stale { sent, error }
                } else {
                    Tried::Broken { sent, malformed, error }
                }
            }
        }
    }

    async fn attempt_h2(&self) -> Tried {
        let Some(seat) = &self.seat else { return Tried::Client };
        let switches = self.outbound.switch != Switch::No;
        let opened = if switches {
            seat.upstream.h2_for_tunnel(self.app.keeping).await
        } else {
            seat.upstream.h2(self.app.keeping).await.map(Some)
        };
        let mut sender = match opened {
            Ok(Some(sender)) => sender,
            Ok(None) => return Tried::NoWebSocket,
            Err(failed) => return Tried::NotReached(failed),
        };
        let left = self.limit.saturating_sub(self.begun.elapsed());
        let Some(request) = self.outbound.h2(seat.upstream.address, left, self.body()) else { return Tried::Client };
        match sender.try_send_request(request).await {
            Ok(mut response) => {
                // RFC 8441: what answers 200 has accepted.
                let accepted = switches && response.status() == StatusCode::OK;
                let upgrade = accepted.then(|| hyper::upgrade::on(&mut response));
                let (head, body) = response.into_parts();
                let mut headers = head.headers;
                strip_hop_by_hop(&mut headers);
                let through = match upgrade {
                    Some(on) => Through::Switched(WorkerSide::Stream(on, sender)),
                    None => Through::H2(body),
                };
                Tried::Answered(head.status, headers, through)
            }
            Err(mut failed) => {
                let unsent = failed.take_message().is_some();
                if unsent {
                    seat.upstream.forget_h2().await;
                }
                let error = failed.into_error();
                let client = self.upload.is_some_and(|upload| upload.was_too_large() || upload.broke());
                if client {
                    return Tried::Client;
                }
                let error = error.to_string();
                // A connection that closed while it was idle: the worker had gone before the request came.
                if unsent {
                    Tried::Stale { sent: false, error }
                } else {
                    Tried::Broken { sent: true, malformed: false, error }
                }
            }
        }
    }

    fn body(&self) -> RequestBody {
        self.upload.map_or(RequestBody::Empty, Upload::body)
    }

    fn may_have_trailers(&self) -> bool {
        self.outbound.headers.contains_key(header::TRAILER) || is_grpc(&self.outbound.headers)
    }

    fn bounds(&self) -> Bounds {
        let limits = self.proxy.limits();
        Bounds { bytes: limits.max_head_bytes as usize, lines: usize::from(limits.max_headers) }
    }

    fn harmless_twice(&self) -> bool {
        let method = &self.outbound.method;
        // A handshake begins something; whether it did is not known.
        let idempotent = method.is_idempotent() && self.outbound.switch == Switch::No;
        idempotent || self.outbound.headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// Whether the request may be sent again after an attempt of which something went out, or not.
    fn repeatable(&self, sent: bool) -> bool {
        let whole = self.upload.is_none_or(|upload| upload.can_restart());
        let idempotent = self.outbound.method.is_idempotent() && self.outbound.switch == Switch::No;
        let idempotency_key = self.outbound.headers.contains_key(IDEMPOTENCY_KEY);
        let unanswered = self.unanswered.len() as u32;
        let attempt = Attempt { idempotent, bytes_sent: sent, idempotency_key, replay_buffered: whole, unanswered };
        whole && self.stale <= STALE_MAX + 1 && may_repeat(attempt) && self.begun.elapsed() < self.limit
    }

    fn note_unanswered(&mut self, seat: &Seat, sent: bool) {
        if sent && !self.unanswered.contains(&seat.upstream.life) {
            self.unanswered.push(seat.upstream.life);
        }
    }

    fn count_retry(&self) {
        self.proxy.metrics.retries.add();
        self.app.fleet.cells.retries.add();
        if let Some(note) = self.note {
            note.retried();
        }
    }
}
