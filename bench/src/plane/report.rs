//! The figures as a person reads them, and as a program does.

use std::fmt::Write as _;

use serde::Serialize;

use super::latency::Row;
use crate::{
    figure::{Figure, columns},
    machine::Machine,
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
    /// For the terminal.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.circumstances() {
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(text, "\n{}", self.tables());
        text
    }

    /// For a file.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# {}, {}\n\n", self.bench, self.date);
        for line in self.circumstances() {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(text, "\n```\n{}```\n", self.tables());
        text
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
            format!(
                "load average {:.2} before, {:.2} after; all other processes used {:.2} cores meanwhile",
                surroundings.load_before, surroundings.load_after, surroundings.others_cores
            ),
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
        let spread = |s: &Spread| format!("{:.2} ({:.2}–{:.2})", s.median, s.min, s.max);
        [
            self.case.clone(),
            spread(&self.atoll_ms),
            spread(&self.etcd_ms),
            spread(&self.ratio),
            format!("≤ {:.1}", self.bar),
            if self.met { "met" } else { "MISSED" }.to_owned(),
            format!("{:.2} / {:.2}", self.atoll_answer_ms.median, self.etcd_answer_ms.median),
        ]
    }
}
