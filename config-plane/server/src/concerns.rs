//! What people should look at, and nobody else says: one list, for `atoll status`, the console and the log.
//!
//! ```text
//! raft ───── stopped, a stalled disk, round trips that outgrew the settings      every member of itself
//! lever ──── automation stopped by hand                                          every member of itself
//! survey ─── losses that could not be carried                                    every member
//! raft ───── members that lag                                                    the leader
//! judge ──── blind, held back by a guard, damped, fallen together                the leader
//! Plan ───── regions that are Down and keep some of their users                  the leader
//! ```

use decision::{Refusal, Standing};
use model::{Plan, Subject, Verdict};
use plane_client::api::{Concern, ConcernKind};

use crate::{judging::View, plane::Plane};

/// A member that lacks so many entries of the log lags. What is only under way on a long path is far less.
const LAGS_BEHIND: u64 = 256;

/// All that this member has to say.
pub(crate) async fn all(plane: &Plane) -> Vec<Concern> {
    let mut concerns = own(plane);
    concerns.extend(losses(plane));
    if plane.leads.borrow().ready {
        let view = plane.view().await;
        concerns.extend(view.iter().flat_map(|view| judged(view, plane)));
        concerns.extend(lagging(plane));
        concerns.extend(plane.plan().iter().flat_map(|plan| kept(plan)));
    }
    concerns.sort();
    concerns.dedup();
    concerns
}

/// What this member has to say of itself.
pub(crate) fn own(plane: &Plane) -> Vec<Concern> {
    let sight = plane.consensus.sight();
    let stalled = plane.consensus.disk_stalled_for();
    let patience = plane.timing.disk_patience();
    let disk = (stalled > patience)
        .then(|| format!("the disk of the plane's log has not answered for {} ms", stalled.as_millis()));
    let lever = plane.lever.pulled().map(|pulled| {
        let (who, reason) = (pulled.who, pulled.reason);
        format!("automation is stopped on this member by {who} ({reason}): `atoll automation start --reason …` lets it work again")
    });
    let told = [
        (ConcernKind::Stopped, sight.stopped),
        (ConcernKind::Disk, disk),
        (ConcernKind::AutomationStopped, lever),
        (ConcernKind::RoundTrip, plane.impatience(&sight.voters)),
    ];
    told.into_iter().filter_map(|(kind, message)| Some(Concern { kind, message: message? })).collect()
}

fn losses(plane: &Plane) -> Vec<Concern> {
    let survey = plane.survey.borrow().clone();
    let told = |(region, why): (&model::RegionName, &String)| Concern {
        kind: ConcernKind::Loss,
        message: format!("the loss of {region} could not be carried: {why}"),
    };
    survey.losses.iter().flat_map(|(region, loss)| loss.cannot.iter().map(move |why| (region, why))).map(told).collect()
}

fn judged(view: &View, plane: &Plane) -> Vec<Concern> {
    let standings = view.standings(plane.clock.now());
    standings
        .iter()
        .filter_map(|(subject, (tally, standing))| of_standing(subject, (tally.qualified, tally.sight), standing))
        .collect()
}

fn of_standing(subject: &Subject, (qualified, sight): (usize, usize), standing: &Standing) -> Option<Concern> {
    let (kind, message) = match standing {
        Standing::Steady | Standing::Leaning { .. } => return None,
        Standing::Blind => (
            ConcernKind::Blind,
            format!("{qualified} observers have an opinion of {subject} and {sight} must: its verdict is frozen"),
        ),
        Standing::HeldBack { to, refusal } => {
            let kind = match refusal {
                Refusal::CommonMode { .. } => ConcernKind::CommonMode,
                Refusal::Damped { .. } => ConcernKind::Damping,
                _ => ConcernKind::HeldBack,
            };
            (kind, format!("{subject} {to:?} is held back: {refusal}"))
        }
    };
    Some(Concern { kind, message })
}

fn lagging(plane: &Plane) -> Vec<Concern> {
    let behind = plane.consensus.behind().into_iter().filter(|(_, entries)| *entries > LAGS_BEHIND);
    let told = |(id, entries): (u64, u64)| {
        let name = plane.name(id).map_or_else(|| format!("member {id}"), |name| name.to_string());
        Concern { kind: ConcernKind::Lagging, message: format!("{name} lacks {entries} entries of the plane's log") }
    };
    behind.map(told).collect()
}

fn kept(plan: &Plan) -> Vec<Concern> {
    let down = plan.verdicts.iter().filter(|(_, state)| state.verdict == Verdict::Down);
    let told = |(subject, state): (&Subject, &model::SubjectState)| {
        let percent = state.kept?.permille / 10;
        let message = format!("{subject} is Down and keeps {percent} % of its users: the others cannot carry them");
        Some(Concern { kind: ConcernKind::Capacity, message })
    };
    down.filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use model::{RegionName, SubjectState, World};

    use super::*;

    fn region(name: &str) -> Subject {
        Subject::Region(RegionName::new(name).expect("a name"))
    }

    #[test]
    fn a_standing_is_a_concern_if_it_keeps_a_verdict_from_following_the_votes() {
        let check = |standing: &Standing, expected: Option<(ConcernKind, &str)>| {
            let told = of_standing(&region("eu"), (1, 2), standing);
            let told = told.as_ref().map(|concern| (concern.kind, concern.message.as_str()));
            match expected {
                None => assert_eq!(told, None),
                Some((kind, begins)) => {
                    let (told_kind, message) = told.expect("a concern");
                    assert!(told_kind == kind && message.starts_with(begins), "{told_kind:?} {message}");
                }
            }
        };
        let held = |refusal| Standing::HeldBack { to: Verdict::Down, refusal };
        check(&Standing::Steady, None);
        check(&Standing::Leaning { to: Verdict::Down, since_ms: 0, hold_ms: 1 }, None);
        check(&Standing::Blind, Some((ConcernKind::Blind, "1 observers have an opinion of region/eu and 2 must")));
        let together = held(Refusal::CommonMode { regions: vec![], window_s: 30 });
        check(&together, Some((ConcernKind::CommonMode, "region/eu Down is held back: common mode")));
        let flaps = Refusal::Damped { subject: region("eu"), penalty: 3000, release: 750, left_ms: 60_000 };
        check(
            &Standing::HeldBack { to: Verdict::Up, refusal: flaps },
            Some((ConcernKind::Damping, "region/eu Up is held back: damping")),
        );
        let full = held(Refusal::Capacity { usable_rps: 1, used_percent: 90, demand_rps: 2 });
        check(&full, Some((ConcernKind::HeldBack, "region/eu Down is held back: capacity")));
    }

    #[test]
    fn a_region_that_keeps_users_it_does_not_serve_is_told() {
        let world = World::of("test", vec![]);
        let mut plan = Plan::new(model::PlanId { lineage: 1, version: 1 }, 0, "", world);
        assert_eq!(kept(&plan), []);
        let state = SubjectState::new(Verdict::Down, 0, 1);
        plan.verdicts.insert(region("eu"), state.clone());
        assert_eq!(kept(&plan), []);
        let part = model::Kept { permille: 230, asked_rps: 9, at_ms: 0 };
        plan.verdicts.insert(region("eu"), SubjectState { kept: Some(part), ..state });
        let told = kept(&plan);
        assert_eq!(told[0].message, "region/eu is Down and keeps 23 % of its users: the others cannot carry them");
    }
}
