//! Founding a world and changing it: what becomes of verdicts, overrides, gates and homes when the World changes.

use std::collections::BTreeSet;

use model::{Plan, PlanId, RegionName, SharedWorld, Subject, SubjectState, Verdict, World};

use super::{Entry, PlaneState, Step, homes};
use crate::{Refusal, guards};

/// How many lines of a wrong world a refusal carries along.
const WORLD_ERRORS_KEPT: usize = 20;

impl PlaneState {
    pub(super) fn found(&self, world: &SharedWorld, lineage: u64, entry: Entry<'_>) -> Step {
        if let Some(plan) = &self.plan {
            return Err(Refusal::AlreadyFounded { lineage: plan.id.lineage });
        }
        check_world(world)?;
        let id = PlanId { lineage, version: entry.index };
        let made_by = format!("world `{}` founded", world.name);
        let mut plan = Plan::new(id, entry.request.proposed_at_ms, made_by, world.clone());
        sync_subjects(&mut plan, entry.request.proposed_at_ms, entry.index);
        homes::settle(&mut plan, entry);
        Ok(Some(plan))
    }

    pub(super) fn set_world(
        &self,
        plan: &Plan,
        world: &SharedWorld,
        (reason, who): (&str, &str),
        entry: Entry<'_>,
    ) -> Step {
        check_world(world)?;
        self.check_ids(&plan.world, world)?;
        if plan.world == *world {
            return Ok(None);
        }
        let mut next = plan.clone();
        next.world = world.clone();
        next.made_by = format!("world changed by {who}: {reason}");
        sync_subjects(&mut next, entry.now_ms(plan), entry.index);
        if entry.is_guarded() {
            guards::check_world_change(plan, &next, entry.now_ms(plan))?;
            homes::check_stay(plan, &next)?;
            homes::settle(&mut next, entry);
            next.gates.retain(|gate| guards::knows_scope(&next.world, &gate.scope));
        } else {
            guards::check_pools(plan, &next)?;
        }
        Ok(Some(next))
    }

    /// A region's number is half of a replica's identity and a raft node id: it is never given to another name.
    fn check_ids(&self, was: &World, now: &World) -> Result<(), Refusal> {
        for region in &now.regions {
            if let Some(owner) = self.ids.get(&region.id).filter(|owner| **owner != region.name) {
                return Err(Refusal::IdReused { id: region.id, was: owner.clone(), now: region.name.clone() });
            }
            if let Some(old) = was.region(&region.name).filter(|old| old.id != region.id) {
                return Err(Refusal::IdChanged { region: region.name.clone(), was: old.id, now: region.id });
            }
        }
        Ok(())
    }
}

fn check_world(world: &World) -> Result<(), Refusal> {
    world.validate().map_err(|errors| {
        let lines = errors.errors.iter().take(WORLD_ERRORS_KEPT).map(ToString::to_string);
        Refusal::InvalidWorld { errors: lines.collect() }
    })
}

/// New subjects begin Up, since nobody has said otherwise; subjects that are gone lose verdict and override.
fn sync_subjects(plan: &mut Plan, now_ms: u64, index: u64) {
    let subjects: BTreeSet<Subject> = plan.world.subjects().map(|(subject, _)| subject).collect();
    plan.verdicts.retain(|subject, _| subjects.contains(subject));
    // A word on a member holds whether or not the member has a check of its own.
    let members = members_of(&plan.world);
    plan.overrides.retain(|o| subjects.contains(&o.subject) || members.contains(&o.subject));
    for subject in subjects {
        let fresh = || SubjectState::new(Verdict::Up, now_ms, index);
        plan.verdicts.entry(subject).or_insert_with(fresh);
    }
}

/// Every member of every pool as a subject.
fn members_of(world: &World) -> BTreeSet<Subject> {
    let pools = world.pools.iter().filter_map(|(name, pool)| Some((RegionName::new(name.as_str()).ok()?, pool)));
    let of_pool = |(name, pool): (RegionName, &model::Pool)| {
        let subject = move |region: &RegionName| Subject::Member { pool: name.clone(), region: region.clone() };
        pool.members.iter().map(subject).collect::<Vec<_>>()
    };
    pools.flat_map(of_pool).collect()
}
