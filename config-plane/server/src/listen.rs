//! The one TLS listener of a region: members, followers, administrators, metrics.
//!
//! ```text
//! accept (capped) → TLS 1.3 within 5 s → whose certificate? ─┬→ HTTP/1.1 or HTTP/2, as agreed → router
//!                                                            └→ raft's frames, if it is a region → answerer.rs
//! ```
//!
//! Everything that a stranger can hold on to is bounded: connections, the handshake's time, a head's time, streams on a
//! connection, and by keep-alives and an idle limit the life of a connection whose peer is gone.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use pki::{Principal, peer_principal};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt;

use crate::{
    api::Peer,
    plane::{Plane, asked_to_stop},
    raft::{answerer, frames::PROTOCOL},
};

/// Protocols offered in the handshake.
pub(crate) const ALPN: &[&[u8]] = &[b"h2", b"http/1.1", PROTOCOL];

/// Connections at once. A world of 64 regions needs a few hundred.
const CONNECTIONS: usize = 1024;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 128;
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(5);
/// How long open requests may take after the stop was asked for.
const GRACE: Duration = Duration::from_secs(2);
/// After an accept failed for want of descriptors, the next one fails too: wait a little.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound and does not accept yet.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    pub(crate) async fn bind(addr: SocketAddr, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self { tcp: TcpListener::bind(addr).await?, tls: tls.into() })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stopping` says so, then lets open requests finish for a while.
    pub(crate) async fn serve(self, router: Router, plane: Arc<Plane>, mut stopping: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let http = Arc::new(http());
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.tcp, &permits) => accepted,
                Some(_) = connections.join_next() => continue,
                () = asked_to_stop(&mut stopping) => break,
            };
            match accepted {
                Ok((tcp, permit)) => {
                    let connection = Connection {
                        tls: self.tls.clone(),
                        http: Arc::clone(&http),
                        router: router.clone(),
                        plane: Arc::clone(&plane),
                    };
                    let stopping = stopping.clone();
                    connections.spawn(async move {
                        let _permit = permit;
                        connection.serve(tcp, stopping).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the plane's listener cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.tcp);
        let finished = async { while connections.join_next().await.is_some() {} };
        if timeout(GRACE, finished).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// The next connection, once there is room for it: at the cap new ones wait in the system's queue.
async fn accept(tcp: &TcpListener, permits: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, _) = tcp.accept().await?;
    Ok((tcp, permit))
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(64 << 10);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_WITHIN);
    http
}

struct Connection {
    tls: TlsAcceptor,
    http: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    plane: Arc<Plane>,
}

impl Connection {
    async fn serve(self, tcp: TcpStream, stopping: watch::Receiver<bool>) {
        // A latency setting only; a connection that refuses it is broken and says so at the first read.
        drop(tcp.set_nodelay(true));
        let tls = match timeout(HANDSHAKE_WITHIN, self.tls.accept(tcp)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let peer = peer_of(&tls);
        if tls.get_ref().1.alpn_protocol() == Some(PROTOCOL) {
            return self.serve_member(tls, &peer, stopping).await;
        }
        self.serve_http(tls, peer, stopping).await;
    }

    /// Raft is for regions among themselves.
    async fn serve_member(self, tls: TlsStream<TcpStream>, peer: &Peer, stopping: watch::Receiver<bool>) {
        if !matches!(peer.0, Some(Principal::Region(_))) {
            return tracing::debug!(?peer, "somebody who is no region wants to speak raft, and may not");
        }
        let plane = self.plane;
        if let Err(error) = answerer::run(tls, |what, body| plane.answer(what, body), stopping).await {
            tracing::debug!(%error, "a connection of another member broke");
        }
    }

    async fn serve_http(self, tls: TlsStream<TcpStream>, peer: Peer, mut stopping: watch::Receiver<bool>) {
        let router = self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, peer) = (router.clone(), peer.clone());
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                Ok::<_, Infallible>(match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                })
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(tls), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = asked_to_stop(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection of the plane's listener broke");
        }
    }
}

fn peer_of(tls: &TlsStream<TcpStream>) -> Peer {
    Peer(tls.get_ref().1.peer_certificates().and_then(peer_principal))
}
