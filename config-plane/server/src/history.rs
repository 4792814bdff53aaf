//! The latest Plans that this member saw, for `plan show VERSION`. Not replicated, not stored: the log is the history that counts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use model::Plan;

/// How many Plans are kept.
const KEPT: usize = 64;

/// Plans, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Arc<Plan>>>);

impl History {
    /// Remembers a Plan, forgetting the oldest if need be.
    pub(crate) fn remember(&self, plan: Arc<Plan>) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == KEPT {
            plans.pop_front();
        }
        plans.push_back(plan);
    }

    /// The Plan of that version. Of two lineages with the same version, the newer one's.
    pub(crate) fn version(&self, version: u64) -> Option<Arc<Plan>> {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.iter().rev().find(|plan| plan.id.version == version).cloned()
    }
}
