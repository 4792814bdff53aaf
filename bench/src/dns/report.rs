//! The figures as a person reads them, and as a program does.

use std::fmt::Write as _;

use serde::Serialize;

use super::{FLOOR_BAR, GDNSD_BAR};
use crate::{
    figure::{Figure, columns, mark},
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
    pub(super) atoll: String,
    /// Of the peers, if they were measured.
    pub(super) versions: Option<Versions>,
    pub(super) settings: Settings,
    pub(super) surroundings: Surroundings,
    pub(super) rows: Vec<Row>,
    pub(super) figures: Vec<Figure>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Versions {
    pub(super) gdnsd: String,
    pub(super) knot: String,
    pub(super) dnsperf: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) runs: u32,
    /// Of each kind of question to each server, in each run.
    pub(super) seconds: u64,
    pub(super) pinned: bool,
}

/// One server and one kind of question.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) question: &'static str,
    pub(super) server: &'static str,
    pub(super) cpu_us: Spread,
    pub(super) user_us: Spread,
    /// Median.
    pub(super) per_s: f64,
    pub(super) by_gdnsd: Spread,
    pub(super) by_floor: Spread,
    /// Whether both bars are kept, where there are any.
    pub(super) met: Option<bool>,
}

impl Report {
    pub(super) fn page(&self) -> Page {
        let title = format!("{}, {}", self.bench, self.date);
        Page { title, circumstances: self.circumstances(), tables: self.tables() }
    }

    fn circumstances(&self) -> Vec<String> {
        let Self { machine, settings, surroundings, .. } = self;
        let peers = self.versions.as_ref().map_or(String::new(), |versions| {
            format!("; gdnsd {}; Knot {}; dnsperf {}", versions.gdnsd, versions.knot, versions.dnsperf)
        });
        let pinned = if settings.pinned { "servers and load on a core each" } else { "nothing pinned to a core" };
        let mut lines = vec![
            format!("Atoll {}{peers}", self.atoll),
            format!("{} cores, {}, Linux {}; {pinned}", machine.cores, machine.cpu, machine.kernel),
            format!(
                "{} runs of {} s for each server and kind of question; 8 clients, 500 questions under way, UDP over loopback",
                settings.runs, settings.seconds
            ),
            surroundings.to_string(),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            let head =
                ["question", "server", "µs/query", "outside kernel", "by gdnsd", "by floor", "", "queries/s seen"];
            let mut rows = vec![head.map(str::to_owned)];
            rows.extend(self.rows.iter().map(Row::cells));
            text.push_str(&columns(&rows));
            let _ = writeln!(
                text,
                "CPU time of the server process per answered query: median of runs (smallest–largest); ratios of the medians\n\
                 bars for steered answers of Atoll: ≤ {GDNSD_BAR} by gdnsd and ≤ {FLOOR_BAR} by the floor"
            );
        }
        if !self.rows.is_empty() && !self.figures.is_empty() {
            text.push('\n');
        }
        for figure in &self.figures {
            let _ = writeln!(text, "{}", figure.line());
        }
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        [
            self.question.to_owned(),
            self.server.to_owned(),
            self.cpu_us.to_string(),
            format!("{:.2}", self.user_us.median),
            self.by_gdnsd.to_string(),
            self.by_floor.to_string(),
            self.met.map_or("", mark).to_owned(),
            format!("{:.0}k", self.per_s / 1e3),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Bar;

    #[test]
    fn the_report_says_what_was_measured_where_and_which_bars_are_missed() {
        let spread = |median: f64| Spread { median, min: median - 0.5, max: median + 0.5 };
        let row = |server, cpu, met| Row {
            question: "steered",
            server,
            cpu_us: spread(cpu),
            user_us: spread(cpu / 10.0),
            per_s: 123_456.0,
            by_gdnsd: spread(cpu / 5.0),
            by_floor: spread(cpu / 4.0),
            met,
        };
        let report = Report {
            bench: "dns",
            date: "2026-01-02T03:04:05Z".into(),
            machine: Machine { cpu: "Some CPU".into(), cores: 2, kernel: "6.1".into() },
            atoll: "0.1.0 (abc)".into(),
            versions: Some(Versions { gdnsd: "3.8".into(), knot: "3.2".into(), dnsperf: "2.10".into() }),
            settings: Settings { runs: 3, seconds: 5, pinned: true },
            surroundings: Surroundings { load_before: 0.5, load_after: 1.5, others_cores: 0.25 },
            rows: vec![row("gdnsd", 5.0, None), row("Atoll", 6.0, Some(false))],
            figures: vec![Figure::new("an answer", 400.0, "ns", Some(Bar::AtMost(500.0)))],
            warnings: vec!["the host is loaded".into()],
        };
        let wanted = "\
# dns, 2026-01-02T03:04:05Z

- Atoll 0.1.0 (abc); gdnsd 3.8; Knot 3.2; dnsperf 2.10
- 2 cores, Some CPU, Linux 6.1; servers and load on a core each
- 3 runs of 5 s for each server and kind of question; 8 clients, 500 questions under way, UDP over loopback
- load average 0.50 before, 1.50 after; all other processes used 0.25 cores meanwhile
- warning: the host is loaded

```
question  server  µs/query          outside kernel  by gdnsd          by floor                  queries/s seen
steered   gdnsd   5.00 (4.50–5.50)  0.50            1.00 (0.50–1.50)  1.25 (0.75–1.75)          123k
steered   Atoll   6.00 (5.50–6.50)  0.60            1.20 (0.70–1.70)  1.50 (1.00–2.00)  MISSED  123k
CPU time of the server process per answered query: median of runs (smallest–largest); ratios of the medians
bars for steered answers of Atoll: ≤ 1.1 by gdnsd and ≤ 1.15 by the floor

an answer                                                                  400.0  ns        ≤ 500         met
```
";
        assert_eq!(report.page().markdown(), wanted);
    }
}
