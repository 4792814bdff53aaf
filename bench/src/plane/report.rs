//! The figures as a person reads them, and as a program does.

use std::fmt::Write as _;

use serde::Serialize;

use super::latency::Row;
use crate::{
    figure::{Figure, columns, mark},
    machine::Machine,
    page::Page,
    redis_protocol::Surroundings,
};

/// Everything that was found. Serialised, it is the output of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    /// UTC, RFC 3339, at the end.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) atoll: String,
    pub(super) etcd: Option<String>,
    pub(super) settings: Settings,
    pub(super) surroundings: Surroundings,
    pub(super) latency: Vec<Row>,
    pub(super) idle: Vec<Figure>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) runs: u32,
    /// Of each run, on each side.
    pub(super) writes: u64,
    pub(super) names: u64,
    pub(super) seconds: u64,
}

impl Report {
    pub(super) fn page(&self) -> Page {
        let title = format!("{}, {}", self.bench, self.date);
        Page { title, circumstances: self.circumstances(), tables: self.tables() }
    }

    fn circumstances(&self) -> Vec<String> {
        let Self { machine, settings, surroundings, .. } = self;
        let etcd = self.etcd.as_ref().map_or(String::new(), |version| format!("; etcd {version}"));
        let mut lines = vec![
            format!("Atoll {}{etcd}", self.atoll),
            format!("{} cores, {}, Linux {}", machine.cores, machine.cpu, machine.kernel),
            format!(
                "{} runs of {} writes on each side; days of {} s, {} names",
                settings.runs, settings.writes, settings.seconds, settings.names
            ),
            surroundings.to_string(),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        if !self.latency.is_empty() {
            let head = ["from a write to the last of", "Atoll ms", "etcd ms", "ratio", "bar", "", "answered, ms"];
            let rows: Vec<_> =
                [head.map(str::to_owned)].into_iter().chain(self.latency.iter().map(Row::cells)).collect();
            text.push_str(&columns(&rows));
            text.push_str("median of runs' medians (smallest–largest); ratio of the medians\n");
        }
        if !self.latency.is_empty() && !self.idle.is_empty() {
            text.push('\n');
        }
        for figure in &self.idle {
            let _ = writeln!(text, "{}", figure.line());
        }
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        [
            self.case.clone(),
            self.atoll_ms.to_string(),
            self.etcd_ms.to_string(),
            self.ratio.to_string(),
            format!("≤ {:.1}", self.bar),
            mark(self.met).to_owned(),
            format!("{:.2} / {:.2}", self.atoll_answer_ms.median, self.etcd_answer_ms.median),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figure::Bar, stats::Spread};

    fn report() -> Report {
        let spread = |median: f64| Spread { median, min: median - 0.5, max: median + 0.5 };
        let row = |case: &str, ratio: f64| Row {
            case: case.into(),
            atoll_ms: spread(2.0 * ratio),
            etcd_ms: spread(2.0),
            ratio: spread(ratio),
            atoll_answer_ms: spread(1.5),
            etcd_answer_ms: spread(1.0),
            bar: 1.0,
            met: ratio <= 1.0,
        };
        Report {
            bench: "plane",
            date: "2026-01-02".into(),
            machine: Machine { cpu: "Some CPU".into(), cores: 2, kernel: "6.1".into() },
            atoll: "0.1.0 (abc)".into(),
            etcd: Some("3.4.23".into()),
            settings: Settings { runs: 5, writes: 60, names: 100, seconds: 30 },
            surroundings: Surroundings { load_before: 0.5, load_after: 1.5, others_cores: 0.25 },
            latency: vec![row("3 watchers", 0.75), row("50 watchers", 1.25)],
            idle: vec![Figure::new("a member: memory", 31.0, "MB", Some(Bar::AtMost(30.0)))],
            warnings: vec!["the host is loaded".into()],
        }
    }

    #[test]
    fn the_report_says_what_was_measured_where_and_which_bars_are_missed() {
        let wanted = "\
# plane, 2026-01-02

- Atoll 0.1.0 (abc); etcd 3.4.23
- 2 cores, Some CPU, Linux 6.1
- 5 runs of 60 writes on each side; days of 30 s, 100 names
- load average 0.50 before, 1.50 after; all other processes used 0.25 cores meanwhile
- warning: the host is loaded

```
from a write to the last of  Atoll ms          etcd ms           ratio             bar            answered, ms
3 watchers                   1.50 (1.00–2.00)  2.00 (1.50–2.50)  0.75 (0.25–1.25)  ≤ 1.0  met     1.50 / 1.00
50 watchers                  2.50 (2.00–3.00)  2.00 (1.50–2.50)  1.25 (0.75–1.75)  ≤ 1.0  MISSED  1.50 / 1.00
median of runs' medians (smallest–largest); ratio of the medians

a member: memory                                                            31.0  MB        ≤ 30          MISSED
```
";
        assert_eq!(report().page().markdown(), wanted);
        assert!(report().page().text().starts_with("Atoll 0.1.0 (abc); etcd 3.4.23"));
    }

    #[test]
    fn half_a_report_has_half_the_tables() {
        let idle = Report { latency: Vec::new(), etcd: None, ..report() };
        assert!(
            !idle.page().text().contains("etcd") && idle.page().text().contains("\n\na member: memory"),
            "{}",
            idle.page().text()
        );
        let json: serde_json::Value = serde_json::to_value(idle).unwrap();
        assert_eq!(json["idle"][0]["met"], false);
    }
}
