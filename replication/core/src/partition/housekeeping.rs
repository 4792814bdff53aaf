//! Work that no command asks for: floors folded away, expired keys and fields purged, old marks dropped. Each round is one
//! ordinary delta, a little at a time.
//!
//! Purging is an observed remove like any DEL: what somebody wrote meanwhile elsewhere survives it. The region that gave a key
//! its deadline purges it soon after; the others leave it time to, and step in only if it does not (it may be dead).

use bytes::Bytes;

use super::{Now, Partition};
use crate::Delta;
use crate::delta::Part;
use crate::dots::{PackedDot, Tagged};
use crate::plan::Plan;
use crate::types::mark::{Marks, REMOVE_WINS_KEEP_MS};
use crate::types::{Body, Full, Kind, Swept, ttl};

/// How long after its deadline a region purges a key whose deadline it gave, in milliseconds.
pub const PURGE_OWN_GRACE_MS: u64 = 1_000;
/// How long after its deadline any region purges a key, in milliseconds.
pub const PURGE_GRACE_MS: u64 = 60_000;
/// How many fields or members of one key a round looks at.
const PURGE_PARTS: usize = 1_000;

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

        let mut due: Vec<(u32, Swept)> = Vec::new();
        for slot in (from..upto).filter(|slot| settle.binary_search(slot).is_err()) {
            if self.keys.body(slot).is_timed() {
                due.push((slot, self.keys.body_mut(slot).sweep(now.wall_ms, PURGE_PARTS)));
            }
        }
        let mut plan = Plan::new(&self.replicas, self.me, Bytes::new(), self.next_seq());
        for &slot in &settle {
            plan.key = Bytes::copy_from_slice(self.keys.key(slot));
            plan_settle(self.keys.body(slot), &mut plan);
        }
        for (slot, swept) in &due {
            plan.key = Bytes::copy_from_slice(self.keys.key(*slot));
            let upkeep =
                Upkeep { partition: self, now_ms: now.wall_ms, remove_wins: self.rules.of(&plan.key).remove_wins };
            upkeep.plan(self.keys.body(*slot), swept, &mut plan);
        }
        let (changes, next_seq) = (plan.changes, plan.next_seq);
        self.commit(changes, next_seq, now.stamp)
    }
}

/// One look at one key whose time may have come.
struct Upkeep<'a> {
    partition: &'a Partition,
    now_ms: u64,
    remove_wins: bool,
}

impl Upkeep<'_> {
    fn plan(&self, body: &Body, swept: &Swept, plan: &mut Plan<'_>) {
        let replicas = &self.partition.replicas;
        let view = body.view(replicas, self.now_ms);
        let full = match body {
            Body::Empty | Body::Counter(_) => return,
            Body::Lean(lean) => {
                if view.expired && self.is_past(lean.deadline_ms, lean.dot) {
                    plan.drop_key(body, self.remove_wins);
                }
                return;
            }
            Body::Full(full) => full,
        };
        if !full.marks.is_empty() {
            if full.marks.iter().all(|mark| self.is_old(mark)) {
                plan.clear_key(body); // and what the mark hides
            }
            return;
        }
        if view.expired {
            let given = ttl::in_force(&full.deadlines, view.anchor);
            if given.is_some_and(|given| self.is_past(given.value.at_ms, given.dot)) {
                plan.drop_key(body, self.remove_wins);
            }
            return;
        }
        // Deadlines that a DEL left behind: nothing shows, at any time, so they go once they are old.
        let nothing_shows = view.kind == Kind::None && body.view(replicas, 0).kind == Kind::None;
        if nothing_shows && full.deadlines.iter().all(|given| self.is_past(given.hlc.ms(), given.dot)) {
            plan.clear_deadlines(body);
        }
        self.plan_fields(full, swept, plan);
        self.plan_members(full, swept, plan);
    }

    fn plan_fields(&self, full: &Full, swept: &Swept, plan: &mut Plan<'_>) {
        let Some(fields) = full.fields.as_deref() else { return };
        let replicas = &self.partition.replicas;
        for field in &swept.fields {
            let marks = fields.marks_of(field);
            if !marks.is_empty() {
                if marks.iter().all(|mark| self.is_old(mark)) {
                    plan.drop_field(fields, field, false); // and what the mark hides
                }
            } else if fields.shown(field, 0, replicas).is_some() {
                let given = fields.deadline(field, replicas);
                if given.is_some_and(|given| self.is_past(given.value.at_ms, given.dot)) {
                    plan.drop_field(fields, field, self.remove_wins);
                }
            } else if fields.deadlines_of(field).iter().all(|given| self.is_past(given.hlc.ms(), given.dot)) {
                let left_over = plan.observed_field_deadlines(fields, field);
                plan.remove(Part::FieldDeadline(field.clone()), left_over);
            }
        }
    }

    /// Marks of members that have done their time, with what they hide.
    fn plan_members(&self, full: &Full, swept: &Swept, plan: &mut Plan<'_>) {
        let is_old = |marks: Option<&Marks>, member: &Bytes| {
            marks.is_some_and(|marks| marks.of(member).iter().all(|mark| self.is_old(mark)))
        };
        for member in &swept.members {
            let Some(members) = full.members.as_deref().filter(|members| is_old(members.marks(), member)) else {
                continue;
            };
            plan.remove(Part::Member(member.clone()), members.dots(member, plan.replicas).collect());
        }
        for member in &swept.rated {
            let Some(zset) = full.zset.as_deref().filter(|zset| is_old(zset.marks(), member)) else { continue };
            let clearing = plan.observed_rated(zset, member);
            plan.drop_part(Part::Rated(member.clone()), clearing, false);
        }
    }

    fn is_old(&self, mark: &Tagged<()>) -> bool {
        self.is_past(mark.hlc.ms().saturating_add(REMOVE_WINS_KEEP_MS), mark.dot)
    }

    /// Whether a moment is past for long enough for us to act on it: soon, if it was our region that set it.
    fn is_past(&self, since_ms: u64, setter: PackedDot) -> bool {
        let ours = self.partition.replicas.id(setter.replica()).region == self.partition.me.region;
        self.now_ms >= since_ms.saturating_add(if ours { PURGE_OWN_GRACE_MS } else { PURGE_GRACE_MS })
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
