//! One step further: ramps and staged drains.

use model::Plan;

use super::Entry;
use crate::{
    Demand,
    guards::{self, DueStep},
};

/// The Plan with every due step taken that nothing halts; none if there is none.
pub(super) fn advance(plan: &Plan, now_ms: u64, demand_rps: &Demand, entry: Entry<'_>) -> Option<Plan> {
    let steps = guards::due_steps(plan, now_ms, demand_rps, entry.generation);
    if steps.is_empty() {
        return None;
    }
    let mut next = plan.clone();
    let mut words = Vec::new();
    for step in &steps {
        step.take(&mut next, now_ms);
        words.push(match step {
            DueStep::Ramp(subject, permille) => format!("{subject} ramps up to {} %", permille / 10),
            DueStep::Cut(subject, permille) => {
                format!("{subject}, which is Down, keeps {} % of its users", permille / 10)
            }
            DueStep::Drain(subject) | DueStep::DrainInPart(subject, _) => {
                let share = next.override_on(subject).map_or(0, |drain| drain.share_permille);
                format!("{subject} is drained to {} %", share / 10)
            }
        });
    }
    next.made_by = format!("advanced: {}", words.join(", "));
    Some(next)
}
