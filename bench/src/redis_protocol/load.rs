//! Drives a server with redis-benchmark and reads, before and after, what that cost.

use std::{
    ffi::OsStr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    cases::{CLIENTS, Case, KEYS, VALUE_BYTES},
    servers::Server,
};
use crate::{
    proc::{self, ProcessTicks},
    tools::{self, Pins},
};

/// One case on one server, once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// CPU time of the server per operation, user and system, in microseconds.
    pub(crate) cpu_us_per_op: f64,
    /// As redis-benchmark saw it.
    pub(crate) ops_per_s: f64,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// CPU time meanwhile of neither the server nor the load generator, in seconds.
    pub(crate) others_cpu_s: f64,
}

/// No measurement takes longer, unless something hangs: a slow server needs this for as many operations at 2 000 a second.
fn patience(ops: u64) -> Duration {
    Duration::from_secs(30 + ops / 2_000)
}

/// Drives a server with `ops` operations.
pub(crate) fn drive(server: &Server, case: &Case, ops: u64, pins: Option<Pins>) -> anyhow::Result<Sample> {
    let mut command = tools::on_core(pins.map(|pins| pins.load), OsStr::new("redis-benchmark"));
    command.args(["-h", &server.addr.ip().to_string(), "-p", &server.addr.port().to_string()]);
    command.args(["-c", &CLIENTS.to_string(), "-r", &KEYS.to_string(), "-d", &VALUE_BYTES.to_string()]);
    command.args(["-n", &ops.to_string(), "-P", &case.pipeline.to_string()]);
    command.args(["-t", &case.op.to_lowercase(), "--csv"]);

    let before = Clocks::read(server.pid())?;
    let start = Instant::now();
    let printed = tools::output(command, patience(ops)).with_context(|| format!("{case} on {}", server.name))?;
    let seconds = start.elapsed().as_secs_f64();
    let spent = Clocks::read(server.pid())?.since(before);

    let Some(ops_per_s) = parse_rate(&printed, case.op) else {
        bail!("redis-benchmark's output has no figures of {}: {printed:?}", case.op);
    };
    let second = rustix::param::clock_ticks_per_second() as f64;
    let server_s = spent.server as f64 / second;
    Ok(Sample {
        cpu_us_per_op: server_s * 1e6 / ops as f64,
        ops_per_s,
        seconds,
        others_cpu_s: spent.machine.saturating_sub(spent.server + spent.load) as f64 / second,
    })
}

/// Clocks of CPU time, in ticks.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    /// The server, with the children it waited for: redis-server rewrites its AOF in one, as Atoll makes its checkpoints in a thread.
    server: u64,
    /// The bench's own children that have ended: load generators, as servers live on.
    load: u64,
    machine: u64,
}

impl Clocks {
    fn read(server: u32) -> anyhow::Result<Self> {
        let server = ProcessTicks::of(server)?;
        let ours = ProcessTicks::of(std::process::id())?;
        Ok(Self { server: server.own + server.reaped, load: ours.reaped, machine: proc::busy_ticks()? })
    }

    fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            load: self.load.saturating_sub(before.load),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}

/// Operations per second from `"SET","96153.84",…`; some versions print a header and latencies, some do not.
fn parse_rate(csv: &str, op: &str) -> Option<f64> {
    let mut rows = csv.lines().map(|line| line.trim().split(',').map(|field| field.trim_matches('"')));
    let mut row = rows.find_map(|mut row| (row.next() == Some(op)).then_some(row))?;
    row.next()?.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\"\n\
                       \"SET\",\"96153.84\",\"0.303\",\"0.096\",\"0.271\"\n\"GET\",\"84388.19\",\"0.338\",\"0.104\",\"0.287\"\n";

    #[test]
    fn the_rate_is_in_the_row_of_the_operation() {
        assert_eq!(parse_rate(CSV, "SET"), Some(96153.84));
        assert_eq!(parse_rate(CSV, "GET"), Some(84388.19));
        assert_eq!(parse_rate("\"INCR\",\"1000.5\"\r\n", "INCR"), Some(1000.5));
    }

    #[test]
    fn no_figures_are_no_rate() {
        for csv in ["", "\"test\",\"rps\"\n", "\"SET\"\n", "\"SET\",\"nan\"\n", "\"SET\",\"0.00\"\n"] {
            assert_eq!(parse_rate(csv, "SET"), None, "{csv}");
        }
        assert_eq!(parse_rate(CSV, "INCR"), None);
    }
}
