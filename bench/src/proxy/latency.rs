//! How much later an answer comes through a proxy, at a rate that all of them can stand.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{
    Body, Effort, Others, P50_BAR_US, P99_BAR_US,
    busy::Clocks,
    offer::Offered,
    report::Delay,
    servers::{Kind, Server, Upstream},
};
use crate::{
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
pub(super) fn measure(upstream: &Upstream, rate: u32, effort: Effort, pins: Option<Pins>) -> anyhow::Result<Latencies> {
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        servers.push(Server::proxy(kind, upstream, pins)?);
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
            let before = Clocks::read(pid, upstream.pid())?;
            let start = Instant::now();
            let sample = drive(addr, rate, effort.seconds, pins)
                .with_context(|| latencies.ways[which].through.map_or("straight", Kind::as_str))?;
            let (_, _, others) = Clocks::read(pid, upstream.pid())?.since(&before, start.elapsed().as_secs_f64());
            latencies.others.push(others);
            latencies.ways[which].samples.push(sample);
        }
    }
    Ok(latencies)
}

fn drive(addr: SocketAddr, rate: u32, seconds: u64, pins: Option<Pins>) -> anyhow::Result<Offered> {
    let binary = std::env::current_exe().context("cannot find this binary")?;
    let mut command = tools::on_core(pins.map(|pins| pins.load), OsStr::new(&binary));
    command.args(["offer", "--addr", &addr.to_string(), "--path", Body::Small.path()]);
    command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--connections", &CONNECTIONS.to_string()]);
    let printed = tools::output(command, Duration::from_secs(30 + seconds))?;
    serde_json::from_str(&printed).with_context(|| format!("the generator said {printed:?}"))
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
        let sample = |p50_us, p99_us| Offered { requests: 1, p50_us, p99_us, late_p99_us: 5.0 };
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
