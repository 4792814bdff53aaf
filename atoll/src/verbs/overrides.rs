//! `atoll drain`, `undrain`, `override`: a human's word on a region or on a pool's member.

use std::time::Duration;

use model::{OverrideAction, PlanId, Subject};
use plane_client::{
    Because, PlaneClient, Word,
    api::{Applied, human::Staging},
};

use super::{
    drain_watch,
    reach::{explain_error, login, reach, subject},
};
use crate::{
    cli::{DrainArgs, OverrideArgs, UndrainArgs, Wanted, WorldArgs},
    exit::Exit,
    output,
};

/// The shares that `--staged` passes through, per mille.
const STAGES: [u32; 5] = [750, 500, 250, 100, 0];

/// A drain is an override to Down: one way to take a region out by hand.
pub(crate) async fn drain(args: DrainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let step_ms = u64::try_from(args.step.as_millis()).unwrap_or(u64::MAX);
    let staging = args.staged.then(|| Staging { shares_permille: STAGES.to_vec(), step_ms });
    let word = Word {
        subject: subject(&args.subject)?,
        action: OverrideAction::Down,
        lasts: args.life,
        second: args.second,
        staging,
    };
    let client = reach(&world).await?.client;
    let made_with = say_word(&client, &word, (&args.reason, args.who), &world).await?;
    if !args.watch {
        return Ok(Exit::Done);
    }
    drain_watch::run(&client, &word.subject, made_with, world.json).await
}

pub(crate) async fn set(args: OverrideArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let action = match args.action {
        Wanted::Up => OverrideAction::Up,
        Wanted::Down => OverrideAction::Down,
    };
    let word = Word { subject: subject(&args.subject)?, action, lasts: args.life, second: args.second, staging: None };
    let client = reach(&world).await?.client;
    say_word(&client, &word, (&args.reason, args.who), &world).await.map(|_| Exit::Done)
}

pub(crate) async fn undrain(args: UndrainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let (subject, who) = (subject(&args.subject)?, args.who.unwrap_or_else(login));
    let because = Because { who: &who, reason: &args.reason };
    let applied = reach(&world).await?.client.clear_override_of(&subject, because).await.map_err(explain_error)?;
    say(&world, applied, || format!("{}: your word is taken back; the probes' verdict holds again", short(&subject)))
}

/// Says a word and tells so; gives the Plan that holds it.
async fn say_word(
    client: &PlaneClient,
    word: &Word,
    (reason, who): (&str, Option<String>),
    world: &WorldArgs,
) -> anyhow::Result<PlanId> {
    let who = who.unwrap_or_else(login);
    let applied = client.say(word, Because { who: &who, reason }).await.map_err(explain_error)?;
    let plan = applied.plan;
    say(world, applied, || held(word))?;
    Ok(plan)
}

fn held(word: &Word) -> String {
    let (name, minutes) = (short(&word.subject), word.lasts.as_secs() / 60);
    let how = match (word.action, &word.staging) {
        (OverrideAction::Up, _) => "is kept in answers".to_owned(),
        (OverrideAction::Down, None) => "is left out of answers".to_owned(),
        (OverrideAction::Down, Some(staging)) => {
            let step = Duration::from_millis(staging.step_ms);
            format!("is drained in {} steps of {} s", staging.shares_permille.len(), step.as_secs())
        }
    };
    format!("{name} {how} for {minutes} min; undo it with `atoll undrain {name}`")
}

/// A subject as people type it.
pub(crate) fn short(subject: &Subject) -> String {
    match subject {
        Subject::Region(region) => region.to_string(),
        Subject::Member { .. } => subject.to_string(),
    }
}

/// Says what a change came to.
pub(crate) fn say(world: &WorldArgs, applied: Applied, words: impl FnOnce() -> String) -> anyhow::Result<Exit> {
    if world.json {
        output::say_json(&applied)?;
    } else if applied.changed {
        output::say(format!("{} (plan {})", words(), applied.plan.version));
    } else {
        output::say(format!("nothing to change: it is already so (plan {})", applied.plan.version));
    }
    Ok(Exit::Done)
}
