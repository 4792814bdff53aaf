//! Gates: the World's word on what automation may touch, and switches that people close for a while (AWS ARC's gating rules).
//!
//! A closed gate freezes what is behind it: verdicts beneath stay as they are, ramps and staged drains stand still. Only the end
//! of a human's word passes, since no word outlives its expiry.

use model::{Gate, GateScope, Plan, RegionName, Subject, World};

use crate::Refusal;

/// What a change would touch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind<'a> {
    /// A subject: the pools that it is a member of.
    Subject(&'a Subject),
    /// One pool.
    Pool(&'a str),
}

impl Behind<'_> {
    fn touches(self, world: &World, pool: &str) -> bool {
        match self {
            Behind::Pool(own) => own == pool,
            Behind::Subject(Subject::Member { pool: own, .. }) => own.as_str() == pool,
            Behind::Subject(Subject::Region(region)) => is_member(world, pool, region),
        }
    }
}

fn is_member(world: &World, pool: &str, region: &RegionName) -> bool {
    world.pools.get(pool).is_some_and(|pool| pool.members.contains(region))
}

/// Whether automation may change a subject.
///
/// A pool without automation keeps its own members' checks away. It holds no region back: a region's verdict does not count in
/// such a pool (`model::Plan::serving_in`), and must go on counting in the others.
pub(super) fn check_automation(plan: &Plan, subject: &Subject, now_ms: u64) -> Result<(), Refusal> {
    if !plan.world.automation.enabled {
        return Err(Refusal::AutomationOff { pool: None });
    }
    let pool = subject.pool().filter(|pool| plan.world.pools.get(*pool).is_some_and(|pool| !pool.automation));
    if let Some(pool) = pool {
        return Err(Refusal::AutomationOff { pool: Some(pool.to_owned()) });
    }
    check_gates(plan, Behind::Subject(subject), now_ms)
}

/// Whether every gate is open to automation.
pub(super) fn check_gates(plan: &Plan, behind: Behind<'_>, now_ms: u64) -> Result<(), Refusal> {
    refuse_by(closed(plan, behind).next(), now_ms)
}

/// Whether every gate that binds people is open.
pub(crate) fn check_people_gate(plan: &Plan, behind: Behind<'_>, now_ms: u64) -> Result<(), Refusal> {
    refuse_by(closed(plan, behind).find(|gate| gate.binds_people), now_ms)
}

/// Whether people may change the World like this: not at all behind the World's gate, and no pool behind its own.
pub(super) fn check_world(before: &Plan, after: &Plan, now_ms: u64) -> Result<(), Refusal> {
    let binds = |gate: &&Gate| match &gate.scope {
        _ if !gate.binds_people => false,
        GateScope::World => true,
        GateScope::Pool(pool) => before.world.pools.get(pool) != after.world.pools.get(pool),
    };
    refuse_by(before.gates.iter().find(binds), now_ms)
}

/// Whether the World has what a gate stands before.
pub(crate) fn knows_scope(world: &World, scope: &GateScope) -> bool {
    match scope {
        GateScope::World => true,
        GateScope::Pool(pool) => world.pools.contains_key(pool),
    }
}

fn closed<'p>(plan: &'p Plan, behind: Behind<'_>) -> impl Iterator<Item = &'p Gate> {
    plan.gates.iter().filter(move |gate| match &gate.scope {
        GateScope::World => true,
        GateScope::Pool(pool) => behind.touches(&plan.world, pool),
    })
}

fn refuse_by(gate: Option<&Gate>, now_ms: u64) -> Result<(), Refusal> {
    let Some(gate) = gate else { return Ok(()) };
    Err(Refusal::Gate {
        scope: gate.scope.clone(),
        who: gate.who.clone(),
        reason: gate.reason.clone(),
        left_ms: gate.expires_at_ms.saturating_sub(now_ms),
    })
}
