//! A port of our own to talk to: a store in a directory of its own, on any free port.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use model::RegionName;
use replication_storage::{StateStore, StoreConfig};
use state_api::{PeerLag, StateApiConfig, StateApiCounters, StateApiHandle};
use tokio::runtime::Runtime;

use crate::wire::Wire;

/// An open port; gone with its directory at the end of the test.
pub(crate) struct Port {
    // Dropped in this order: the port, the runtime its connections run in, the files.
    handle: Option<StateApiHandle>,
    runtime: Runtime,
    pub(crate) store: StateStore,
    state: StoreConfig,
    dir: PathBuf,
}

impl Port {
    /// A port that lets everybody in.
    pub(crate) fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// A port with something changed.
    pub(crate) fn open_with(change: impl FnOnce(&mut StateApiConfig)) -> Self {
        Self::make(change, |_| {})
    }

    /// A port over a store with something changed.
    pub(crate) fn over(change: impl FnOnce(&mut StoreConfig)) -> Self {
        Self::make(|_| {}, change)
    }

    fn make(change: impl FnOnce(&mut StateApiConfig), change_store: impl FnOnce(&mut StoreConfig)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-state-api-{}-{number}", std::process::id()));
        let mut state = StoreConfig::new(&dir, "test", 1);
        change_store(&mut state);
        let (store, _) = StateStore::open(state.clone()).unwrap();
        let mut config = config();
        change(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let handle = {
            let _inside = runtime.enter();
            state_api::start(config, store.clone()).unwrap()
        };
        Self { handle: Some(handle), runtime, store, state, dir }
    }

    /// Ends the port and its store as a kill would, as far as one process can do that, and opens both again.
    pub(crate) fn reopen(&mut self) {
        self.shut_down();
        self.store = {
            // The directory is held for as long as anything holds the store.
            let unused = StateStore::open(StoreConfig::new(self.dir.join("unused"), "test", 1)).unwrap().0;
            drop(std::mem::replace(&mut self.store, unused));
            StateStore::open(self.state.clone()).unwrap().0
        };
        let _inside = self.runtime.enter();
        self.handle = Some(state_api::start(config(), self.store.clone()).unwrap());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.as_ref().unwrap().local_addr()
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    pub(crate) fn counters(&self) -> StateApiCounters {
        self.handle.as_ref().unwrap().counters()
    }

    /// Waits until the counters are as wanted.
    #[track_caller]
    pub(crate) fn await_counters(&self, what: &str, wanted: impl Fn(StateApiCounters) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !wanted(self.counters()) {
            assert!(Instant::now() < deadline, "{what} did not come true: {:?}", self.counters());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Closes the port with grace.
    pub(crate) fn shut_down(&mut self) {
        let handle = self.handle.take().unwrap();
        self.runtime.block_on(handle.shutdown());
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.handle = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What the wiring would say.
pub(crate) fn config() -> StateApiConfig {
    StateApiConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_clients: 100,
        users: Vec::new(),
        region: RegionName::new("us-east").unwrap(),
        region_id: 1,
        version: "0.1.0".to_owned(),
        lag: Arc::new(|| {
            let peer = |region: &str, connected, lag_ms, rtt_ms, unconfirmed| PeerLag {
                region: region.to_owned(),
                connected,
                lag_ms,
                rtt_ms,
                unconfirmed,
                lag_p99_ms: None,
                sent_bytes: 10,
                received_bytes: 20,
            };
            vec![peer("eu-west", true, Some(12), Some(80.5), 0), peer("ap-south", false, None, None, 7)]
        }),
    }
}
