//! `atoll status`: regions, verdicts, plan, lag, leader. One screen, the same facts as JSON.
//!
//! Exit code 0 when every region serves and the plane has a leader, 1 otherwise.

use std::{collections::BTreeMap, time::Duration};

use model::{Plan, PlanId, RegionName, Subject, Verdict, Why};
use plane_client::{
    PlaneClient,
    api::{Concern, DivergentBucket, PlaneStatus, StateSummary},
};
use serde::Serialize;

use super::reach::{explain_error, reach};
use crate::{
    cli::{StatusArgs, WorldArgs},
    exit::Exit,
    output::{self, Paint, Table},
};

/// A quorum not heard of for this long is gone.
const QUORUM_FRESH_MS: u64 = 5000;

/// Everything `status` shows.
#[derive(Debug, Serialize)]
struct Status {
    world: String,
    plan: PlanId,
    leader: Option<RegionName>,
    quorum: bool,
    regions: Vec<RegionStatus>,
    /// What people should look at, the gravest first.
    concerns: Vec<Told>,
}

/// A concern, and whose members tell of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Told {
    #[serde(flatten)]
    concern: Concern,
    told_by: Vec<RegionName>,
}

/// One region's line.
#[derive(Debug, Serialize)]
struct RegionStatus {
    name: RegionName,
    place: String,
    /// Whether its own member answers.
    reachable: bool,
    verdict: Option<Verdict>,
    /// Whether answers name it, and on whose word.
    serves: bool,
    why: Why,
    /// The reason of an override in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    override_reason: Option<String>,
    plan: Option<PlanId>,
    keys: Option<u64>,
    digest: Option<String>,
    /// Writes that came to stand beside one they had not observed, since the region's start.
    conflicts: Option<u64>,
    /// Buckets of keys that differ from a peer's though both have seen the same: 0, or Atoll is at fault.
    divergent_buckets: u64,
    /// Some of them, by peer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    divergent: BTreeMap<RegionName, Vec<DivergentBucket>>,
    /// Milliseconds behind each other region.
    lag_ms: BTreeMap<RegionName, Option<u64>>,
}

/// What one region said of itself.
struct Answers {
    status: Option<PlaneStatus>,
    state: Option<StateSummary>,
}

pub(crate) async fn run(args: StatusArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let reach = reach(&world).await?;
    if !args.watch {
        let status = collect(&reach.client).await?;
        show(&status, world.json)?;
        return Ok(if healthy(&status) { Exit::Done } else { Exit::Failed });
    }
    loop {
        match collect(&reach.client).await {
            Ok(status) => {
                if !world.json {
                    output::say("\x1b[2J\x1b[H");
                }
                show(&status, world.json)?;
            }
            Err(error) => output::complain(&error),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

async fn collect(client: &PlaneClient) -> anyhow::Result<Status> {
    let plan = client.plan(None).await.map_err(explain_error)?;
    let mut asking = tokio::task::JoinSet::new();
    for region in &plan.world.regions {
        let (name, one) = (region.name.clone(), client.only(&region.name));
        asking.spawn(async move {
            let Some(one) = one else { return (name, Answers { status: None, state: None }) };
            let (status, state) = tokio::join!(one.status(), one.state());
            (name, Answers { status: status.ok(), state: state.ok() })
        });
    }
    let answers: BTreeMap<RegionName, Answers> = asking.join_all().await.into_iter().collect();
    let newest = answers.values().filter_map(|a| a.status.as_ref()).max_by_key(|status| status.term);
    let quorum = answers.values().filter_map(|a| a.status.as_ref()?.quorum_age_ms).any(|age| age < QUORUM_FRESH_MS);
    Ok(Status {
        concerns: concerns(answers.values().filter_map(|a| a.status.as_ref())),
        world: plan.world.name.clone(),
        plan: plan.id,
        leader: newest.and_then(|status| status.leader.clone()).filter(|_| quorum),
        quorum,
        regions: plan.world.regions.iter().map(|region| line(&plan, &region.name, answers.get(&region.name))).collect(),
    })
}

/// Each concern once, with all who tell of it.
fn concerns<'a>(told: impl Iterator<Item = &'a PlaneStatus>) -> Vec<Told> {
    let mut all: BTreeMap<&Concern, Vec<RegionName>> = BTreeMap::new();
    for status in told {
        for concern in &status.concerns {
            all.entry(concern).or_default().push(status.region.clone());
        }
    }
    all.into_iter().map(|(concern, told_by)| Told { concern: concern.clone(), told_by }).collect()
}

fn line(plan: &Plan, name: &RegionName, answers: Option<&Answers>) -> RegionStatus {
    let subject = Subject::Region(name.clone());
    let serving = plan.serving(name);
    let status = answers.and_then(|a| a.status.as_ref());
    let state = answers.and_then(|a| a.state.as_ref());
    RegionStatus {
        name: name.clone(),
        place: plan.world.region(name).map(|region| region.place.clone()).unwrap_or_default(),
        reachable: status.is_some(),
        verdict: plan.verdicts.get(&subject).map(|state| state.verdict),
        serves: serving.serves,
        why: serving.why,
        override_reason: plan.override_on(&subject).map(|o| format!("{} ({})", o.reason, o.who)),
        plan: status.and_then(|status| status.plan),
        keys: state.map(|state| state.keys),
        digest: state.map(|state| state.digest.clone()),
        conflicts: state.map(|state| state.conflicts),
        divergent_buckets: state.map_or(0, |state| state.peers.iter().map(|peer| peer.divergent_buckets).sum()),
        divergent: state.map(divergent).unwrap_or_default(),
        lag_ms: state
            .map(|state| state.peers.iter().map(|p| (p.region.clone(), p.lag_ms.filter(|_| p.connected))).collect())
            .unwrap_or_default(),
    }
}

fn divergent(state: &StateSummary) -> BTreeMap<RegionName, Vec<DivergentBucket>> {
    let found = state.peers.iter().filter(|peer| !peer.divergent.is_empty());
    found.map(|peer| (peer.region.clone(), peer.divergent.clone())).collect()
}

fn healthy(status: &Status) -> bool {
    let well = |region: &RegionStatus| {
        region.reachable && region.serves && region.why != Why::Capacity && region.divergent_buckets == 0
    };
    status.quorum && status.regions.iter().all(well)
}

fn show(status: &Status, json: bool) -> anyhow::Result<()> {
    if json {
        return output::say_json(status);
    }
    let paint = Paint::for_stdout();
    let leader = match &status.leader {
        Some(leader) => format!("leader {leader}"),
        None => paint.bad("no quorum: the last Plan stays in force"),
    };
    output::say(format!("{}   plan {}   {leader}\n", status.world, status.plan));
    let mut table = Table::new(&["REGION", "PLACE", "ANSWERS", "VERDICT", "PLAN", "KEYS", "STATE", "LAG"]);
    for region in &status.regions {
        table.row(cells(region, paint));
    }
    output::say(table.to_string());
    if !status.concerns.is_empty() {
        output::say(format!("\n{}", concerns_table(&status.concerns, paint)));
    }
    for region in &status.regions {
        if let Some(reason) = &region.override_reason {
            output::say(format!(
                "\n{} is held {} by hand: {reason}",
                region.name,
                if region.serves { "up" } else { "down" }
            ));
        }
        for (peer, buckets) in &region.divergent {
            show_divergent(&region.name, peer, buckets);
        }
    }
    Ok(())
}

fn concerns_table(concerns: &[Told], paint: Paint) -> Table {
    let mut table = Table::new(&["CONCERN", "TOLD BY", "WHAT"]);
    for Told { concern, told_by } in concerns {
        let told_by: Vec<&str> = told_by.iter().map(RegionName::as_str).collect();
        table.row(vec![paint.bad(concern.kind.as_str()), told_by.join(", "), concern.message.clone()]);
    }
    table
}

fn show_divergent(region: &RegionName, peer: &RegionName, buckets: &[DivergentBucket]) {
    output::say(format!("\n{region} and {peer} have seen the same and hold different things (please report it):"));
    for bucket in buckets {
        let keys = if bucket.keys.is_empty() { "keys not known yet".to_owned() } else { bucket.keys.join(", ") };
        output::say(format!("  partition {}, bucket {}: {keys}", bucket.partition, bucket.bucket));
    }
}

fn cells(region: &RegionStatus, paint: Paint) -> Vec<String> {
    let dash = || "–".to_owned();
    let answers = match (region.serves, region.why) {
        (true, Why::Capacity) => paint.bad("in part"),
        (true, _) => paint.good("named"),
        (false, Why::Override) => paint.warn("drained"),
        (false, Why::Verdict | Why::Capacity) => paint.bad("left out"),
    };
    let verdict = match region.verdict {
        Some(Verdict::Up) => paint.good("up"),
        Some(Verdict::Degraded) => paint.warn("degraded"),
        Some(Verdict::Down) => paint.bad("down"),
        None => dash(),
    };
    let lag = region.lag_ms.iter().map(|(peer, ms)| match ms {
        Some(ms) => format!("{peer} {ms} ms"),
        None => paint.bad(&format!("{peer} cut")),
    });
    let mut lag: Vec<String> = lag.collect();
    if region.divergent_buckets > 0 {
        lag.push(paint.bad(&format!("{} divergent buckets", region.divergent_buckets)));
    }
    vec![
        region.name.to_string(),
        region.place.clone(),
        answers,
        verdict,
        region.plan.map_or_else(|| paint.bad("away"), |plan| plan.version.to_string()),
        region.keys.map_or_else(dash, |keys| keys.to_string()),
        region.digest.as_ref().map_or_else(dash, |digest| digest.chars().take(8).collect()),
        if lag.is_empty() { dash() } else { lag.join("  ") },
    ]
}

#[cfg(test)]
mod tests {
    use plane_client::api::ConcernKind;

    use super::*;

    #[test]
    fn a_concern_is_shown_once_with_all_who_tell_of_it_and_the_gravest_first() {
        let status = |region: &str, concerns: &[(ConcernKind, &str)]| PlaneStatus {
            region: region.parse().expect("a name"),
            id: 1,
            leader: None,
            term: 1,
            members: vec![],
            quorum_age_ms: None,
            plan: None,
            last_applied: None,
            committed: None,
            concerns: concerns
                .iter()
                .map(|(kind, message)| Concern { kind: *kind, message: (*message).into() })
                .collect(),
        };
        let loss = (ConcernKind::Loss, "the loss of eu-west could not be carried: nobody left");
        let all = [status("us-east", &[loss]), status("eu-west", &[loss, (ConcernKind::Disk, "slow")])];
        let told = concerns(all.iter());
        assert_eq!(
            serde_json::to_value(&told).expect("JSON"),
            serde_json::json!([
                { "kind": "disk", "message": "slow", "told_by": ["eu-west"] },
                { "kind": "loss", "message": loss.1, "told_by": ["us-east", "eu-west"] },
            ])
        );
        let table = concerns_table(&told, Paint::for_stdout()).to_string();
        assert!(
            table.lines().nth(2).is_some_and(|line| line.contains("us-east, eu-west") && line.contains(loss.1)),
            "{table}"
        );
    }
}
