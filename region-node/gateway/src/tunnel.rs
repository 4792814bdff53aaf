//! A WebSocket through the gateway: after the handshake, bytes both ways until one side closes or the gateway does.
//!
//! A worker that drains is left in waves: each of its clients is sent a close frame (1012, service restart) at a moment of its own
//! within the drain time, between two of the worker's frames, and comes back to another worker. Where the worker stops in the
//! middle of a frame there is no place for one, and the tunnel is cut with the worker.
//!
//! Bounded: a tunnel keeps its connection's slot and its seat at the worker, and holds two small buffers.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    accept::{Connection, Phase},
    fleet::Seat,
    proxy::Inner,
    websocket::{CLOSE_RESTART, Frames},
};

const BUFFER_BYTES: usize = 8 * 1024;
/// So long a client may take to close once the worker has, or once it was told to.
const GOODBYE: Duration = Duration::from_secs(2);
/// Waves end before the drain time does, so that closes have time to be answered.
const WAVES: f64 = 0.8;

/// The two sides of a tunnel to be.
pub(crate) struct Sides {
    pub(crate) client: OnUpgrade,
    pub(crate) worker: TcpStream,
    /// What the worker has already said after its handshake.
    pub(crate) said: Bytes,
}

/// Joins the two sides as soon as the client has switched.
pub(crate) fn spawn(sides: Sides, seat: Seat, connection: Arc<Connection>, proxy: Arc<Inner>, drain_timeout: Duration) {
    tokio::spawn(async move {
        let mut phase = connection.phase.clone();
        tokio::select! {
            () = run(sides, &seat, &proxy, drain_timeout) => {}
            // A tunnel has no end of its own; it may stay for the whole grace.
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
        }
        drop(seat);
    });
}

async fn run(sides: Sides, seat: &Seat, proxy: &Inner, drain_timeout: Duration) {
    let Sides { client, mut worker, said } = sides;
    let client = match client.await {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%error, "the client left during the upgrade"),
    };
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_worker, mut to_worker) = worker.split();
    let mut moved = false;
    {
        let up = copy(&mut from_client, &mut to_worker);
        let down = down(&mut from_worker, &mut to_client, &said, seat, drain_timeout, &mut moved);
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
                        Ok(_) => {}
                        Err(error) => tracing::debug!(%error, "tunnel broke"),
                    }
                    break;
                }
            }
        }
    }
    if moved {
        proxy.metrics.tunnels_moved.add();
        // The client answers with its own close frame, and closes. What it said before that has nobody to hear it.
        let _ = timeout(GOODBYE, tokio::io::copy(&mut from_client, &mut tokio::io::sink())).await;
    }
}

enum Ended {
    ByWorker,
    Moved,
}

/// Copies what the worker says, until it ends or it is time to move the client.
async fn down(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    said: &[u8],
    seat: &Seat,
    drain_timeout: Duration,
    moved: &mut bool,
) -> io::Result<Ended> {
    let mut frames = Frames::default();
    frames.pass(said);
    to.write_all(said).await?;
    let mut leaving = seat.upstream.leaving();
    let time_to_move = async {
        // The sender lives as long as the seat.
        let _ = leaving.wait_for(|leaving| *leaving).await;
        sleep(drain_timeout.mul_f64(WAVES * fastrand::f64())).await;
    };
    tokio::pin!(time_to_move);
    let mut due = false;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        if due && frames.between() {
            *moved = true;
            to.write_all(&CLOSE_RESTART).await?;
            to.flush().await?;
            return Ok(Ended::Moved);
        }
        tokio::select! {
            biased;
            read = from.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    to.shutdown().await?;
                    return Ok(Ended::ByWorker);
                }
                frames.pass(&buffer[..read]);
                to.write_all(&buffer[..read]).await?;
                to.flush().await?;
            }
            () = time_to_move.as_mut(), if !due => due = true,
        }
    }
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
