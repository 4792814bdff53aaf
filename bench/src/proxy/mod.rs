//! The gateway beside HAProxy and nginx: what a proxied request costs, how much later its answer comes, what an idle connection keeps.
//!
//! ```text
//! wrk ──────────┬──→ nginx, 1 worker                     ──┐
//!               ├──→ HAProxy, nbthread 1                   ├──→ nginx, the upstream; for latencies the generator
//! or offer.rs ──┴──→ this binary, one gateway (serve.rs) ──┘    itself (offer.rs says why)
//! one core, which the upstream shares     the other core
//! ```
//! Each measurement is made of all of them in turn, who begins changes from run to run. Connections are kept on both sides.

mod busy;
mod idle;
mod latency;
mod offer;
mod report;
mod serve;
mod servers;

use anyhow::Context;

pub(crate) use self::{
    offer::offer,
    serve::{ServeArgs, serve},
};
use self::{
    report::{Report, Settings, Versions},
    servers::{Kind, Upstream},
};
use crate::{
    ProxyArgs, ProxyPart,
    machine::{self, Machine},
    proc,
    redis_protocol::{Surroundings, disturbed, warnings},
    tools::{self, Pins, Tool},
};

const TOOLS: &[Tool] = &[
    Tool { program: "nginx", package: "nginx-light" },
    Tool { program: "haproxy", package: "haproxy" },
    Tool { program: "wrk", package: "wrk" },
];

/// CPU time of a request, by that of the proxy that needs least of it.
const CPU_BAR: f64 = 1.3;
/// What the way through the gateway adds to the median latency, and to the 99th of a hundred, microseconds.
const P50_BAR_US: f64 = 60.0;
const P99_BAR_US: f64 = 300.0;
/// Memory of a connection that is kept and does nothing, bytes.
const IDLE_BAR_BYTES: f64 = 12_000.0;
/// Memory of a gateway that has nothing to do, megabytes.
const ALONE_BAR_MB: f64 = 20.0;

/// What an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Small,
    Kilobyte,
}

impl Body {
    const ALL: [Self; 2] = [Self::Small, Self::Kilobyte];

    fn bytes(self) -> usize {
        match self {
            Self::Small => 12,
            Self::Kilobyte => 1024,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Small => "/small",
            Self::Kilobyte => "/kilobyte",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Small => "12 bytes",
            Self::Kilobyte => "1 KiB",
        }
    }
}

/// What the other processes used while something was measured.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    cpu_s: f64,
    seconds: f64,
}

impl Others {
    fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |a, b| Self { cpu_s: a.cpu_s + b.cpu_s, seconds: a.seconds + b.seconds })
    }

    fn cores(self) -> f64 {
        if self.seconds > 0.0 { self.cpu_s / self.seconds } else { 0.0 }
    }
}

/// How long and how often: as told, or a minute's look.
#[derive(Debug, Clone, Copy)]
struct Effort {
    runs: u32,
    seconds: u64,
    idle_connections: u32,
}

impl Effort {
    fn of(args: &ProxyArgs) -> Self {
        match args.quick {
            true => Self { runs: 1, seconds: 1, idle_connections: 1000 },
            false => Self { runs: args.runs, seconds: args.seconds, idle_connections: args.idle_connections },
        }
    }
}

impl ProxyArgs {
    fn has(&self, part: ProxyPart) -> bool {
        self.parts.contains(&part)
    }
}

/// Measures, prints, writes the report.
pub(crate) fn run(args: &ProxyArgs) -> anyhow::Result<()> {
    let report = report(args)?;
    crate::page::show(&report, &report.page(), args.report.as_deref(), args.json)
}

fn report(args: &ProxyArgs) -> anyhow::Result<Report> {
    tools::need(TOOLS)?;
    let effort = Effort::of(args);
    let machine = Machine::here()?;
    let load_before = proc::load_average()?;
    let pins = Pins::choose()?;
    let mut warnings = warnings(&machine, load_before, pins.err());
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    idle::allow_descriptors(effort.idle_connections)?;

    let upstream = Upstream::start(effort.idle_connections, pins.ok())?;
    let busy = match args.has(ProxyPart::Requests) || args.has(ProxyPart::Latency) && args.rate.is_none() {
        true => busy::measure(&upstream, effort, pins.ok()).context("requests, as many as can be")?,
        false => busy::Rounds::default(),
    };
    let latency = match args.has(ProxyPart::Latency) {
        true => {
            let rate = args.rate.map_or_else(|| busy.half_load(), Ok)?;
            Some(latency::measure(rate, effort, pins.ok()).context("latency")?)
        }
        false => None,
    };
    let idle = match args.has(ProxyPart::Idle) {
        true => idle::measure(&upstream, effort, pins.ok()).context("idle connections")?,
        false => Vec::new(),
    };

    let others_cores = Others::sum(busy.others().chain(latency.iter().flat_map(latency::Latencies::others))).cores();
    if let Some(warning) = disturbed(others_cores) {
        eprintln!("warning: {warning}");
        warnings.push(warning);
    }
    Ok(Report {
        bench: "proxy",
        date: machine::date(),
        machine,
        versions: Versions {
            atoll: machine::atoll_version(),
            nginx: servers::version(Kind::Nginx)?,
            haproxy: servers::version(Kind::HaProxy)?,
        },
        settings: Settings {
            runs: effort.runs,
            seconds: effort.seconds,
            idle_connections: effort.idle_connections,
            rate: latency.as_ref().map(|latency| latency.rate),
            pinned: pins.is_ok(),
        },
        surroundings: Surroundings { load_before, load_after: proc::load_average()?, others_cores },
        rows: busy.rows()?,
        delays: latency.iter().flat_map(latency::Latencies::rows).collect(),
        memory: idle,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_cores_over_the_whole_time() {
        let others = [Others { cpu_s: 1.0, seconds: 2.0 }, Others { cpu_s: 0.0, seconds: 2.0 }];
        assert_eq!(Others::sum(others.into_iter()).cores(), 0.25);
        assert_eq!(Others::default().cores(), 0.0);
    }
}
