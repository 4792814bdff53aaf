//! The accept loop and the life of one connection: bounded in number, timed until its first request, closed in two steps.
//!
//! HTTP/1.1 or HTTP/2 (prior knowledge) is told by the first bytes. hyper times a head only once it knows the protocol, so a
//! connection that stops inside the HTTP/2 preface would live for ever; `Connection::serve` times the first request itself.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};

use crate::{config::Limits, proxy::Proxy};

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

/// How long the loop rests when the process is out of file descriptors or memory: retrying at once would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may leave what was sent to it without acknowledgement, or say nothing before it is asked for a sign of life.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// One client's connection; tunnels that grow out of it hold it too, so its slot is free when both are gone.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) phase: watch::Receiver<Phase>,
    seen_request: AtomicBool,
    _slot: OwnedSemaphorePermit,
}

/// Accepts until the gateway closes.
pub(crate) async fn run(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    slots: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
) {
    let builder = Arc::new(builder(proxy.limits()));
    loop {
        let accepted = tokio::select! {
            biased;
            changed = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(changed);
                return;
            }
            accepted = next_connection(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { return };
        let connection =
            Arc::new(Connection { peer, phase: phase.clone(), seen_request: AtomicBool::new(false), _slot: slot });
        tokio::spawn(connection.serve(stream, Arc::clone(&builder), Arc::clone(&proxy)));
    }
}

/// Takes a slot first, then a connection: at the bound, clients wait in the kernel's queue instead of in our memory.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%error, "a client left before it was served");
                    continue;
                }
                return Some((stream, peer, slot));
            }
            Err(error) if is_clients_fault(&error) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; raise the open files limit if this goes on");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// A client that is gone without a word, or takes nothing of what it is sent, loses its slot after `GONE_AFTER`.
fn tune(stream: &TcpStream) -> io::Result<()> {
    // Answers are written whole; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(GONE_AFTER).with_interval(GONE_AFTER / 4))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
    Ok(())
}

fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_head_bytes as usize)
        .max_headers(usize::from(limits.max_headers));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.max_head_bytes)
        .max_concurrent_streams(limits.max_streams)
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

impl Connection {
    async fn serve(self: Arc<Self>, stream: TcpStream, builder: Arc<auto::Builder<TokioExecutor>>, proxy: Arc<Proxy>) {
        let header_timeout = proxy.limits().header_timeout;
        let _open = proxy.metrics.connection_opened();
        let service = service_fn(|request| {
            self.seen_request.store(true, Ordering::Relaxed);
            let (this, proxy) = (Arc::clone(&self), Arc::clone(&proxy));
            async move { Ok::<_, Infallible>(proxy.serve(&this, request).await) }
        });
        let http = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let first_request = sleep(header_timeout);
        tokio::pin!(http, first_request);
        let mut waiting = true;
        let mut phase = self.phase.clone();
        loop {
            tokio::select! {
                biased;
                served = http.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!(peer = %self.peer, %error, "connection ended early");
                    }
                    return;
                }
                changed = phase.changed() => match changed.map(|()| *phase.borrow_and_update()) {
                    Ok(Phase::Serving) => {}
                    Ok(Phase::Closing) => http.as_mut().graceful_shutdown(),
                    Ok(Phase::Closed) | Err(_) => return,
                },
                () = first_request.as_mut(), if waiting => {
                    waiting = false;
                    if !self.seen_request.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}
