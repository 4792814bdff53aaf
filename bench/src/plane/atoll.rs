//! The Atoll side: three plane members, a process each, with certificates of a world of their own.

use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use model::{OverrideAction, RegionName, Subject, World};
use pki::{Identity, Principal, WorldCa};
use plane_client::{
    Because, ChannelOptions, Credentials, Endpoint, FollowError, FollowStream, PlaneClient, Transport, api::Follow,
};
use plane_follower::{FollowerConfig, Timings};
use tokio::time::Instant;

use super::{
    free_addresses,
    latency::{Seen, Watchers},
};
use crate::redis_protocol::{Process, Scratch};

/// How long an override of the bench lasts at most.
const LASTS: Duration = Duration::from_secs(3600);
/// How long a stream may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
const BECAUSE: Because<'static> = Because { who: "bench", reason: "measuring" };

/// Three running members of a world that is founded. Dropped, they are stopped.
pub(super) struct AtollSide {
    endpoints: Vec<Endpoint>,
    identities: Vec<Arc<Identity>>,
    writers: Vec<PlaneClient>,
    // In the order of dropping: the processes, then their files.
    members: Vec<Process>,
    dir: Scratch,
}

impl AtollSide {
    /// Starts three members of the World, which has three regions, and waits until each of them serves a Plan.
    pub(super) async fn start(name: &str, world: &str) -> anyhow::Result<Self> {
        let dir = Scratch::make(name)?;
        let file = dir.path().join("world.toml");
        std::fs::write(&file, world)?;
        let regions = World::parse(world, "world.toml")?.regions;
        let ca = WorldCa::create(&dir.path().join("pki"), "bench")?;
        let addrs = free_addresses::<3>()?;
        let named: Vec<(RegionName, SocketAddr)> = regions.into_iter().map(|region| region.name).zip(addrs).collect();
        let (mut members, mut identities) = (Vec::new(), Vec::new());
        for (id, (region, _)) in (1..).zip(&named) {
            let issued = ca.issue(&Principal::Region(region.to_string()), &[IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
            identities.push(Arc::new(Identity::load(&issued.ca, &issued.cert, &issued.key)?));
            let mut command = Command::new(std::env::current_exe().context("cannot tell where this program is")?);
            command.args(["serve-plane", "--id", &id.to_string(), "--world"]).arg(&file);
            command.arg("--dir").arg(dir.path().join(region.as_str()));
            command.arg("--ca").arg(&issued.ca).arg("--cert").arg(&issued.cert).arg("--key").arg(&issued.key);
            command.args(named.iter().map(|(name, addr)| format!("--member={name}={addr}")));
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            members.push(Process(child.context("cannot start a member")?));
        }
        members.iter_mut().try_for_each(listens)?;
        let endpoints: Vec<Endpoint> = named.into_iter().map(|(name, addr)| Endpoint::region(name, addr)).collect();
        let admin = ca.issue(&Principal::Admin("bench".into()), &[])?;
        let admin = Credentials::Identity(Arc::new(Identity::load(&admin.ca, &admin.cert, &admin.key)?));
        let all = PlaneClient::new(endpoints.clone(), &admin)?;
        let writers: Vec<PlaneClient> = all.each().collect();
        for writer in &writers {
            super::until("a member serves a Plan", async || writer.plan(None).await.ok()).await?;
        }
        Ok(Self { endpoints, identities, writers, members, dir })
    }

    /// The process of each member.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.0.id()).collect()
    }

    /// Every member's endpoint.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Says a human's word on a region through one member, each time another one; gives the version of the Plan that it made.
    ///
    /// Keeping in a region that is in answers anyway: a Plan of its own, and nothing that a guard could mind.
    pub(super) async fn say(&self, at: usize, text: &str) -> anyhow::Result<u64> {
        let region =
            self.endpoints.first().and_then(|endpoint| endpoint.name.clone()).context("a region has a name")?;
        let because = Because { reason: text, ..BECAUSE };
        let writer = &self.writers[at % self.writers.len()];
        let applied = writer.set_override(&Subject::Region(region), OverrideAction::Up, because, LASTS).await?;
        Ok(applied.plan.version)
    }

    /// A client of the first member.
    pub(super) fn client(&self) -> anyhow::Result<&PlaneClient> {
        self.writers.first().context("there are no members")
    }

    /// A connection of one region's own.
    pub(super) fn transport(&self, at: usize) -> anyhow::Result<Transport> {
        let identity = Arc::clone(&self.identities[at % self.identities.len()]);
        Ok(Transport::new(&Credentials::Identity(identity), ChannelOptions::default())?)
    }

    /// So many follower streams, spread over the members, each on a connection of its own: what has been received and read.
    pub(super) async fn streams(&self, count: usize) -> anyhow::Result<Watchers> {
        let mut watchers = Watchers::default();
        for at in 0..count {
            let endpoint = &self.endpoints[at % self.endpoints.len()];
            let mut stream = FollowStream::open(&self.transport(at)?, endpoint, OPEN_WITHIN).await?;
            watchers.add(|seen: Seen| async move {
                loop {
                    match stream.next().await {
                        Ok(Follow::Plan(plan)) => seen.note(plan.id.version, Instant::now()),
                        Ok(_) | Err(FollowError::Undecodable(_)) => {}
                        Err(FollowError::Ended(_)) => return,
                    }
                }
            });
        }
        Ok(watchers)
    }

    /// So many whole followers: each examines a Plan and has it on disk before it is in force.
    pub(super) fn followers(&self, name: &str, count: usize) -> anyhow::Result<Watchers> {
        let mut watchers = Watchers::default();
        for at in 0..count {
            let mut members = self.endpoints.clone();
            members.rotate_left(at % self.endpoints.len());
            let dir = self.dir.path().join(format!("{name}-{at}"));
            let config = FollowerConfig { dir, members, transport: self.transport(at)?, timings: Timings::default() };
            let follower = plane_follower::follow(config)?;
            watchers.add(|seen: Seen| async move {
                let mut plans = follower.plans();
                while plans.changed().await.is_ok() {
                    let version = plans.borrow_and_update().as_ref().map(|plan| plan.id.version);
                    seen.note(version.unwrap_or_default(), Instant::now());
                }
            });
        }
        Ok(watchers)
    }
}

/// Reads the line by which a member says that it listens.
fn listens(member: &mut Process) -> anyhow::Result<()> {
    let said = member.0.stdout.take().context("a member has no stdout")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).context("a member does not say that it listens")?;
    line.trim().parse::<SocketAddr>().map(drop).context("a member ended before it listened; its reason is above")
}
