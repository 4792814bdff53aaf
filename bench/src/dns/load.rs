//! Drives a server with dnsperf and reads, before and after, what that cost.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::names::Question;
use crate::{
    proc::{self, ProcessTicks},
    tools::{self, Pins},
};

/// One kind of question to one server, once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// CPU time of the server per answered query, user and system, microseconds.
    pub(super) cpu_us: f64,
    /// The part of it outside of the kernel.
    pub(super) user_us: f64,
    /// Answered queries per second, as dnsperf saw it.
    pub(super) per_s: f64,
    pub(super) seconds: f64,
    /// CPU time meanwhile of neither the server nor the load generator, seconds.
    pub(super) others_cpu_s: f64,
}

/// What dnsperf says at its end.
#[derive(Debug, PartialEq)]
struct Said {
    completed: u64,
    lost: u64,
    per_s: f64,
    /// `NOERROR`, `NXDOMAIN`, …: of most of the answers.
    rcode: String,
}

/// A server to be asked.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) addr: SocketAddr,
    pub(super) pid: u32,
}

/// Asks for so many seconds, 8 clients with 500 questions under way. The file has the names.
pub(super) fn drive(
    target: Target,
    question: Question,
    file: &Path,
    seconds: u64,
    pins: Option<Pins>,
) -> anyhow::Result<Sample> {
    let mut command = tools::on_core(pins.map(|pins| pins.load), OsStr::new("dnsperf"));
    command.args(["-s", &target.addr.ip().to_string(), "-p", &target.addr.port().to_string()]);
    command.args(["-c", "8", "-q", "500", "-T", "1", "-l", &seconds.to_string()]).arg("-d").arg(file);
    if let Some(subnet) = question.subnet() {
        let hex: String = subnet.iter().map(|byte| format!("{byte:02x}")).collect();
        command.args(["-e", "-E", &format!("8:{hex}")]);
    }
    let (server, load, machine) = clocks(target.pid)?;
    let start = Instant::now();
    let printed = tools::output(command, Duration::from_secs(30 + seconds))
        .with_context(|| format!("{} to {}", question.as_str(), target.name))?;
    let passed = start.elapsed().as_secs_f64();
    let (server_after, load_after, machine_after) = clocks(target.pid)?;

    let Some(said) = parse(&printed) else { bail!("dnsperf's output has no figures: {printed:?}") };
    check(&said, target.name, question)?;
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let spent = (server_after.own - server.own) as f64 * tick;
    let user = (server_after.user - server.user) as f64 * tick;
    let ours = (load_after - load) as f64 * tick;
    Ok(Sample {
        cpu_us: spent * 1e6 / said.completed as f64,
        user_us: user * 1e6 / said.completed as f64,
        per_s: said.per_s,
        seconds: passed,
        others_cpu_s: ((machine_after - machine) as f64 * tick - spent - ours).max(0.0),
    })
}

/// Of the server, of the load generators that have ended, of the machine.
fn clocks(pid: u32) -> anyhow::Result<(ProcessTicks, u64, u64)> {
    Ok((ProcessTicks::of(pid)?, ProcessTicks::of(std::process::id())?.reaped, proc::busy_ticks()?))
}

/// A server that gives other answers does other work.
fn check(said: &Said, server: &str, question: Question) -> anyhow::Result<()> {
    // The floor sends questions back, whose response code is 0.
    let wanted = if question == Question::NxDomain && server != super::FLOOR { "NXDOMAIN" } else { "NOERROR" };
    if said.rcode != wanted {
        bail!("{server} answers {} where {wanted} is right ({})", said.rcode, question.as_str());
    }
    // A server that is not given its core loses some; what it answered cost what it cost.
    if said.lost * 10 > said.completed {
        bail!("{server} did not answer {} of {} questions", said.lost, said.completed + said.lost);
    }
    Ok(())
}

fn parse(printed: &str) -> Option<Said> {
    let value =
        |label: &str| printed.lines().find_map(|line| line.trim().strip_prefix(label)?.split_ascii_whitespace().next());
    Some(Said {
        completed: value("Queries completed:")?.parse().ok().filter(|n| *n > 0)?,
        lost: value("Queries lost:")?.parse().ok()?,
        per_s: value("Queries per second:")?.parse().ok()?,
        rcode: value("Response codes:")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Statistics:\n\n  Queries sent:         500123\n  Queries completed:    500120 (100.00%)\n  \
        Queries lost:         3 (0.00%)\n\n  Response codes:       NOERROR 500120 (100.00%)\n  \
        Average packet size:  request 32, response 48\n  Run time (s):         5.0\n  Queries per second:   100024.123\n";

    #[test]
    fn figures_are_read_from_what_dnsperf_says() {
        let said = Said { completed: 500_120, lost: 3, per_s: 100_024.123, rcode: "NOERROR".into() };
        assert_eq!(parse(SAID), Some(said));
        assert_eq!(parse("Queries completed: 0\nQueries lost: 1\n"), None);
    }

    #[test]
    fn wrong_answers_and_lost_ones_are_no_figures() {
        let said = |lost, rcode: &str| Said { completed: 1000, lost, per_s: 1.0, rcode: rcode.into() };
        check(&said(100, "NOERROR"), "x", Question::Static).unwrap();
        check(&said(0, "NXDOMAIN"), "x", Question::NxDomain).unwrap();
        check(&said(0, "NOERROR"), super::super::FLOOR, Question::NxDomain).unwrap();
        assert!(check(&said(101, "NOERROR"), "x", Question::Static).is_err());
        assert!(check(&said(0, "REFUSED"), "x", Question::Static).is_err());
        assert!(check(&said(0, "NOERROR"), "x", Question::NxDomain).is_err());
    }
}
