//! The gate: which Plan is in force here. Plans come in any order and any number of times; what is shown only grows.
//!
//! A Plan that comes again under the number in force is compared with it: the member's word stands, so that a content that went
//! wrong here does not stay wrong until the next decision.
//!
//! One owner, so comparing and taking are one step. Disk first, then the readers, so that a restart does not fall behind what
//! was shown; unless the disk hangs, since a failover that waits for a sick disk is none.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

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

/// Says what is wrong with a Plan.
pub(crate) type Examine = fn(&Plan) -> Result<(), String>;

pub(crate) struct Keeper {
    held: Option<PlanId>,
    /// Sum of the message that the Plan in force came with; none if it came from disk.
    sum: Option<String>,
    pub(crate) examine: Examine,
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
    /// The one in force is newer.
    NotNewer,
    /// It is the one in force.
    Confirmed,
    /// It has the number of the one in force, and another content: it has taken its place.
    Healed,
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
            sum: None,
            examine,
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

    /// A Plan came, in a message with that sum. It is taken only if it is newer than any before it, and valid.
    pub(crate) async fn offer(&mut self, plan: Plan, sum: Option<String>) -> Offered {
        match self.held {
            Some(held) if held > plan.id => {
                self.leave_aside(held, plan.id);
                return Offered::NotNewer;
            }
            Some(held) if held == plan.id && self.shows(&plan) => {
                self.confirm(sum);
                return Offered::Confirmed;
            }
            _ => {}
        }
        if let Err(why) = isolated(self.examine, &plan) {
            self.poisoned(&format!("Plan {} is not usable: {why}", plan.id));
            return Offered::Poisoned;
        }
        let heals = self.held == Some(plan.id);
        if heals {
            warn!(plan = %plan.id, "the Plan in force was not what its number stands for, and is put right");
            self.report.send_modify(|report| report.healed += 1);
        }
        self.sum = sum;
        self.take(Arc::new(plan)).await;
        if heals { Offered::Healed } else { Offered::Taken }
    }

    fn shows(&self, plan: &Plan) -> bool {
        self.shown.borrow().as_deref() == Some(plan)
    }

    /// It is what we have. The writer looks whether the disk has it too.
    fn confirm(&mut self, sum: Option<String>) {
        self.sum = sum;
        self.to_write.send_replace(self.shown.borrow().clone());
        self.report.send_modify(|report| report.confirmed += 1);
    }

    fn leave_aside(&self, held: PlanId, id: PlanId) {
        self.report.send_modify(|report| report.not_newer += 1);
        if held.lineage != id.lineage {
            self.trouble(format!("Plan {id} is of an earlier lineage than {held}: its sender must rejoin this world"));
        }
    }

    /// A member says which content its Plan has. Another one than ours is counted; its next whole Plan puts it right.
    pub(crate) fn compare(&self, theirs: Option<PlanId>, sum: Option<&str>) {
        let ours = self.sum.as_deref();
        if theirs == self.held && ours.is_some() && sum.is_some() && ours != sum {
            self.report.send_modify(|report| report.mismatched += 1);
        }
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

/// Whether a Plan is one that can be in force: valid in itself.
fn examine(plan: &Plan) -> Result<(), String> {
    plan.world.validate().map_err(|e| format!("its world is not valid: {e}"))
}

/// Examines a Plan so that a fault of ours costs the Plan and not the follower.
fn isolated(examine: Examine, plan: &Plan) -> Result<(), String> {
    let examined = panic::catch_unwind(AssertUnwindSafe(|| examine(plan)));
    examined.unwrap_or_else(|_| Err("looking at it made this program panic, which is a fault of the program".into()))
}
