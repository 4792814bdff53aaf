//! One endpoint's connection for HTTP/2 over TLS, shared by all calls to it. When it is dialled and given up: `kept.rs`.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_rustls::TlsConnector;

use crate::{
    CallError, Endpoint,
    kept::{Connection, Generation, Kept, connect, in_full},
};

/// The protocol that is offered in the handshake.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Long enough for a snapshot over a slow path, short enough that a peer cannot make us hold much.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How a connection behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOptions {
    /// A dial that takes longer has failed.
    pub dial_within: Duration,
    /// A ping is sent after this long without a byte from the peer while a call or stream is open; nothing is sent while idle.
    pub ping_after: Duration,
    /// A ping without an answer after this long ends the connection, and with it every call and stream on it.
    pub ping_within: Duration,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            dial_within: Duration::from_secs(2),
            ping_after: Duration::from_secs(1),
            ping_within: Duration::from_secs(2),
        }
    }
}

type Sender = http2::SendRequest<Full<Bytes>>;

impl Connection for Sender {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }
}

/// Sends requests to one endpoint.
pub(crate) struct Channel(Kept<Sender>);

/// Why a request was not answered.
pub(crate) enum SendError {
    /// It did not leave.
    NotSent(String),
    /// It may have been carried out.
    Broken(String),
}

impl Channel {
    pub(crate) fn new(endpoint: Endpoint, tls: TlsConnector, options: ChannelOptions) -> Self {
        let dial = move || {
            let (endpoint, tls) = (endpoint.clone(), tls.clone());
            Box::pin(async move { dial(&endpoint, &tls, options).await }) as _
        };
        Self(Kept::new(options.dial_within, dial))
    }

    /// Sends a request, dialling first where need be. No deadline: the caller has one, and calls [`Channel::gave_up`] at
    /// its end. A request that met a connection just closed is sent once more over a new one.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        on: &mut Option<Generation>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut again = true;
        loop {
            let (mut sender, generation) = self.0.get().await.map_err(SendError::NotSent)?;
            *on = Some(generation);
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.0.answered(generation);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if again => {
                        self.0.condemn(generation);
                        again = false;
                        request = unsent;
                    }
                    Some(_) => return Err(SendError::NotSent(in_full(&failed.into_error()))),
                    None => {
                        // A stream that was reset is no reason to give up the connection under it.
                        if sender.is_closed() {
                            self.0.condemn(generation);
                        }
                        return Err(SendError::Broken(in_full(&failed.into_error())));
                    }
                },
            }
        }
    }

    /// What became of a request that ran into its deadline.
    pub(crate) fn gave_up(&self, endpoint: &Endpoint, within: Duration, on: Option<Generation>) -> CallError {
        self.0.gave_up(endpoint, within, on)
    }
}

async fn dial(endpoint: &Endpoint, tls: &TlsConnector, options: ChannelOptions) -> io::Result<Sender> {
    let stream = connect(endpoint, tls, HTTP2).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(options.ping_after)
        .keep_alive_timeout(options.ping_within)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its calls learn how it ended; nobody else needs to. It ends when the last sender and the last stream are gone.
    tokio::spawn(connection);
    Ok(sender)
}
