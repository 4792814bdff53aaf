//! The drill `lose-region`: kill a region at work, see its users moved, bring it back, see everything whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use hickory_proto::rr::Name;
use model::{Decision, Plan, RegionName, SteeringPolicy, Subject, Verdict};

use crate::{
    checks::{self, Final},
    dns::{self, Clients, Observation, Question, Seen},
    history::{History, Write},
    outcome::{Failure, Outcome, verdict},
    report::{Report, Waterfall, WriteCount},
    stage::{Access, KillProof, Stage},
    workload::{Keys, Workload, dial},
};

/// The terms of the drill.
#[derive(Debug, Clone)]
pub struct LoseRegion {
    /// Who is lost.
    pub region: RegionName,
    /// Writes a second over all regions, 1 to 10 000.
    pub rate: u32,
    /// Steady state before the fault.
    pub baseline: Duration,
    /// From the fault to the restart, at least; the restart waits for every survivor's new answer in any case.
    pub hold: Duration,
    /// Every surviving server must have stopped naming the victim after this long.
    pub failover_within: Duration,
    /// All regions must be equal this long after the victim serves again.
    pub converged_within: Duration,
    /// Says nothing on its way: a sweep tells a whole drill in one line.
    pub quiet: bool,
}

impl LoseRegion {
    /// The drill with its defaults.
    pub fn of(region: RegionName) -> Self {
        Self {
            region,
            rate: 300,
            baseline: Duration::from_secs(5),
            hold: Duration::from_secs(15),
            failover_within: Duration::from_secs(10),
            converged_within: Duration::from_secs(60),
            quiet: false,
        }
    }

    /// Runs the drill until its end or until `abort` resolves. It ends with a report, whatever happens, and with the victim
    /// started again; what the harness could not do stands in the report.
    pub async fn run<S: Stage>(&self, stage: &S, now_ms: fn() -> u64, abort: impl Future<Output = ()>) -> Report {
        let mut run = Run { terms: self, stage, report: self.blank(stage.now_ms()), failures: Vec::new() };
        let failure = tokio::select! {
            done = run.all(now_ms) => done.err().map(|error| Failure::new(Outcome::Harness, format!("{error:#}"))),
            () = abort => Some(Failure::new(Outcome::Aborted, "stopped by hand")),
        };
        if let Some(failure) = failure {
            run.failures.push(failure);
            run.bring_back().await;
        }
        run.report.outcome = verdict(&run.failures);
        run.report.failures = run.failures;
        run.report
    }

    fn blank(&self, started_ms: u64) -> Report {
        Report {
            drill: "lose-region".into(),
            outcome: Outcome::Harness,
            failures: Vec::new(),
            region: self.region.clone(),
            name: String::new(),
            started_ms,
            kill: None,
            victim_led: false,
            waterfall: None,
            writes: WriteCount::default(),
            acked_during_fault: 0,
            dns_asked: 0,
            dns_empty: 0,
            dns_unanswered: 0,
            converged_ms: None,
            back_ms: None,
            decisions: 0,
            rollback_clean: false,
        }
    }
}

/// A drill on its way.
struct Run<'a, S> {
    terms: &'a LoseRegion,
    stage: &'a S,
    report: Report,
    failures: Vec<Failure>,
}

/// What preflight found out.
struct Ground {
    question: Question,
    victim_v4: Ipv4Addr,
    /// The newest decision before the drill.
    decisions_before: u64,
}

impl<S: Stage> Run<'_, S> {
    async fn all(&mut self, now_ms: fn() -> u64) -> anyhow::Result<()> {
        let Some(ground) = self.preflight().await? else { return Ok(()) };
        let regions = self.stage.regions();
        let keys = Keys::new(&format!("{:x}", self.report.started_ms));
        let workload = Workload::start(regions, &keys, self.terms.rate, now_ms);
        let clients = Clients::start(regions, &ground.question, now_ms);
        self.say(&format!("baseline {} s", self.terms.baseline.as_secs()));
        tokio::time::sleep(self.terms.baseline).await;

        let kill = self.inject().await?;
        let fault_ms = kill.at_ms;
        self.hold(&clients, &ground, fault_ms).await;
        self.report.acked_during_fault =
            self.survivors().map(|r| workload.history.acked_since(fault_ms, Some(&r.name))).sum();
        let restart_ms = self.stage.now_ms();
        let served_ms = self.heal().await?;
        // Some writes while the region catches up, then quiet, then the final reads.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let history = workload.stop().await;
        self.converge(served_ms).await?;
        self.until_back(&ground, served_ms).await;
        self.stage.forgive(&self.terms.region).await.context("the plane should forget that the victim was down")?;
        let observations = clients.stop().await;
        let finals = self.read_finals(&keys, &history).await?;
        let writes = Arc::into_inner(history).map(History::into_writes).unwrap_or_default();
        let decisions = self.decisions_since(ground.decisions_before).await?;
        self.judge(&writes, &finals, &observations, &decisions, (fault_ms, restart_ms), ground.victim_v4);
        Ok(())
    }

    /// Steady state, or nothing is injected.
    async fn preflight(&mut self) -> anyhow::Result<Option<Ground>> {
        let victim = &self.terms.region;
        let survivor = self.survivors().next().context("a world of one region has nobody to take over")?;
        let plan = self.stage.plan(&survivor.name).await?;
        let Some(region) = plan.world.region(victim) else {
            let known: Vec<&str> = plan.world.regions.iter().map(|r| r.name.as_str()).collect();
            self.failures.push(Failure::new(
                Outcome::Aborted,
                format!("there is no region `{victim}`; this world has {}", known.join(", ")),
            ));
            return Ok(None);
        };
        let victim_v4 = region.gateway_v4.context("the region has no IPv4 gateway to be named")?;
        for region in &plan.world.regions {
            let serving = plan.serving(&region.name);
            if !serving.serves {
                let what = format!("{} is already out of answers by {:?}; nothing was done", region.name, serving.why);
                self.failures.push(Failure::new(Outcome::Aborted, what));
                return Ok(None);
            }
        }
        let name = steered_name(&plan, victim)?;
        self.report.name = name.to_string();
        let Some(question) = dns::place_near(self.stage.regions(), &name, victim_v4).await? else {
            let what = format!("no client place was found for which every server names {victim} at {name}");
            self.failures.push(Failure::new(Outcome::Aborted, what));
            return Ok(None);
        };
        self.report.victim_led = self.stage.leads(victim).await;
        self.say(&format!(
            "steady   {} regions serve; {name} from {} is {victim}",
            plan.world.regions.len(),
            question.client
        ));
        let decisions_before = plan.decisions.last().map_or(0, |decision| decision.version);
        Ok(Some(Ground { question, victim_v4, decisions_before }))
    }

    async fn inject(&mut self) -> anyhow::Result<KillProof> {
        let lease = self.terms.hold + self.terms.failover_within + Duration::from_secs(60);
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let kill = self.stage.kill(&self.terms.region, lease_ms).await.context("the kill")?;
        self.say(&format!("inject   process {} of {} gone: {}", kill.pid, self.terms.region, kill.ended));
        if !kill.ended.contains("signal: 9") {
            self.failures.push(Failure::new(Outcome::Vacuous, format!("the process ended otherwise: {}", kill.ended)));
        }
        self.report.kill = Some(kill.clone());
        Ok(kill)
    }

    /// Waits until every survivor answers without the victim, and at least the agreed time.
    async fn hold(&self, clients: &Clients, ground: &Ground, fault_ms: u64) {
        let hold_until = tokio::time::Instant::now() + self.terms.hold;
        let give_up = tokio::time::Instant::now() + self.terms.failover_within;
        let mut told = false;
        loop {
            let now = tokio::time::Instant::now();
            let seen = clients.since(fault_ms);
            let published = published(&seen, self.stage.regions(), &self.terms.region, ground.victim_v4);
            if let (Some((_, last)), false) = (published, told) {
                told = true;
                self.say(&format!(
                    "publish  every server answers without {} (+{} ms)",
                    self.terms.region,
                    last.saturating_sub(fault_ms)
                ));
            }
            if now >= hold_until && (told || now >= give_up) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn heal(&mut self) -> anyhow::Result<u64> {
        self.stage.start(&self.terms.region).await.context("the restart")?;
        self.report.rollback_clean = true;
        self.say(&format!("heal     {} serves again", self.terms.region));
        Ok(self.stage.now_ms())
    }

    /// After a failed drill: the region must not stay dead.
    async fn bring_back(&mut self) {
        if self.report.kill.is_none() || self.report.rollback_clean {
            return;
        }
        match self.stage.start(&self.terms.region).await {
            Ok(()) => self.report.rollback_clean = true,
            Err(error) => {
                let what = format!("{} could not be started again: {error:#}", self.terms.region);
                self.failures.push(Failure::new(Outcome::RollbackIncomplete, what));
            }
        }
    }

    async fn converge(&mut self, served_ms: u64) -> anyhow::Result<()> {
        let give_up = tokio::time::Instant::now() + self.terms.converged_within;
        loop {
            let mut digests = BTreeSet::new();
            for region in self.stage.regions() {
                digests.insert(self.stage.digest(&region.name).await?);
            }
            if digests.len() == 1 {
                let took = self.stage.now_ms().saturating_sub(served_ms);
                self.report.converged_ms = Some(took);
                self.say(&format!("converge digests equal in all regions (+{took} ms)"));
                return Ok(());
            }
            if tokio::time::Instant::now() >= give_up {
                let what = format!("the regions still differ after {:?}", self.terms.converged_within);
                self.failures.push(Failure::new(Outcome::Fail, what));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the decision that brings the victim back, so that its flaps are seen too, and for the end of its ramp: until
    /// then the next drill would find a region that most users are kept from.
    async fn until_back(&mut self, ground: &Ground, served_ms: u64) {
        let give_up = tokio::time::Instant::now() + self.terms.converged_within;
        while tokio::time::Instant::now() < give_up {
            if self.has_all_users(ground.decisions_before).await.unwrap_or(false) {
                self.report.back_ms = Some(self.stage.now_ms().saturating_sub(served_ms));
                self.say(&format!("failback {} is named to all its users again", self.terms.region));
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let what = format!(
            "{} serves but is not named to all its users again within {:?}",
            self.terms.region, self.terms.converged_within
        );
        self.failures.push(Failure::new(Outcome::Fail, what));
    }

    /// Whether a decision after `version` brought the victim back, and it has its whole share.
    async fn has_all_users(&self, version: u64) -> anyhow::Result<bool> {
        let victim = &self.terms.region;
        let survivor = self.survivors().next().context("nobody survived")?;
        let plan = self.stage.plan(&survivor.name).await?;
        let subject = Subject::Region(victim.clone());
        let decided = plan.decisions.iter().any(|d| d.version > version && d.subject == subject && d.to == Verdict::Up);
        Ok(decided && plan.serving(victim).is_whole())
    }

    async fn decisions_since(&self, version: u64) -> anyhow::Result<Vec<Decision>> {
        let survivor = self.survivors().next().context("nobody survived")?;
        let plan = self.stage.plan(&survivor.name).await?;
        Ok(plan.decisions.into_iter().filter(|decision| decision.version > version).collect())
    }

    async fn read_finals(&self, keys: &Keys, history: &Arc<History>) -> anyhow::Result<BTreeMap<RegionName, Final>> {
        let names = history.keys();
        let mut finals = BTreeMap::new();
        for region in self.stage.regions() {
            let last =
                read_final(region, keys, &names).await.with_context(|| format!("final reads in {}", region.name))?;
            finals.insert(region.name.clone(), last);
        }
        Ok(finals)
    }

    fn judge(
        &mut self,
        writes: &[Write],
        finals: &BTreeMap<RegionName, Final>,
        observations: &[Observation],
        decisions: &[Decision],
        (fault_ms, restart_ms): (u64, u64),
        victim_v4: Ipv4Addr,
    ) {
        let victim = &self.terms.region;
        let (count, broken) = checks::writes(writes, finals);
        self.report.writes = count;
        self.failures.extend(broken);
        self.failures.extend(checks::answers(observations, victim));
        self.failures.extend(checks::decisions(decisions, victim));
        self.report.decisions = decisions.len();
        let living = observations.iter().filter(|o| o.server != *victim);
        self.report.dns_asked = observations.len();
        self.report.dns_empty = living.clone().filter(|o| matches!(o.seen, Seen::Empty(_))).count();
        self.report.dns_unanswered = living.filter(|o| o.seen == Seen::Silence).count();
        if self.report.acked_during_fault == 0 {
            self.failures.push(Failure::new(Outcome::Vacuous, "no write was acknowledged during the fault"));
        }
        let during: Vec<Observation> =
            observations.iter().filter(|o| o.asked_ms >= fault_ms && o.seen_ms < restart_ms).cloned().collect();
        let published = published(&during, self.stage.regions(), victim, victim_v4);
        let subject = Subject::Region(victim.clone());
        let decision = decisions.iter().find(|d| d.subject == subject && d.to == Verdict::Down);
        let (Some((first_ms, last_ms)), Some(decision)) = (published, decision) else {
            let what = format!("a surviving server still named {victim} when it was restarted");
            self.failures.push(Failure::new(Outcome::Fail, what));
            return;
        };
        let after = |ms: u64| ms.saturating_sub(fault_ms);
        self.report.waterfall = Some(Waterfall {
            first_bad_probe_ms: decision.evidence.first_probe_ms.map(after),
            decided_ms: after(decision.proposed_at_ms),
            first_server_ms: after(first_ms),
            last_server_ms: after(last_ms),
        });
        if u128::from(after(last_ms)) > self.terms.failover_within.as_millis() {
            let what = format!(
                "the last server changed its answer after {} ms, not within {:?}",
                after(last_ms),
                self.terms.failover_within
            );
            self.failures.push(Failure::new(Outcome::Fail, what));
        }
    }

    fn say(&self, line: &str) {
        if !self.terms.quiet {
            self.stage.say(line);
        }
    }

    fn survivors(&self) -> impl Iterator<Item = &Access> {
        self.stage.regions().iter().filter(|region| region.name != self.terms.region)
    }
}

/// When the first and the last surviving server answered without the victim for good; `None` while one still names it.
fn published(seen: &[Observation], regions: &[Access], victim: &RegionName, victim_v4: Ipv4Addr) -> Option<(u64, u64)> {
    let changed = regions.iter().filter(|region| region.name != *victim).map(|region| {
        let answers = seen.iter().filter(|o| o.server == region.name);
        let mut since = None;
        for observation in answers {
            match &observation.seen {
                Seen::Addresses(addresses) if addresses.contains(&victim_v4) => since = None,
                Seen::Addresses(_) => since = since.or(Some(observation.seen_ms)),
                Seen::Empty(_) | Seen::Silence => {}
            }
        }
        since
    });
    let changed: Option<Vec<u64>> = changed.collect();
    let changed = changed?;
    Some((changed.iter().copied().min()?, changed.iter().copied().max()?))
}

/// A name that is steered to the nearest member, the victim being one.
fn steered_name(plan: &Plan, victim: &RegionName) -> anyhow::Result<Name> {
    for zone in &plan.world.zones {
        for steered in zone.steered.iter().filter(|s| s.policy == SteeringPolicy::Nearest) {
            let member = plan.world.pools.get(&steered.pool).is_some_and(|pool| pool.members.contains(victim));
            if member {
                let owner = if steered.name == "@" { String::new() } else { format!("{}.", steered.name) };
                return Name::from_ascii(format!("{owner}{}.", zone.origin)).context("the steered name");
            }
        }
    }
    anyhow::bail!("no name of this world is steered by `nearest` to a pool that {victim} is in")
}

async fn read_final(region: &Access, keys: &Keys, names: &[String]) -> anyhow::Result<Final> {
    let mut connection = dial(region.redis).await?;
    let mut values = BTreeMap::new();
    for chunk in names.chunks(500) {
        let found: Vec<Option<String>> = redis::cmd("MGET").arg(chunk).query_async(&mut connection).await?;
        values.extend(chunk.iter().cloned().zip(found));
    }
    let counter: Option<i64> = redis::cmd("GET").arg(keys.counter()).query_async(&mut connection).await?;
    let members: BTreeSet<String> = redis::cmd("SMEMBERS").arg(keys.set()).query_async(&mut connection).await?;
    Ok(Final { values, counter: counter.unwrap_or(0), members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_server_to_change_for_good_sets_the_time() {
        let name = |text: &str| RegionName::new(text).unwrap();
        let at = "127.0.0.1:1".parse().unwrap();
        let regions = ["us", "eu", "ap"].map(|n| Access { name: name(n), redis: at, dns: at });
        let (dead, live) = (Ipv4Addr::new(127, 0, 2, 1), Ipv4Addr::new(127, 0, 1, 1));
        let saw = |server: &str, ms: u64, ip| Observation {
            server: name(server),
            asked_ms: ms,
            seen_ms: ms,
            seen: Seen::Addresses(vec![ip]),
        };
        let mut seen = vec![saw("us", 10, dead), saw("us", 20, live), saw("ap", 20, live), saw("ap", 30, dead)];
        assert_eq!(published(&seen, &regions, &name("eu"), dead), None, "ap named it again");
        seen.push(saw("ap", 40, live));
        assert_eq!(published(&seen, &regions, &name("eu"), dead), Some((20, 40)));
    }
}
