//! `atoll drill`: the live stage of the drills is a world of `atoll up`, reached through its control socket, its admin API and the
//! ports that its users use.

use std::{fmt::Display, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use chaos_drill::{Access, KillProof, LoseRegion, Stage, Sweep};
use model::{Plan, RegionName, Subject};
use plane_client::{Because, PlaneClient};
use serde::Serialize;

use super::reach::{explain_error, local_regions, reach, region_name};
use crate::{
    cli::{DrillArgs, DrillWhat, SweepArgs, WorldArgs},
    exit::{Exit, Misuse},
    output,
    up::{self, Answer, Ask, State},
};

pub(crate) async fn run(args: DrillArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    match args.what {
        DrillWhat::List => {
            output::say(
                "lose-region   kill a region at work, see its users moved, bring it back, see everything whole",
            );
            Ok(Exit::Done)
        }
        DrillWhat::Run { drill: _, region, rate, baseline, hold } => {
            let drill = lose_region(region_name(&region)?, rate, baseline, hold);
            let report = drill.run(&LiveStage::of(&world).await?, up::unix_ms, interrupted()).await;
            tell(&report, world.json)?;
            Ok(Exit::Drill(report.outcome.code()))
        }
        DrillWhat::Sweep(args) => sweep(args, &world).await,
    }
}

async fn sweep(args: SweepArgs, world: &WorldArgs) -> anyhow::Result<Exit> {
    let stage = LiveStage::of(world).await?;
    let known: Vec<RegionName> = stage.regions().iter().map(|region| region.name.clone()).collect();
    let victims = args.region.iter().map(|name| region_name(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(unknown) = victims.iter().find(|victim| !known.contains(victim)) {
        let known: Vec<&str> = known.iter().map(RegionName::as_str).collect();
        return Err(Misuse(format!("there is no region `{unknown}`; this world has {}", known.join(", "))).into());
    }
    let first = known.into_iter().next().context("a world without regions")?;
    let drill = lose_region(first, args.rate, args.baseline, args.hold);
    let report = Sweep { times: args.times, victims, drill }.run(&stage, up::unix_ms, interrupted()).await;
    tell(&report, world.json)?;
    if let Some(file) = &args.report {
        let text = serde_json::to_string_pretty(&report).context("the report as JSON")?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write the report to {}", file.display()))?;
    }
    Ok(Exit::Drill(report.outcome.code()))
}

fn lose_region(region: RegionName, rate: u32, baseline_s: u64, hold_s: u64) -> LoseRegion {
    LoseRegion {
        rate: rate.clamp(1, 10_000),
        baseline: Duration::from_secs(baseline_s),
        hold: Duration::from_secs(hold_s),
        ..LoseRegion::of(region)
    }
}

/// Resolves at Ctrl-C. Without a handler it would end the process with the region still dead; its lease would have to end first.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn tell(report: &(impl Display + Serialize), json: bool) -> anyhow::Result<()> {
    if json {
        output::say_json(report)
    } else {
        output::say(format!("\n{report}"));
        Ok(())
    }
}

/// A running world of `atoll up`.
struct LiveStage {
    data: PathBuf,
    regions: Vec<Access>,
    client: PlaneClient,
    started_ms: u64,
    json: bool,
}

impl LiveStage {
    async fn of(world: &WorldArgs) -> anyhow::Result<Self> {
        if !world.endpoint.is_empty() {
            bail!(
                "drills run on a world of `atoll up` for now: name its data directory with --data, not an --endpoint"
            );
        }
        let configs = local_regions(&world.data)?;
        let access = |c: crate::region::config::RegionConfig| Access {
            name: c.region,
            redis: c.listen.redis,
            dns: c.listen.dns,
        };
        Ok(Self {
            data: world.data.clone(),
            regions: configs.into_iter().map(access).collect(),
            client: reach(world).await?.client,
            started_ms: up::unix_ms(),
            json: world.json,
        })
    }

    fn at(&self, region: &RegionName) -> anyhow::Result<PlaneClient> {
        self.client.only(region).with_context(|| format!("no endpoint is known for region `{region}`"))
    }
}

impl Stage for LiveStage {
    fn regions(&self) -> &[Access] {
        &self.regions
    }

    async fn kill(&self, region: &RegionName, lease_ms: u64) -> anyhow::Result<KillProof> {
        match up::ask(&self.data, &Ask::Kill { region: region.to_string(), lease_ms: Some(lease_ms) }).await? {
            Answer::Killed(up::Killed { pid, at_ms, ended }) => Ok(KillProof { pid, at_ms, ended }),
            other => bail!("the world answered {other:?} to a kill"),
        }
    }

    /// Somebody may be starting it already: an earlier call that was given up, or the end of the kill's lease.
    async fn start(&self, region: &RegionName) -> anyhow::Result<()> {
        loop {
            let Answer::Regions { regions } = up::ask(&self.data, &Ask::Regions).await? else {
                bail!("the world did not say which regions run");
            };
            match regions.get(region) {
                Some(State::Serving { .. }) => return Ok(()),
                Some(State::Starting { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
                Some(State::Away { .. }) | None => {
                    let start = Ask::Start { region: region.to_string(), fetch_state: false };
                    return up::ask(&self.data, &start).await.map(drop);
                }
            }
        }
    }

    async fn plan(&self, at: &RegionName) -> anyhow::Result<Plan> {
        self.at(at)?.plan(None).await.map_err(explain_error)
    }

    async fn digest(&self, at: &RegionName) -> anyhow::Result<String> {
        Ok(self.at(at)?.state().await.map_err(explain_error)?.digest)
    }

    async fn forgive(&self, region: &RegionName) -> anyhow::Result<()> {
        let because = Because { who: "atoll drill", reason: "the drill itself took it down" };
        let subject = Subject::Region(region.clone());
        self.client.clear_damping(&subject, because).await.map(drop).map_err(explain_error)
    }

    async fn leads(&self, region: &RegionName) -> bool {
        let status = self.client.status().await;
        status.is_ok_and(|status| status.leader.as_ref() == Some(region))
    }

    fn now_ms(&self) -> u64 {
        up::unix_ms()
    }

    fn say(&self, line: &str) {
        let since = self.now_ms().saturating_sub(self.started_ms);
        let line = format!("{:>6}.{:03} {line}", since / 1000, since % 1000);
        if self.json {
            eprintln!("{line}");
        } else {
            output::say(line);
        }
    }
}
