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
use serde::Serialize;

use crate::{Part, StateArgs, redis_protocol};

/// One thing that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    got: f64,
    unit: &'static str,
    /// At most, or at least, so much.
    bar: Option<Bar>,
    met: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    fn new(what: impl Into<String>, got: f64, unit: &'static str, bar: Option<Bar>) -> Self {
        let met = bar.map(|bar| match bar {
            Bar::AtMost(most) => got <= most,
            Bar::AtLeast(least) => got >= least,
        });
        Self { what: what.into(), got, unit, bar, met }
    }

    fn line(&self) -> String {
        let bar = match self.bar {
            None => String::new(),
            Some(Bar::AtMost(most)) => format!("≤ {most}"),
            Some(Bar::AtLeast(least)) => format!("≥ {least}"),
        };
        let met = self.met.map_or("", |met| if met { "met" } else { "MISSED" });
        format!("{:<66}  {:>12}  {:<8}  {bar:<12}  {met}", self.what, number(self.got), self.unit).trim_end().to_owned()
    }
}

/// Three digits that count, or all of a large number.
fn number(figure: f64) -> String {
    match figure {
        large if large >= 1000.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

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
    let text = commands.as_ref().map_or_else(String::new, redis_protocol::Report::text);
    println!("{text}\n{table}");
    if let Some(path) = &args.commands.report {
        let head = commands.as_ref().map_or_else(|| "# state\n".to_owned(), redis_protocol::Report::markdown);
        let report = format!("{head}\n```\n{table}```\n");
        fs::write(path, report).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_kept_from_the_right_side() {
        let met = |got, bar| Figure::new("x", got, "", Some(bar)).met;
        assert_eq!(met(99.0, Bar::AtMost(100.0)), Some(true));
        assert_eq!(met(101.0, Bar::AtMost(100.0)), Some(false));
        assert_eq!(met(99.0, Bar::AtLeast(100.0)), Some(false));
        assert_eq!(Figure::new("x", 1.0, "", None).met, None);
        assert!(Figure::new("x", 101.0, "B", Some(Bar::AtMost(100.0))).line().ends_with("≤ 100         MISSED"));
    }
}
