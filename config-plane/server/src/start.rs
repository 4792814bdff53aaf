//! From a configuration to a running member. The listener answers before the plane has a leader.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use pki::{ClientAuth, PkiError};
use plane_client::Endpoint;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    PlaneConfig, PlaneHandle,
    api::{self, Admission},
    founding, judging,
    lever::Lever,
    listen::{ALPN, Listener},
    measure,
    plane::{Parts, Plane},
    raft::{
        carrier::TlsCarrier,
        consensus::{Consensus, Leads, OpenError},
        network::Network,
    },
    steward, survey,
};

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("the plane's configuration is wrong: {0}")]
    Config(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}{}", in_use(source))]
    Listen {
        /// Which address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates or the token's hash are not usable.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The log cannot be opened, or is not what it should be.
    #[error("{0}")]
    Open(String),
    /// Raft's settings are too impatient for the round trips that were measured.
    #[error(
        "a majority of the plane's voters is {measured_ms} ms away, and raft's settings are for round trips of at most {most_ms} ms: set `round_trip_ms = {measured_ms}` or more in every region's configuration"
    )]
    Timing {
        /// The round trip within which a majority answers, milliseconds.
        measured_ms: u64,
        /// What the settings allow, milliseconds.
        most_ms: u64,
    },
    /// The raft group cannot be made.
    #[error("the plane's group cannot be made: {0}")]
    Raft(String),
}

fn in_use(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse { "; is this region running already?" } else { "" }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.to_string())
    }
}

/// Starts a member.
pub async fn start(config: PlaneConfig) -> Result<PlaneHandle, StartError> {
    config.check()?;
    let tls = config.identity.server_config(ALPN, ClientAuth::Optional)?;
    if let Some(file) = &config.token_hash {
        pki::TokenHash::load(file)?;
    }
    let bound = Listener::bind(config.listen, tls).await;
    let listener = bound.map_err(|source| StartError::Listen { addr: config.listen, source })?;
    let local_addr = listener.local_addr().map_err(|source| StartError::Listen { addr: config.listen, source })?;

    let timing = measure::suited(&config).await?;
    let own = u64::from(config.id);
    let network = Network::new(own, TlsCarrier::new(endpoints(&config), &config.identity)?);
    let voters = config.voters().into_iter().map(u64::from).collect();
    let opened =
        Consensus::open(&config.data_dir, (own, config.region.as_str()), voters, timing, network.clone()).await;
    let consensus = opened?;

    let (leaders, leads) = watch::channel(Leads::default());
    let (judge, inbox) = mpsc::channel(judging::INBOX);
    let (stop, stopping) = watch::channel(false);
    let members = config.members.iter().map(|member| (member.id.into(), member.clone())).collect();
    let plane = Plane::new(Parts {
        region: config.region.clone(),
        id: own,
        members,
        timing,
        consensus: consensus.clone(),
        network,
        leads,
        judge,
        stopping: stopping.clone(),
        lever: Lever::open(&config.data_dir),
    });

    // Serve first, then take part: whoever votes for us can be answered, and followers are served from the disk's Plan.
    let router =
        api::router(Arc::clone(&plane), Admission { token_hash: config.token_hash.clone() }, config.routes.clone());
    let mut listening = JoinSet::new();
    listening.spawn(listener.serve(router, Arc::clone(&plane), stopping));
    consensus.run();
    let mut tasks = JoinSet::new();
    let (ticking, follower) = (consensus.clone(), consensus.clone());
    tasks.spawn(async move { ticking.tick().await });
    tasks.spawn(async move { follower.follow_leader(leaders).await });
    tasks.spawn(judging::run(Arc::clone(&plane), inbox));
    tasks.spawn(steward::watch_disk(Arc::clone(&plane)));
    tasks.spawn(steward::pulse(Arc::clone(&plane)));
    tasks.spawn(steward::succeed(Arc::clone(&plane)));
    tasks.spawn(steward::settle(Arc::clone(&plane)));
    tasks.spawn(survey::run(Arc::clone(&plane)));
    tasks.spawn(founding::add_learners(Arc::clone(&plane)));
    founding::make_group(&config, &consensus).await?;
    if let Some(world) = config.founding {
        tasks.spawn(founding::found(Arc::clone(&plane), world));
    }
    Ok(PlaneHandle { plane, local_addr, stop, listening, tasks })
}

fn endpoints(config: &PlaneConfig) -> BTreeMap<u64, Endpoint> {
    let others = config.members.iter().filter(|member| member.id != config.id);
    others.map(|member| (member.id.into(), Endpoint::region(member.name.clone(), member.addr))).collect()
}
