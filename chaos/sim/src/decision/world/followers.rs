//! The DNS servers' side: a follower in each region, told of Plans late, twice and out of order. It shows a Plan only if its
//! number is greater than that of the one it shows; the real one (`config-plane/follower/src/keeper.rs`) has tests of its own.

use std::sync::Arc;

use model::Plan;

use super::{Event, World};
use crate::decision::{
    coverage::Met,
    oracle::{Violation, shown},
    plant::Plant,
};

/// One region's follower. It survives the region's death: its Plan is on disk.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// Whose member tells it.
    source: usize,
    shows: Option<Arc<Plan>>,
}

impl Follower {
    pub(crate) fn of(region: usize) -> Self {
        Self { source: region, shows: None }
    }
}

/// How late a Plan may come, milliseconds.
const LATE_MS: u64 = 30_000;

impl World<'_> {
    /// A member has a new Plan for whoever follows it.
    pub(super) fn publish(&mut self, member: usize, plan: &Arc<Plan>) {
        for follower in 0..self.followers.len() {
            if self.followers[follower].source == member {
                self.send(member, follower, plan);
            }
        }
    }

    fn send(&mut self, member: usize, follower: usize, plan: &Arc<Plan>) {
        let Some(after_ms) = self.paths.message(member, follower) else { return };
        let again = self.follower_luck.percent(20).then(|| self.follower_luck.below(LATE_MS));
        for late_ms in [Some(0), again].into_iter().flatten() {
            self.queue.plan(self.now_ms + 1 + after_ms + late_ms, Event::Offer { follower, plan: plan.clone() });
        }
    }

    /// A follower connects to a member, or its region has come back.
    pub(super) fn follow(&mut self, follower: usize, member: usize) {
        self.followers[follower].source = member;
        if let Some(plan) = self.members[member].published.clone() {
            self.send(member, follower, &plan);
        }
    }

    pub(super) fn follow_again(&mut self, region: usize) {
        let source = self.followers[region].source;
        self.follow(region, source);
    }

    pub(super) fn offer(&mut self, follower: usize, plan: Arc<Plan>) -> Result<(), Violation> {
        if !self.lives[follower].is_alive {
            return Ok(());
        }
        let before = self.followers[follower].shows.as_ref().map(|plan| plan.id);
        if self.plant != Some(Plant::FollowerGoesBack) && before.is_some_and(|before| before >= plan.id) {
            let is_same = before == Some(plan.id);
            self.coverage.met(if is_same { Met::SamePlans } else { Met::OldPlans });
            return Ok(());
        }
        shown(&format!("the follower of region {}", follower + 1), before, plan.id)?;
        self.coverage.met(Met::Shown);
        self.followers[follower].shows = Some(plan);
        Ok(())
    }
}
