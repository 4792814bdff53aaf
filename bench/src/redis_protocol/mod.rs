//! The Redis protocol port beside redis-server: CPU time of the server process per operation.
//!
//! ```text
//!                       ┌──→ this binary, serving one store (serve.rs)    one core
//! redis-benchmark ──────┤
//! the other core        └──→ redis-server, AOF everysec
//! ```
//! Each case of `cases.rs` is measured on both servers in turn, who begins changes from run to run.

mod cases;
mod load;
mod report;
mod serve;
mod servers;

use std::env::current_exe;

use anyhow::Context;

use self::{
    cases::{CASES, Case, WARM_UP},
    load::Sample,
    report::{Row, Settings, Versions},
};
pub(crate) use self::{
    report::{Report, Surroundings},
    serve::serve,
    servers::{Process, Scratch, Server},
};
use crate::{
    RedisProtocolArgs,
    machine::{self, Machine},
    proc,
    stats::Spread,
    tools::{self, Pins, Tool},
};

const TOOLS: &[Tool] = &[
    Tool { program: "redis-server", package: "redis-server" },
    Tool { program: "redis-benchmark", package: "redis-tools" },
];

/// Above this many busy processes per core before the start, figures deserve doubt.
const QUIET_LOAD_PER_CORE: f64 = 0.75;

/// More cores than this used by others while measuring: the same, however quiet it was at the start.
const QUIET_OTHERS_CORES: f64 = 0.25;

/// Measures, prints, writes the report.
pub(crate) fn run(args: &RedisProtocolArgs) -> anyhow::Result<()> {
    let report = report(args)?;
    crate::page::show(&report, &report.page(), args.report.as_deref(), args.json)
}

/// Measures.
pub(crate) fn report(args: &RedisProtocolArgs) -> anyhow::Result<Report> {
    tools::need(TOOLS)?;
    let machine = Machine::here()?;
    let load_before = proc::load_average()?;
    let pins = Pins::choose()?;
    let mut warnings = warnings(&machine, load_before, pins.err());
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));

    let rounds = measure(args, pins.ok())?;
    let surroundings = Surroundings { load_before, load_after: proc::load_average()?, others_cores: rounds.others() };
    if let Some(warning) = disturbed(surroundings.others_cores) {
        eprintln!("warning: {warning}");
        warnings.push(warning);
    }
    Ok(Report {
        bench: "redis-protocol",
        date: machine::date(),
        machine,
        versions: Versions {
            atoll: machine::atoll_version(),
            redis_server: tools::version("redis-server")?,
            redis_benchmark: tools::version("redis-benchmark")?,
        },
        settings: Settings { ops: args.ops, runs: args.runs, pinned: pins.is_ok() },
        surroundings,
        rows: rounds.rows()?,
        warnings,
    })
}

/// What is to be said of the moment before anything is measured.
pub(crate) fn warnings(machine: &Machine, load: f64, unpinned: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    if load > QUIET_LOAD_PER_CORE * machine.cores as f64 {
        let cores = machine.cores;
        warnings.push(format!("the host is loaded: load average {load:.2} on {cores} cores before the start"));
    }
    warnings.extend(unpinned.map(str::to_owned));
    if cfg!(debug_assertions) {
        warnings.push("this is a build without optimisation, its figures say nothing: cargo run --release".to_owned());
    }
    warnings
}

/// What is to be said of a machine that others used while it was measured.
pub(crate) fn disturbed(others_cores: f64) -> Option<String> {
    (others_cores > QUIET_OTHERS_CORES)
        .then(|| format!("not a quiet moment: others used {others_cores:.2} cores while this was measured"))
}

/// What one case gave, run by run.
struct Round {
    case: &'static Case,
    atoll: Vec<Sample>,
    redis: Vec<Sample>,
}

struct Rounds(Vec<Round>);

fn measure(args: &RedisProtocolArgs, pins: Option<Pins>) -> anyhow::Result<Rounds> {
    let atoll = Server::atoll(&current_exe().context("cannot find this binary")?, pins)?;
    let redis = Server::redis(pins)?;
    for (case, ops) in WARM_UP {
        for server in [&atoll, &redis] {
            load::drive(server, case, *ops, pins)?;
        }
    }
    let mut rounds: Vec<Round> =
        CASES.iter().map(|case| Round { case, atoll: Vec::new(), redis: Vec::new() }).collect();
    for run in 0..args.runs {
        eprintln!("run {} of {}", run + 1, args.runs);
        for round in &mut rounds {
            let ops = round.case.ops(args.ops);
            let mut turns = [(&atoll, &mut round.atoll), (&redis, &mut round.redis)];
            if run % 2 == 1 {
                turns.reverse();
            }
            for (server, samples) in turns {
                samples.push(load::drive(server, round.case, ops, pins)?);
            }
        }
    }
    Ok(Rounds(rounds))
}

impl Rounds {
    /// How many cores everything else kept busy while we measured.
    fn others(&self) -> f64 {
        let all = || self.0.iter().flat_map(|round| round.atoll.iter().chain(&round.redis));
        let seconds: f64 = all().map(|sample| sample.seconds).sum();
        all().map(|sample| sample.others_cpu_s).sum::<f64>() / seconds
    }

    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        self.0
            .iter()
            .map(|round| round.row().with_context(|| format!("{} gave no figures; give more --ops", round.case)))
            .collect()
    }
}

impl Round {
    fn row(&self) -> Option<Row> {
        let cpu = |samples: &[Sample]| samples.iter().map(|sample| sample.cpu_us_per_op).collect::<Vec<_>>();
        let rate = |samples: &[Sample]| {
            Some(Spread::of(&samples.iter().map(|sample| sample.ops_per_s).collect::<Vec<_>>())?.median)
        };
        let (atoll, redis) = (cpu(&self.atoll), cpu(&self.redis));
        let ratio = Spread::of_ratio(&atoll, &redis)?;
        Some(Row {
            op: self.case.op,
            pipeline: self.case.pipeline,
            atoll_cpu_us: Spread::of(&atoll)?,
            redis_cpu_us: Spread::of(&redis)?,
            atoll_ops_per_s: rate(&self.atoll)?,
            redis_ops_per_s: rate(&self.redis)?,
            ratio,
            bar: self.case.bar,
            met: self.case.bar.map(|bar| ratio.median <= bar),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_host_is_warned_of_before_and_after() {
        let machine = Machine { cpu: String::new(), cores: 2, kernel: String::new() };
        let loaded = |load| warnings(&machine, load, None).iter().any(|warning| warning.contains("load average"));
        assert!(!loaded(1.5));
        assert!(loaded(1.6));
        assert_eq!(disturbed(0.2), None);
        assert!(disturbed(1.32).unwrap().contains("1.32 cores"));
    }
}
