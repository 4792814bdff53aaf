//! Reads a decision table, plays each case on a stage, and writes the table back with what came of it.

use std::fmt::Write as _;

use model::{OverrideAction, Vote};

use super::stage::{Say, Stage};
use crate::Input;

/// The table with every `→` line as it really is.
pub(super) fn run(text: &str) -> String {
    let mut out = String::new();
    let mut stage: Option<Stage> = None;
    for line in text.lines().filter(|line| !line.starts_with('→')) {
        writeln!(out, "{line}").unwrap();
        if let Some(regions) = line.strip_prefix("regions: ") {
            stage = Some(Stage::new(&regions.split_whitespace().collect::<Vec<_>>()));
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
        [observer, "silent"] => stage.say(observer.trim_end_matches(':'), &Say::Silence),
        [observer, ref votes @ ..] => {
            for (about, vote) in votes.iter().map(|vote| vote.split_once('=').expect("REGION=VOTE")) {
                stage.say(observer.trim_end_matches(':'), &Say::Vote(about.to_owned(), vote_of(vote)));
            }
        }
        [] => panic!("nothing after t="),
    }
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
    end.extend(stage.hidden());
    end.extend(stage.unsteady());
    told.push(format!("in the end: {}", end.join("; ")));
    told
}
