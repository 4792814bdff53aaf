//! `atoll explain`: why a region has its verdict, why a DNS answer is what it is.

use std::fmt::Write as _;

use anyhow::Context;
use model::{Decision, Override, Plan, RegionName, Serving, Subject, SubjectState, Vote, Why};
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
};

pub(crate) async fn run(args: ExplainArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let client = reach(&world).await?.client;
    match args.what {
        ExplainWhat::Region { region } => explain_region(&client, &region_name(&region)?, world.json).await,
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
    let explanation = explanation(&plan, region, votes.votes);
    if json {
        output::say_json(&explanation)?;
    } else {
        output::say(in_words(&explanation, &found.place)?);
    }
    Ok(Exit::Done)
}

fn explanation(plan: &Plan, region: &RegionName, votes: Vec<ObserverVotes>) -> Explanation {
    let subject = Subject::Region(region.clone());
    let observed = votes.into_iter().filter(|votes| votes.vector.observer != *region).map(|votes| Observed {
        vote: votes.vector.votes.get(&subject).copied().unwrap_or(Vote::Unknown),
        observer: votes.vector.observer,
        age_ms: votes.age_ms,
        qualified: votes.qualified,
        why_not: votes.why_not,
    });
    Explanation {
        region: region.clone(),
        serving: plan.serving(region),
        verdict: plan.verdicts.get(&subject).cloned(),
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
    };
    writeln!(text, "{} ({place}) is {named}, {word}.", explanation.region)?;
    if let Some(verdict) = &explanation.verdict {
        writeln!(text, "verdict {:?} since {} (plan {})", verdict.verdict, clock(verdict.since_ms)?, verdict.version)?;
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
        let evidence = &decision.evidence;
        let votes: Vec<String> = evidence.votes.iter().map(|(observer, vote)| format!("{observer} {vote:?}")).collect();
        write!(
            text,
            "\n\n{}  {:?} → {:?}  (plan {}, proposed by {})\n  {}; {} of {} qualified votes were needed",
            clock(decision.proposed_at_ms)?,
            decision.from,
            decision.to,
            decision.version,
            decision.proposed_by,
            votes.join(", "),
            evidence.needed,
            evidence.qualified,
        )?;
        if let Some(first) = evidence.first_probe_ms {
            let after = |ms: u64| ms.saturating_sub(first);
            let (quorum, proposed) = (after(evidence.quorum_at_ms), after(decision.proposed_at_ms));
            write!(text, "\n  first probe that told {}; quorum +{quorum} ms, proposed +{proposed} ms", clock(first)?)?;
        }
    }
    Ok(text)
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
