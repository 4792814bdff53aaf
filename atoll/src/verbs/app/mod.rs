//! `atoll app`: the apps of regions, each asked for itself, and app files, without a world.
//!
//! ```text
//! ls, describe, monit ─ look.rs     start, stop, restart, reload, scale, rollback ─ change.rs     logs ─ logs.rs
//! check, convert ─ file.rs
//! ```
//!
//! Exit code 0: done; `ls`: every app has all its workers. 1: a change did not go through, and what ran before runs on; `ls`: some
//! worker is missing, or a region is away. 2: an app file that cannot be read. 4: no region can be reached.

mod change;
mod file;
mod logs;
mod look;

use model::RegionName;
use plane_client::{PlaneClient, api::apps::AppVerb};

use super::reach::{explain_error, reach, region_name};
use crate::{
    cli::{AppArgs, AppWhat, WorldArgs},
    exit::{Exit, Misuse, Unreachable},
    output,
};

pub(crate) fn run(args: AppArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    match args.what {
        AppWhat::Check(args) => file::check(&args, world.json),
        AppWhat::Convert(args) => file::convert(&args),
        what => output::block_on(ask(what, world)),
    }
}

async fn ask(what: AppWhat, world: WorldArgs) -> anyhow::Result<Exit> {
    let json = world.json;
    let client = reach(&world).await?.client;
    let change = |verb, name: Option<String>| change::Wanted { verb, name, instances: None, env: None };
    match what {
        AppWhat::Ls { region } => look::ls(&places(&client, region.as_deref())?, json).await,
        AppWhat::Monit { region } => look::monit(&places(&client, region.as_deref())?, json).await,
        AppWhat::Describe(at) => look::describe(&places(&client, at.region.as_deref())?, at.name, json).await,
        AppWhat::Start(at) => run_change(&client, at.region, change(AppVerb::Start, at.name), json).await,
        AppWhat::Stop(at) => run_change(&client, at.region, change(AppVerb::Stop, at.name), json).await,
        AppWhat::Restart(at) => run_change(&client, at.region, change(AppVerb::Restart, at.name), json).await,
        AppWhat::Rollback(at) => run_change(&client, at.region, change(AppVerb::Rollback, at.name), json).await,
        AppWhat::Reload { at, env } => {
            let wanted = change::Wanted { env, ..change(AppVerb::Reload, at.name) };
            run_change(&client, at.region, wanted, json).await
        }
        AppWhat::Scale { name, instances, region } => {
            let wanted = change::Wanted { instances: Some(instances), ..change(AppVerb::Scale, Some(name)) };
            run_change(&client, region, wanted, json).await
        }
        AppWhat::Logs { at, lines, follow, worker } => {
            let wanted = logs::Wanted { name: at.name, lines, follow, worker };
            logs::run(places(&client, at.region.as_deref())?, wanted, json).await
        }
        // Files were dealt with before a world was looked for.
        AppWhat::Check(_) | AppWhat::Convert(_) => Ok(Exit::Usage),
    }
}

async fn run_change(
    client: &PlaneClient,
    region: Option<String>,
    wanted: change::Wanted,
    json: bool,
) -> anyhow::Result<Exit> {
    change::run(&places(client, region.as_deref())?, &wanted, json).await
}

/// A region that can be asked.
pub(super) struct Place {
    /// Its name; its address where the name is not known, since it does not answer.
    pub(super) name: String,
    pub(super) client: PlaneClient,
}

/// One region, or all of them.
fn places(client: &PlaneClient, region: Option<&str>) -> anyhow::Result<Vec<Place>> {
    if let Some(region) = region {
        let name: RegionName = region_name(region)?;
        let unknown = || Unreachable(format!("no endpoint is known for region `{name}`"));
        let one = client.only(&name).ok_or_else(unknown)?;
        return Ok(vec![Place { name: name.to_string(), client: one }]);
    }
    let names = client.endpoints().iter().map(|endpoint| match &endpoint.name {
        Some(name) => name.to_string(),
        None => endpoint.addr.to_string(),
    });
    Ok(names.zip(client.each()).map(|(name, client)| Place { name, client }).collect())
}

/// The app that is meant in a region: the one that is named, or the only one.
async fn the_app(place: &Place, name: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let apps = place.client.apps().await.map_err(explain_error)?.apps;
    match apps.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(Misuse(format!("{} runs no apps; start the world with --app FILE", place.name)).into()),
        several => {
            let names: Vec<&str> = several.iter().map(|app| app.name.as_str()).collect();
            Err(Misuse(format!("which app? {} has {}", place.name, names.join(", "))).into())
        }
    }
}
