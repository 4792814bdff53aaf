//! The figures as a person reads them, and as a program does.

use std::fmt;

use serde::Serialize;

use super::cases::{CLIENTS, KEYS, VALUE_BYTES};
use crate::{
    figure::{columns, mark},
    machine::Machine,
    page::Page,
    stats::Spread,
};

/// Everything that was found. Serialised, it is the output of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    /// UTC, RFC 3339, at the end.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) settings: Settings,
    pub(crate) surroundings: Surroundings,
    pub(crate) rows: Vec<Row>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) atoll: String,
    pub(crate) redis_server: String,
    pub(crate) redis_benchmark: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    /// Of a measurement without pipeline.
    pub(crate) ops: u64,
    pub(crate) runs: u32,
    pub(crate) pinned: bool,
}

/// How quiet it was.
#[derive(Debug, Serialize)]
pub(crate) struct Surroundings {
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
    /// Cores that neither the servers nor the load generator kept busy, on average.
    pub(crate) others_cores: f64,
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "load average {:.2} before, {:.2} after; all other processes used {:.2} cores meanwhile",
            self.load_before, self.load_after, self.others_cores
        )
    }
}

/// One case.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) op: &'static str,
    pub(crate) pipeline: u32,
    pub(crate) atoll_cpu_us: Spread,
    pub(crate) redis_cpu_us: Spread,
    /// Medians.
    pub(crate) atoll_ops_per_s: f64,
    pub(crate) redis_ops_per_s: f64,
    pub(crate) ratio: Spread,
    pub(crate) bar: Option<f64>,
    /// `None`: there is no bar.
    pub(crate) met: Option<bool>,
}

impl Report {
    pub(crate) fn page(&self) -> Page {
        let title = format!("{}, {}", self.bench, self.date);
        Page { title, circumstances: self.circumstances(), tables: self.table() }
    }

    fn circumstances(&self) -> Vec<String> {
        let Self { machine, versions, settings, surroundings, .. } = self;
        let pinned =
            if settings.pinned { "server and load generator on a core each" } else { "nothing pinned to a core" };
        let mut lines = vec![
            format!(
                "Atoll {}; redis-server {}; redis-benchmark {}",
                versions.atoll, versions.redis_server, versions.redis_benchmark
            ),
            format!("{} cores, {}, Linux {}; {pinned}", machine.cores, machine.cpu, machine.kernel),
            format!(
                "{} runs; {} operations each, {} with pipeline; {CLIENTS} connections, {KEYS} keys, {VALUE_BYTES}-byte values; both sides everysec",
                settings.runs,
                settings.ops,
                4 * settings.ops
            ),
            surroundings.to_string(),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    fn table(&self) -> String {
        let head = ["op", "Atoll µs/op", "redis-server µs/op", "ratio", "bar", "", "ops/s seen"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.rows.iter().map(Row::cells));
        let mut table = columns(&rows);
        table.push_str(
            "CPU time of the server process per operation: median of runs (smallest–largest); ratio of the medians\n",
        );
        table
    }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        [
            if self.pipeline > 1 { format!("{} -P {}", self.op, self.pipeline) } else { self.op.to_owned() },
            self.atoll_cpu_us.to_string(),
            self.redis_cpu_us.to_string(),
            self.ratio.to_string(),
            self.bar.map_or("–".to_owned(), |bar| format!("≤ {bar:.1}")),
            self.met.map_or("", mark).to_owned(),
            format!("{:.0}k / {:.0}k", self.atoll_ops_per_s / 1e3, self.redis_ops_per_s / 1e3),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(op: &'static str, pipeline: u32, ratio: f64, bar: Option<f64>) -> Row {
        let spread = |median: f64| Spread { median, min: median - 0.5, max: median + 0.5 };
        Row {
            op,
            pipeline,
            atoll_cpu_us: spread(10.0 * ratio),
            redis_cpu_us: spread(10.0),
            atoll_ops_per_s: 70_000.0,
            redis_ops_per_s: 99_900.0,
            ratio: spread(ratio),
            bar,
            met: bar.map(|bar| ratio <= bar),
        }
    }

    fn report() -> Report {
        Report {
            bench: "redis-protocol",
            date: "2026-01-02T03:04:05Z".into(),
            machine: Machine { cpu: "Some CPU".into(), cores: 2, kernel: "6.1".into() },
            versions: Versions {
                atoll: "0.1.0 (abc)".into(),
                redis_server: "7.0.15".into(),
                redis_benchmark: "7.0.14".into(),
            },
            settings: Settings { ops: 1000, runs: 3, pinned: true },
            surroundings: Surroundings { load_before: 0.5, load_after: 1.5, others_cores: 0.25 },
            rows: vec![row("SET", 1, 1.25, Some(1.5)), row("INCR", 1, 1.0, None), row("GET", 16, 2.5, Some(2.0))],
            warnings: vec!["the host is loaded".into()],
        }
    }

    #[test]
    fn the_report_says_what_was_measured_where_and_which_bars_are_missed() {
        let wanted = "\
# redis-protocol, 2026-01-02T03:04:05Z

- Atoll 0.1.0 (abc); redis-server 7.0.15; redis-benchmark 7.0.14
- 2 cores, Some CPU, Linux 6.1; server and load generator on a core each
- 3 runs; 1000 operations each, 4000 with pipeline; 50 connections, 100000 keys, 64-byte values; both sides everysec
- load average 0.50 before, 1.50 after; all other processes used 0.25 cores meanwhile
- warning: the host is loaded

```
op         Atoll µs/op          redis-server µs/op  ratio             bar            ops/s seen
SET        12.50 (12.00–13.00)  10.00 (9.50–10.50)  1.25 (0.75–1.75)  ≤ 1.5  met     70k / 100k
INCR       10.00 (9.50–10.50)   10.00 (9.50–10.50)  1.00 (0.50–1.50)  –              70k / 100k
GET -P 16  25.00 (24.50–25.50)  10.00 (9.50–10.50)  2.50 (2.00–3.00)  ≤ 2.0  MISSED  70k / 100k
CPU time of the server process per operation: median of runs (smallest–largest); ratio of the medians
```
";
        assert_eq!(report().page().markdown(), wanted);
        assert!(report().page().text().starts_with("Atoll 0.1.0 (abc); redis-server 7.0.15"));
    }

    #[test]
    fn programs_get_the_same_figures() {
        let json: serde_json::Value = serde_json::to_value(report()).unwrap();
        assert_eq!(json["rows"][0]["ratio"]["median"], 1.25);
        assert_eq!(json["rows"][1]["met"], serde_json::Value::Null);
        assert_eq!(json["rows"][2]["met"], false);
        assert_eq!(json["versions"]["redis_server"], "7.0.15");
    }
}
