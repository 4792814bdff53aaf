//! The report of a sweep: every death, and what each phase took over all of them. In: the drills' reports. Out: data for machines,
//! a table for people.
//!
//! Deaths of the region that led the plane are counted apart: the decision waits for a new leader first, which is another figure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    outcome::{Failure, Outcome, verdict},
    report::{Report, Waterfall, seconds},
    spread::Spread,
};

/// Everything a sweep found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// Which drill was repeated.
    pub drill: String,
    /// The loudest outcome of all drills.
    pub outcome: Outcome,
    /// How many deaths were asked for.
    pub times: u32,
    /// What the deaths took whose victim did not lead the plane.
    pub followers: Phases,
    /// What the deaths took whose victim led the plane.
    pub leaders: Phases,
    /// The drills in their order.
    pub deaths: Vec<Report>,
}

/// How long each phase took; `None` where no death got that far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Deaths that were counted.
    pub deaths: usize,
    /// From the fault to the first failed probe.
    pub first_bad_probe: Option<Spread>,
    /// From the fault to the proposal of the decision.
    pub decided: Option<Spread>,
    /// From the fault to the first surviving server's new answer.
    pub first_server: Option<Spread>,
    /// From the fault to the last surviving server's new answer.
    pub last_server: Option<Spread>,
    /// From the restart's "serving" to equal digests everywhere.
    pub converged: Option<Spread>,
    /// From the restart's "serving" until the victim was named to all its users.
    pub back: Option<Spread>,
}

impl SweepReport {
    /// Sums up the drills of a sweep that was to have `times`.
    pub(crate) fn of(times: u32, deaths: Vec<Report>) -> Self {
        let failures: Vec<Failure> = deaths.iter().flat_map(|report| report.failures.iter().cloned()).collect();
        // A sweep without a death proves nothing.
        let outcome = if deaths.is_empty() { Outcome::Vacuous } else { verdict(&failures) };
        Self {
            drill: "lose-region".into(),
            outcome,
            times,
            followers: Phases::of(deaths.iter().filter(|report| !report.victim_led)),
            leaders: Phases::of(deaths.iter().filter(|report| report.victim_led)),
            deaths,
        }
    }
}

impl Phases {
    fn of<'a>(reports: impl Iterator<Item = &'a Report>) -> Self {
        let killed: Vec<&Report> = reports.filter(|report| report.kill.is_some()).collect();
        let phase = |ms: fn(&Waterfall) -> Option<u64>| {
            Spread::of(killed.iter().filter_map(|report| report.waterfall.as_ref().and_then(ms)))
        };
        Self {
            deaths: killed.len(),
            first_bad_probe: phase(|w| w.first_bad_probe_ms),
            decided: phase(|w| Some(w.decided_ms)),
            first_server: phase(|w| Some(w.first_server_ms)),
            last_server: phase(|w| Some(w.last_server_ms)),
            converged: Spread::of(killed.iter().filter_map(|report| report.converged_ms)),
            back: Spread::of(killed.iter().filter_map(|report| report.back_ms)),
        }
    }
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let killed = self.followers.deaths + self.leaders.deaths;
        write!(f, "{}  {} × {}", self.outcome, self.drill, killed)?;
        if killed < self.times as usize {
            write!(f, " of {}", self.times)?;
        }
        for report in &self.deaths {
            for failure in &report.failures {
                write!(f, "\n  {} {}: {}", failure.outcome, report.region, failure.what)?;
            }
        }
        let sum = |count: fn(&Report) -> usize| self.deaths.iter().map(count).sum::<usize>();
        let (acked, asked) = (sum(|r| r.writes.acked), sum(|r| r.dns_asked));
        write!(f, "\n  writes  acked {acked}  lost {}", sum(|r| r.writes.lost))?;
        write!(f, "  resurrected {}  phantom {}", sum(|r| r.writes.resurrected), sum(|r| r.writes.phantom))?;
        write!(f, "\n  dns     {asked} asked  {} empty", sum(|r| r.dns_empty))?;
        write!(f, "  {} unanswered", sum(|r| r.dns_unanswered))?;
        for (who, phases) in [("followers", &self.followers), ("leaders", &self.leaders)] {
            if phases.deaths > 0 {
                write!(f, "\n\n  {:<34}{:>9}{:>9}", format!("{who} of the plane: {}", phases.deaths), "median", "p99")?;
                write!(f, "{phases}")?;
            }
        }
        let few = [&self.followers, &self.leaders].iter().any(|phases| (1..100).contains(&phases.deaths));
        if few { write!(f, "\n\n  p99 of fewer than 100 deaths is the worst of them") } else { Ok(()) }
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("fault → first bad probe", self.first_bad_probe),
            ("fault → decided by quorum", self.decided),
            ("fault → first server's new answer", self.first_server),
            ("fault → last server's new answer", self.last_server),
            ("serving → equal digests", self.converged),
            ("serving → named to all its users", self.back),
        ];
        for (what, spread) in rows {
            let Some(spread) = spread else { continue };
            write!(f, "\n  {what:<34}{:>9}{:>9}", seconds(spread.median_ms), seconds(spread.p99_ms))?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;
    use model::RegionName;

    use super::*;
    use crate::{report::WriteCount, stage::KillProof};

    /// A death that went well.
    pub(crate) fn death(region: &str, victim_led: bool, last_server_ms: u64) -> Report {
        Report {
            drill: "lose-region".into(),
            outcome: Outcome::Pass,
            failures: Vec::new(),
            region: RegionName::new(region).unwrap(),
            name: "www.shop.test.".into(),
            started_ms: 0,
            kill: Some(KillProof { pid: 42, at_ms: 5000, ended: "signal: 9 (SIGKILL)".into() }),
            victim_led,
            waterfall: Some(Waterfall {
                first_bad_probe_ms: Some(300),
                decided_ms: last_server_ms - 100,
                first_server_ms: last_server_ms - 50,
                last_server_ms,
            }),
            writes: WriteCount { acked: 1000, ..WriteCount::default() },
            acked_during_fault: 500,
            dns_asked: 900,
            dns_empty: 0,
            dns_unanswered: 0,
            converged_ms: Some(600),
            back_ms: Some(16_000),
            decisions: 2,
            rollback_clean: true,
        }
    }

    #[test]
    fn leaders_are_counted_apart_and_the_loudest_outcome_counts() {
        let mut bad = death("ap-south", false, 2500);
        bad.failures.push(Failure::new(Outcome::Fail, "the regions still differ after 60s"));
        (bad.outcome, bad.converged_ms) = (Outcome::Fail, None);
        let report = SweepReport::of(
            5,
            vec![death("us-east", true, 3900), death("eu-west", false, 1900), bad, death("us-east", false, 2000)],
        );
        expect![[r#"
            FAIL  lose-region × 4 of 5
              FAIL ap-south: the regions still differ after 60s
              writes  acked 4000  lost 0  resurrected 0  phantom 0
              dns     3600 asked  0 empty  0 unanswered

              followers of the plane: 3            median      p99
              fault → first bad probe              0.30 s   0.30 s
              fault → decided by quorum            1.90 s   2.40 s
              fault → first server's new answer    1.95 s   2.45 s
              fault → last server's new answer     2.00 s   2.50 s
              serving → equal digests              0.60 s   0.60 s
              serving → named to all its users    16.00 s  16.00 s

              leaders of the plane: 1              median      p99
              fault → first bad probe              0.30 s   0.30 s
              fault → decided by quorum            3.80 s   3.80 s
              fault → first server's new answer    3.85 s   3.85 s
              fault → last server's new answer     3.90 s   3.90 s
              serving → equal digests              0.60 s   0.60 s
              serving → named to all its users    16.00 s  16.00 s

              p99 of fewer than 100 deaths is the worst of them"#]]
        .assert_eq(&report.to_string());
        assert_eq!(report.followers.converged.map(|s| s.count), Some(2), "one never converged");
    }

    #[test]
    fn a_drill_that_killed_nobody_is_no_death() {
        let mut aborted = death("eu-west", false, 1900);
        (aborted.kill, aborted.waterfall, aborted.outcome) = (None, None, Outcome::Aborted);
        aborted.failures.push(Failure::new(Outcome::Aborted, "us-east is already out of answers"));
        let report = SweepReport::of(3, vec![aborted]);
        assert_eq!((report.outcome, report.followers.deaths), (Outcome::Aborted, 0));
        assert_eq!(SweepReport::of(0, Vec::new()).outcome, Outcome::Vacuous);
    }
}
