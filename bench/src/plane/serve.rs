//! A member of the Atoll side: one plane member with everything that it has in a region, and nothing else of a region.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use model::{RegionName, World};
use pki::Identity;
use plane_server::{Member, PlaneConfig, RaftTiming};
use tokio::{runtime::Builder, task::spawn_blocking};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What a member is told at its start.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where its log goes
    #[arg(long)]
    dir: PathBuf,
    /// The authority's certificate
    #[arg(long)]
    ca: PathBuf,
    /// Its own certificate
    #[arg(long)]
    cert: PathBuf,
    /// Its private key
    #[arg(long)]
    key: PathBuf,
    /// The World, in TOML
    #[arg(long)]
    world: PathBuf,
    /// Its number
    #[arg(long)]
    id: u16,
    /// REGION=ADDRESS of each member, in the order of their numbers
    #[arg(long, value_parser = member, required = true)]
    member: Vec<(RegionName, SocketAddr)>,
}

fn member(text: &str) -> Result<(RegionName, SocketAddr), String> {
    let (name, addr) = text.split_once('=').ok_or("it is not REGION=ADDRESS")?;
    Ok((name.parse().map_err(|e| format!("{e}"))?, addr.parse().map_err(|e| format!("`{addr}`: {e}"))?))
}

/// Lines as a region writes them, to nowhere: what is not worth a line must cost what it costs in a region.
fn log() {
    let levels = Targets::new().with_default(LevelFilter::INFO).with_target("openraft", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::sink);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}

/// Serves until stdin ends, so that no member outlives its bench. The first line on stdout says that it listens.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    log();
    let text = std::fs::read_to_string(&args.world).context("reading the World")?;
    let world = World::parse(&text, "world.toml").context("the World")?;
    drop(text);
    let members = (1..).zip(&args.member).map(|(id, (name, addr))| Member { id, name: name.clone(), addr: *addr });
    let members: Vec<Member> = members.collect();
    let own = members.iter().find(|member| member.id == args.id).context("no member has this number")?.clone();
    let config = PlaneConfig {
        region: own.name,
        id: own.id,
        data_dir: args.dir.clone(),
        listen: own.addr,
        members,
        identity: Arc::new(Identity::load(&args.ca, &args.cert, &args.key)?),
        token_hash: None,
        founding: Some(world),
        timing: RaftTiming::for_rtt(1),
        routes: Default::default(),
    };
    // A thread of its own, as in a region.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.block_on(plane_server::start(config))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", handle.local_addr()).and_then(|()| out.flush()).context("telling the bench that it listens")?;

    runtime.block_on(async {
        let ended = spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new()));
        let ended = ended.await.context("a thread that waits for the end of stdin").and_then(|read| Ok(read?));
        handle.shutdown().await;
        ended.map(drop)
    })?;
    Ok(())
}
