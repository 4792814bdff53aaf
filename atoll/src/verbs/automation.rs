//! `atoll automation`: the lever that stops single members' automation. It is pulled at each member itself, so it works with one
//! member alive, without a quorum and without DNS: endpoints are addresses.

use model::RegionName;
use plane_client::{Because, ClientError, PlaneClient, api::human::LeverReport};

use super::reach::{explain_error, login, reach, region_name};
use crate::{
    cli::{AutomationArgs, AutomationWhat, SignArgs, WorldArgs},
    exit::{Exit, Unreachable},
    output::{self, Paint},
};

pub(crate) async fn run(args: AutomationArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let client = reach(&world).await?.client;
    let (region, change) = match args.what {
        AutomationWhat::Stop { region, sign } => (region, Some((false, sign))),
        AutomationWhat::Start { region, sign } => (region, Some((true, sign))),
        AutomationWhat::Show => (None, None),
    };
    let region = region.map(|text| region_name(&text)).transpose()?;
    let mut all = true;
    for one in members(&client, region.as_ref())? {
        match ask(&one, change.as_ref()).await {
            Ok(report) if world.json => output::say_json(&report)?,
            Ok(report) => output::say(in_words(&report, Paint::for_stdout())),
            Err(error) => {
                all = false;
                output::complain(&explain_error(error));
            }
        }
    }
    Ok(if all { Exit::Done } else { Exit::Failed })
}

/// The members to ask, each by itself.
fn members(client: &PlaneClient, region: Option<&RegionName>) -> anyhow::Result<Vec<PlaneClient>> {
    match region {
        None => Ok(client.each().collect()),
        Some(region) => {
            let unknown = || Unreachable(format!("no endpoint is known for region `{region}`"));
            Ok(vec![client.only(region).ok_or_else(unknown)?])
        }
    }
}

async fn ask(one: &PlaneClient, change: Option<&(bool, SignArgs)>) -> Result<LeverReport, ClientError> {
    match change {
        None => one.node_automation().await,
        Some((enabled, sign)) => {
            let who = sign.who.clone().unwrap_or_else(login);
            one.set_node_automation(*enabled, Because { who: &who, reason: &sign.reason }).await
        }
    }
}

fn in_words(report: &LeverReport, paint: Paint) -> String {
    match &report.stopped {
        None => format!("{}: automation {}", report.region, paint.good("works")),
        Some(word) => {
            let stopped = paint.warn("is stopped");
            format!("{}: automation {stopped} by {}: {}", report.region, word.who, word.reason)
        }
    }
}
