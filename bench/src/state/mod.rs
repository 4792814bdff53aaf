//! What state costs beside the commands on it: memory per key, recovery, and what travels between two regions.
//!
//! ```text
//! commands      redis-protocol's cases, on both servers
//! memory        1 000 000 small keys in both servers, resident memory before and after
//! recovery      a store of our own, opened again from its journal, and from its checkpoint
//! replication   store ── link ── emulated wide area ── link ── store, in this process: lag, bytes per write, heal after a cut
//! world         the same with whole regions: `atoll up --wan world`, a process each, through their Redis ports
//! ```

mod memory;
mod recovery;
mod redis;
mod replication;
mod watcher;
mod world;

use std::{fmt::Write as _, fs};

use anyhow::Context;

pub(crate) use crate::figure::{Bar, Figure};
use crate::{Part, StateArgs, redis_protocol};

/// Everything but the commands.
fn figures(args: &StateArgs) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if args.has(Part::Memory) {
        eprintln!("memory");
        figures.extend(memory::measure(args.keys)?);
    }
    if args.has(Part::Recovery) {
        eprintln!("recovery");
        figures.extend(recovery::measure(args.keys)?);
    }
    for rtt_ms in [0.0, args.rtt_ms].into_iter().filter(|_| args.has(Part::Replication)) {
        eprintln!("replication over a round trip of {rtt_ms} ms");
        figures.extend(replication::measure(rtt_ms, args)?);
    }
    if args.has(Part::World) {
        eprintln!("whole regions");
        figures.extend(world::measure(args, &args.atoll()?)?);
    }
    Ok(figures)
}

/// Measures what was asked for, prints, writes the report.
pub(crate) fn run(args: &StateArgs) -> anyhow::Result<()> {
    let commands = args.has(Part::Commands).then(|| redis_protocol::report(&args.commands)).transpose()?;
    let figures = figures(args)?;
    let mut table = String::new();
    for figure in &figures {
        let _ = writeln!(table, "{}", figure.line());
    }
    let text = commands.as_ref().map_or_else(String::new, |report| report.page().text());
    println!("{text}\n{table}");
    if let Some(path) = &args.commands.report {
        let head = commands.as_ref().map_or_else(|| "# state\n".to_owned(), |report| report.page().markdown());
        let report = format!("{head}\n```\n{table}```\n");
        fs::write(path, report).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    Ok(())
}
