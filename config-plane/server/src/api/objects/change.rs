//! The one way of a change of the World over HTTP: look, edit, validate, compare and set; look again if the Plan moved on.

use std::sync::Arc;

use decision::{Command, Outcome, PlaneState, Refusal};
use model::{Plan, World, WorldDiff};
use plane_client::api::{Applied, human::Preview};

use crate::{
    api::{
        problem::No,
        request::{Ask, nth_id},
        submit,
    },
    plane::Plane,
};

/// How often a change is made again from a newer Plan. Verdicts and overrides move the Plan on, a few times a minute at worst.
const ATTEMPTS: u8 = 8;

/// How a change ended.
pub(crate) enum Done {
    /// It is done; the Plan with it, or a newer one.
    Applied(Applied, Arc<Plan>),
    /// It was only tried.
    Tried(Preview),
}

/// Changes the World. `edit` is given the World in force and makes the wanted one from it, or says why it cannot.
///
/// A request that was made already is recognised by its id before anything is looked at: a repeated `If-Match` would fail on the
/// request's own work.
pub(crate) async fn change_world(
    plane: &Plane,
    ask: &Ask,
    edit: impl Fn(&World) -> Result<World, No>,
) -> Result<Done, No> {
    let (reason, who) = ask.signed()?;
    let mut refused = None;
    for attempt in 0..ATTEMPTS {
        let state = plane.read_state().await?;
        let id = nth_id(ask.id, attempt);
        let outcome = match state.outcome_of(id).filter(|_| !ask.dry_run) {
            Some(outcome) => outcome.clone(),
            None => {
                let plan = state.plan().ok_or_else(No::not_founded)?;
                let world = edit(&plan.world)?;
                let (reason, who) = (reason.to_owned(), who.to_owned());
                let command = Command::SetWorld { based_on: plan.id, world: world.into(), reason, who };
                if ask.dry_run {
                    return tried(plane, &state, ask, command).map(Done::Tried);
                }
                submit::propose(plane, ask, id, command).await?
            }
        };
        match outcome {
            Outcome::Refused(refusal @ Refusal::Stale { .. }) => refused = Some(refusal),
            outcome => {
                let applied = submit::applied(outcome)?;
                return Ok(Done::Applied(applied, plan_with(plane, &applied).await?));
            }
        }
    }
    // Only a Plan that moves on each time ends here.
    Err(refused.map_or_else(No::not_founded, No::from))
}

/// This member's Plan once it is as new as the change.
async fn plan_with(plane: &Plane, applied: &Applied) -> Result<Arc<Plan>, No> {
    if let Some(plan) = plane.plan().filter(|plan| plan.id >= applied.plan) {
        return Ok(plan);
    }
    plane.read_state().await?.plan().cloned().ok_or_else(No::not_founded)
}

/// What would come of a new World, in words.
pub(crate) fn tried(plane: &Plane, state: &PlaneState, ask: &Ask, command: Command) -> Result<Preview, No> {
    let diff = match (&command, state.plan()) {
        (Command::SetWorld { world, .. }, Some(plan)) => Some(WorldDiff::of_plan(plan, world)),
        _ => None,
    };
    let diff = diff.map(serde_json::to_value).transpose().map_err(|e| No::internal(&e))?;
    Ok(Preview { diff, ..submit::preview(plane, state, ask.id, command)? })
}
