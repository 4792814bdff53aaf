//! Atoll beside its peers.
//!
//! ```text
//! cargo run --release -p bench -- redis-protocol     the Redis protocol port beside redis-server
//! ```
//! Goes in: the programs of the peers, as they are installed. Comes out: what a unit of work costs each of them in CPU time,
//! the ratio, and whether it keeps the bar. Both sides run in the same minutes on the same cores, so what else the machine
//! does weighs on both. How figures are made: README.md.

mod machine;
mod proc;
mod redis_protocol;
mod stats;
mod tools;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

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

fn main() -> ExitCode {
    let result = match Cli::parse().bench {
        Bench::RedisProtocol(args) => redis_protocol::run(&args),
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
