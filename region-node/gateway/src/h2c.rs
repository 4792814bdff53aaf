//! HTTP/2 without TLS to a worker: one connection, many requests, trailers both ways; and one more for each WebSocket. hyper's
//! client, as multiplexing needs a task of its own anyway.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Duration, Instant, interval, timeout_at},
};

use crate::body::RequestBody;

/// Bytes that a worker may send of one answer before the client took them.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all answers of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of a request's body that wait for the worker's window.
const SEND_BUFFER: usize = 256 * 1024;

/// So long after it was opened a connection has told what the worker can do: SETTINGS are the first thing that it says.
const FIRST_FRAME: Duration = Duration::from_secs(1);

/// How often it is looked at until then.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A connection to a worker.
pub(crate) struct Link {
    pub(crate) sender: SendRequest<RequestBody>,
    opened: Instant,
    /// The worker has announced extended CONNECT (RFC 8441).
    extended_connect: watch::Receiver<bool>,
}

impl Link {
    /// Says, as soon as it can be known, whether the worker takes WebSockets here.
    pub(crate) fn takes_websocket(&self) -> impl Future<Output = bool> + use<> {
        let (mut announced, until) = (self.extended_connect.clone(), self.opened + FIRST_FRAME);
        async move { matches!(timeout_at(until, announced.wait_for(|announced| *announced)).await, Ok(Ok(_))) }
    }
}

/// Begins HTTP/2 with prior knowledge (RFC 9113, 3.3).
pub(crate) async fn handshake(stream: TcpStream) -> io::Result<Link> {
    let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Ends when the last sender is dropped or the worker closes; errors reach the requests that are under way.
    let (announce, extended_connect) = watch::channel(false);
    tokio::spawn(async move {
        let opened = Instant::now();
        // Nothing wakes this task when SETTINGS come, as hyper reads them in another one.
        let mut look = interval(LOOK_EVERY);
        let driven = poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            while !*announce.borrow() && opened.elapsed() < FIRST_FRAME && look.poll_tick(cx).is_ready() {
                announce.send_replace(connection.is_extended_connect_protocol_enabled());
            }
            polled
        });
        if let Err(error) = driven.await {
            tracing::debug!(%error, "connection to a worker ended early");
        }
    });
    Ok(Link { sender, opened: Instant::now(), extended_connect })
}
