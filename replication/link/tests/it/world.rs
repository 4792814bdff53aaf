//! Regions for tests: a world's authority, stores in directories, links between them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use pki::{Identity, Principal, WorldCa};
use replication_core::{KeyOp, Op, Reply, SetExpiry, SetIf, TextOp};
use replication_link::{LinkConfig, LinkHandle, Peer, PeerStatus, StartError, start};
use replication_storage::{StateStore, StoreConfig};

pub(crate) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of its own for a test, gone at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-link-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The name of a region by its number.
pub(crate) fn name(id: u16) -> String {
    format!("region-{id}")
}

/// A world in one directory. Regions are numbered from 1.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    ca: WorldCa,
    addrs: BTreeMap<u16, SocketAddr>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        let ca = WorldCa::create(&dir.0.join("pki"), "shop").unwrap();
        Self { dir, ca, addrs: BTreeMap::new() }
    }

    pub(crate) fn identity(&self, id: u16) -> Identity {
        let files = self.ca.issue(&Principal::Region(name(id)), &[LOCAL]).unwrap();
        Identity::load(&files.ca, &files.cert, &files.key).unwrap()
    }

    /// What each life of a region loads its identity with.
    pub(crate) fn lives(&self, id: u16) -> impl Fn() -> Identity + use<> {
        let files = self.ca.issue(&Principal::Region(name(id)), &[LOCAL]).unwrap();
        move || Identity::load(&files.ca, &files.cert, &files.key).unwrap()
    }

    pub(crate) fn state_dir(&self, id: u16) -> PathBuf {
        self.dir.0.join(name(id))
    }

    pub(crate) fn store(&self, id: u16) -> StateStore {
        self.store_with(id, |_| {})
    }

    pub(crate) fn store_with(&self, id: u16, change: impl FnOnce(&mut StoreConfig)) -> StateStore {
        let mut config = StoreConfig::new(self.state_dir(id), "shop", id);
        change(&mut config);
        StateStore::open(config).unwrap().0
    }

    /// Starts the links of a region with some others. Start the larger numbers first: they are dialled.
    pub(crate) async fn link(&mut self, id: u16, store: &StateStore, others: &[u16]) -> LinkHandle {
        let began = Instant::now();
        loop {
            match start(self.link_config(id, others), store.clone()) {
                Ok(handle) => {
                    self.addrs.insert(id, handle.local_addr());
                    return handle;
                }
                // The socket of the links before lives until their runtime has let go of it.
                Err(StartError::Bind { .. }) if began.elapsed() < PATIENCE => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn link_config(&self, id: u16, others: &[u16]) -> LinkConfig {
        let nowhere = SocketAddr::new(LOCAL, 9);
        let peer = |other: &u16| Peer {
            id: *other,
            name: name(*other),
            addr: self.addrs.get(other).copied().unwrap_or(nowhere),
        };
        // A region that was linked before comes back on its old port, as a restarted process does.
        let listen = self.addrs.get(&id).copied().unwrap_or(SocketAddr::new(LOCAL, 0));
        let peers = others.iter().map(peer).collect();
        LinkConfig { self_id: id, self_name: name(id), listen, peers, identity: self.identity(id) }
    }

    pub(crate) fn addr(&self, id: u16) -> SocketAddr {
        self.addrs[&id]
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Waits for a condition; panics with `what` when it does not come.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until all stores have seen the same and hold the same.
pub(crate) async fn converged(stores: &[&StateStore]) {
    eventually("the stores agree", || stores.windows(2).all(|pair| pair[0].digest() == pair[1].digest())).await;
}

pub(crate) fn to(handle: &LinkHandle, id: u16) -> PeerStatus {
    handle.status().into_iter().find(|status| status.id == id).unwrap()
}

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn set(key: &str, value: &str) -> Op {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    TextOp::Set { value: b(value), expiry, condition, get: false }.on(b(key))
}

pub(crate) fn incr(key: &str, by: i64) -> Op {
    TextOp::Incr { by }.on(b(key))
}

pub(crate) fn del(key: &str) -> Op {
    KeyOp::Del.on(b(key))
}

/// Runs a command as a client would see it: the reply comes after the write.
pub(crate) async fn run(store: &StateStore, op: &Op) -> Reply {
    let done = store.execute(op);
    if let Some(mark) = done.mark {
        store.persist(mark).await.unwrap();
    }
    done.reply
}

pub(crate) fn get(store: &StateStore, key: &str) -> Option<String> {
    match store.execute(&TextOp::Get.on(b(key))).reply {
        Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}
