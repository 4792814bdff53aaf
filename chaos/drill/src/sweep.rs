//! The sweep: the same drill many times in a row on one live world, victims in turn, so that its figures have a spread.

use std::{future::Future, pin::pin};

use model::RegionName;

use crate::{
    lose_region::LoseRegion,
    outcome::{Failure, Outcome},
    report::Report,
    stage::Stage,
    sweep_report::SweepReport,
};

/// The terms of a sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// How many deaths.
    pub times: u32,
    /// Who dies in turn; every region of the world if there are none.
    pub victims: Vec<RegionName>,
    /// The terms of each drill; its victim is left aside.
    pub drill: LoseRegion,
}

impl Sweep {
    /// Runs the drills one after another, each on a world that the one before left whole, until the last one, until one that
    /// leaves doubt about that, or until `abort` resolves.
    pub async fn run<S: Stage>(&self, stage: &S, now_ms: fn() -> u64, abort: impl Future<Output = ()>) -> SweepReport {
        let mut abort = pin!(abort);
        let mut victims = self.victims.clone();
        if victims.is_empty() {
            victims = stage.regions().iter().map(|region| region.name.clone()).collect();
        }
        let mut deaths: Vec<Report> = Vec::new();
        for (number, region) in (1..=self.times).zip(victims.iter().cycle()) {
            let drill = LoseRegion { region: region.clone(), quiet: true, ..self.drill.clone() };
            let report = drill.run(stage, now_ms, abort.as_mut()).await;
            stage.say(&told(number, self.times, &report));
            let goes_on = leaves_the_world_whole(report.outcome);
            deaths.push(report);
            if !goes_on {
                break;
            }
        }
        SweepReport::of(self.times, deaths)
    }
}

/// Whether another drill may follow: a broken promise is told and measured on, but not on a world that may still be hurt.
fn leaves_the_world_whole(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Pass | Outcome::Fail | Outcome::Vacuous => true,
        Outcome::Aborted | Outcome::Harness | Outcome::RollbackIncomplete => false,
    }
}

/// One line for one death.
fn told(number: u32, times: u32, report: &Report) -> String {
    let width = times.to_string().len();
    let led = if report.victim_led { " (leader)" } else { "" };
    let took = |ms: Option<u64>| ms.map_or("never".into(), |ms| format!("+{ms} ms"));
    let last = took(report.waterfall.map(|waterfall| waterfall.last_server_ms));
    let (converged, back) = (took(report.converged_ms), took(report.back_ms));
    let mut line = format!(
        "{number:>width$}/{times} {} {}{led}: last answer {last}, converged {converged}, back {back}",
        report.outcome, report.region
    );
    if let Some(Failure { what, .. }) = report.failures.first() {
        line.push_str(&format!("; {what}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Waterfall, sweep_report::tests::death};

    #[test]
    fn a_death_is_told_in_one_line() {
        let mut report = death("eu-west", true, 1900);
        assert_eq!(
            told(3, 30, &report),
            " 3/30 PASS eu-west (leader): last answer +1900 ms, converged +600 ms, back +16000 ms"
        );
        (report.outcome, report.waterfall, report.back_ms) = (Outcome::Fail, None::<Waterfall>, None);
        report.failures.push(Failure::new(Outcome::Fail, "the regions still differ after 60s"));
        assert_eq!(
            told(4, 4, &report),
            "4/4 FAIL eu-west (leader): last answer never, converged +600 ms, back never; the regions still differ after 60s"
        );
    }

    #[test]
    fn a_sweep_ends_where_the_next_drill_could_meet_a_world_that_is_hurt() {
        use Outcome::*;
        let goes_on = [Pass, Fail, Vacuous, Aborted, Harness, RollbackIncomplete].map(leaves_the_world_whole);
        assert_eq!(goes_on, [true, true, true, false, false, false]);
    }
}
