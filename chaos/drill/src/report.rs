//! The report: what a drill found, as data for machines and as a block for people.

use std::fmt;

use model::RegionName;
use serde::{Deserialize, Serialize};

use crate::{
    outcome::{Failure, Outcome},
    stage::KillProof,
};

/// Everything a drill found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which drill.
    pub drill: String,
    /// The one word.
    pub outcome: Outcome,
    /// Why it is not PASS; empty if it is.
    pub failures: Vec<Failure>,
    /// Who was lost.
    pub region: RegionName,
    /// The name that was asked for.
    pub name: String,
    /// When it began, Unix milliseconds.
    pub started_ms: u64,
    /// The proof that the fault bit.
    pub kill: Option<KillProof>,
    /// Whether the victim held the raft leader when it died.
    pub victim_led: bool,
    /// From the fault to the last changed answer.
    pub waterfall: Option<Waterfall>,
    /// What became of the writes.
    pub writes: WriteCount,
    /// Acknowledged writes to the survivors while the victim was dead.
    pub acked_during_fault: usize,
    /// DNS questions asked, and how many of a living server's were answered empty or not at all.
    pub dns_asked: usize,
    /// See `dns_asked`.
    pub dns_empty: usize,
    /// See `dns_asked`.
    pub dns_unanswered: usize,
    /// From the restart's "serving" to equal digests in all regions, milliseconds.
    pub converged_ms: Option<u64>,
    /// From the restart's "serving" until the region was named to all its users, milliseconds.
    pub back_ms: Option<u64>,
    /// Verdict changes while the drill ran.
    pub decisions: usize,
    /// The dead region serves again.
    pub rollback_clean: bool,
}

/// The way from the fault to users, each step in milliseconds after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waterfall {
    /// The first probe that failed, by the observers' own clocks.
    pub first_bad_probe_ms: Option<u64>,
    /// The quorum proposed the decision.
    pub decided_ms: u64,
    /// The first surviving server answered without the victim.
    pub first_server_ms: u64,
    /// The last surviving server answered without the victim.
    pub last_server_ms: u64,
}

/// What became of the writes. The worst region counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WriteCount {
    /// Acknowledged.
    pub acked: usize,
    /// Refused with a word.
    pub refused: usize,
    /// Without an answer.
    pub unknown: usize,
    /// Acknowledged and not there.
    pub lost: usize,
    /// Deleted and there.
    pub resurrected: usize,
    /// There, and nobody wrote it.
    pub phantom: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let led = if self.victim_led { ", which held the raft leader" } else { "" };
        writeln!(f, "{}  {} {}{led}", self.outcome, self.drill, self.region)?;
        for failure in &self.failures {
            writeln!(f, "  {}: {}", failure.outcome, failure.what)?;
        }
        if let Some(kill) = &self.kill {
            writeln!(f, "  fault      process {} gone: {}", kill.pid, kill.ended)?;
        }
        if let Some(waterfall) = &self.waterfall {
            write!(f, "{waterfall}")?;
        }
        let w = &self.writes;
        writeln!(f, "  writes     acked {}  unknown {}  refused {}", w.acked, w.unknown, w.refused)?;
        writeln!(f, "             lost {}  resurrected {}  phantom {}", w.lost, w.resurrected, w.phantom)?;
        writeln!(f, "             {} acked by the survivors while {} was dead", self.acked_during_fault, self.region)?;
        writeln!(
            f,
            "  dns        {} asked  {} empty  {} unanswered",
            self.dns_asked, self.dns_empty, self.dns_unanswered
        )?;
        let converged =
            self.converged_ms.map_or("never".into(), |ms| format!("+{} after the region served again", seconds(ms)));
        writeln!(f, "  converged  {converged}")?;
        let back = self.back_ms.map_or("never".into(), |ms| format!("+{} with all its users", seconds(ms)));
        writeln!(f, "  back       {back}")?;
        let rollback = if self.rollback_clean { "clean: every region serves" } else { "INCOMPLETE" };
        write!(f, "  rollback   {rollback};  {} decisions", self.decisions)
    }
}

impl fmt::Display for Waterfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = [
            ("first bad probe", self.first_bad_probe_ms),
            ("decided by quorum", Some(self.decided_ms)),
            ("first server's new answer", Some(self.first_server_ms)),
            ("last server's new answer", Some(self.last_server_ms)),
        ];
        let whole = steps.iter().filter_map(|(_, ms)| *ms).max().unwrap_or(0).max(1);
        writeln!(f, "  failover   0")?;
        for (step, ms) in steps {
            let Some(ms) = ms else { continue };
            let bar = usize::try_from(ms * 30 / whole).unwrap_or(30).min(30);
            writeln!(f, "             {:<30} +{:<7} {step}", "█".repeat(bar.max(1)), seconds(ms))?;
        }
        Ok(())
    }
}

pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_report_reads_from_the_outcome_down() {
        let report = Report {
            drill: "lose-region".into(),
            outcome: Outcome::Fail,
            failures: vec![Failure::new(Outcome::Fail, "2 acknowledged writes are lost in us-east, `a` among them")],
            region: RegionName::new("eu-west").unwrap(),
            name: "www.shop.test.".into(),
            started_ms: 0,
            kill: Some(KillProof { pid: 42, at_ms: 5000, ended: "signal: 9 (SIGKILL)".into() }),
            victim_led: true,
            waterfall: Some(Waterfall {
                first_bad_probe_ms: Some(320),
                decided_ms: 1810,
                first_server_ms: 1850,
                last_server_ms: 1905,
            }),
            writes: WriteCount { acked: 6120, unknown: 3, lost: 2, ..WriteCount::default() },
            acked_during_fault: 3010,
            dns_asked: 900,
            dns_empty: 0,
            dns_unanswered: 0,
            converged_ms: Some(640),
            back_ms: Some(16_210),
            decisions: 2,
            rollback_clean: true,
        };
        expect![[r#"
            FAIL  lose-region eu-west, which held the raft leader
              FAIL: 2 acknowledged writes are lost in us-east, `a` among them
              fault      process 42 gone: signal: 9 (SIGKILL)
              failover   0
                         █████                          +0.32 s  first bad probe
                         ████████████████████████████   +1.81 s  decided by quorum
                         █████████████████████████████  +1.85 s  first server's new answer
                         ██████████████████████████████ +1.90 s  last server's new answer
              writes     acked 6120  unknown 3  refused 0
                         lost 2  resurrected 0  phantom 0
                         3010 acked by the survivors while eu-west was dead
              dns        900 asked  0 empty  0 unanswered
              converged  +0.64 s after the region served again
              back       +16.21 s with all its users
              rollback   clean: every region serves;  2 decisions"#]]
        .assert_eq(&report.to_string());
    }
}
