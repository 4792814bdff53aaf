//! The config plane: how long a change takes to every follower, beside etcd, and what a member costs that has nothing to do.
//!
//! ```text
//! latency   write ─→ three members ─→ N watchers     Atoll and etcd in turns, on one disk, both with fsync before the answer
//! idle      a World of 50 pools and 10 000 names; observers vote, followers follow, nobody changes anything
//! ```

mod atoll;
mod clocks;
mod etcd;
mod grpc;
mod idle;
mod latency;
mod report;
mod serve;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, bail};
use model::World;
use tokio::time::{Instant, sleep};

use self::report::{Report, Settings};
pub(crate) use self::serve::{ServeArgs, serve};
use crate::{
    PlaneArgs, PlanePart,
    machine::{self, Machine},
    proc,
    redis_protocol::{Surroundings, disturbed, warnings},
    tools::{self, Tool},
};

const TOOLS: &[Tool] = &[Tool { program: "etcd", package: "etcd-server" }];

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at it.
const LOOK_EACH: Duration = Duration::from_millis(50);

impl PlaneArgs {
    fn has(&self, part: PlanePart) -> bool {
        self.parts.contains(&part)
    }
}

/// Measures, prints, writes the report.
pub(crate) fn run(args: &PlaneArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(report(args))?;
    crate::page::show(&report, &report.page(), args.report.as_deref(), args.json)
}

async fn report(args: &PlaneArgs) -> anyhow::Result<Report> {
    if args.has(PlanePart::Latency) {
        tools::need(TOOLS)?;
    }
    let machine = Machine::here()?;
    let load_before = proc::load_average()?;
    let mut warnings = warnings(&machine, load_before, None);
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));

    let world = World::default_toml(3, 0);
    let (mut latency, mut idle, mut others_cores) = (Vec::new(), Vec::new(), 0.0_f64);
    if args.has(PlanePart::Latency) {
        let (rows, others) = latency::measure(args, &world).await?;
        (latency, others_cores) = (rows, others);
    }
    if args.has(PlanePart::Idle) {
        let (figures, others) = idle::measure(args, &world).await?;
        (idle, others_cores) = (figures, others_cores.max(others));
    }
    if let Some(warning) = disturbed(others_cores) {
        eprintln!("warning: {warning}");
        warnings.push(warning);
    }
    Ok(Report {
        bench: "plane",
        date: machine::date(),
        machine,
        atoll: machine::atoll_version(),
        etcd: args.has(PlanePart::Latency).then(|| tools::version("etcd")).transpose()?,
        settings: Settings { runs: args.runs, writes: args.writes, names: args.names, seconds: args.seconds },
        surroundings: Surroundings { load_before, load_after: proc::load_average()?, others_cores },
        latency,
        idle,
        warnings,
    })
}

/// Ports of the loopback interface that are free now, all different.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    // Held until all are known, so that none is given twice.
    let held: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("no free port on 127.0.0.1")?;
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, held) in addresses.iter_mut().zip(&held) {
        *address = held.local_addr()?;
    }
    Ok(addresses)
}

/// Waits until a look gives something.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        sleep(LOOK_EACH).await;
    }
}
