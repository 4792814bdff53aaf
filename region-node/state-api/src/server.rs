//! The port: opens it, accepts connections, closes it with grace.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use replication_storage::StateStore;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    access::Access,
    blocking::Blocking,
    client::Clients,
    config::StateApiConfig,
    connection,
    counters::{Counters, StateApiCounters},
    resp::Limits,
};

/// What all connections share.
pub(crate) struct Server {
    pub(crate) config: StateApiConfig,
    pub(crate) access: Access,
    pub(crate) store: StateStore,
    pub(crate) clients: Arc<Clients>,
    pub(crate) blocking: Arc<Blocking>,
    pub(crate) counters: Counters,
    pub(crate) started: Instant,
}

impl Server {
    /// What a client that has logged in may send now: the World may change it.
    pub(crate) fn limits(&self) -> Limits {
        Limits { bulk: self.store.max_value_bytes(), ..Limits::DEFAULT }
    }
}

/// Why the port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port speaks plain TCP, so nobody else's network may see it.
    #[error(
        "the Redis protocol port cannot listen on {0}: it has no TLS, so only loopback addresses such as 127.0.0.1 are allowed"
    )]
    NotLoopback(SocketAddr),
    /// Another program has the address.
    #[error(
        "the Redis protocol port {0} is already in use: stop what listens there (is it a redis-server?), or choose another address"
    )]
    InUse(SocketAddr),
    /// The system refused otherwise.
    #[error("cannot listen on {listen} for the Redis protocol: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// An open port. Dropping it closes the port and its connections at once; [`shutdown`](Self::shutdown) lets them finish.
pub struct StateApiHandle {
    server: Arc<Server>,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Pending connections that the system keeps for us, as in Redis.
const BACKLOG: i32 = 511;
/// How long connections may take to finish the commands they have read.
const GRACE: Duration = Duration::from_secs(5);
/// When the system is out of file descriptors: how long to wait before asking again.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// A peer whose machine vanished is noticed after this, as in Redis.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// Opens the port. Must be called in a tokio runtime, which then runs the connections.
pub fn start(config: StateApiConfig, store: StateStore) -> Result<StateApiHandle, StartError> {
    let listen = config.listen;
    if !listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(listen));
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse(listen),
        _ => StartError::Listen { listen, source },
    };
    let listener = bind(listen).map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    let server = Arc::new(Server {
        access: Access::new(config.users.clone()),
        config,
        blocking: Arc::new(Blocking::new(store.clone())),
        store,
        clients: Arc::default(),
        counters: Counters::default(),
        started: Instant::now(),
    });
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept_loop(server.clone(), listener, stopped));
    tracing::info!(address = %local_addr, "Redis protocol port open");
    Ok(StateApiHandle { server, local_addr, stop, accepting })
}

impl StateApiHandle {
    /// Where the port listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What has happened so far.
    pub fn counters(&self) -> StateApiCounters {
        self.server.counters.snapshot(self.server.clients.count())
    }

    /// Accepts nobody any more, lets each connection answer what it has read, closes them; at the latest after 5 s.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.accepting).await {
            tracing::warn!(%error, "the Redis protocol port ended badly");
        }
    }
}

impl Drop for StateApiHandle {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None)?;
    // A region that comes back may take its port while the connections of its former life linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(StdListener::from(socket))
}

async fn accept_loop(server: Arc<Server>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            // Ended connections are forgotten as they end. A panic of one has been reported by the panic hook and ends only it.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => admit(&server, stream, address, &mut connections),
                Err(error) => survive(&error).await,
            },
        }
    }
    drop(listener);
    server.clients.all().iter().for_each(|client| client.stop.ask());
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        tracing::warn!(left = connections.len(), "connections did not finish in time and are closed");
    }
}

/// Starts a connection, or turns it away.
fn admit(server: &Arc<Server>, stream: TcpStream, address: SocketAddr, connections: &mut JoinSet<()>) {
    let counters = &server.counters;
    counters.accepted.fetch_add(1, Relaxed);
    let options = SockRef::from(&stream);
    if server.clients.count() >= server.config.max_clients {
        counters.rejected.fetch_add(1, Relaxed);
        // A fresh connection has room for one line; if it has not, the peer is gone.
        let _ = options.send(b"-ERR max number of clients reached\r\n");
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    // Neither is worth losing a connection over.
    let _ = options.set_tcp_nodelay(true);
    let _ = options.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
    let registered = server.clients.register(address, local);
    connections.spawn(connection::serve(server.clone(), stream, registered));
}

/// A failed accept says something of one peer, or of the system's limits; never a reason to stop accepting.
async fn survive(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::warn!(%error, "cannot accept a Redis protocol connection; trying again");
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}
