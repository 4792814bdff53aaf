//! Atoll beside its peers.
//!
//! ```text
//! cargo run --release -p bench -- redis-protocol     the Redis protocol port beside redis-server
//! cargo run --release -p bench -- state              the same, and memory, recovery, replication
//! cargo run --release -p bench -- plane              a change's way to every follower beside etcd's; what an idle member costs
//! cargo run --release -p bench -- dns                the DNS server beside gdnsd, Knot and the floor of the sockets
//! cargo run --release -p bench -- proxy              the gateway beside HAProxy and nginx
//! ```
//! Goes in: the programs of the peers, as they are installed. Comes out: what a unit of work costs each of them in CPU time,
//! the ratio, and whether it keeps the bar. Both sides run in the same minutes on the same cores, so what else the machine
//! does weighs on both. How figures are made: README.md.

mod dns;
mod figure;
mod machine;
mod page;
mod plane;
mod proc;
mod proxy;
mod redis_protocol;
mod state;
mod stats;
mod tools;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measure Atoll beside its peers.
#[derive(Debug, Parser)]
#[command(name = "bench", version, about, disable_help_subcommand = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// The Redis protocol port beside redis-server, driven by redis-benchmark
    RedisProtocol(RedisProtocolArgs),
    /// The same, and what state costs in memory, in recovery, and on the way to another region
    State(StateArgs),
    /// A change's way to every follower of the config plane beside etcd's put-to-watch, and what an idle member costs
    Plane(PlaneArgs),
    /// The DNS server beside gdnsd, Knot and the floor of the sockets, driven by dnsperf; and what it takes to come up
    Dns(DnsArgs),
    /// The gateway beside HAProxy and nginx, driven by wrk: CPU time of a request, what it adds to latency, memory of idle connections
    Proxy(ProxyArgs),
    /// A server of `dns`: serves until its stdin ends
    #[command(hide = true)]
    ServeDns(dns::ServeArgs),
    /// A member of the Atoll side of `plane`: serves until its stdin ends
    #[command(hide = true)]
    ServePlane(plane::ServeArgs),
    /// The Atoll side of `proxy`: serves until its stdin ends
    #[command(hide = true)]
    ServeProxy(proxy::ServeArgs),
    /// The load of `proxy` at a fixed rate
    #[command(hide = true)]
    Offer,
    /// The Atoll side of `redis-protocol`: serves until its stdin ends
    #[command(hide = true)]
    ServeRedisProtocol {
        /// Where the state goes
        #[arg(long)]
        dir: PathBuf,
    },
}

/// What `redis-protocol` can be told.
#[derive(Debug, Args)]
pub(crate) struct RedisProtocolArgs {
    /// Operations of each measurement without pipeline; with pipeline it takes four times as many
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    ops: u64,
    /// How often everything is measured; figures are medians over runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What `state` can be told.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    #[command(flatten)]
    commands: RedisProtocolArgs,
    /// Leave out the commands, which take most of the time
    #[arg(long)]
    without_commands: bool,
    /// What to measure; `world` only if it is named
    #[arg(long, value_delimiter = ',', default_value = "commands,memory,recovery,replication")]
    parts: Vec<Part>,
    /// The program whose regions `world` measures; if not given, the one beside this one
    #[arg(long, value_name = "FILE")]
    atoll: Option<PathBuf>,
    /// Keys for memory and recovery
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    keys: u64,
    /// Seconds of writing while the lag is measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seconds that the two regions are cut off from each other
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    apart_s: u64,
    /// Round trip of the second run of replication, in milliseconds; the first has none
    #[arg(long, default_value_t = 80.0)]
    rtt_ms: f64,
}

/// What `plane` can be told.
#[derive(Debug, Args)]
pub(crate) struct PlaneArgs {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "latency,idle")]
    parts: Vec<PlanePart>,
    /// How often each case of the latency is measured; figures are medians over runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Writes of each run on each side, one after another
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..=100_000))]
    writes: u64,
    /// Watchers of the second case; the first has one for each member
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(4..=90))]
    watchers: u16,
    /// Names in the World of the idle members
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=10_000))]
    names: u64,
    /// Seconds of the quiet day, and of the busy one
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
    /// Print JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What `dns` can be told.
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "queries,inside,swaps,start")]
    parts: Vec<DnsPart>,
    /// How often everything is measured; figures are medians over runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of each kind of question to each server, in each run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What `proxy` can be told.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "requests,latency,idle")]
    parts: Vec<ProxyPart>,
    /// How often everything is measured; figures are medians over runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of each measurement, in each run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Connections that are kept and do nothing
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..=15_000))]
    idle_connections: u32,
    /// Requests a second while latency is measured; if not given, half of what the slowest proxy can serve
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    rate: Option<u32>,
    /// One short run of everything, to see that it works: its figures say little
    #[arg(long, conflicts_with_all = ["runs", "seconds", "idle_connections"])]
    quick: bool,
    /// Print JSON to stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What `proxy` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyPart {
    /// CPU time per request, beside the peers
    Requests,
    /// What the way through a proxy adds
    Latency,
    /// Memory of connections that do nothing, and of a proxy that nobody uses
    Idle,
}

/// What `dns` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsPart {
    /// CPU time per query, beside the peers
    Queries,
    /// The answer core alone
    Inside,
    /// Whether a swap of Views is noticed
    Swaps,
    /// A million names, and a restart from disk
    Start,
}

/// What `plane` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanePart {
    /// From a write to the last follower that has it, beside etcd
    Latency,
    /// What a member costs that has nothing to do
    Idle,
}

/// What `state` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The cases of `redis-protocol`
    Commands,
    /// Memory per key
    Memory,
    /// Recovery after a kill
    Recovery,
    /// Two stores and a link between them
    Replication,
    /// Whole regions: `atoll up --wan world`
    World,
}

impl StateArgs {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part) && !(part == Part::Commands && self.without_commands)
    }

    fn atoll(&self) -> anyhow::Result<PathBuf> {
        match &self.atoll {
            Some(path) => Ok(path.clone()),
            None => Ok(std::env::current_exe().context("cannot tell where this program is")?.with_file_name("atoll")),
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().bench {
        Bench::RedisProtocol(args) => redis_protocol::run(&args),
        Bench::State(args) => state::run(&args),
        Bench::Plane(args) => plane::run(&args),
        Bench::Dns(args) => dns::run(&args),
        Bench::Proxy(args) => proxy::run(&args),
        Bench::ServeProxy(args) => proxy::serve(&args),
        Bench::Offer => proxy::offer(),
        Bench::ServeDns(args) => dns::serve(&args),
        Bench::ServePlane(args) => plane::serve(&args),
        Bench::ServeRedisProtocol { dir } => redis_protocol::serve(&dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
