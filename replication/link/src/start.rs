//! Starting and stopping all links of a region.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use pki::Principal;
use quinn::{Connection, Endpoint, Incoming};
use replication_storage::StateStore;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use crate::{
    LinkConfig, Peer, PeerStatus, Session, endpoint,
    peer::{self, Link},
    shell::Clock,
    status::Gauges,
};

/// How many handshakes may be under way at once; strangers beyond it are ignored.
const HANDSHAKES: usize = 64;
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// How many different complaints about strangers are logged; more would be a flood.
const COMPLAINTS: usize = 32;
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the links could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP address is not to be had.
    #[error("cannot listen on {listen} (UDP) for region links: {source}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The identity is of no use for QUIC.
    #[error("cannot use the region's certificate for links: {0}")]
    Tls(String),
    /// The certificate is somebody else's.
    #[error("the certificate is of {found}, this is region {want}")]
    OtherPrincipal {
        /// Whom the certificate names.
        found: String,
        /// The region's name.
        want: String,
    },
}

/// The running links of a region. Dropping it cuts them.
pub struct LinkHandle {
    endpoint: Endpoint,
    local_addr: SocketAddr,
    view: LinkView,
    tasks: JoinSet<()>,
}

/// Starts listening and dialling. Must be called within a tokio runtime.
pub fn start(config: LinkConfig, store: StateStore) -> Result<LinkHandle, StartError> {
    let me = Principal::Region(config.self_name.clone());
    if *config.identity.principal() != me {
        let (found, want) = (config.identity.principal().to_string(), config.self_name);
        return Err(StartError::OtherPrincipal { found, want });
    }
    let endpoint = endpoint::bind(config.listen, &config.identity)?;
    let bind_error = |source| StartError::Bind { listen: config.listen, source };
    let local_addr = endpoint.local_addr().map_err(bind_error)?;
    store.set_peers(&config.peers.iter().map(|peer| peer.id).collect::<Vec<_>>());
    let clock = Clock::start();
    let (mut tasks, mut links, mut callers) = (JoinSet::new(), Vec::new(), HashMap::new());
    for peer in config.peers {
        let session = Session::new(store.clone(), peer.clone());
        links.push(Seen { peer: peer.clone(), gauges: session.gauges().clone() });
        let link = Link { session, store: store.clone(), clock };
        if config.self_id < peer.id {
            tasks.spawn(peer::dial(link, endpoint.clone()));
        } else {
            let (arrivals, arrived) = mpsc::channel(1);
            callers.insert(peer.name, arrivals);
            tasks.spawn(peer::answer(link, arrived));
        }
    }
    tasks.spawn(accept(endpoint.clone(), callers));
    let view = LinkView { links: links.into(), store, clock };
    Ok(LinkHandle { endpoint, local_addr, view, tasks })
}

impl LinkHandle {
    /// The UDP address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Each link as it is now, in the order of the configuration.
    pub fn status(&self) -> Vec<PeerStatus> {
        self.view.status()
    }

    /// A view of the links for those who only look. It outlives them; what it shows then is how they ended.
    pub fn view(&self) -> LinkView {
        self.view.clone()
    }

    /// Closes all connections, telling the peers, and stops listening.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        self.endpoint.close(0_u32.into(), b"the region shuts down");
        // The goodbye is one packet; who does not get it notices by silence.
        let _ = timeout(GOODBYE, self.endpoint.wait_idle()).await;
    }
}

/// What is shown of one link.
struct Seen {
    peer: Peer,
    gauges: Arc<Gauges>,
}

/// Sees the links of a region without holding them up.
#[derive(Clone)]
pub struct LinkView {
    links: Arc<[Seen]>,
    store: StateStore,
    clock: Clock,
}

impl LinkView {
    /// Each link as it is now, in the order of the configuration.
    pub fn status(&self) -> Vec<PeerStatus> {
        let now_ms = self.clock.now_ms();
        let status = |link: &Seen| link.gauges.status(&link.peer, self.store.unconfirmed(link.peer.id), now_ms);
        self.links.iter().map(status).collect()
    }

    /// Whether the link to that region is up: two loads, for paths that cannot wait.
    pub fn connected(&self, region: u16) -> bool {
        let link = self.links.iter().find(|link| link.peer.id == region);
        link.is_some_and(|link| link.gauges.connected.load(Ordering::Acquire))
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.endpoint.close(0_u32.into(), b"the region shuts down");
    }
}

/// Lets in whoever proves to be one of the regions that dial us.
async fn accept(endpoint: Endpoint, callers: HashMap<String, mpsc::Sender<Connection>>) {
    let (callers, room) = (Arc::new(callers), Arc::new(Semaphore::new(HANDSHAKES)));
    let mut complaints = Complaints::default();
    let (complain, mut complained) = mpsc::channel::<String>(HANDSHAKES);
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { return };
                let Ok(permit) = room.clone().try_acquire_owned() else {
                    incoming.ignore();
                    continue;
                };
                let (callers, complain) = (callers.clone(), complain.clone());
                handshakes.spawn(async move {
                    if let Err(why) = admit(incoming, &callers).await {
                        let _ = complain.try_send(why);
                    }
                    drop(permit);
                });
            }
            Some(why) = complained.recv() => complaints.log(why),
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn admit(incoming: Incoming, callers: &HashMap<String, mpsc::Sender<Connection>>) -> Result<(), String> {
    let from = incoming.remote_address().ip();
    let connecting = incoming.accept().map_err(|e| format!("{from}: {e}"))?;
    let connection = match timeout(HANDSHAKE_DEADLINE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(e)) => return Err(format!("{from}: {e}")),
        Err(_) => return Err(format!("{from}: the handshake took longer than {} s", HANDSHAKE_DEADLINE.as_secs())),
    };
    let principal = endpoint::principal(&connection);
    let arrivals = match &principal {
        Some(Principal::Region(name)) => callers.get(name),
        _ => None,
    };
    let Some(arrivals) = arrivals else {
        connection.close(2_u32.into(), b"not a region that dials this one");
        let who = principal.map_or_else(|| "a certificate without a name".to_owned(), |p| p.to_string());
        return Err(format!("{from}: {who} is not a region that dials this one"));
    };
    arrivals.send(connection).await.map_err(|_| "the links shut down".to_owned())
}

/// Says each thing once.
#[derive(Default)]
struct Complaints(std::collections::HashSet<String>);

impl Complaints {
    fn log(&mut self, why: String) {
        if self.0.len() < COMPLAINTS && !self.0.contains(&why) {
            tracing::warn!(%why, "a connection to the link port was refused (said once)");
            self.0.insert(why);
        }
    }
}
