//! Requests as fast as one generator can: CPU time of the proxy by the requests that it served.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    Body, CPU_BAR, Effort, Others,
    report::Row,
    servers::{Kind, Server, Upstream},
};
use crate::{
    proc::{self, ProcessTicks},
    stats::Spread,
    tools::{self, Pins},
};

/// One kind of answer from one proxy, once.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// CPU time of the proxy per request, user and system, microseconds.
    cpu_us: f64,
    /// The part of it outside of the kernel.
    user_us: f64,
    /// As wrk saw it.
    per_s: f64,
    /// As wrk saw it, with as much under way as possible, milliseconds.
    p99_ms: f64,
    others: Others,
}

/// What one kind of answer from one proxy gave, run by run.
struct Round {
    body: Body,
    kind: Kind,
    samples: Vec<Sample>,
}

#[derive(Default)]
pub(super) struct Rounds(Vec<Round>);

/// Measures each proxy with each kind of answer, in turn.
pub(super) fn measure(upstream: &Upstream, effort: Effort, pins: Option<Pins>) -> anyhow::Result<Rounds> {
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        servers.push((kind, Server::proxy(kind, upstream, pins)?));
    }
    for (kind, server) in &servers {
        drive(*kind, server, upstream, Body::Small, 1, pins)?;
    }
    let mut rounds: Vec<Round> = Body::ALL
        .iter()
        .flat_map(|body| Kind::ALL.map(|kind| Round { body: *body, kind, samples: Vec::new() }))
        .collect();
    for run in 0..effort.runs {
        eprintln!("requests: run {} of {}", run + 1, effort.runs);
        for rounds in rounds.chunks_mut(Kind::ALL.len()) {
            for turn in 0..rounds.len() {
                let which = (turn + run as usize) % rounds.len();
                let round = &mut rounds[which];
                let sample = drive(round.kind, &servers[which].1, upstream, round.body, effort.seconds, pins)?;
                round.samples.push(sample);
            }
        }
    }
    Ok(Rounds(rounds))
}

/// 64 connections, each asks again as soon as it is answered.
fn drive(
    kind: Kind,
    server: &Server,
    upstream: &Upstream,
    body: Body,
    seconds: u64,
    pins: Option<Pins>,
) -> anyhow::Result<Sample> {
    let name = kind.as_str();
    let command = wrk(server.addr(), body, seconds, pins);
    let before = Clocks::read(server.pid(), upstream.pid(), &[])?;
    let start = Instant::now();
    let printed = tools::output(command, Duration::from_secs(30 + seconds)).with_context(|| name.to_owned())?;
    let passed = start.elapsed().as_secs_f64();
    let after = Clocks::read(server.pid(), upstream.pid(), &[])?;

    let Some(said) = Said::parse(&printed) else { bail!("wrk's output has no figures: {printed:?}") };
    if said.failed > 0 {
        bail!("{name}: {} of {} requests failed", said.failed, said.requests);
    }
    let (cpu_s, user_s, others) = after.since(&before, passed);
    Ok(Sample {
        cpu_us: cpu_s * 1e6 / said.requests as f64,
        user_us: user_s * 1e6 / said.requests as f64,
        per_s: said.per_s,
        p99_ms: said.p99_ms,
        others,
    })
}

fn wrk(addr: SocketAddr, body: Body, seconds: u64, pins: Option<Pins>) -> std::process::Command {
    let mut command = tools::on_core(pins.map(|pins| pins.load), OsStr::new("wrk"));
    command.args(["-t1", "-c64", "--latency", "-d", &format!("{seconds}s"), &format!("http://{addr}{}", body.path())]);
    command
}

/// Clocks of CPU time, in ticks.
pub(super) struct Clocks {
    proxy: ProcessTicks,
    upstream: u64,
    /// The bench's own children that have ended: load generators, as servers live on; and who is named.
    load: u64,
    machine: u64,
}

impl Clocks {
    /// `beside`: who else is part of the measurement.
    pub(super) fn read(proxy: u32, upstream: u32, beside: &[u32]) -> anyhow::Result<Self> {
        let mut load = ProcessTicks::of(std::process::id())?.reaped;
        for pid in beside {
            load += ProcessTicks::of(*pid)?.own;
        }
        Ok(Self {
            proxy: ProcessTicks::of(proxy)?,
            upstream: ProcessTicks::of(upstream)?.own,
            load,
            machine: proc::busy_ticks()?,
        })
    }

    /// Seconds that the proxy used, those of them outside of the kernel, and what others used in the seconds that passed.
    pub(super) fn since(&self, before: &Self, passed: f64) -> (f64, f64, Others) {
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let seconds = |after: u64, before: u64| after.saturating_sub(before) as f64 * tick;
        let proxy = seconds(self.proxy.own, before.proxy.own);
        // Where there is no proxy, the upstream is both.
        let upstream = if self.proxy.own == self.upstream { 0.0 } else { seconds(self.upstream, before.upstream) };
        let ours = proxy + upstream + seconds(self.load, before.load);
        let cpu_s = (seconds(self.machine, before.machine) - ours).max(0.0);
        (proxy, seconds(self.proxy.user, before.proxy.user), Others { cpu_s, seconds: passed })
    }
}

/// What wrk says at its end.
#[derive(Debug, PartialEq)]
struct Said {
    requests: u64,
    per_s: f64,
    p99_ms: f64,
    /// Answers other than 2xx and 3xx, and errors of sockets.
    failed: u64,
}

impl Said {
    fn parse(printed: &str) -> Option<Self> {
        let lines = || printed.lines().map(str::trim);
        let after = |label: &str| lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
        let requests = lines().find_map(|line| line.split_once(" requests in ")?.0.parse().ok())?;
        let bad = after("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?;
        let sockets = after("Socket errors:").map_or(Some(0), |line| {
            line.split(", ").map(|part| part.rsplit_once(' ')?.1.parse::<u64>().ok()).sum::<Option<u64>>()
        })?;
        Some(Self {
            requests: Some(requests).filter(|count| *count > 0)?,
            per_s: after("Requests/sec:")?.parse().ok()?,
            p99_ms: millis(after("99%")?)?,
            failed: bad + sockets,
        })
    }
}

/// wrk writes `873.00us`, `1.20ms` or `1.01s`.
fn millis(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[number.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

impl Rounds {
    pub(super) fn others(&self) -> impl Iterator<Item = Others> {
        self.0.iter().flat_map(|round| round.samples.iter().map(|sample| sample.others))
    }

    /// Half of what the slowest of the proxies served of small answers: a rate that each of them can stand.
    pub(super) fn half_load(&self) -> anyhow::Result<u32> {
        let small = self.0.iter().filter(|round| round.body == Body::Small);
        let slowest = small.filter_map(|round| round.figure(|sample| sample.per_s)).map(|spread| spread.median);
        let slowest = slowest.min_by(f64::total_cmp).context("nobody knows what half a load is")?;
        Ok((slowest / 2.0) as u32)
    }

    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let row = |round: &Round| {
            let (body, name) = (round.body.as_str(), round.kind.as_str());
            self.row(round).with_context(|| format!("{body} from {name} gave no figures; give more --seconds"))
        };
        self.0.iter().map(row).collect()
    }

    fn row(&self, round: &Round) -> Option<Row> {
        let cpu = round.all(|sample| sample.cpu_us);
        let peers = self.0.iter().filter(|peer| peer.body == round.body && peer.kind != Kind::Atoll);
        let cpu_of_peers: Vec<Vec<f64>> = peers.map(|peer| peer.all(|sample| sample.cpu_us)).collect();
        let best = cpu_of_peers.iter().min_by(|a, b| {
            let median = |figures: &[f64]| Spread::of(figures).map_or(f64::INFINITY, |spread| spread.median);
            median(a).total_cmp(&median(b))
        })?;
        let by_better = Spread::of_ratio(&cpu, best)?;
        Some(Row {
            body: round.body.as_str(),
            proxy: round.kind,
            cpu_us: Spread::of(&cpu)?,
            user_us: round.figure(|sample| sample.user_us)?,
            per_s: round.figure(|sample| sample.per_s)?.median,
            p99_ms: round.figure(|sample| sample.p99_ms)?.median,
            by_better,
            met: (round.kind == Kind::Atoll).then_some(by_better.median <= CPU_BAR),
        })
    }
}

impl Round {
    fn all(&self, figure: fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(figure).collect()
    }

    fn figure(&self, figure: fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(&self.all(figure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.33ms  740.00us  10.00ms   80.12%\n  \
        Latency Distribution\n     50%    1.20ms\n     75%    1.60ms\n     90%    2.10ms\n     99%    3.30ms\n  \
        54321 requests in 1.00s, 8.00MB read\nRequests/sec:  54000.50\nTransfer/sec:      8.00MB\n";

    #[track_caller]
    fn check(more: &str, failed: u64) {
        let said = Said { requests: 54_321, per_s: 54_000.5, p99_ms: 3.3, failed };
        assert_eq!(Said::parse(&format!("{SAID}{more}")), Some(said), "{more}");
    }

    #[test]
    fn figures_are_read_from_what_wrk_says() {
        check("", 0);
        check("  Non-2xx or 3xx responses: 7\n", 7);
        check("  Socket errors: connect 1, read 2, write 0, timeout 4\n", 7);
        check("  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 3\n", 10);
        assert_eq!(Said::parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
    }

    #[test]
    fn times_have_units() {
        assert_eq!(millis("500.00us"), Some(0.5));
        assert_eq!(millis("1.50ms"), Some(1.5));
        assert_eq!(millis("1.01s"), Some(1010.0));
        assert_eq!(millis("1.01"), None);
    }

    #[test]
    fn a_ratio_is_by_the_cheaper_of_the_peers() {
        let sample = |cpu_us, per_s| Sample { cpu_us, user_us: 1.0, per_s, p99_ms: 1.0, others: Others::default() };
        let round = |kind, cpu_us, per_s| Round { body: Body::Small, kind, samples: vec![sample(cpu_us, per_s)] };
        let rounds = Rounds(vec![
            round(Kind::Nginx, 20.0, 30_000.0),
            round(Kind::HaProxy, 16.0, 40_000.0),
            round(Kind::Atoll, 24.0, 50_000.0),
        ]);
        let rows = rounds.rows().unwrap();
        assert_eq!(rows.iter().map(|row| row.by_better.median).collect::<Vec<_>>(), [1.25, 1.0, 1.5]);
        assert_eq!(rows.iter().map(|row| row.met).collect::<Vec<_>>(), [None, None, Some(false)]);
        assert_eq!(rounds.half_load().unwrap(), 15_000);
        assert!(Rounds::default().half_load().is_err());
    }
}
