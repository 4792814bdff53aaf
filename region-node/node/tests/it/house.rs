//! One app and a gateway before it, composed as a node composes them, on ports that are free. The only file that knows how.

use std::{
    future::{Future, ready},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use gateway::{AppConfig, GatewayConfig, GatewayHandle, Protocol, Readiness, Sticky, TokenSource, Waited};
use model::{RegionName, Token, Worker};
use supervisor::{App, AppSpec, Timing, Wiring};
use tokio::sync::watch;
use traffic::StickyKey;

/// Long enough for a loaded machine; reached only by a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the app in every house.
const APP: &str = "shop";

/// What differs between apps beside their command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ways {
    /// Workers speak HTTP/2 without TLS: gRPC.
    pub(crate) h2c: bool,
    /// A client stays with its worker.
    pub(crate) sticky: bool,
}

/// A running app behind a gateway; dropped, both are gone.
pub(crate) struct House {
    pub(crate) app: App,
    gateway: Arc<OnceLock<GatewayHandle>>,
    workers: watch::Receiver<Arc<[Worker]>>,
}

impl House {
    /// Starts both, and waits until all workers are ready.
    pub(crate) async fn open(spec: AppSpec, ways: Ways) -> Self {
        let instances = spec.instances.into();
        let gateway: Arc<OnceLock<GatewayHandle>> = Arc::default();
        let asked = Arc::clone(&gateway);
        let in_flight = move |life| asked.get().map_or(0, |gateway| in_flight(gateway, life));
        let app = supervisor::start(spec, Wiring { in_flight: Arc::new(in_flight) }).unwrap();
        let workers = app.workers();
        let started = start_gateway(workers.clone(), ways).await;
        assert!(gateway.set(started).is_ok());
        let house = Self { app, gateway, workers };
        house.ready(instances).await;
        house
    }

    /// Where users go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.gateway.get().unwrap().local_addr())
    }

    /// Where the worker of a slot listens.
    pub(crate) fn worker_url(&self, slot: u16) -> String {
        let workers = self.workers.borrow();
        let worker = workers.iter().find(|worker| worker.id == slot && worker.takes_requests());
        format!("http://{}", worker.expect("a ready worker in the slot").address)
    }

    /// Waits until so many workers, no more and no less, take requests.
    pub(crate) async fn ready(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let takes = || self.workers.borrow().iter().filter(|worker| worker.takes_requests()).count();
        while takes() != count {
            assert!(Instant::now() < deadline, "waited in vain for {count} ready workers: {:#?}", self.app.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Requests that workers have not answered yet.
    pub(crate) fn in_flight(&self) -> u32 {
        let lives: Vec<u64> = self.workers.borrow().iter().map(|worker| worker.life).collect();
        lives.into_iter().map(|life| in_flight(self.gateway.get().unwrap(), life)).sum()
    }

    /// The processes of the workers that take requests, by slot.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let status = self.app.status().workers;
        let ready = status.iter().filter(|worker| worker.state == supervisor::WorkerState::Ready);
        ready.filter_map(|worker| worker.pid).collect()
    }
}

/// A gateway with the app's workers behind it.
async fn start_gateway(workers: watch::Receiver<Arc<[Worker]>>, ways: Ways) -> GatewayHandle {
    let config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), RegionName::new("here").unwrap(), Some(APP.to_owned()));
    let gateway = gateway::start(config, workers.clone(), Arc::new(NoState), Arc::new(NoState)).await.unwrap();
    let key = StickyKey::new(b"known to this node alone", APP);
    let sticky = Sticky { cookie: Sticky::COOKIE.to_owned(), key, secure: false };
    let app = AppConfig {
        protocol: if ways.h2c { Protocol::H2c } else { Protocol::Http1 },
        sticky: ways.sticky.then_some(sticky),
        ..AppConfig::new(APP, workers)
    };
    gateway.set_apps(vec![app]).unwrap();
    gateway
}

/// Requests under way at one life of a worker.
fn in_flight(gateway: &GatewayHandle, life: u64) -> u32 {
    gateway.in_flight(APP).iter().find(|(of, _)| *of == life).map_or(0, |(_, count)| *count)
}

/// Where the apps and their clients are.
pub(crate) fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps")
}

/// An app of `tests/apps`, with limits in time that suit a test.
pub(crate) fn app(command: &[&str]) -> AppSpec {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    AppSpec {
        cwd: Some(apps()),
        region: "here".to_owned(),
        timing: Timing {
            kill_timeout: Duration::from_secs(5),
            backoff_max: Duration::from_secs(1),
            ..Timing::default()
        },
        ..AppSpec::new(APP, command)
    }
}

/// A region whose state nobody writes.
struct NoState;

impl TokenSource for NoState {
    fn last_write(&self) -> Token {
        Token { region: 1, hlc: 0 }
    }

    fn wait_for(&self, _: Token, _: tokio::time::Instant) -> Pin<Box<dyn Future<Output = Waited> + Send + '_>> {
        Box::pin(ready(Waited::Reached))
    }

    fn region_name(&self, _: u16) -> Option<RegionName> {
        None
    }
}

impl Readiness for NoState {
    fn health_problems(&self) -> Vec<String> {
        Vec::new()
    }
}
