//! `atoll explain`: why a region has its verdict, why a Plan was made, why a name names whom it names, why a DNS answer is what it is.

use std::fmt::Write as _;

use anyhow::Context;
use decision::Penalty;
use model::{
    Decision, NameTtl, Override, Plan, PlanId, RegionName, Serving, Steered, SteeringPolicy, Subject, SubjectState,
    Vote, Why, Zone,
};
use plane_client::{
    PlaneClient,
    api::{DnsQuestion, ObserverVotes},
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::reach::{explain_error, reach, region_name};
use crate::{
    cli::{ExplainArgs, ExplainWhat, WorldArgs},
    exit::{Exit, Misuse},
    output::{self, Paint, Table},
    up::unix_ms,
};

pub(crate) async fn run(args: ExplainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let client = reach(&world).await?.client;
    match args.what {
        ExplainWhat::Region { region } => explain_region(&client, &region_name(&region)?, world.json).await,
        ExplainWhat::Decision { version } => explain_decision(&client, version, world.json).await,
        ExplainWhat::Name { name } => explain_name(&client, &name, world.json).await,
        ExplainWhat::Dns { name, from, record_type, at } => {
            let question = DnsQuestion { name, from, record_type };
            explain_dns(&client, &question, at.as_deref(), world.json).await
        }
    }
}

/// Everything known of one region's verdict.
#[derive(Debug, Serialize)]
struct Explanation {
    region: RegionName,
    serving: Serving,
    verdict: Option<SubjectState>,
    #[serde(rename = "override")]
    held: Option<Override>,
    /// For how long flap damping will still hold it out, milliseconds; none if it does not.
    damped_ms: Option<u64>,
    /// What each observer says now.
    votes: Vec<Observed>,
    /// What was decided about it, newest first.
    decisions: Vec<Decision>,
}

/// One observer's word on the region.
#[derive(Debug, Serialize)]
struct Observed {
    observer: RegionName,
    vote: Vote,
    age_ms: u64,
    qualified: bool,
    why_not: Option<String>,
}

async fn explain_region(client: &PlaneClient, region: &RegionName, json: bool) -> anyhow::Result<Exit> {
    let plan = client.plan(None).await.map_err(explain_error)?;
    let Some(found) = plan.world.region(region) else {
        let known: Vec<&str> = plan.world.regions.iter().map(|r| r.name.as_str()).collect();
        return Err(Misuse(format!("there is no region `{region}`; this world has {}", known.join(", "))).into());
    };
    let votes = client.votes().await.map_err(explain_error)?;
    let explanation = explanation(&plan, region, votes.votes, unix_ms());
    if json {
        output::say_json(&explanation)?;
    } else {
        output::say(in_words(&explanation, &found.place)?);
    }
    Ok(Exit::Done)
}

fn explanation(plan: &Plan, region: &RegionName, votes: Vec<ObserverVotes>, now_ms: u64) -> Explanation {
    let subject = Subject::Region(region.clone());
    let observed = votes.into_iter().filter(|votes| votes.vector.observer != *region).map(|votes| Observed {
        vote: votes.vector.votes.get(&subject).copied().unwrap_or(Vote::Unknown),
        observer: votes.vector.observer,
        age_ms: votes.age_ms,
        qualified: votes.qualified,
        why_not: votes.why_not,
    });
    let verdict = plan.verdicts.get(&subject);
    let penalty = verdict.map(|verdict| Penalty::of(verdict, now_ms)).filter(|penalty| penalty.is_frozen());
    Explanation {
        region: region.clone(),
        serving: plan.serving(region),
        verdict: verdict.cloned(),
        damped_ms: penalty.map(Penalty::frozen_for_ms),
        held: plan.override_on(&subject).cloned(),
        votes: observed.collect(),
        decisions: plan.decisions.iter().rev().filter(|decision| decision.subject == subject).cloned().collect(),
    }
}

fn in_words(explanation: &Explanation, place: &str) -> anyhow::Result<String> {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    let named =
        if explanation.serving.serves { paint.good("named in answers") } else { paint.bad("left out of answers") };
    let word = match explanation.serving.why {
        Why::Verdict => "on the quorum's verdict",
        Why::Override => "on a human's word",
        Why::Capacity => "though its verdict is Down: the others cannot carry them",
    };
    let share = match explanation.serving.share_permille {
        0 | 1000 => String::new(),
        permille => format!(" to {} % of its users", f64::from(permille) / 10.0),
    };
    writeln!(text, "{} ({place}) is {named}{share}, {word}.", explanation.region)?;
    if let Some(verdict) = &explanation.verdict {
        writeln!(text, "verdict {:?} since {} (plan {})", verdict.verdict, clock(verdict.since_ms)?, verdict.version)?;
    }
    if let Some(left_ms) = explanation.damped_ms {
        writeln!(
            text,
            "held out for flapping, for another {} min of quiet; `atoll damping clear {}` forgives it",
            left_ms.div_ceil(60_000),
            explanation.region
        )?;
    }
    if let Some(held) = &explanation.held {
        writeln!(
            text,
            "override {:?} by {}: {} (until {})",
            held.action,
            held.who,
            held.reason,
            clock(held.expires_at_ms)?
        )?;
    }
    let mut table = Table::new(&["OBSERVER", "SEES", "AGE", "COUNTS"]);
    for observed in &explanation.votes {
        let counts = if observed.qualified { "yes" } else { observed.why_not.as_deref().unwrap_or("no") };
        let sees = format!("{:?}", observed.vote);
        table.row(vec![observed.observer.to_string(), sees, format!("{} ms", observed.age_ms), counts.to_owned()]);
    }
    write!(text, "\n{table}")?;
    for decision in &explanation.decisions {
        write!(text, "\n\n{}", decision_in_words(decision)?)?;
    }
    Ok(text)
}

fn decision_in_words(decision: &Decision) -> anyhow::Result<String> {
    let evidence = &decision.evidence;
    let votes: Vec<String> = evidence.votes.iter().map(|(observer, vote)| format!("{observer} {vote:?}")).collect();
    let mut text = format!(
        "{}  {:?} → {:?}  (plan {}, proposed by {})\n  {}; {} of {} qualified votes were needed",
        clock(decision.proposed_at_ms)?,
        decision.from,
        decision.to,
        decision.version,
        decision.proposed_by,
        votes.join(", "),
        evidence.needed,
        evidence.qualified,
    );
    if let Some(first) = evidence.first_probe_ms {
        let after = |ms: u64| ms.saturating_sub(first);
        let (quorum, proposed) = (after(evidence.quorum_at_ms), after(decision.proposed_at_ms));
        write!(text, "\n  first probe that told {}; quorum +{quorum} ms, proposed +{proposed} ms", clock(first)?)?;
    }
    Ok(text)
}

async fn explain_decision(client: &PlaneClient, version: u64, json: bool) -> anyhow::Result<Exit> {
    let told = client.explain_decision(version).await.map_err(explain_error)?;
    if json {
        output::say_json(&told)?;
        return Ok(Exit::Done);
    }
    if let (Some(made_by), Some(at_ms)) = (&told.made_by, told.made_at_ms) {
        output::say(format!("plan {version}, {}: {made_by}", clock(at_ms)?));
    }
    for decision in &told.decisions {
        output::say(format!("\n{}: {}", decision.subject, decision_in_words(decision)?));
    }
    if let Some(refused) = &told.refused {
        let (kind, by) = (&refused.kind, &refused.proposed_by);
        output::say(format!("{}: {kind}, proposed by {by}, was refused", clock(refused.proposed_at_ms)?));
        output::say(format!("  {}", refused.message));
    }
    Ok(Exit::Done)
}

/// A steered name and its members.
#[derive(Debug, Serialize)]
struct NameExplanation {
    name: String,
    plan: PlanId,
    zone: String,
    pool: String,
    policy: SteeringPolicy,
    take: usize,
    ttl: NameTtl,
    members: Vec<MemberExplanation>,
}

/// One member of a name's pool.
#[derive(Debug, Serialize)]
struct MemberExplanation {
    region: RegionName,
    weight: u32,
    serving: Serving,
    /// The override's reason, or the verdict.
    because: String,
}

async fn explain_name(client: &PlaneClient, name: &str, json: bool) -> anyhow::Result<Exit> {
    let plan = client.plan(None).await.map_err(explain_error)?;
    let Some(told) = name_explanation(&plan, name) else {
        let unknown =
            format!("`{name}` is not a steered name of this world; ask `atoll explain dns` what a server answers");
        return Err(Misuse(unknown).into());
    };
    if json {
        output::say_json(&told)?;
        return Ok(Exit::Done);
    }
    let NameExplanation { zone, pool, policy, take, ttl, .. } = &told;
    let policy = policy.as_str();
    let (low, high) = (ttl.min, ttl.max);
    output::say(format!(
        "{name} (zone {zone}, plan {}): {take} of pool {pool}, {policy}, TTL {low} to {high} s",
        told.plan.version
    ));
    let mut table = Table::new(&["MEMBER", "WEIGHT", "SHARE", "BECAUSE"]);
    for member in &told.members {
        let share = format!("{} %", member.serving.share_permille / 10);
        table.row(vec![member.region.to_string(), member.weight.to_string(), share, member.because.clone()]);
    }
    output::say(table.to_string());
    Ok(if told.members.iter().any(|member| member.serving.serves) { Exit::Done } else { Exit::Failed })
}

fn name_explanation(plan: &Plan, name: &str) -> Option<NameExplanation> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let of = |zone: &Zone, steered: &Steered| match steered.name.as_str() {
        "@" => zone.origin.clone(),
        label => format!("{label}.{}", zone.origin),
    };
    let all = plan.world.zones.iter().flat_map(|zone| zone.steered.iter().map(move |steered| (zone, steered)));
    let (zone, steered) = all.into_iter().find(|(zone, steered)| of(zone, steered).eq_ignore_ascii_case(&name))?;
    let pool = plan.world.pools.get(&steered.pool)?;
    let member = |region: &RegionName| MemberExplanation {
        region: region.clone(),
        weight: pool.weight(region),
        serving: plan.serving_in(&steered.pool, region),
        because: because(plan, &steered.pool, region),
    };
    Some(NameExplanation {
        name,
        plan: plan.id,
        zone: zone.origin.clone(),
        pool: steered.pool.clone(),
        policy: steered.policy.clone(),
        take: steered.take,
        ttl: steered.ttl,
        members: pool.members.iter().map(member).collect(),
    })
}

/// What is said of a member: of itself and of its region, where each has a word or a verdict.
fn because(plan: &Plan, pool: &str, region: &RegionName) -> String {
    let member = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: region.clone() });
    let subjects = std::iter::once(Subject::Region(region.clone())).chain(member);
    let told = subjects.filter_map(|subject| match (plan.override_on(&subject), plan.verdicts.get(&subject)) {
        (Some(word), _) => Some(format!("{subject} held {:?} by {}: {}", word.action, word.who, word.reason)),
        (None, Some(state)) => Some(format!("{subject} is {:?} since plan {}", state.verdict, state.version)),
        (None, None) => None,
    });
    told.collect::<Vec<_>>().join("; ")
}

async fn explain_dns(
    client: &PlaneClient,
    question: &DnsQuestion,
    at: Option<&str>,
    json: bool,
) -> anyhow::Result<Exit> {
    let one = match at {
        None => None,
        Some(region) => {
            let region = region_name(region)?;
            Some(client.only(&region).with_context(|| format!("no endpoint is known for region `{region}`"))?)
        }
    };
    let told = one.as_ref().unwrap_or(client).explain_dns(question).await.map_err(explain_error)?;
    if json {
        output::say_json(&told)?;
    } else {
        let plan = told.plan.map_or_else(|| "no plan".into(), |plan| format!("plan {}", plan.version));
        output::say(format!("{} says {} ({plan})", told.region, told.rcode));
        for record in &told.answer {
            output::say(format!("  {record}"));
        }
        output::say("");
        for step in &told.steps {
            output::say(format!("  {step}"));
        }
    }
    Ok(if told.rcode == "NOERROR" { Exit::Done } else { Exit::Failed })
}

/// A time as people and programs read it.
pub(crate) fn clock(unix_ms: u64) -> anyhow::Result<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)?;
    Ok(time.format(&Rfc3339)?)
}

#[cfg(test)]
mod tests {
    use model::{OverrideAction, Verdict, World};

    use super::*;

    #[test]
    fn a_name_is_explained_by_the_members_of_its_pool() {
        let world = World::parse(&World::default_toml(3, 0), "world.toml").unwrap();
        let mut plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "a test", world);
        let drained = Subject::Region(RegionName::new("eu-west").unwrap());
        plan.overrides.push(Override::new(drained, OverrideAction::Down, ("maintenance", "ops"), 0, 1000));
        let told = name_explanation(&plan, "WWW.shop.test.").unwrap();
        assert_eq!((told.pool.as_str(), told.members.len()), ("web", 3));
        let member = told.members.iter().find(|member| member.region.as_str() == "eu-west").unwrap();
        assert!(!member.serving.serves && member.because.contains("maintenance"), "{member:?}");
        assert!(name_explanation(&plan, "nothing.shop.test").is_none());
    }

    #[test]
    fn a_region_that_is_held_out_for_flapping_is_told_so() {
        let world = World::parse(&World::default_toml(3, 0), "world.toml").unwrap();
        let mut plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "a test", world);
        let region = RegionName::new("eu-west").unwrap();
        let mut check = |penalty: u64, line: Option<&str>| {
            let state = SubjectState { penalty, penalty_at_ms: 0, ..SubjectState::new(Verdict::Down, 0, 1) };
            plan.verdicts.insert(Subject::Region(region.clone()), state);
            let told = in_words(&explanation(&plan, &region, Vec::new(), 60_000), "Dublin").unwrap();
            let found = told.lines().find(|line| line.starts_with("held out"));
            assert_eq!(found, line, "{told}");
        };
        check(2000, None);
        check(
            2900,
            Some("held out for flapping, for another 29 min of quiet; `atoll damping clear eu-west` forgives it"),
        );
    }
}
