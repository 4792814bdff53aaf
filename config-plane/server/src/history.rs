//! The latest Plans that this member saw, for `plan history` and `plan show VERSION` and events. Not replicated, not stored: the log is the
//! history that counts, and the Worlds of it are kept by `decision::Worlds`.
//!
//! Heads are small and many, whole Plans few: each holds a World of its own, and ten thousand names are some megabytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{Plan, PlanId};
use plane_client::api::PlanHead;

/// How many heads are kept.
const HEADS: usize = 256;
/// How many Plans are kept.
const PLANS: usize = 64;
/// How many names their Worlds may have together; the newest Plan is kept, whatever it has.
const NAMES: usize = 20_000;

/// Plans, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    heads: VecDeque<PlanHead>,
    plans: VecDeque<(usize, Arc<Plan>)>,
}

impl History {
    /// Remembers a Plan, forgetting the oldest if need be.
    pub(crate) fn remember(&self, plan: Arc<Plan>) {
        let mut kept = self.kept();
        let head = PlanHead { id: plan.id, made_at_ms: plan.made_at_ms, made_by: plan.made_by.clone() };
        kept.heads.push_back(head);
        if kept.heads.len() > HEADS {
            kept.heads.pop_front();
        }
        let names = plan.world.zones.iter().map(|zone| zone.records.len() + zone.steered.len()).sum();
        kept.plans.push_back((names, plan));
        let too_many = |plans: &VecDeque<(usize, Arc<Plan>)>| {
            plans.len() > PLANS || (plans.len() > 1 && plans.iter().map(|(names, _)| names).sum::<usize>() > NAMES)
        };
        while too_many(&kept.plans) {
            kept.plans.pop_front();
        }
    }

    /// The Plan of that version. Of two lineages with the same version, the newer one's.
    pub(crate) fn version(&self, version: u64) -> Option<Arc<Plan>> {
        self.kept().plans.iter().rev().find(|(_, plan)| plan.id.version == version).map(|(_, plan)| Arc::clone(plan))
    }

    /// What is remembered of each Plan, oldest first.
    pub(crate) fn heads(&self) -> Vec<PlanHead> {
        self.kept().heads.iter().cloned().collect()
    }

    /// The oldest Plan kept that is newer than this one.
    pub(crate) fn after(&self, id: PlanId) -> Option<Arc<Plan>> {
        self.kept().plans.iter().find(|(_, plan)| plan.id > id).map(|(_, plan)| Arc::clone(plan))
    }

    /// Just that Plan.
    pub(crate) fn exactly(&self, id: PlanId) -> Option<Arc<Plan>> {
        self.kept().plans.iter().find(|(_, plan)| plan.id == id).map(|(_, plan)| Arc::clone(plan))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::{Steered, SteeringPolicy, World};

    use super::*;

    fn remember(history: &History, versions: std::ops::Range<u64>, names: usize) {
        let mut world = World::parse(&World::default_toml(3, 0), "").expect("the default world is valid");
        let steered = |n| Steered::to(&format!("n{n}"), "web", SteeringPolicy::Nearest);
        world.zones[0].steered = (0..names).map(steered).collect();
        for version in versions {
            history.remember(Arc::new(Plan::new(PlanId { lineage: 1, version }, 0, "a test", world.clone())));
        }
    }

    #[test]
    fn many_heads_and_few_plans_are_kept_and_fewer_of_large_worlds() {
        let history = History::default();
        remember(&history, 1..301, 1);
        assert_eq!((history.heads().len(), history.heads()[0].id.version), (HEADS, 45));
        assert!(history.version(237).is_some() && history.version(236).is_none());
        remember(&history, 301..304, NAMES - 100);
        assert!(history.version(303).is_some() && history.version(302).is_none(), "one of that size fits");
        assert_eq!(history.heads().len(), HEADS);
    }
}
