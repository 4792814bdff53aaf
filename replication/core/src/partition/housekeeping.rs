//! Work that no command asks for: floors folded away, expired keys purged. Each round is one ordinary delta, a little at a time.
//!
//! Purging is an observed remove like any DEL: what somebody wrote meanwhile elsewhere survives it. The region that gave a key
//! its deadline purges it soon after; the others leave it time to, and step in only if it does not (it may be dead).

use bytes::Bytes;

use super::{Now, Partition};
use crate::delta::Part;
use crate::plan::Plan;
use crate::types::{Body, Kind, ttl};
use crate::{Delta, ReplicaId};

/// How long after its deadline a region purges a key whose deadline it gave, in milliseconds.
pub const PURGE_OWN_GRACE_MS: u64 = 1_000;
/// How long after its deadline any region purges a key, in milliseconds.
pub const PURGE_GRACE_MS: u64 = 60_000;

impl Partition {
    /// Folds away floors that others left for us and purges expired keys, looking at no more than `budget` keys. The delta is to be
    /// persisted and shipped like any other; `None` if there was nothing to do.
    pub fn housekeeping(&mut self, now: Now, budget: usize) -> Option<Delta> {
        if self.unsettled.is_empty() && self.timed == 0 {
            return None;
        }
        let mut settle = self.unsettled.split_off(self.unsettled.len().saturating_sub(budget));
        settle.sort_unstable();
        settle.dedup();
        let budget = budget.saturating_sub(settle.len()) as u32;
        let from = if self.sweep < self.keys.slots() { self.sweep } else { 0 };
        let upto = if self.timed == 0 { from } else { from.saturating_add(budget).min(self.keys.slots()) };
        self.sweep = upto;

        let mut plan = Plan::new(&self.replicas, self.me, Bytes::new(), self.next_seq());
        for &slot in &settle {
            plan.key = Bytes::copy_from_slice(self.keys.key(slot));
            plan_settle(self.keys.body(slot), &mut plan);
        }
        for slot in (from..upto).filter(|slot| settle.binary_search(slot).is_err()) {
            let body = self.keys.body(slot);
            if self.is_due(body, now.wall_ms) {
                plan.key = Bytes::copy_from_slice(self.keys.key(slot));
                plan.clear_key(body);
            }
        }
        let (changes, next_seq) = (plan.changes, plan.next_seq);
        self.commit(changes, next_seq, now.stamp)
    }

    /// Whether what is held of a key is past its time.
    fn is_due(&self, body: &Body, now_ms: u64) -> bool {
        if !body.is_timed() {
            return false;
        }
        let view = body.view(&self.replicas, now_ms);
        let past = |since_ms: u64, giver: ReplicaId| {
            let grace = if giver.region == self.me.region { PURGE_OWN_GRACE_MS } else { PURGE_GRACE_MS };
            now_ms >= since_ms.saturating_add(grace)
        };
        match (view.kind, body) {
            (_, Body::Empty) => false,
            // A deadline that a DEL left behind: nothing shows, so it goes once it is old.
            (Kind::None, Body::Full(full)) => {
                full.deadlines.iter().all(|given| past(given.hlc.ms(), self.replicas.id(given.dot.replica())))
            }
            (Kind::None, Body::Lean(_)) => false,
            (_, Body::Lean(lean)) => view.expired && past(lean.deadline_ms, self.replicas.id(lean.dot.replica())),
            (_, Body::Full(full)) => {
                let in_force = ttl::in_force(&full.deadlines, view.anchor);
                view.expired
                    && in_force.is_some_and(|given| past(given.value.at_ms, self.replicas.id(given.dot.replica())))
            }
        }
    }
}

fn plan_settle(body: &Body, plan: &mut Plan<'_>) {
    let Body::Full(full) = body else { return };
    if full.cell.unsettled(plan.me) {
        full.cell.plan_settle(plan, Part::Cell);
    }
    for (field, cell) in full.fields.iter().flat_map(|fields| fields.cells()) {
        if cell.unsettled(plan.me) {
            cell.plan_settle(plan, Part::Field(Bytes::copy_from_slice(field)));
        }
    }
    for (member, cell) in full.zset.iter().flat_map(|zset| zset.cells()) {
        if cell.unsettled(plan.me) {
            cell.plan_settle(plan, Part::Rated(Bytes::copy_from_slice(member)));
        }
    }
}
