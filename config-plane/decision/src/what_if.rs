//! "What if these regions died now?": the real judge and the real state machine, on a copy of the live state.

use std::collections::{BTreeMap, BTreeSet};

use model::{Decision, Plan, RegionName, Subject, Vote, VoteVector};
use serde::Serialize;

use crate::{
    Command, Input, Judge, Now, Outcome, PlaneState, Refusal, Request, RequestId, Standing, Timing, serving_members,
};

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIf {
    /// The decisions that would be made.
    pub decided: Vec<Decision>,
    /// Who would serve each pool then.
    pub serving: BTreeMap<String, Vec<RegionName>>,
    /// Where every subject would stand then: blind, held back by a guard, or steady.
    pub standings: BTreeMap<Subject, Standing>,
}

/// Plays the deaths of `dead`, seen by everybody else, against a copy of `state`. Refused for a world that is not founded, or
/// for a region that it does not have.
pub fn what_if(state: &PlaneState, dead: &BTreeSet<RegionName>, wall_ms: u64) -> Result<WhatIf, Refusal> {
    let plan = state.plan().ok_or(Refusal::NotFounded)?;
    for region in dead {
        crate::guards::known(plan, &Subject::Region(region.clone()))?;
    }
    let (mut state, mut judge) = (state.clone(), Judge::new());
    let timing = Timing::of_world(&plan.world);
    let base = plan.id.version;
    let mut now = Now { mono_ms: 0, wall_ms };
    judge.handle(now, Input::Plan(plan.clone()));
    judge.handle(now, Input::Leading(true));
    let start = plan.clone();
    // Two looks: the first one starts the holds, the second one comes when the holds of Down are over, waiting included.
    for seq in 1..=2 {
        for vector in votes(&start, dead, seq) {
            judge.handle(now, Input::Votes(vector));
            while let Some(command) = judge.next_output() {
                let outcome = apply(&mut state, command, now);
                judge.handle(now, Input::Answered(Some(outcome)));
                if let Some(plan) = state.plan() {
                    judge.handle(now, Input::Plan(plan.clone()));
                }
            }
        }
        now.mono_ms += 2 * timing.hold_ms;
    }
    now.mono_ms -= 2 * timing.hold_ms;
    let plan = state.plan().ok_or(Refusal::NotFounded)?;
    let serving = |pool: &String| (pool.clone(), serving_members(plan, pool).into_iter().cloned().collect());
    Ok(WhatIf {
        decided: plan.decisions.iter().filter(|decision| decision.version > base).cloned().collect(),
        serving: plan.world.pools.keys().map(serving).collect(),
        standings: judge.standings(now).into_iter().map(|(about, (_, standing))| (about, standing)).collect(),
    })
}

/// What the living would say.
fn votes(plan: &Plan, dead: &BTreeSet<RegionName>, seq: u64) -> Vec<VoteVector> {
    let living = plan.world.regions.iter().map(|region| &region.name).filter(|name| !dead.contains(*name));
    let vote = |about: &Subject| if dead.contains(about.region()) { Vote::Down } else { Vote::Up };
    let vector = |observer: &RegionName| VoteVector {
        observer: observer.clone(),
        epoch_ms: 0,
        seq,
        votes: plan.verdicts.keys().map(|about| (about.clone(), vote(about))).collect(),
        failing_since_ms: BTreeMap::new(),
        load_rps: BTreeMap::new(),
    };
    living.map(vector).collect()
}

fn apply(state: &mut PlaneState, command: Command, now: Now) -> Outcome {
    let index = state.plan().map_or(1, |plan| plan.id.version + 1);
    let mut id = [0xff; 16];
    id[8..].copy_from_slice(&index.to_be_bytes());
    let proposed_by = state.plan().and_then(|plan| plan.world.regions.first()).map(|region| region.name.clone());
    let Some(proposed_by) = proposed_by else { return Outcome::Refused(Refusal::NotFounded) };
    state.apply(index, &Request::new(RequestId::from_bytes(id), now.wall_ms, proposed_by, command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{founded, name, say};

    fn check(regions: &[&str], drained: &[&str], dead: &[&str], expected: &str) {
        let mut state = founded(regions);
        for (n, about) in (2..).zip(drained) {
            state.apply(n, &crate::testkit::request(n, say(about, model::OverrideAction::Down)));
        }
        let before = state.clone();
        let dead = dead.iter().map(|region| name(region)).collect();
        let what = what_if(&state, &dead, 1_500_000).unwrap();
        assert_eq!(state, before, "the live state is not touched");
        let decided: Vec<String> = what.decided.iter().map(|d| format!("{} {:?}", d.subject.region(), d.to)).collect();
        let unsteady = what.standings.iter().filter_map(|(about, standing)| match standing {
            Standing::Blind => Some(format!("{} blind", about.region())),
            Standing::HeldBack { to, .. } => Some(format!("{} {to:?} held back", about.region())),
            Standing::Steady | Standing::Leaning { .. } => None,
        });
        let serving: Vec<&str> = what.serving["web"].iter().map(RegionName::as_str).collect();
        let told = format!(
            "decided [{}]; serving [{}]; {}",
            decided.join(", "),
            serving.join(", "),
            unsteady.collect::<Vec<_>>().join(", ")
        );
        assert_eq!(told, expected, "{dead:?} of {regions:?} with {drained:?} drained");
    }

    #[test]
    fn the_answer_comes_from_the_judge_and_the_guards() {
        let trio = ["ap", "eu", "us"];
        let five = ["ap", "eu", "sa", "us", "uw"];
        check(&trio, &[], &[], "decided []; serving [ap, eu, us]; ");
        check(&trio, &[], &["eu"], "decided [eu Down]; serving [ap, us]; ap blind, us blind");
        check(&trio, &[], &["eu", "us"], "decided []; serving [ap, eu, us]; ap blind, eu blind, us blind");
        check(&trio, &["ap", "us"], &["eu"], "decided []; serving [eu]; ap blind, eu Down held back, us blind");
        check(
            &five,
            &[],
            &["eu", "us"],
            "decided []; serving [ap, eu, sa, us, uw]; eu Down held back, us Down held back",
        );
    }

    #[test]
    fn an_unknown_region_is_refused() {
        let what = what_if(&founded(&["ap", "eu", "us"]), &[name("mars")].into(), 0);
        assert!(matches!(what, Err(Refusal::UnknownSubject { .. })), "{what:?}");
        assert_eq!(what_if(&PlaneState::new(), &BTreeSet::new(), 0), Err(Refusal::NotFounded));
    }
}
