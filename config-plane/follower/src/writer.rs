//! The one who writes: takes the latest Plan and brings it to disk, again and again if the disk refuses.
//!
//! A task of its own, so that a disk that hangs delays no failover. Plans in between may be skipped: each is complete.

use std::{sync::Arc, time::Duration};

use model::{Plan, PlanId};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{FollowerReport, plan_file::PlanFile};

/// Between attempts on a disk that refuses.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    pub(crate) file: PlanFile,
    pub(crate) latest: watch::Receiver<Option<Arc<Plan>>>,
    pub(crate) written: watch::Sender<Option<PlanId>>,
    pub(crate) report: watch::Sender<FollowerReport>,
}

impl Writer {
    /// Runs until nobody can send a Plan any more and the last one is written or refused.
    pub(crate) async fn run(mut self) {
        let mut refused = false;
        loop {
            let plan = self.latest.borrow_and_update().clone();
            if let Some(plan) = plan {
                let mut file = self.file;
                let stored = spawn_blocking(move || {
                    let stored = file.store(&plan);
                    (file, stored)
                });
                // A panic in there, or a runtime that shuts down: either way there is nothing left to write with.
                let Ok((file, stored)) = stored.await else { return };
                self.file = file;
                refused = self.note(stored, refused);
            }
            let news = self.latest.changed();
            let closed =
                if refused { timeout(RETRY, news).await.is_ok_and(|news| news.is_err()) } else { news.await.is_err() };
            if closed {
                return;
            }
        }
    }

    /// Says once when the disk begins to refuse, and once when it stops. True while it refuses.
    fn note(&self, stored: std::io::Result<()>, refused: bool) -> bool {
        let on_disk = self.file.written();
        self.report.send_modify(|report| report.on_disk = on_disk);
        match stored {
            Ok(()) => {
                self.written.send_replace(on_disk);
                if refused {
                    info!("the disk takes Plans again");
                }
                false
            }
            Err(e) => {
                let trouble =
                    format!("the Plan cannot be written to disk: {e}; it is in force, but a restart would not know it");
                if !refused {
                    warn!("{trouble}");
                }
                self.report.send_modify(|report| report.trouble = Some(trouble));
                true
            }
        }
    }
}

/// Waits until a Plan is on disk, but not for longer than a healthy disk takes.
pub(crate) async fn wait_written(written: &mut watch::Receiver<Option<PlanId>>, id: PlanId, patience: Duration) {
    // Late or gone: the writer has said what there is to say.
    tokio::select! {
        _ = written.wait_for(|written| written.is_some_and(|written| written >= id)) => {}
        () = sleep(patience) => {}
    }
}
