//! The gate: which Plan is in force here. Plans come in any order and any number of times; what is shown only grows.
//!
//! One owner, so comparing and taking are one step. Disk first, then the readers, so that a restart does not fall behind what
//! was shown; unless the disk hangs, since a failover that waits for a sick disk is none.

use std::{sync::Arc, time::Duration};

use model::{Plan, PlanId};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    FollowerReport,
    plan_file::PlanFile,
    writer::{Writer, wait_written},
};

/// A healthy disk syncs a few kilobytes in a fraction of this.
const DISK_PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Keeper {
    held: Option<PlanId>,
    shown: watch::Sender<Option<Arc<Plan>>>,
    to_write: watch::Sender<Option<Arc<Plan>>>,
    written: watch::Receiver<Option<PlanId>>,
    report: watch::Sender<FollowerReport>,
}

/// What became of a Plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in force.
    Taken,
    /// The one in force is as new or newer.
    NotNewer,
    /// It is not valid in itself.
    Poisoned,
}

impl Keeper {
    /// A keeper that holds the Plan on disk, and the writer that must run beside it.
    pub(crate) fn new(file: PlanFile, last: Option<Plan>, report: watch::Sender<FollowerReport>) -> (Self, Writer) {
        let held = last.as_ref().map(|plan| plan.id);
        let to_write = watch::Sender::new(None);
        let written = watch::Sender::new(held);
        report.send_modify(|report| (report.plan, report.on_disk) = (held, held));
        let keeper = Self {
            held,
            shown: watch::Sender::new(last.map(Arc::new)),
            written: written.subscribe(),
            report: report.clone(),
            to_write: to_write.clone(),
        };
        (keeper, Writer { file, latest: to_write.subscribe(), written, report })
    }

    /// The Plan in force.
    pub(crate) fn plans(&self) -> watch::Receiver<Option<Arc<Plan>>> {
        self.shown.subscribe()
    }

    /// Its number.
    pub(crate) fn held(&self) -> Option<PlanId> {
        self.held
    }

    /// A Plan came. It is taken only if it is newer than any before it, and valid.
    pub(crate) async fn offer(&mut self, plan: Plan) -> Offered {
        if let Some(held) = self.held.filter(|&held| held >= plan.id) {
            self.report.send_modify(|report| report.not_newer += 1);
            if held.lineage != plan.id.lineage {
                self.trouble(format!(
                    "Plan {} is of an earlier lineage than {held}: its sender must rejoin this world",
                    plan.id
                ));
            }
            return Offered::NotNewer;
        }
        if let Err(e) = plan.world.validate() {
            self.poisoned(&format!("Plan {} holds a world that is not valid: {e}", plan.id));
            return Offered::Poisoned;
        }
        self.take(Arc::new(plan)).await;
        Offered::Taken
    }

    /// A message made no sense.
    pub(crate) fn poisoned(&self, why: &str) {
        self.report.send_modify(|report| report.poisoned += 1);
        self.trouble(format!("{why}; the Plan in force stays"));
    }

    async fn take(&mut self, plan: Arc<Plan>) {
        let id = plan.id;
        self.held = Some(id);
        self.to_write.send_replace(Some(Arc::clone(&plan)));
        wait_written(&mut self.written, id, DISK_PATIENCE).await;
        info!(plan = %id, made_by = plan.made_by, "a new Plan is in force");
        self.shown.send_replace(Some(plan));
        self.report.send_modify(|report| {
            report.plan = Some(id);
            report.taken += 1;
        });
    }

    fn trouble(&self, what: String) {
        warn!("{what}");
        self.report.send_modify(|report| report.trouble = Some(what));
    }
}
