//! `atoll plan`: the Plans that went before, what they changed, and the way back to the World of one of them.
//!
//! A member remembers the Plans that it saw; the Worlds are replicated. So `history` shows both, and `diff` and `rollback`
//! work for every version whose World is kept, on any member, also after a restart of all of them.

use model::{Plan, WorldDiff};
use plane_client::{
    Because, ClientError, PlaneClient,
    api::{KeptWorld, PlanHistory},
};
use serde::Serialize;
use serde_json::json;

use super::{
    change::{Terminal, change},
    explain::clock,
    reach::{explain_error, login, reach},
};
use crate::{
    cli::{PlanArgs, PlanWhat, RollbackArgs, WorldArgs},
    exit::Exit,
    output::{self, Table},
};

pub(crate) async fn run(args: PlanArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let plane = reach(&world).await?.client;
    match args.what {
        PlanWhat::History { limit } => history(&plane, limit, world.json).await,
        PlanWhat::Show { version } => show(&plane, version, world.json).await,
        PlanWhat::Diff { from, to } => diff(&plane, from, to, world.json).await,
        PlanWhat::Rollback(args) => rollback(&plane, args, world.json).await,
    }
}

/// One line of the history.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    version: u64,
    made_at_ms: u64,
    made_by: String,
    /// Whether this version brought a World, which can be shown and rolled back to.
    world: bool,
}

/// Newest first, each version once.
fn lines(history: PlanHistory, limit: usize) -> Vec<Line> {
    let worlds = history.worlds.into_iter();
    let mut lines: Vec<Line> = worlds
        .map(|head| Line { version: head.version, made_at_ms: head.made_at_ms, made_by: head.made_by, world: true })
        .collect();
    for plan in history.plans {
        if !lines.iter().any(|line| line.version == plan.id.version) {
            let (version, made_at_ms, made_by) = (plan.id.version, plan.made_at_ms, plan.made_by);
            lines.push(Line { version, made_at_ms, made_by, world: false });
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.version));
    lines.truncate(limit);
    lines
}

async fn history(plane: &PlaneClient, limit: usize, json: bool) -> anyhow::Result<Exit> {
    let lines = lines(plane.plan_history().await.map_err(explain_error)?, limit);
    if json {
        for line in &lines {
            output::say_json(line)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["VERSION", "MADE", "WORLD", "BY"]);
    for line in lines {
        let world = if line.world { "new" } else { "" };
        table.row(vec![line.version.to_string(), clock(line.made_at_ms)?, world.into(), line.made_by]);
    }
    output::say(table.to_string());
    Ok(Exit::Done)
}

async fn show(plane: &PlaneClient, version: Option<u64>, json: bool) -> anyhow::Result<Exit> {
    match (plane.plan(version).await, version) {
        (Ok(plan), _) => show_plan(&plan, json)?,
        // The members' memory of whole Plans is short; the World may be kept all the same.
        (Err(ClientError::NotFound { .. }), Some(version)) => {
            let kept = plane.plan_world(version).await.map_err(explain_error)?;
            if json {
                output::say_json(&kept)?;
            } else {
                output::say(head_of(&kept)?);
                output::say(format!("\n{}", kept.world.to_toml().trim_end()));
            }
        }
        (Err(error), _) => return Err(explain_error(error)),
    }
    Ok(Exit::Done)
}

fn show_plan(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return output::say_json(plan);
    }
    output::say(format!("# plan {}, made {}: {}", plan.id, clock(plan.made_at_ms)?, plan.made_by));
    for (subject, state) in &plan.verdicts {
        output::say(format!("# {subject} is {:?} since {}", state.verdict, clock(state.since_ms)?));
    }
    for held in &plan.overrides {
        output::say(format!("# {} is held {:?} by {}: {}", held.subject, held.action, held.who, held.reason));
    }
    output::say(format!("\n{}", plan.world.to_toml().trim_end()));
    Ok(())
}

fn head_of(kept: &KeptWorld) -> anyhow::Result<String> {
    let head = &kept.head;
    Ok(format!("# the World since plan {}, made {}: {}", head.version, clock(head.made_at_ms)?, head.made_by))
}

async fn diff(plane: &PlaneClient, from: u64, to: u64, json: bool) -> anyhow::Result<Exit> {
    let before = plane.plan_world(from).await.map_err(explain_error)?;
    let after = plane.plan_world(to).await.map_err(explain_error)?;
    let diff = WorldDiff::between(&before.world, &after.world);
    if json {
        output::say_json(&json!({ "from": before.head, "to": after.head, "diff": diff }))?;
    } else if diff.is_empty() {
        output::say(format!("the World of version {from} and that of version {to} are the same"));
    } else {
        output::say(diff.to_string());
    }
    Ok(Exit::Done)
}

async fn rollback(plane: &PlaneClient, args: RollbackArgs, json: bool) -> anyhow::Result<Exit> {
    let kept = plane.plan_world(args.version).await.map_err(explain_error)?;
    let who = args.who.unwrap_or_else(login);
    let reason = args.reason.unwrap_or_else(|| format!("rolled back to the World of version {}", args.version));
    let mut terminal = Terminal::new(json);
    let because = Because { who: &who, reason: &reason };
    let (proposal, ending) = change(plane, &kept.world, &args.consent, because, &mut terminal).await?;
    terminal.tell(&proposal, ending, "rolled back, as a new version")
}

#[cfg(test)]
mod tests {
    use model::PlanId;
    use plane_client::api::{PlanHead, WorldHead};

    use super::*;

    #[test]
    fn the_history_is_told_newest_first_and_each_version_once() {
        let world = |version| WorldHead { version, made_at_ms: version, made_by: format!("world {version}") };
        let plan = |version| PlanHead {
            id: PlanId { lineage: 7, version },
            made_at_ms: version,
            made_by: format!("plan {version}"),
        };
        let told = |limit| -> Vec<(u64, bool)> {
            let history = PlanHistory {
                region: "eu-west".parse().unwrap(),
                plans: vec![plan(5), plan(6), plan(9)],
                worlds: vec![world(1), world(5)],
            };
            lines(history, limit).into_iter().map(|line| (line.version, line.world)).collect()
        };
        assert_eq!(told(100), [(9, false), (6, false), (5, true), (1, true)]);
        assert_eq!(told(2), [(9, false), (6, false)]);
    }
}
