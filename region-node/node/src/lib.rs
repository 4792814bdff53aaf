//! One region node: the user's app, the gateway before it, the state behind it, and the eyes on the other regions.
//!
//! In: where to listen, how to reach the other regions, the Plans as they come. Out: a served app, a Redis port, votes.
//!
//! ```text
//! users ─▶ gateway ─▶ supervisor's workers ─▶ state-api ─▶ store ◀─▶ links ◀─▶ other regions' stores
//!             └── token: last write, wait for ──────────────┘
//! Plans ─▶ observer ─▶ probes of every gateway ─▶ votes ─▶ every plane member
//!                └──────────────────────────────▶ local demotion, for the DNS server
//! ```
//!
//! This crate composes; what each part does is said where the part is. It knows neither the plane's server nor DNS: they meet in
//! the binary's wiring file.

pub mod apps;
mod demotion;
mod metrics;
mod observer;
mod policy;
mod probe;
mod readiness;
mod routes;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use gateway::{GatewayConfig, GatewayHandle, Readiness};
use model::{Plan, RegionName};
use plane_client::{Endpoint, Transport};
use replication_link::{LinkConfig, LinkHandle, LinkView, Peer};
use replication_storage::StateStore;
use state_api::{PeerLag, StateApiConfig, StateApiHandle, User};
use tokio::{sync::watch, task::JoinSet};

pub use demotion::{SILENCE, demoted};
pub use observer::Sight;
pub use probe::ProbeTools;
pub use routes::MoreMetrics;

use crate::{
    apps::{Apps, Joint},
    observer::Eyes,
    readiness::StateReadiness,
    tokens::Tokens,
};

/// How long requests may finish when the node stops.
const GRACE: Duration = Duration::from_secs(5);

/// Another region, as this node reaches it.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its name.
    pub name: RegionName,
    /// Its number in the World.
    pub id: u16,
    /// Its gateway, for probes.
    pub gateway: SocketAddr,
    /// Its region link.
    pub link: SocketAddr,
    /// Its plane member.
    pub admin: SocketAddr,
}

/// What a node needs to start. The store is opened by the caller, who must be able to say what to do when that fails.
pub struct NodeConfig {
    /// The region's name.
    pub region: RegionName,
    /// The region's number in the World.
    pub id: u16,
    /// Version text of the program.
    pub version: String,
    /// Where and how the gateway listens. Which apps are behind it is said by `apps`.
    pub gateway: GatewayConfig,
    /// Where the Redis protocol port listens.
    pub redis: SocketAddr,
    /// Where the region link listens (UDP).
    pub link: SocketAddr,
    /// Every other region.
    pub neighbours: Vec<Neighbour>,
    /// The region's certificate, for its links.
    pub identity: pki::Identity,
    /// Who may speak to the Redis port; empty: anyone who can connect.
    pub users: Vec<User>,
    /// The apps. `None`: the region only keeps state.
    pub apps: Option<NodeApps>,
    /// Carries votes.
    pub transport: Transport,
    /// What probes need beyond a socket.
    pub probes: ProbeTools,
    /// When the follower last heard of a quorum.
    pub heard: Arc<dyn Fn() -> Option<Instant> + Send + Sync>,
    /// Metrics of rooms that this crate does not know.
    pub more_metrics: Vec<MoreMetrics>,
}

/// The apps of a node.
pub struct NodeApps {
    /// Where they are said.
    pub source: apps::Source,
    /// What is around them.
    pub around: apps::Surroundings,
    /// The file with the secret that signs sticky cookies; made if it is missing.
    pub secret: PathBuf,
}

/// What the routes read.
pub(crate) struct Shared {
    pub(crate) region: RegionName,
    pub(crate) store: StateStore,
    pub(crate) links: LinkView,
    pub(crate) joint: Arc<Joint>,
    pub(crate) apps: Option<Arc<Apps>>,
    pub(crate) more_metrics: Vec<MoreMetrics>,
}

impl Shared {
    pub(crate) fn gateway_metrics(&self) -> String {
        self.joint.gateway().as_ref().map(GatewayHandle::metrics_text).unwrap_or_default()
    }
}

/// A running node. Dropping it cuts everything; `shutdown` is the polite way.
pub struct NodeHandle {
    shared: Arc<Shared>,
    readiness: Arc<StateReadiness>,
    sight: Sight,
    demoted: watch::Receiver<BTreeSet<RegionName>>,
    links: LinkHandle,
    state_api: StateApiHandle,
    tasks: JoinSet<()>,
}

/// Starts everything, in the order of need: links and Redis port before the app that uses them, the gateway last.
pub async fn start(
    config: NodeConfig,
    store: StateStore,
    plans: watch::Receiver<Option<Arc<Plan>>>,
) -> anyhow::Result<NodeHandle> {
    let eyes = eyes(&config);
    let NodeConfig { region, id, version, gateway, redis, link, neighbours, identity, .. } = config;
    let names = neighbours.iter().map(|n| (n.id, n.name.clone())).chain([(id, region.clone())]).collect();
    let peers = neighbours.iter().map(|n| Peer { id: n.id, name: n.name.to_string(), addr: n.link }).collect();
    let link = LinkConfig { self_id: id, self_name: region.to_string(), listen: link, peers, identity };
    let links = replication_link::start(link, store.clone()).context("region links")?;
    let view = links.view();

    let api = StateApiConfig {
        listen: redis,
        max_clients: StateApiConfig::DEFAULT_MAX_CLIENTS,
        users: config.users,
        region: region.clone(),
        region_id: id,
        version,
        lag: lag_source(view.clone()),
    };
    let state_api = state_api::start(api, store.clone())?;

    let joint = match &config.apps {
        Some(apps) => Joint::new(apps::secret(&apps.secret).with_context(|| {
            format!("{}: the secret of sticky cookies cannot be kept there", apps.secret.display())
        })?),
        None => Joint::new(Arc::from([])),
    };
    let apps = match config.apps {
        Some(NodeApps { source, around, .. }) => Some(start_apps(region.clone(), source, around, &joint).await?),
        None => None,
    };
    let tokens = Tokens { store: store.clone(), links: view.clone(), names };
    let readiness = Arc::new(StateReadiness { store: store.clone(), links: view.clone() });
    let nobody = watch::channel(Arc::from([])).1;
    joint.open(gateway::start(gateway, nobody, Arc::new(tokens), readiness.clone()).await?);

    let shared = Arc::new(Shared { region, store, links: view, joint, apps, more_metrics: config.more_metrics });
    let mut tasks = JoinSet::new();
    tasks.spawn(policy::run(shared.store.clone(), plans.clone()));
    let sight = observer::start(eyes, plans, &mut tasks);
    let (out, demoted) = watch::channel(BTreeSet::new());
    let heard = config.heard;
    tasks.spawn(demotion::run(Instant::now(), move || heard(), sight.votes.clone(), out));
    Ok(NodeHandle { shared, readiness, sight, demoted, links, state_api, tasks })
}

/// Starts the apps. Their file is read on a thread: Node may have a part in it.
async fn start_apps(
    region: RegionName,
    source: apps::Source,
    around: apps::Surroundings,
    joint: &Arc<Joint>,
) -> anyhow::Result<Arc<Apps>> {
    let (runtime, in_flight, publish) = (tokio::runtime::Handle::current(), joint.in_flight(), joint.publish());
    let starting = tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        Apps::start(region, source, around, in_flight, publish)
    });
    starting.await.context("starting the apps")?
}

fn lag_source(links: LinkView) -> state_api::LagSource {
    Arc::new(move || {
        let lag = links.status().into_iter().map(|peer| PeerLag {
            region: peer.name,
            connected: peer.connected,
            lag_ms: peer.lag_ms,
            rtt_ms: peer.rtt_ms,
            lag_p99_ms: peer.lags.quantile_ms(0.99).filter(|&ms| ms != u64::MAX),
            unconfirmed: peer.unconfirmed,
            sent_bytes: peer.sent_bytes,
            received_bytes: peer.received_bytes,
        });
        lag.collect()
    })
}

fn eyes(config: &NodeConfig) -> Eyes {
    let own = (config.region.clone(), config.gateway.listen);
    let gateways: BTreeMap<_, _> = config.neighbours.iter().map(|n| (n.name.clone(), n.gateway)).chain([own]).collect();
    let members = config.neighbours.iter().map(|n| Endpoint::region(n.name.clone(), n.admin));
    Eyes {
        region: config.region.clone(),
        gateways,
        members: members.collect(),
        transport: config.transport.clone(),
        tools: config.probes.clone(),
    }
}

impl NodeHandle {
    /// `/v1/state`, `/v1/apps` and `/metrics`, for the admin listener.
    pub fn routes(&self) -> axum::Router {
        let routes = routes::routes(self.shared.clone());
        match &self.shared.apps {
            Some(apps) => routes.merge(apps::api::routes(apps.clone())),
            None => routes,
        }
    }

    /// What the region's own observer sees and hears.
    pub fn sight(&self) -> Sight {
        self.sight.clone()
    }

    /// Which regions the DNS server may leave out by itself.
    pub fn demoted(&self) -> watch::Receiver<BTreeSet<RegionName>> {
        self.demoted.clone()
    }

    /// Whether users can be served: what the gateway's own `/healthz` says.
    pub fn healthy(&self) -> bool {
        let app_ready = self.shared.apps.as_ref().is_none_or(|apps| apps.serve_users());
        app_ready && self.readiness.health_problems().is_empty()
    }

    /// Tells neighbours through `/healthz` that the region is about to stop.
    pub fn announce_stop(&self) {
        if let Some(gateway) = self.shared.joint.gateway().as_ref() {
            gateway.announce_stop();
        }
    }

    /// Stops in the reverse order: requests finish, workers end, links close, the journal is synced.
    pub async fn shutdown(mut self) {
        if let Some(gateway) = self.shared.joint.close() {
            gateway.shutdown(GRACE).await;
        }
        self.tasks.abort_all();
        if let Some(apps) = &self.shared.apps {
            apps.shutdown().await;
        }
        self.state_api.shutdown().await;
        self.links.shutdown().await;
        let store = self.shared.store.clone();
        let synced = tokio::task::spawn_blocking(move || store.shutdown()).await;
        if let Ok(Err(error)) = synced {
            tracing::error!("the state's journal could not be closed cleanly: {error}; the next start checks it");
        }
    }
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
