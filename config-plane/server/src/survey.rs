//! Once a minute: could the loss of each region be carried? If not, people are told before it is lost.
//!
//! Every member looks, since it costs little; the one that leads writes the log line. What was found is at `/v1/survey`, on the
//! event stream as alarms, and in the metrics.

use std::{sync::Arc, time::Duration};

use plane_client::api::human::{LossReport, SurveyReport};
use tokio::time::{Instant, sleep_until};

use crate::{
    clock::unix_ms,
    plane::{Plane, asked_to_stop},
};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(60);
/// From a new Plan to the next look, so that a change of the World does not wait for a minute, and a burst of them costs one look.
const AFTER_CHANGE: Duration = Duration::from_secs(2);

/// Looks until the member stops.
pub(crate) async fn run(plane: Arc<Plane>) {
    let mut plans = plane.consensus.plans();
    let mut stopping = plane.stopping.clone();
    let mut next = Instant::now() + AFTER_CHANGE;
    loop {
        tokio::select! {
            () = sleep_until(next) => {
                look(&plane).await;
                plans.mark_unchanged();
                next = Instant::now() + EVERY;
            }
            changed = plans.changed() => {
                if changed.is_err() { return }
                next = next.min(Instant::now() + AFTER_CHANGE);
            }
            () = asked_to_stop(&mut stopping) => return,
        }
    }
}

async fn look(plane: &Plane) {
    let (state, demand) = (plane.state(), plane.demand().await);
    let at_ms = unix_ms();
    let surveyed = tokio::task::spawn_blocking(move || decision::survey(&state, &demand, at_ms)).await;
    // A world that is not founded has nothing to lose.
    let Ok(Ok(survey)) = surveyed else { return };
    let losses = survey.losses.into_iter().map(|(region, loss)| {
        let cannot = loss.cannot.iter().map(ToString::to_string).collect();
        (region, LossReport { cannot, capacity_left_percent: loss.capacity_left_percent })
    });
    let report = SurveyReport { at_ms: Some(at_ms), losses: losses.collect() };
    let before = plane.survey.send_replace(Arc::new(report.clone()));
    if plane.leads.borrow().ready {
        tell(&before, &report);
    }
}

/// One line for each region of which something new is to be said.
fn tell(before: &SurveyReport, now: &SurveyReport) {
    for (region, loss) in &now.losses {
        let was = before.losses.get(region).map_or(&[][..], |loss| &loss.cannot);
        if loss.cannot.is_empty() && !was.is_empty() {
            tracing::info!(%region, "the loss of this region could be carried again");
        } else if !loss.cannot.is_empty() && loss.cannot != was {
            tracing::warn!(%region, why = loss.cannot.join("; "), "the loss of this region could not be carried");
        }
    }
}
