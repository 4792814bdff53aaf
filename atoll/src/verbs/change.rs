//! The way of every change of the World: try it, tell it, ask, commit it if nobody else changed anything meanwhile.
//!
//! ```text
//! wanted World ─ trial compile ─ diff in words ─ ask ─ compare and set ─┬─ applied
//!                     │                            │                    ├─ the Plan moved on, the World did not: once more
//!                     └ what DNS could not serve   └ no terminal, no    └─ the World was changed: tell how, change nothing
//!                                                    --yes: nothing
//! ```
//!
//! `apply` and `plan rollback` differ in where the World comes from, and in nothing else.

use std::io::{BufRead, IsTerminal, Write};

use model::{Plan, PlanId, World, WorldDiff};
use plane_client::{Because, ClientError, PlaneClient, api::Applied};
use serde::Serialize;
use steering::{View, ViewInputs};

use super::{capacity, reach::explain_error};
use crate::{
    cli::ConsentArgs,
    exit::{Exit, Misuse},
    output::{self, Paint},
};

/// How often a change is sent again because verdicts or overrides moved the Plan on.
const ATTEMPTS: usize = 4;

/// What a change needs of the plane.
pub(crate) trait Plane {
    async fn plan(&self) -> Result<Plan, ClientError>;
    async fn set_world(&self, world: &World, based_on: PlanId, because: Because<'_>) -> Result<Applied, ClientError>;
}

impl Plane for PlaneClient {
    async fn plan(&self) -> Result<Plan, ClientError> {
        Self::plan(self, None).await
    }

    async fn set_world(&self, world: &World, based_on: PlanId, because: Because<'_>) -> Result<Applied, ClientError> {
        Self::set_world(self, world, based_on, because).await
    }
}

/// Whom a change is told to, and who agrees to it.
pub(crate) trait Face {
    /// Tells what would change.
    fn show(&mut self, proposal: &Proposal);
    /// Asks for consent; none if nobody can be asked.
    fn agrees(&mut self, world: &str) -> Option<bool>;
}

/// What would change.
#[derive(Debug, Serialize)]
pub(crate) struct Proposal {
    /// The Plan that was looked at.
    pub(crate) plan: PlanId,
    pub(crate) diff: WorldDiff,
    /// What would be left of the capacity in the worst case, in words.
    pub(crate) capacity: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// The World is so already.
    Nothing,
    /// It would change; that was all that was asked.
    Pending,
    /// Whoever was asked said no.
    Declined,
    /// It is done.
    Applied(Applied),
}

impl Ending {
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Nothing | Self::Applied(_) => Exit::Done,
            Self::Pending => Exit::Pending,
            Self::Declined => Exit::Failed,
        }
    }
}

/// Changes the World to the wanted one.
pub(crate) async fn change(
    plane: &impl Plane,
    wanted: &World,
    consent: &ConsentArgs,
    because: Because<'_>,
    face: &mut impl Face,
) -> anyhow::Result<(Proposal, Ending)> {
    let mut plan = plane.plan().await.map_err(explain_error)?;
    let proposal = propose(&plan, wanted)?;
    if proposal.diff.is_empty() {
        return Ok((proposal, Ending::Nothing));
    }
    face.show(&proposal);
    if consent.dry_run {
        return Ok((proposal, Ending::Pending));
    }
    if !consent.yes {
        match face.agrees(&plan.world.name) {
            Some(true) => {}
            Some(false) => return Ok((proposal, Ending::Declined)),
            None => return Err(nobody_to_ask()),
        }
    }
    for _ in 0..ATTEMPTS {
        match plane.set_world(wanted, plan.id, because).await {
            Ok(applied) => return Ok((proposal, Ending::Applied(applied))),
            Err(ClientError::Refused { rule: Some(rule), .. }) if rule == "stale" => {
                let now = plane.plan().await.map_err(explain_error)?;
                check_only_the_plan_moved(&plan, &now, &proposal, wanted)?;
                plan = now;
            }
            Err(error) => return Err(explain_error(error)),
        }
    }
    anyhow::bail!(
        "the Plan moves on faster than the change arrives; nothing was changed; look with `atoll status`, then ask again"
    )
}

/// What would change; an error if no DNS server could serve it.
fn propose(plan: &Plan, wanted: &World) -> anyhow::Result<Proposal> {
    let after = Plan { world: wanted.clone().into(), ..plan.clone() };
    if let Some(region) = wanted.regions.first() {
        // What cannot be compiled in one region cannot in any: regions differ in what is near, not in what is there.
        View::compile(&after, &ViewInputs::new(region.name.clone()))
            .map_err(|error| Misuse(format!("no DNS server could serve this World: {error}")))?;
    }
    let diff = WorldDiff::of_plan(plan, wanted);
    let capacity = if diff.is_empty() { None } else { capacity::in_words(plan, &after) };
    Ok(Proposal { plan: plan.id, diff, capacity })
}

/// Verdicts and overrides move the Plan on, too. What was agreed to still holds then, unless names would become empty.
fn check_only_the_plan_moved(was: &Plan, now: &Plan, proposal: &Proposal, wanted: &World) -> anyhow::Result<()> {
    let (from, to, why) = (was.id.version, now.id.version, &now.made_by);
    if was.world != now.world {
        let meanwhile = WorldDiff::between(&was.world, &now.world);
        anyhow::bail!(
            "the World was changed meanwhile, from plan {from} to {to} ({why}); nothing was changed by you. \
             Look at it, then ask again:\n{meanwhile}"
        );
    }
    let empty = WorldDiff::of_plan(now, wanted).names.empty;
    if empty > proposal.diff.names.empty {
        anyhow::bail!(
            "the Plan moved on meanwhile, from {from} to {to} ({why}), and the change would now leave {empty} names without an \
             address; nothing was changed; look at it again"
        );
    }
    Ok(())
}

fn nobody_to_ask() -> anyhow::Error {
    let what = "nobody can be asked here, since this is no terminal; nothing was changed. Add --yes to agree beforehand, or --dry-run to look only";
    Misuse(what.into()).into()
}

/// The terminal, or JSON.
pub(crate) struct Terminal {
    json: bool,
}

impl Terminal {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Says how it ended. `did` is what was done: `applied`.
    pub(crate) fn tell(&self, proposal: &Proposal, ending: Ending, did: &str) -> anyhow::Result<Exit> {
        #[derive(Serialize)]
        struct Told<'a> {
            #[serde(flatten)]
            proposal: &'a Proposal,
            ending: Ending,
        }
        if self.json {
            output::say_json(&Told { proposal, ending })?;
            return Ok(ending.exit());
        }
        let plan = proposal.plan.version;
        match ending {
            Ending::Nothing => output::say(format!("nothing to change: the World is so already (plan {plan})")),
            Ending::Pending => output::say("\nnothing was changed: this was a dry run"),
            Ending::Declined => output::say("nothing was changed"),
            Ending::Applied(applied) => output::say(format!("\n{did} (plan {})", applied.plan.version)),
        }
        Ok(ending.exit())
    }
}

impl Face for Terminal {
    fn show(&mut self, proposal: &Proposal) {
        if self.json {
            return;
        }
        let words = proposal.diff.to_string();
        let (summary, rest) = words.split_once('\n').unwrap_or((&words, ""));
        let paint = Paint::for_stdout();
        let summary = if proposal.diff.names.empty > 0 { paint.bad(summary) } else { summary.to_owned() };
        output::say(format!("{summary}\n{rest}").trim_end());
        if let Some(capacity) = &proposal.capacity {
            output::say(format!("\n{capacity}"));
        }
    }

    fn agrees(&mut self, world: &str) -> Option<bool> {
        let stdin = std::io::stdin();
        if self.json || !stdin.is_terminal() || !std::io::stdout().is_terminal() {
            return None;
        }
        let mut out = std::io::stdout();
        let _ = write!(out, "\nChange the world `{world}` so? [y/N] ").and_then(|()| out.flush());
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

#[cfg(test)]
mod tests;
