//! The figures as a person reads them, and as a program does.

use std::fmt::Write as _;

use serde::Serialize;

use super::{ALONE_BAR_MB, CPU_BAR, IDLE_BAR_BYTES, P50_BAR_US, P99_BAR_US, servers::Kind};
use crate::{
    figure::{columns, mark},
    machine::Machine,
    page::Page,
    redis_protocol::Surroundings,
    stats::Spread,
};

/// Everything that was found. Serialised, it is the output of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    /// UTC, RFC 3339, at the end.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) versions: Versions,
    pub(super) settings: Settings,
    pub(super) surroundings: Surroundings,
    pub(super) rows: Vec<Row>,
    pub(super) delays: Vec<Delay>,
    pub(super) memory: Vec<Memory>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Versions {
    pub(super) atoll: String,
    pub(super) nginx: String,
    pub(super) haproxy: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) runs: u32,
    /// Of each measurement.
    pub(super) seconds: u64,
    pub(super) idle_connections: u32,
    /// Requests a second while latency was measured.
    pub(super) rate: Option<u32>,
    pub(super) pinned: bool,
}

/// One proxy and one kind of answer, as fast as can be.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) body: &'static str,
    pub(super) proxy: Kind,
    pub(super) cpu_us: Spread,
    pub(super) user_us: Spread,
    /// Medians.
    pub(super) per_s: f64,
    pub(super) p99_ms: f64,
    /// CPU time by that of the cheaper one of nginx and HAProxy.
    pub(super) by_better: Spread,
    pub(super) met: Option<bool>,
}

/// One way to the upstream at a fixed rate.
#[derive(Debug, Serialize)]
pub(super) struct Delay {
    /// `None`: straight.
    pub(super) through: Option<Kind>,
    pub(super) p50_us: Spread,
    pub(super) p99_us: Spread,
    pub(super) added_p50_us: Spread,
    pub(super) added_p99_us: Spread,
    /// Whatever the machine did meanwhile.
    pub(super) whole_p99_us: f64,
    /// Of the generator itself.
    pub(super) late_p99_us: f64,
    pub(super) met: Option<bool>,
}

/// What one proxy keeps in memory.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) proxy: Kind,
    pub(super) alone_mb: Spread,
    pub(super) each_bytes: Spread,
    pub(super) met: Option<bool>,
}

impl Report {
    pub(super) fn page(&self) -> Page {
        let title = format!("{}, {}", self.bench, self.date);
        Page { title, circumstances: self.circumstances(), tables: self.tables() }
    }

    fn circumstances(&self) -> Vec<String> {
        let Self { machine, versions, settings, surroundings, .. } = self;
        let pinned = match settings.pinned {
            true => "proxies on one core, load and upstream on the other",
            false => "nothing pinned to a core",
        };
        let rate = settings.rate.map_or(String::new(), |rate| format!("; latency at {rate} requests/s"));
        let mut lines = vec![
            format!("Atoll {}; nginx {}; HAProxy {}", versions.atoll, versions.nginx, versions.haproxy),
            format!("{} cores, {}, Linux {}; {pinned}", machine.cores, machine.cpu, machine.kernel),
            format!(
                "{} runs of {} s for each proxy and kind of answer; wrk -t1 -c64, connections kept on both sides{rate}",
                settings.runs, settings.seconds
            ),
            surroundings.to_string(),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    fn tables(&self) -> String {
        let tables = [self.requests(), self.latency(), self.idle()];
        tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn requests(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let head =
            ["answer", "proxy", "µs/request", "outside kernel", "by the better", "", "requests/s seen", "p99 seen, ms"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.rows.iter().map(Row::cells));
        let mut text = columns(&rows);
        let _ = writeln!(
            text,
            "CPU time of the proxy per request: median of runs (smallest–largest); ratios of the medians\n\
             bar for Atoll: ≤ {CPU_BAR} by the better one of nginx and HAProxy"
        );
        text
    }

    fn latency(&self) -> String {
        if self.delays.is_empty() {
            return String::new();
        }
        let head = [
            "way",
            "p50, µs",
            "p99, µs",
            "added to p50",
            "added to p99",
            "",
            "p99 over all, µs",
            "generator late, p99",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.delays.iter().map(Delay::cells));
        let mut text = columns(&rows);
        let _ = writeln!(
            text,
            "latency at a fixed rate, answers of 12 bytes, proxies before all else on a core kept awake: median of runs (smallest–largest)\n\
             p99: the median of those of all tenths of a second; added: less the straight way of the same run\n\
             bars for Atoll: ≤ {P50_BAR_US} µs added to p50, ≤ {P99_BAR_US} µs to p99"
        );
        text
    }

    fn idle(&self) -> String {
        if self.memory.is_empty() {
            return String::new();
        }
        let head = ["proxy", "MB alone", "bytes per idle connection", ""];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.memory.iter().map(Memory::cells));
        let mut text = columns(&rows);
        let _ = writeln!(
            text,
            "resident memory, program text included; growth by {} kept connections, each of use once\n\
             bars for Atoll: ≤ {ALONE_BAR_MB} MB alone, ≤ {IDLE_BAR_BYTES} bytes per connection",
            self.settings.idle_connections
        );
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        [
            self.body.to_owned(),
            self.proxy.as_str().to_owned(),
            self.cpu_us.to_string(),
            format!("{:.2}", self.user_us.median),
            self.by_better.to_string(),
            self.met.map_or("", mark).to_owned(),
            format!("{:.0}k", self.per_s / 1e3),
            format!("{:.1}", self.p99_ms),
        ]
    }
}

impl Delay {
    fn cells(&self) -> [String; 8] {
        let whole = |spread: &Spread| format!("{:.0} ({:.0}–{:.0})", spread.median, spread.min, spread.max);
        let added = |spread: &Spread| if self.through.is_none() { String::new() } else { whole(spread) };
        [
            self.through.map_or("straight", Kind::as_str).to_owned(),
            whole(&self.p50_us),
            whole(&self.p99_us),
            added(&self.added_p50_us),
            added(&self.added_p99_us),
            self.met.map_or("", mark).to_owned(),
            format!("{:.0}", self.whole_p99_us),
            format!("{:.0} µs", self.late_p99_us),
        ]
    }
}

impl Memory {
    fn cells(&self) -> [String; 4] {
        let each = &self.each_bytes;
        [
            self.proxy.as_str().to_owned(),
            format!("{:.1}", self.alone_mb.median),
            format!("{:.0} ({:.0}–{:.0})", each.median, each.min, each.max),
            self.met.map_or("", mark).to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_was_measured_where_and_which_bars_are_missed() {
        let spread = |median: f64| Spread { median, min: median - 0.5, max: median + 0.5 };
        let row = |proxy, cpu: f64, met| Row {
            body: "12 bytes",
            proxy,
            cpu_us: spread(cpu),
            user_us: spread(cpu / 10.0),
            per_s: 51_234.0,
            p99_ms: 3.25,
            by_better: spread(cpu / 20.0),
            met,
        };
        let delay = |through, p50: f64, met| Delay {
            through,
            p50_us: spread(p50),
            p99_us: spread(4.0 * p50),
            added_p50_us: spread(p50 - 30.0),
            added_p99_us: spread(4.0 * p50 - 120.0),
            whole_p99_us: 900.0,
            late_p99_us: 12.0,
            met,
        };
        let report = Report {
            bench: "proxy",
            date: "2026-01-02T03:04:05Z".into(),
            machine: Machine { cpu: "Some CPU".into(), cores: 2, kernel: "6.1".into() },
            versions: Versions { atoll: "0.1.0 (abc)".into(), nginx: "1.22".into(), haproxy: "2.6".into() },
            settings: Settings { runs: 3, seconds: 5, idle_connections: 5000, rate: Some(25_000), pinned: true },
            surroundings: Surroundings { load_before: 0.5, load_after: 1.5, others_cores: 0.25 },
            rows: vec![row(Kind::Nginx, 20.0, None), row(Kind::Atoll, 30.0, Some(false))],
            delays: vec![delay(None, 30.0, None), delay(Some(Kind::Atoll), 80.0, Some(true))],
            memory: vec![Memory {
                proxy: Kind::Atoll,
                alone_mb: spread(12.0),
                each_bytes: spread(9000.0),
                met: Some(true),
            }],
            warnings: vec!["the host is loaded".into()],
        };
        let wanted = "\
# proxy, 2026-01-02T03:04:05Z

- Atoll 0.1.0 (abc); nginx 1.22; HAProxy 2.6
- 2 cores, Some CPU, Linux 6.1; proxies on one core, load and upstream on the other
- 3 runs of 5 s for each proxy and kind of answer; wrk -t1 -c64, connections kept on both sides; latency at 25000 requests/s
- load average 0.50 before, 1.50 after; all other processes used 0.25 cores meanwhile
- warning: the host is loaded

```
answer    proxy  µs/request           outside kernel  by the better             requests/s seen  p99 seen, ms
12 bytes  nginx  20.00 (19.50–20.50)  2.00            1.00 (0.50–1.50)          51k              3.2
12 bytes  Atoll  30.00 (29.50–30.50)  3.00            1.50 (1.00–2.00)  MISSED  51k              3.2
CPU time of the proxy per request: median of runs (smallest–largest); ratios of the medians
bar for Atoll: ≤ 1.3 by the better one of nginx and HAProxy

way       p50, µs     p99, µs        added to p50  added to p99        p99 over all, µs  generator late, p99
straight  30 (30–30)  120 (120–120)                                    900               12 µs
Atoll     80 (80–80)  320 (320–320)  50 (50–50)    200 (200–200)  met  900               12 µs
latency at a fixed rate, answers of 12 bytes, proxies before all else on a core kept awake: median of runs (smallest–largest)
p99: the median of those of all tenths of a second; added: less the straight way of the same run
bars for Atoll: ≤ 60 µs added to p50, ≤ 300 µs to p99

proxy  MB alone  bytes per idle connection
Atoll  12.0      9000 (9000–9000)           met
resident memory, program text included; growth by 5000 kept connections, each of use once
bars for Atoll: ≤ 20 MB alone, ≤ 12000 bytes per connection
```
";
        assert_eq!(report.page().markdown(), wanted);
    }
}
