//! `atoll drain`, `undrain`, `override`: a human's word on a region.

use std::time::Duration;

use model::{OverrideAction, Subject};
use plane_client::{Because, api::Applied};

use super::reach::{explain_error, reach, region_name};
use crate::{
    cli::{DrainArgs, OverrideArgs, UndrainArgs, Wanted, WorldArgs},
    exit::Exit,
    output,
};

/// A drain is an override to Down: one way to take a region out by hand.
pub(crate) async fn drain(args: DrainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    hold(&args.region, OverrideAction::Down, &args.reason, args.who, args.life, &world).await
}

pub(crate) async fn set(args: OverrideArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let action = match args.action {
        Wanted::Up => OverrideAction::Up,
        Wanted::Down => OverrideAction::Down,
    };
    hold(&args.region, action, &args.reason, args.who, args.life, &world).await
}

pub(crate) async fn undrain(args: UndrainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let (region, who) = (region_name(&args.region)?, args.who.unwrap_or_else(login));
    let because = Because { who: &who, reason: &args.reason };
    let applied = reach(&world).await?.client.clear_override(&region, because).await.map_err(explain_error)?;
    say(&world, applied, || format!("{region}: your word is taken back; the probes' verdict holds again"))
}

async fn hold(
    region: &str,
    action: OverrideAction,
    reason: &str,
    who: Option<String>,
    life: Duration,
    world: &WorldArgs,
) -> anyhow::Result<Exit> {
    let (region, who) = (region_name(region)?, who.unwrap_or_else(login));
    let because = Because { who: &who, reason };
    let subject = Subject::Region(region.clone());
    let client = reach(world).await?.client;
    let applied = client.set_override(&subject, action, because, life).await.map_err(explain_error)?;
    say(world, applied, || {
        let held = match action {
            OverrideAction::Down => "left out of answers",
            OverrideAction::Up => "kept in answers",
        };
        format!("{region} is {held} for {} min; undo it with `atoll undrain {region}`", life.as_secs() / 60)
    })
}

fn say(world: &WorldArgs, applied: Applied, words: impl FnOnce() -> String) -> anyhow::Result<Exit> {
    if world.json {
        output::say_json(&applied)?;
    } else if applied.changed {
        output::say(format!("{} (plan {})", words(), applied.plan.version));
    } else {
        output::say(format!("nothing to change: it is already so (plan {})", applied.plan.version));
    }
    Ok(Exit::Done)
}

/// Who is at the keyboard.
pub(crate) fn login() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "someone".into())
}
