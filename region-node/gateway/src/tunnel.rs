//! A WebSocket through the gateway: after the handshake, bytes both ways until one side closes or the gateway does.
//!
//! A worker that drains is left in waves: each of its clients is sent a close frame (1012, service restart) at a moment of its own
//! within the drain time, between two of the worker's frames, and comes back to another worker. Where the worker stops in the
//! middle of a frame there is no place for one, and the tunnel is cut with the worker.
//!
//! The worker's side is a socket of its own (HTTP/1.1) or a stream of the worker's connection (HTTP/2, RFC 8441); so is the client's.
//!
//! Bounded: a tunnel keeps its connection's slot and its seat at the worker, and holds two small buffers. One without a byte
//! either way is closed (1001, going away) after a while; so is one whose peer does not take what it is sent.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{client::conn::http2::SendRequest, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    accept::{Connection, Phase},
    body::RequestBody,
    fleet::Seat,
    proxy::Inner,
    websocket::{CLOSE_AWAY, CLOSE_RESTART, Frames},
};

const BUFFER_BYTES: usize = 8 * 1024;
/// So long a client may take to close once the worker has, or once it was told to.
const GOODBYE: Duration = Duration::from_secs(2);
/// Waves end before the drain time does, so that closes have time to be answered.
const WAVES: f64 = 0.8;

/// The two sides of a tunnel to be.
pub(crate) struct Sides {
    pub(crate) client: OnUpgrade,
    pub(crate) worker: WorkerSide,
}

/// How a worker speaks after the switch.
pub(crate) enum WorkerSide {
    /// On its socket; `said` is what it has already said after its handshake.
    Socket { socket: TcpStream, said: Bytes },
    /// On a stream of a connection that nobody else uses, which lasts as long as there is somebody who could.
    Stream(OnUpgrade, SendRequest<RequestBody>),
}

/// The bounds of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long a draining worker's tunnels are spread over.
    pub(crate) drain: Duration,
    /// Without a byte either way for so long, it ends; `None` for no such bound.
    pub(crate) idle: Option<Duration>,
    /// A few kilobytes must be taken so soon.
    pub(crate) stall: Duration,
}

/// Joins the two sides as soon as the client has switched.
pub(crate) fn spawn(sides: Sides, seat: Seat, connection: Arc<Connection>, proxy: Arc<Inner>, bounds: Bounds) {
    tokio::spawn(async move {
        let mut phase = connection.phase.clone();
        tokio::select! {
            () = switch(sides, &seat, &proxy, bounds) => {}
            // A tunnel has no end of its own; it may stay for the whole grace.
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
        }
        drop(seat);
    });
}

async fn switch(sides: Sides, seat: &Seat, proxy: &Inner, bounds: Bounds) {
    let Sides { client, worker } = sides;
    let client = match client.await {
        Ok(client) => TokioIo::new(client),
        Err(error) => return tracing::debug!(%error, "the client left during the upgrade"),
    };
    match worker {
        WorkerSide::Socket { socket, said } => join(client, socket, &said, seat, proxy, bounds).await,
        WorkerSide::Stream(worker, _connection) => match worker.await {
            Ok(worker) => join(client, TokioIo::new(worker), &[], seat, proxy, bounds).await,
            Err(error) => tracing::debug!(%error, "the worker left during the upgrade"),
        },
    }
}

async fn join(
    client: impl AsyncRead + AsyncWrite,
    worker: impl AsyncRead + AsyncWrite,
    said: &[u8],
    seat: &Seat,
    proxy: &Inner,
    bounds: Bounds,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_worker, mut to_worker) = tokio::io::split(worker);
    let clock = Clock::start();
    let mut told = None;
    {
        let up = copy(&mut from_client, &mut to_worker, &clock, bounds.stall);
        let down = down(&mut from_worker, &mut to_client, said, seat, bounds, &clock);
        tokio::pin!(up, down);
        let mut up_done = false;
        loop {
            tokio::select! {
                ended = up.as_mut(), if !up_done => {
                    up_done = true;
                    if ended.is_err() {
                        break;
                    }
                }
                ended = down.as_mut() => {
                    match ended {
                        // The worker has said its last word; what the client says now may still reach it.
                        Ok(Ended::ByWorker) if !up_done => { let _ = timeout(GOODBYE, up.as_mut()).await; }
                        Ok(ended) => told = Some(ended),
                        Err(error) => tracing::debug!(%error, "tunnel broke"),
                    }
                    break;
                }
            }
        }
    }
    if matches!(told, Some(Ended::Moved)) {
        proxy.metrics.tunnels_moved.add();
    }
    if matches!(told, Some(Ended::Moved | Ended::Idle)) {
        // The client answers with its own close frame, and closes. What it said before that has nobody to hear it.
        let _ = timeout(GOODBYE, tokio::io::copy(&mut from_client, &mut tokio::io::sink())).await;
    }
}

enum Ended {
    ByWorker,
    Moved,
    Idle,
}

/// When something last went by, in either direction.
struct Clock {
    start: Instant,
    last_millis: AtomicU64,
}

impl Clock {
    fn start() -> Self {
        Self { start: Instant::now(), last_millis: AtomicU64::new(0) }
    }

    fn tick(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Waits until nothing has gone by for so long; for ever without a bound.
    async fn idle_for(&self, bound: Option<Duration>) {
        let Some(bound) = bound else { return std::future::pending().await };
        loop {
            let end = self.start + Duration::from_millis(self.last_millis.load(Ordering::Relaxed)) + bound;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Copies what the worker says, until it ends, it is time to move the client, or nobody has said anything for too long.
async fn down(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    said: &[u8],
    seat: &Seat,
    bounds: Bounds,
    clock: &Clock,
) -> io::Result<Ended> {
    let mut frames = Frames::default();
    frames.pass(said);
    deliver(to, said, bounds.stall).await?;
    let mut leaving = seat.upstream.leaving();
    let time_to_move = async {
        // The sender lives as long as the seat.
        let _ = leaving.wait_for(|leaving| *leaving).await;
        sleep(bounds.drain.mul_f64(WAVES * fastrand::f64())).await;
    };
    let idle = clock.idle_for(bounds.idle);
    tokio::pin!(time_to_move, idle);
    let mut due = false;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        if due && frames.between() {
            deliver(to, &CLOSE_RESTART, bounds.stall).await?;
            return Ok(Ended::Moved);
        }
        tokio::select! {
            biased;
            read = from.read(&mut buffer) => {
                let read = read?;
                clock.tick();
                if read == 0 {
                    end(to, bounds.stall).await?;
                    return Ok(Ended::ByWorker);
                }
                frames.pass(&buffer[..read]);
                deliver(to, &buffer[..read], bounds.stall).await?;
            }
            () = time_to_move.as_mut(), if !due => due = true,
            () = idle.as_mut() => {
                // In the middle of a frame there is no place for a word.
                if frames.between() {
                    deliver(to, &CLOSE_AWAY, bounds.stall).await?;
                }
                return Ok(Ended::Idle);
            }
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    clock: &Clock,
    stall: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        clock.tick();
        if read == 0 {
            return end(to, stall).await;
        }
        deliver(to, &buffer[..read], stall).await?;
    }
}

/// Writes all of it, or fails if that takes too long.
async fn deliver(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], stall: Duration) -> io::Result<()> {
    let written = timeout(stall, async {
        to.write_all(bytes).await?;
        to.flush().await
    });
    written.await.unwrap_or_else(|_| Err(takes_nothing()))
}

/// Says that there is no more. On a stream of HTTP/2 that waits for what was written before.
async fn end(to: &mut (impl AsyncWrite + Unpin), stall: Duration) -> io::Result<()> {
    timeout(stall, to.shutdown()).await.unwrap_or_else(|_| Err(takes_nothing()))
}

fn takes_nothing() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")
}
