//! Atoll's side: the gateway with one thread that serves, and one worker that is always there. Nothing else of a region.

use std::{
    future::{Future, ready},
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use gateway::{GatewayConfig, Readiness, TokenSource, Waited};
use model::{RegionName, Token, Worker};
use tokio::{sync::watch, time::Instant};

/// What the gateway of `bench proxy` is told.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where the answers come from
    #[arg(long)]
    upstream: SocketAddr,
    /// Connections at a time
    #[arg(long)]
    max_connections: u32,
}

/// Nobody writes any state here.
struct NoState;

impl TokenSource for NoState {
    fn last_write(&self) -> Token {
        Token { region: 1, hlc: 0 }
    }

    fn wait_for(&self, _: Token, _: Instant) -> Pin<Box<dyn Future<Output = Waited> + Send + '_>> {
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

/// Serves until stdin ends, so that no server outlives its bench. The first line on stdout is the address.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), RegionName::new("bench")?, Some("app".into()));
    config.limits.max_connections = args.max_connections;
    let workers: Arc<[Worker]> = Arc::from([Worker::ready_at(0, args.upstream)]);
    let (_keep, workers) = watch::channel(workers);
    let gateway = runtime.block_on(gateway::start(config, workers, Arc::new(NoState), Arc::new(NoState)))?;
    let mut out = io::stdout().lock();
    let told = writeln!(out, "{}", gateway.local_addr()).and_then(|()| out.flush());
    told.context("telling the bench the address")?;

    io::stdin().lock().read_to_end(&mut Vec::new()).context("waiting for the end of stdin")?;
    runtime.block_on(gateway.shutdown(Duration::from_millis(100)));
    Ok(())
}
