//! Atoll's side: `dns-server` with one thread, and a View. Nothing else of a region.

use std::{
    io::{self, BufRead, Read, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use dns_server::{
    DnsConfig, DnsHandle, Views, start,
    views::{Publishing, publish, swap},
};
use model::RegionName;
use plane_client::{ChannelOptions, Credentials, Endpoint, Transport};
use plane_follower::{FollowerConfig, Timings};
use steering::{View, ViewInputs};
use tokio::sync::watch;

use super::{floor, names};
use crate::proc::resident_bytes;

/// From one swap of Views to the next.
const SWAP_EACH: Duration = Duration::from_millis(50);

/// What a child of `bench dns` does.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    what: What,
    /// Static names of the World
    #[arg(long, default_value_t = 1000)]
    names: usize,
    /// Where the follower keeps the Plan, for `restart`
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The address to serve, for `restart`
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Echoes packets
    Floor,
    /// Serves one View
    View,
    /// Serves; swaps Views when a line on stdin says how many times
    Swaps,
    /// Compiles a View and tells what that took
    Load,
    /// Starts as a region does, from the last Plan on disk
    Restart,
}

/// Serves until stdin ends, so that no server outlives its bench. The first line on stdout is the address, or what was found.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    match args.what {
        What::Floor => {
            // The loop never ends by itself.
            thread::spawn(|| {
                let _ = io::stdin().lock().read_to_end(&mut Vec::new());
                std::process::exit(0);
            });
            floor::serve()
        }
        What::Load => load(args.names),
        What::View | What::Swaps => serve_views(args),
        What::Restart => restart(args),
    }
}

fn inputs() -> anyhow::Result<ViewInputs> {
    Ok(ViewInputs::new(RegionName::new("us-east")?))
}

fn view(version: u64, names: usize) -> anyhow::Result<View> {
    Ok(View::compile(&names::plan(version, names)?, &inputs()?)?)
}

fn serve_at(listen: SocketAddr, views: &Views) -> anyhow::Result<DnsHandle> {
    let config = DnsConfig { threads: NonZeroUsize::MIN, ..DnsConfig::new(listen) };
    Ok(start(config, views.clone(), Arc::new(|| None))?)
}

fn serve_views(args: &ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let views = Views::default();
    views.store(Some(Arc::new(view(1, args.names)?)));
    let _inside = runtime.enter();
    let server = serve_at(args.listen, &views)?;
    tell(server.local_addr())?;
    let mut version = 2;
    for line in io::stdin().lock().lines() {
        let count: u64 = line?.trim().parse().context("a number of swaps")?;
        // Made before, so that it is swapping alone that could be noticed: on this core there is no room to compile beside.
        let next = (0..count).map(|i| view(version + i, args.names)).collect::<Result<Vec<_>, _>>()?;
        version += count;
        tell("ready")?;
        for view in next {
            thread::sleep(SWAP_EACH);
            swap(&views, view);
        }
    }
    runtime.block_on(server.shutdown());
    Ok(())
}

/// Prints the seconds that compiling took, the bytes of memory that the View took, and those of the whole process.
fn load(count: usize) -> anyhow::Result<()> {
    let (plan, inputs, pid) = (names::plan(1, count)?, inputs()?, std::process::id());
    let before = resident_bytes(pid)?;
    let start = Instant::now();
    let view = View::compile(&plan, &inputs)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = resident_bytes(pid)?;
    tell(format!("{seconds} {} {after}", after.saturating_sub(before)))?;
    drop(view);
    Ok(())
}

/// As a region does it: follower, publisher, server.
fn restart(args: &ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ca = pki::WorldCa::open_or_create(&args.dir.join("pki"), "bench")?;
    let files = ca.issue(&pki::Principal::Region("us-east".into()), &[args.listen.ip()])?;
    let identity = pki::Identity::load(&ca.ca_pem_path(), &files.cert, &files.key)?;
    let transport = Transport::new(&Credentials::Identity(Arc::new(identity)), ChannelOptions::default())?;
    let _inside = runtime.enter();
    // Nobody is there, as after a failure of everything else.
    let nobody = Endpoint::region(RegionName::new("us-east")?, super::servers::free_address()?);
    let follower = plane_follower::follow(FollowerConfig {
        dir: args.dir.join("follower"),
        members: vec![nobody],
        transport,
        timings: Timings::default(),
    })?;
    let views = Views::default();
    let (_demote, demoted) = watch::channel(Default::default());
    let publishing = Publishing::new(RegionName::new("us-east")?);
    let _publisher = publish(publishing, follower.plans(), demoted, views.clone());
    let server = serve_at(args.listen, &views)?;
    tell(server.local_addr())?;
    io::stdin().lock().read_to_end(&mut Vec::new()).context("waiting for the end of stdin")?;
    if follower.plans().borrow().is_none() {
        bail!("there was no Plan on disk");
    }
    Ok(())
}

fn tell(what: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).context("telling the bench")
}
