//! How much later an answer comes through a proxy, at a rate that all of them can stand.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{ChildStdin, ChildStdout, Stdio},
    time::Instant,
};

use anyhow::Context;

use super::{
    Effort, Others, P50_BAR_US, P99_BAR_US,
    busy::Clocks,
    offer::{Load, Offered},
    report::Delay,
    servers::{Kind, Place, Server, Upstream},
};
use crate::{
    redis_protocol::Process,
    stats::Spread,
    tools::{self, Pins},
};

/// As many as wrk has.
const CONNECTIONS: usize = 64;

/// What one way to the upstream gave, run by run. `None`: the straight one.
struct Way {
    through: Option<Kind>,
    samples: Vec<Offered>,
}

pub(super) struct Latencies {
    /// Requests a second.
    pub(super) rate: u32,
    ways: Vec<Way>,
    others: Vec<Others>,
}

/// Measures the straight way and each proxy, in turn.
pub(super) fn measure(rate: u32, effort: Effort, pins: Option<Pins>) -> anyhow::Result<Latencies> {
    let mut ends = Ends::start(pins)?;
    let upstream = Upstream::At { addr: ends.addr, pid: ends.process.0.id() };
    let place = match pins {
        Some(pins) if tools::may_go_first() => Place::FirstOn(pins.server),
        Some(pins) => {
            eprintln!("warning: without CAP_SYS_NICE a 99th percentile shows whatever else runs on the proxies' core");
            Place::Core(pins.server)
        }
        None => Place::Anywhere,
    };
    let awake = pins.map(|pins| stay_awake(pins.server)).transpose()?;
    let beside: Vec<u32> = awake.iter().map(|process| process.0.id()).collect();
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        servers.push(Server::proxy_in(kind, &upstream, place)?);
    }
    let ways = [None].into_iter().chain(Kind::ALL.map(Some));
    let mut latencies = Latencies {
        rate,
        ways: ways.map(|through| Way { through, samples: Vec::new() }).collect(),
        others: Vec::new(),
    };
    for run in 0..effort.runs {
        eprintln!("latency: run {} of {}", run + 1, effort.runs);
        let ways = latencies.ways.len();
        for turn in 0..ways {
            let which = (turn + run as usize) % ways;
            // The straight way is the first.
            let (addr, pid) = match which.checked_sub(1) {
                None => (upstream.addr(), upstream.pid()),
                Some(i) => (servers[i].addr(), servers[i].pid()),
            };
            let before = Clocks::read(pid, upstream.pid(), &beside)?;
            let start = Instant::now();
            let load = Load { addr, rate, seconds: effort.seconds, connections: CONNECTIONS };
            let sample =
                ends.offer(&load).with_context(|| latencies.ways[which].through.map_or("straight", Kind::as_str))?;
            let (_, _, others) =
                Clocks::read(pid, upstream.pid(), &beside)?.since(&before, start.elapsed().as_secs_f64());
            latencies.others.push(others);
            latencies.ways[which].samples.push(sample);
        }
    }
    Ok(latencies)
}

/// Keeps a core awake until it is dropped; the load's core never sleeps.
fn stay_awake(core: usize) -> anyhow::Result<Process> {
    Ok(Process(tools::awake(core).spawn().context("cannot run taskset, of the package util-linux")?))
}

/// `offer.rs` on the load's core.
struct Ends {
    process: Process,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
    /// Of the upstream.
    addr: SocketAddr,
}

impl Ends {
    fn start(pins: Option<Pins>) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("cannot find this binary")?;
        let mut command = tools::on_core(pins.map(|pins| pins.load), OsStr::new(&binary));
        command.arg("offer").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().context("cannot start the generator")?);
        let orders = process.0.stdin.take().context("the generator has no stdin")?;
        let mut said = BufReader::new(process.0.stdout.take().context("the generator has no stdout")?);
        let mut line = String::new();
        said.read_line(&mut line).context("the generator does not tell its address")?;
        let addr = line.trim().parse().context("the generator ended before it served; its reason is above")?;
        Ok(Self { process, orders, said, addr })
    }

    /// It ends itself where answers do not come.
    fn offer(&mut self, load: &Load) -> anyhow::Result<Offered> {
        writeln!(self.orders, "{}", serde_json::to_string(load)?).context("the generator takes no orders")?;
        let mut line = String::new();
        self.said.read_line(&mut line).context("the generator does not tell what came of it")?;
        serde_json::from_str(&line).with_context(|| format!("the generator said {line:?}"))
    }
}

impl Latencies {
    pub(super) fn others(&self) -> impl Iterator<Item = Others> {
        self.others.iter().copied()
    }

    pub(super) fn rows(&self) -> Vec<Delay> {
        self.ways.iter().filter_map(|way| self.row(way)).collect()
    }

    fn row(&self, way: &Way) -> Option<Delay> {
        let straight = self.ways.iter().find(|way| way.through.is_none())?;
        let added = |figure: fn(&Offered) -> f64| {
            let pairs = way.samples.iter().zip(&straight.samples);
            Spread::of(&pairs.map(|(through, straight)| figure(through) - figure(straight)).collect::<Vec<_>>())
        };
        let of = |figure: fn(&Offered) -> f64| Spread::of(&way.samples.iter().map(figure).collect::<Vec<_>>());
        let (p50_us, p99_us) = (|o: &Offered| o.p50_us, |o: &Offered| o.p99_us);
        let (added_p50_us, added_p99_us) = (added(p50_us)?, added(p99_us)?);
        let met = added_p50_us.median <= P50_BAR_US && added_p99_us.median <= P99_BAR_US;
        Some(Delay {
            through: way.through,
            p50_us: of(p50_us)?,
            p99_us: of(p99_us)?,
            added_p50_us,
            added_p99_us,
            whole_p99_us: of(|o| o.whole_p99_us)?.median,
            late_p99_us: of(|o| o.late_p99_us)?.median,
            met: (way.through == Some(Kind::Atoll)).then_some(met),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_way_adds_is_by_the_straight_way_of_the_same_run() {
        let sample = |p50_us, p99_us| Offered { requests: 1, p50_us, p99_us, whole_p99_us: p99_us, late_p99_us: 5.0 };
        let way = |through, samples: &[(f64, f64)]| Way {
            through,
            samples: samples.iter().map(|(p50, p99)| sample(*p50, *p99)).collect(),
        };
        // The third run was on a busy machine, for both.
        let latencies = Latencies {
            rate: 1000,
            ways: vec![
                way(None, &[(30.0, 100.0), (30.0, 100.0), (90.0, 900.0)]),
                way(Some(Kind::Atoll), &[(70.0, 300.0), (80.0, 310.0), (130.0, 1500.0)]),
            ],
            others: Vec::new(),
        };
        let rows = latencies.rows();
        assert_eq!(rows[0].added_p50_us.median, 0.0);
        assert_eq!(rows[1].added_p50_us, Spread { median: 40.0, min: 40.0, max: 50.0 });
        assert_eq!(rows[1].added_p99_us, Spread { median: 210.0, min: 200.0, max: 600.0 });
        assert_eq!((rows[0].met, rows[1].met), (None, Some(true)));
    }
}
