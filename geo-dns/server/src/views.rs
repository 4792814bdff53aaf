//! Makes Views of Plans: one task, two inputs, one output.
//!
//! Whatever changes, it does the same thing: take the latest Plan and the latest demotions, compile, swap. Changes that come
//! while it compiles are taken together afterwards. A Plan that cannot be compiled changes nothing but the status: the View
//! before it goes on answering.

use std::{collections::BTreeSet, sync::Arc};

use model::{Plan, PlanId, RegionName};
use steering::{View, ViewInputs, geo::Geo};
use tokio::{sync::watch, task::JoinHandle};

use crate::Views;

/// What a publisher needs to know besides what it watches.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The region of this server.
    pub server_region: RegionName,
    /// Where addresses are.
    pub geo: Arc<Geo>,
}

impl Publishing {
    /// With the embedded country table.
    pub fn new(server_region: RegionName) -> Self {
        Self { server_region, geo: Geo::embedded() }
    }
}

/// What is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// The Plan of the View in force.
    pub plan: Option<PlanId>,
    /// The regions it leaves out on this server's own word.
    pub demoted: BTreeSet<RegionName>,
    /// A later Plan that could not be compiled, and why. The World has to be put right.
    pub refused: Option<(PlanId, String)>,
}

/// A running publisher. Dropping it ends it; the last View stays.
#[derive(Debug)]
pub struct ViewPublisher {
    status: watch::Receiver<ViewStatus>,
    task: JoinHandle<()>,
}

impl ViewPublisher {
    /// What is published, and what could not be.
    pub fn status(&self) -> watch::Receiver<ViewStatus> {
        self.status.clone()
    }
}

impl Drop for ViewPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes a View into `views` now, if there is a Plan, and whenever a Plan or a demotion changes; ends with the source of
/// Plans. To be called inside a tokio runtime.
pub fn publish(
    publishing: Publishing,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    demoted: watch::Receiver<BTreeSet<RegionName>>,
    views: Views,
) -> ViewPublisher {
    let (sender, status) = watch::channel(ViewStatus::default());
    let task = tokio::spawn(run(publishing, plans, demoted, views, sender));
    ViewPublisher { status, task }
}

async fn run(
    publishing: Publishing,
    mut plans: watch::Receiver<Option<Arc<Plan>>>,
    mut demoted: watch::Receiver<BTreeSet<RegionName>>,
    views: Views,
    status: watch::Sender<ViewStatus>,
) {
    let mut demotions_end = false;
    loop {
        let plan = plans.borrow_and_update().clone();
        let inputs = ViewInputs {
            server_region: publishing.server_region.clone(),
            demoted: demoted.borrow_and_update().clone(),
            geo: publishing.geo.clone(),
        };
        if let Some(plan) = plan.filter(|plan| is_news(&status.borrow(), plan.id, &inputs.demoted)) {
            bring_out(plan, inputs, &views, &status).await;
        }
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            changed = demoted.changed(), if !demotions_end => demotions_end = changed.is_err(),
        }
    }
}

/// Never back to an older Plan; and nothing to do for the same one.
fn is_news(status: &ViewStatus, plan: PlanId, demoted: &BTreeSet<RegionName>) -> bool {
    status.plan.is_none_or(|current| plan > current || plan == current && *demoted != status.demoted)
}

async fn bring_out(plan: Arc<Plan>, inputs: ViewInputs, views: &Views, status: &watch::Sender<ViewStatus>) {
    let (id, demoted) = (plan.id, inputs.demoted.clone());
    // A large world takes milliseconds, which the runtime's threads have not.
    let compiled = tokio::task::spawn_blocking(move || View::compile(&plan, &inputs)).await;
    let refused = match compiled {
        Ok(Ok(view)) => {
            views.store(Some(Arc::new(view)));
            status.send_replace(ViewStatus { plan: Some(id), demoted, refused: None });
            tracing::debug!(plan = %id, "a new View answers");
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(plan = %id, error = refused, "this Plan cannot be served over DNS; the one before it goes on answering");
    status.send_modify(|status| status.refused = Some((id, refused)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_plans_and_other_demotions_are_news() {
        let id = |lineage, version| PlanId { lineage, version };
        let regions =
            |names: &[&str]| names.iter().map(|name| RegionName::new(*name).unwrap()).collect::<BTreeSet<_>>();
        let status = ViewStatus { plan: Some(id(1, 5)), demoted: regions(&["eu-west"]), refused: None };
        for (plan, demoted, news) in [
            (id(1, 6), regions(&[]), true),
            (id(2, 1), regions(&["eu-west"]), true),
            (id(1, 5), regions(&["eu-west"]), false),
            (id(1, 5), regions(&[]), true),
            (id(1, 4), regions(&[]), false),
            (id(0, 9), regions(&["us-east"]), false),
        ] {
            assert_eq!(is_news(&status, plan, &demoted), news, "{plan} without {demoted:?}");
        }
        assert!(is_news(&ViewStatus::default(), id(0, 0), &regions(&[])));
    }
}
