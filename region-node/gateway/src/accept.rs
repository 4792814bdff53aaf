//! The accept loops: one for HTTP, one for HTTPS where there are certificates; bounded in number, never stopped by an error.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};

pub(crate) use crate::connection::{Connection, Phase};
use crate::{
    connection::{self, Accepted},
    edge::Edge,
    proxy::Proxy,
};

/// How long the loop rests when the process is out of file descriptors or memory: retrying at once would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may leave what was sent to it without acknowledgement, or say nothing before it is asked for a sign of life.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Accepts until the gateway closes; `tls` says whether the listener is the one of HTTPS.
pub(crate) async fn run(
    listener: TcpListener,
    tls: bool,
    edge: Arc<Edge>,
    proxy: Arc<Proxy>,
    slots: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            changed = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(changed);
                return;
            }
            accepted = next_connection(&listener, &edge, &slots) => accepted,
        };
        let Some((stream, from, slot)) = accepted else { return };
        let accepted = Accepted { stream, from, slot, tls };
        tokio::spawn(connection::serve(accepted, Arc::clone(&edge), Arc::clone(&proxy), phase.clone()));
    }
}

/// At the bound, one client waits here and the others in the kernel's queue; those that are idle make room for them, the one
/// that is idle longest first.
async fn next_connection(
    listener: &TcpListener,
    edge: &Edge,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%error, "a client left before it was served");
                    continue;
                }
                let slot = match Arc::clone(slots).try_acquire_owned() {
                    Ok(slot) => slot,
                    Err(_) => make_room(edge, slots).await?,
                };
                return Some((stream, peer, slot));
            }
            Err(error) if is_clients_fault(&error) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                edge.count_accept_error();
                tracing::warn!(%error, "cannot accept connections; raise the open files limit if this goes on");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

async fn make_room(edge: &Edge, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let slot = Arc::clone(slots).acquire_owned();
    tokio::pin!(slot);
    loop {
        // Nobody may be idle yet; whoever is next leaves.
        edge.shed.notify_one();
        tokio::select! {
            biased;
            slot = slot.as_mut() => return slot.ok(),
            () = sleep(EXHAUSTED_PAUSE) => {}
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
