//! Reads a decision table, plays each case on a stage, and writes the table back with what came of it.

use std::fmt::Write as _;

use model::{Check, GateScope, OverrideAction, Pool, Vote, World};

use super::stage::{Say, Stage};
use crate::{
    Command, Input, Staging,
    testkit::{name, pool, say, world},
};

/// The table with every `→` line as it really is.
pub(super) fn run(text: &str) -> String {
    let mut out = String::new();
    let mut stage: Option<Stage> = None;
    let (mut capacity_rps, mut inner) = (None, false);
    for line in text.lines().filter(|line| !line.starts_with('→')) {
        writeln!(out, "{line}").unwrap();
        if let Some(regions) = line.strip_prefix("regions: ") {
            let regions: Vec<&str> = regions.split_whitespace().collect();
            stage = Some(Stage::of(arranged(&regions, capacity_rps.take(), std::mem::take(&mut inner))));
        } else if let Some(each) = line.strip_prefix("capacity: ") {
            capacity_rps = Some(each.parse().expect("capacity: RPS"));
        } else if line == "pool: api, with a check of its own" {
            inner = true;
        } else if let Some(rest) = line.strip_prefix("t=") {
            let (at, what) = rest.split_once(' ').expect("t=MS WHAT");
            let stage = stage.as_mut().expect("regions: before t=");
            stage.run_until(at.parse().expect("t=MS"));
            act(stage, what.trim());
        } else if let Some(until) = line.strip_prefix("until: ") {
            let mut stage = stage.take().expect("regions: before until:");
            stage.run_until(until.parse().expect("until: MS"));
            for told in outcome(&stage) {
                writeln!(out, "→ {told}").unwrap();
            }
        }
    }
    out
}

/// The regions in pool `web`, and if it is wanted in pool `api` with a check of its own.
fn arranged(regions: &[&str], capacity_rps: Option<u32>, inner: bool) -> World {
    let mut arranged = world(regions);
    for region in &mut arranged.regions {
        (region.capacity_rps, region.check) = (capacity_rps, Some("gateway".into()));
    }
    if inner {
        arranged.checks.insert("api".into(), Check { path: "/api".into(), ..Check::default() });
        arranged.pools.insert("api".into(), Pool { check: Some("api".into()), ..pool(regions) });
    }
    arranged
}

fn act(stage: &mut Stage, what: &str) {
    match what.split_whitespace().collect::<Vec<_>>()[..] {
        ["leading"] => stage.tell(Input::Leading(true)),
        ["not", "leading"] => stage.tell(Input::Leading(false)),
        ["proposals", "get", "lost"] => stage.proposals_get_lost = true,
        ["proposals", "arrive"] => stage.proposals_get_lost = false,
        ["override", about, action, for_ms] => {
            let action = if action == "up" { OverrideAction::Up } else { OverrideAction::Down };
            stage.override_for(about, action, for_ms.parse().expect("override REGION up|down MS"));
        }
        ["staged", "drain", about, shares, step_ms] => drop(stage.person(staged(about, shares, step_ms))),
        ["gate", "closed", for_ms] => drop(stage.person(Command::SetGate {
            scope: GateScope::World,
            binds_people: false,
            reason: "a test".into(),
            who: "the test".into(),
            lasts_ms: for_ms.parse().expect("gate closed MS"),
        })),
        ["carried:", ref loads @ ..] => {
            let load = |load: &&str| {
                let (region, rps) = load.split_once('=').expect("REGION=RPS");
                (name(region), rps.parse().expect("REGION=RPS"))
            };
            stage.load_rps = loads.iter().map(load).collect();
        }
        ["clock", "steps", by_ms] => stage.stepped_ms += by_ms.parse::<i64>().expect("clock steps MS"),
        ["restart"] => stage.restart(),
        [observer, "silent"] => stage.say(observer.trim_end_matches(':'), &Say::Silence),
        [observer, "begins"] => stage.say(observer.trim_end_matches(':'), &Say::Begin),
        [observer, ref votes @ ..] => {
            for (about, vote) in votes.iter().map(|vote| vote.split_once('=').expect("REGION=VOTE")) {
                stage.say(observer.trim_end_matches(':'), &Say::Vote(about.to_owned(), vote_of(vote)));
            }
        }
        [] => panic!("nothing after t="),
    }
}

fn staged(about: &str, shares: &str, for_ms: &str) -> Command {
    let mut command = say(about, OverrideAction::Down);
    if let Command::SetOverride { staging, .. } = &mut command {
        let shares_permille = shares.split('/').map(|share| share.parse().expect("PERMILLE/…/0")).collect();
        *staging = Some(Staging { shares_permille, step_ms: for_ms.parse().expect("MS") });
    }
    command
}

fn vote_of(text: &str) -> Vote {
    match text {
        "up" => Vote::Up,
        "down" => Vote::Down,
        "degraded" => Vote::Degraded,
        "unknown" => Vote::Unknown,
        other => panic!("no vote `{other}`"),
    }
}

fn outcome(stage: &Stage) -> Vec<String> {
    let mut told = stage.story.clone();
    told.extend(stage.refused.clone());
    let mut end = vec![format!("serving {}", stage.serving().join(" "))];
    end.extend(stage.shares());
    end.extend(stage.hidden());
    end.extend(stage.unsteady());
    told.push(format!("in the end: {}", end.join("; ")));
    told
}
