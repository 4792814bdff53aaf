//! The gateway alone before one address, for measurements: `serve LISTEN WORKER [THREADS]`.
//!
//! It says `ready ADDRESS` once it listens and runs until it is killed.
use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use gateway::{GatewayConfig, Readiness, TokenSource, Waited};
use model::{RegionName, Token, Worker};
use tokio::{sync::watch, time::Instant};

/// A region that keeps no state.
struct Stateless;

impl TokenSource for Stateless {
    fn last_write(&self) -> Token {
        Token { region: 1, hlc: 1 }
    }

    fn wait_for(&self, _: Token, _: Instant) -> Pin<Box<dyn Future<Output = Waited> + Send + '_>> {
        Box::pin(async { Waited::OriginUnreachable })
    }

    fn region_name(&self, _: u16) -> Option<RegionName> {
        None
    }
}

impl Readiness for Stateless {
    fn health_problems(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = || anyhow::anyhow!("usage: serve LISTEN WORKER [THREADS]");
    let listen: SocketAddr = args.next().ok_or_else(usage)?.parse()?;
    let worker: SocketAddr = args.next().ok_or_else(usage)?.parse()?;
    let threads: usize = args.next().map_or(Ok(1), |threads| threads.parse())?;
    let runtime = if threads == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
    };
    runtime.block_on(async {
        let region = RegionName::new("us-east").map_err(|error| anyhow::anyhow!("{error}"))?;
        let config = GatewayConfig::new(listen, region, Some("bench".to_owned()));
        let (_workers, list) = watch::channel(Arc::from([Worker::ready_at(0, worker)]));
        let gateway = gateway::start(config, list, Arc::new(Stateless), Arc::new(Stateless)).await?;
        println!("ready {}", gateway.local_addr());
        std::future::pending::<()>().await;
        Ok(())
    })
}
