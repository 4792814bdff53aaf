//! HTTP/2 without TLS to a worker: one connection, many requests, trailers both ways. hyper's client, as multiplexing needs a task
//! of its own anyway.

use std::io;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::body::RequestBody;

/// Bytes that a worker may send of one answer before the client took them.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all answers of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of a request's body that wait for the worker's window.
const SEND_BUFFER: usize = 256 * 1024;

/// Begins HTTP/2 with prior knowledge (RFC 9113, 3.3).
pub(crate) async fn handshake(stream: TcpStream) -> io::Result<SendRequest<RequestBody>> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Ends when the last sender is dropped or the worker closes; errors reach the requests that are under way.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a worker ended early");
        }
    });
    Ok(sender)
}
