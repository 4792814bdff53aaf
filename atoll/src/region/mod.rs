//! One region in one process: the wiring. Every room is started here and nowhere else; siblings meet in this file only.
//!
//! ```text
//! disk: last Plan ─▶ follower ─▶ plans ─┬─▶ DNS views ─▶ DNS server                answers from the first moment on
//!                        ▲              └─▶ node: observer, gateway, app, state, links
//!                        │                        │ votes        │ demoted ─▶ DNS views
//!                   plane member ◀────────────────┘              └ routes ─▶ plane member's listener
//! ```
//!
//! The order of the start is the order of need. DNS is first, from the last Plan on disk, since it must answer with nobody else
//! alive; the plane member is last, since it serves the others' routes too.

pub(crate) mod config;
mod explain;
pub(crate) mod gateway_options;
mod metrics;
mod own_thread;
mod state;

use std::{
    fs,
    future::Future,
    io::Read,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use dns_server::{
    DnsHandle, Views,
    locations::{LOOK_EVERY, Locations, watch_files},
    views::{Publishing, ViewPublisher, publish},
};
use model::{Plan, VoteVector, World};
use plane_client::{ChannelOptions, Credentials, Endpoint, Transport, api::VoteReceipt};
use plane_follower::{FollowerConfig, FollowerHandle, Timings};
use plane_server::{Member, PlaneConfig, PlaneHandle, RaftTiming};
use region_node::{Neighbour, NodeApps, NodeConfig, NodeHandle, apps::Surroundings};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinSet,
};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use self::{config::RegionConfig, own_thread::OwnThread};
use crate::{cli::RegionArgs, exit::Exit, output, verbs::world_files};

/// Workers of the app get the first free ports from here on.
const WORKER_PORTS: u16 = 9800;

/// `atoll region --config FILE`.
pub(crate) fn run(args: &RegionArgs) -> anyhow::Result<Exit> {
    let config = RegionConfig::read(&args.config)?;
    init_log();
    let (leave_with_parent, fetch_state) = (args.leave_with_parent, args.fetch_state);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    output::block_on_threads(config.threads.unwrap_or(cores), async move {
        let leave = until_leave(leave_with_parent)?;
        tokio::pin!(leave);
        let name = config.region.clone();
        let region = tokio::select! {
            region = Region::start(config, fetch_state) => region?,
            () = &mut leave => return Ok(Exit::Done),
        };
        tokio::select! {
            () = region.until_serving() => {
                output::say(serde_json::json!({ "event": "serving", "region": name }).to_string());
                tracing::info!(region = %name, "serving");
                leave.await;
            }
            () = &mut leave => {}
        }
        tracing::info!(region = %name, "stopping");
        region.shutdown().await;
        Ok(Exit::Done)
    })
}

/// Logs to standard error. Raft's own lines are for its developers: several a second for each peer that is away.
fn init_log() {
    let levels = Targets::new().with_default(Level::INFO).with_target("openraft", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}

/// Returns on SIGTERM, on Ctrl-C, and with the parent if there is one to leave with.
fn until_leave(leave_with_parent: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = until_parent_is_gone(), if leave_with_parent => tracing::warn!("the parent process is gone; leaving too"),
        }
    })
}

/// The parent holds the other end of standard input and never writes: end-of-file is its death. Read on a thread of its own, which
/// the runtime does not wait for when it ends.
async fn until_parent_is_gone() {
    let (gone, is_gone) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        // Nobody waits any more if the region is leaving anyway.
        let _ = gone.send(());
    });
    let _ = is_gone.await;
}

/// A running region.
struct Region {
    follower: FollowerHandle,
    /// Watches location files for as long as it lives.
    locations: Locations,
    /// Publishes Views for as long as it lives.
    publisher: ViewPublisher,
    dns: Arc<DnsHandle>,
    node: NodeHandle,
    plane: Arc<PlaneHandle>,
    /// What the plane's member runs on.
    plane_thread: OwnThread,
    /// Carry votes and receipts between the node and the plane's member.
    forwards: JoinSet<()>,
}

impl Region {
    async fn start(config: RegionConfig, fetch_state: bool) -> anyhow::Result<Self> {
        let founding = founding_world(&config.world)?;
        let transport =
            Transport::new(&Credentials::Identity(Arc::new(identity(&config)?)), ChannelOptions::default())?;
        let follower = plane_follower::follow(FollowerConfig {
            dir: config.data.join("follower"),
            members: members(&config),
            transport: transport.clone(),
            timings: Timings::default(),
        })?;
        let plans = follower.plans();
        let world = known_world(&plans, founding.as_ref(), &config)?;

        let (demote, demoted) = watch::channel(Default::default());
        let views = Views::default();
        let locations = watch_files(config.locations.clone(), LOOK_EVERY);
        let publishing = Publishing {
            geo: locations.geo(),
            load_permille: follower.loads(),
            ..Publishing::new(config.region.clone())
        };
        let publisher = publish(publishing, plans.clone(), demoted, views.clone());
        let dns = Arc::new(dns_server::start(config.dns.config(config.listen.dns), views.clone(), heard(&follower))?);

        let store = state::open(&config, own_id(&world, &config)?, fetch_state).await?;
        let member = Arc::new(OnceLock::new());
        let more_metrics = vec![
            metrics::of_dns(&dns),
            metrics::of_views(&publisher),
            metrics::of_locations(&locations),
            metrics::of_follower(&follower),
            metrics::of_plane(&member),
        ];
        let node_config = node_config(&config, &world, &follower, transport, more_metrics)?;
        let node = region_node::start(node_config, store, plans.clone()).await?;
        forward(node.demoted(), demote);

        let routes = node.routes().merge(explain::routes(config.region.clone(), views, locations.status()));
        // They are asked for on the member's listener, and what they do is none of its thread's business.
        let routes = own_thread::answered_on(Handle::current(), routes);
        let plane_thread = OwnThread::start("plane").context("cannot start a thread for the plane's member")?;
        let starting = plane_server::start(plane_config(&config, &world, founding, routes)?);
        let plane = Arc::new(plane_thread.run(starting).await?);
        // Weak, or the metrics would keep a stopping member alive. Set once: a region starts one member.
        let _ = member.set(Arc::downgrade(&plane));
        let sight = node.sight();
        let mut forwards = JoinSet::new();
        forwards.spawn(forward_receipts(sight.leader, plane.clone()));
        forwards.spawn(forward_votes(sight.votes, plane.clone()));
        Ok(Self { follower, locations, publisher, dns, node, plane, plane_thread, forwards })
    }

    /// Returns once users can be served here: there is a Plan, a quorum stands behind it, and the gateway says it is healthy.
    async fn until_serving(&self) {
        let mut plans = self.follower.plans();
        // The sender lives as long as the follower, which is ours.
        let _ = plans.wait_for(Option::is_some).await;
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            if self.follower.heard().last().is_some() && self.node.healthy() {
                return;
            }
        }
    }

    /// Neighbours are told first; then requests finish while the rest still works; the plane and DNS go last.
    async fn shutdown(mut self) {
        self.node.shutdown().await;
        self.forwards.shutdown().await;
        if let Some(plane) = Arc::into_inner(self.plane) {
            plane.shutdown().await;
        }
        drop(self.plane_thread);
        drop((self.publisher, self.locations));
        self.follower.shutdown().await;
        if let Some(dns) = Arc::into_inner(self.dns) {
            dns.shutdown().await;
        }
    }
}

fn identity(config: &RegionConfig) -> anyhow::Result<pki::Identity> {
    Ok(pki::Identity::load(&config.pki.ca, &config.pki.cert, &config.pki.key)?)
}

/// The World of the configuration, which founds a plane that has none. A broken file stops nobody who has a Plan already.
fn founding_world(file: &Path) -> anyhow::Result<Option<World>> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    Ok(Some(world_files::parse(file, &text)?))
}

/// The newest World this region knows: that of its last Plan, else the founding one.
fn known_world(
    plans: &watch::Receiver<Option<Arc<Plan>>>,
    founding: Option<&World>,
    config: &RegionConfig,
) -> anyhow::Result<World> {
    let last = plans.borrow().as_ref().map(|plan| World::clone(&plan.world));
    last.or_else(|| founding.cloned()).with_context(|| {
        format!(
            "region {} has no Plan yet, and the World to found, {}, cannot be read",
            config.region,
            config.world.display()
        )
    })
}

fn own_id(world: &World, config: &RegionConfig) -> anyhow::Result<u16> {
    let region = world.region(&config.region);
    Ok(region.with_context(|| format!("the World has no region `{}`", config.region))?.id)
}

/// Every member of the plane as this region reaches it, its own first.
fn members(config: &RegionConfig) -> Vec<Endpoint> {
    let own = Endpoint::region(config.region.clone(), config.listen.admin);
    let others = config.peers.iter().map(|(name, peer)| Endpoint::region(name.clone(), peer.admin));
    std::iter::once(own).chain(others).collect()
}

fn neighbours(config: &RegionConfig, world: &World) -> anyhow::Result<Vec<Neighbour>> {
    let others = world.regions.iter().filter(|region| region.name != config.region);
    let neighbour = |region: &model::Region| {
        let peer = config.peers.get(&region.name).with_context(|| {
            format!("the World has a region `{}`, and the configuration does not say how to reach it", region.name)
        })?;
        let (name, id) = (region.name.clone(), region.id);
        Ok(Neighbour { name, id, gateway: peer.gateway, link: peer.link, admin: peer.admin })
    };
    others.map(neighbour).collect()
}

fn node_config(
    config: &RegionConfig,
    world: &World,
    follower: &FollowerHandle,
    transport: Transport,
    more_metrics: Vec<region_node::MoreMetrics>,
) -> anyhow::Result<NodeConfig> {
    let heard = follower.heard();
    Ok(NodeConfig {
        region: config.region.clone(),
        id: own_id(world, config)?,
        version: env!("CARGO_PKG_VERSION").into(),
        gateway: config.gateway.config(config.listen.gateway, config.region.clone()),
        redis: config.listen.redis,
        link: config.listen.link,
        neighbours: neighbours(config, world)?,
        identity: identity(config)?,
        users: Vec::new(),
        apps: config.apps()?.map(|source| NodeApps {
            source,
            around: surroundings(config, world),
            secret: config.data.join("sticky.key"),
        }),
        transport,
        probes: probe_tools(config)?,
        heard: Arc::new(move || heard.last()),
        more_metrics,
    })
}

fn probe_tools(config: &RegionConfig) -> anyhow::Result<region_node::ProbeTools> {
    let checks = &config.checks;
    let tls = checks.trust.as_ref().map(|trust| pki::ca_client_config(trust, &[])).transpose();
    let tls = tls.context("`trust` of [checks] in the region's configuration cannot be used")?;
    Ok(region_node::ProbeTools { tls, programs: checks.programs.clone() })
}

/// What is around the apps of this region.
fn surroundings(config: &RegionConfig, world: &World) -> Surroundings {
    Surroundings {
        region: config.region.to_string(),
        regions: world.regions.iter().map(|region| region.name.to_string()).collect(),
        host: config.listen.gateway.ip(),
        first_port: WORKER_PORTS,
        redis_url: format!("redis://{}", config.listen.redis),
        region_node_url: config.gateway.internal.map(|address| format!("http://{address}")),
        logs: config.data.join("logs"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn plane_config(
    config: &RegionConfig,
    world: &World,
    founding: Option<World>,
    routes: axum::Router,
) -> anyhow::Result<PlaneConfig> {
    let own = Member { id: own_id(world, config)?, name: config.region.clone(), addr: config.listen.admin };
    let others = neighbours(config, world)?.into_iter().map(|n| Member { id: n.id, name: n.name, addr: n.admin });
    Ok(PlaneConfig {
        region: config.region.clone(),
        id: own.id,
        data_dir: config.data.join("plane"),
        listen: config.listen.admin,
        members: std::iter::once(own).chain(others).collect(),
        identity: Arc::new(identity(config)?),
        token_hash: Some(config.admin_token_hash.clone()),
        founding,
        timing: RaftTiming::for_rtt(config.round_trip_ms),
        routes,
    })
}

/// For how long the follower has not heard of a quorum, for whoever asks DNS.
fn heard(follower: &FollowerHandle) -> dns_server::Heard {
    let heard = follower.heard();
    Arc::new(move || heard.silent_for(Instant::now()))
}

/// Joins two watch channels; ends when either side is gone.
fn forward<T: Clone + Send + Sync + 'static>(mut from: watch::Receiver<T>, to: watch::Sender<T>) {
    tokio::spawn(async move {
        loop {
            let value = from.borrow_and_update().clone();
            to.send_replace(value);
            if to.is_closed() || from.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Tells the plane member what the leader answered to this region's votes: that is how it knows of a quorum.
async fn forward_receipts(mut receipts: watch::Receiver<Option<(VoteReceipt, Instant)>>, plane: Arc<PlaneHandle>) {
    while receipts.changed().await.is_ok() {
        if let Some((receipt, _)) = &*receipts.borrow_and_update() {
            plane.note_leader_report(receipt);
        }
    }
}

/// Hands this region's votes to its own member.
async fn forward_votes(mut votes: watch::Receiver<Option<Arc<VoteVector>>>, plane: Arc<PlaneHandle>) {
    while votes.changed().await.is_ok() {
        let vector = votes.borrow_and_update().clone();
        if let Some(vector) = vector {
            plane.take_votes(Arc::unwrap_or_clone(vector));
        }
    }
}
