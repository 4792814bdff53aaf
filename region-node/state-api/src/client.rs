//! Who is connected: one record per connection, for `CLIENT LIST` and for saying goodbye at a shutdown.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::{Notify, futures::Notified};

use crate::{resp::Protocol, table::Command};

/// One connection, as others may see it.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) stop: Stop,
    connected: Instant,
    seen: Mutex<Seen>,
}

/// Asks a connection to end once it has answered what it has read.
#[derive(Default)]
pub(crate) struct Stop {
    asked: AtomicBool,
    told: Notify,
}

impl Stop {
    pub(crate) fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.told.notify_one();
    }

    /// A load: for connections that always find something to read.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Returns once it is asked. For one listener.
    pub(crate) fn told(&self) -> Notified<'_> {
        self.told.notified()
    }
}

/// What changes while the connection lives. Its own task is nearly the only one that ever takes the lock.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
    pub(crate) user: String,
    pub(crate) protocol: Protocol,
    pub(crate) command: Option<&'static Command>,
    pub(crate) active: Instant,
    /// Waits for elements.
    pub(crate) blocked: bool,
}

impl Client {
    /// The changing part.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic between two assignments leaves nothing that could be wrong.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of `CLIENT LIST`.
    pub(crate) fn line(&self) -> String {
        let seen = self.seen().clone();
        let mut line = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi=-1 cmd={} user={} \
             redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            seen.name,
            self.connected.elapsed().as_secs(),
            seen.active.elapsed().as_secs(),
            if seen.blocked { 'b' } else { 'N' },
            seen.command.map_or("NULL", |command| command.name),
            seen.user,
            match seen.protocol {
                Protocol::Resp2 => 2,
                Protocol::Resp3 => 3,
            },
            seen.library,
            seen.library_version,
        );
        line
    }
}

/// All connections of the port.
#[derive(Default)]
pub(crate) struct Clients {
    last_id: AtomicU64,
    live: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// Registers a connection until the returned guard is dropped.
    pub(crate) fn register(self: &Arc<Self>, address: SocketAddr, local: SocketAddr) -> Registered {
        let now = Instant::now();
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Relaxed) + 1,
            address,
            local,
            stop: Stop::default(),
            connected: now,
            seen: Mutex::new(Seen {
                name: String::new(),
                library: String::new(),
                library_version: String::new(),
                user: "default".to_owned(),
                protocol: Protocol::default(),
                command: None,
                active: now,
                blocked: false,
            }),
        });
        self.live().insert(client.id, client.clone());
        Registered { clients: self.clone(), client }
    }

    /// Everyone, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.live().values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.live().len()
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection in the list while it lives, whichever way it ends.
pub(crate) struct Registered {
    clients: Arc<Clients>,
    pub(crate) client: Arc<Client>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clients.live().remove(&self.client.id);
    }
}
