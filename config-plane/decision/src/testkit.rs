//! What the tests of this crate share: small worlds, requests, evidence.

use std::{collections::BTreeMap, sync::Arc};

use model::{Check, Evidence, Location, PlanId, Pool, Region, RegionName, Subject, Verdict, Vote, World};

use crate::{Change, Command, Outcome, PlaneState, Request, RequestId};

/// Lineage of all test worlds.
pub(crate) const LINEAGE: u64 = 0xa7011;

pub(crate) fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

pub(crate) fn subject(text: &str) -> Subject {
    Subject::Region(name(text))
}

/// A world of these regions, with one pool `web` of all of them, judged by the default check.
pub(crate) fn world(regions: &[&str]) -> World {
    let region = |(id, region): (u16, &&str)| Region {
        gateway_v4: Some([10, 0, 0, u8::try_from(id).unwrap()].into()),
        ..Region::new(name(region), id, Location { latitude: 0.0, longitude: 0.0 })
    };
    World {
        checks: [("gateway".into(), Check::default())].into(),
        pools: [("web".into(), pool(regions))].into(),
        ..World::of("test", (1..).zip(regions).map(region).collect())
    }
}

pub(crate) fn pool(members: &[&str]) -> Pool {
    Pool::of(members.iter().map(|m| name(m)).collect(), Some("gateway".into()))
}

/// From one request of a test to the next, milliseconds: longer than the windows of velocity and common mode.
pub(crate) const APART_MS: u64 = 600_000;

/// A request whose id and time follow from `n`.
pub(crate) fn request(n: u64, command: Command) -> Request {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Request::new(RequestId::from_bytes(id), n * APART_MS, name("us"), command)
}

/// A founded state at index 1.
pub(crate) fn founded(regions: &[&str]) -> PlaneState {
    let mut state = PlaneState::new();
    let outcome = state.apply(1, &request(1, Command::Found { world: world(regions).into(), lineage: LINEAGE }));
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    state
}

pub(crate) fn plan(state: &PlaneState) -> Arc<model::Plan> {
    state.plan().expect("founded").clone()
}

/// Evidence in which every other region of the world agrees.
pub(crate) fn evidence(world: &World, about: &Subject, vote: Vote) -> Evidence {
    let others = world.regions.iter().map(|r| &r.name).filter(|r| *r != about.region());
    let votes: BTreeMap<_, _> = others.map(|r| (r.clone(), vote)).collect();
    let qualified = votes.len();
    Evidence { votes, needed: qualified, qualified, first_probe_ms: None, quorum_at_ms: 0, demand_rps: BTreeMap::new() }
}

/// A change that everybody agrees on, from the verdict in force.
pub(crate) fn change(state: &PlaneState, about: &str, to: Verdict) -> Change {
    let (plan, about) = (plan(state), subject(about));
    let vote = match to {
        Verdict::Up => Vote::Up,
        Verdict::Degraded => Vote::Degraded,
        Verdict::Down => Vote::Down,
    };
    let from = plan.verdicts.get(&about).map_or(Verdict::Up, |s| s.verdict);
    Change { evidence: evidence(&plan.world, &about, vote), subject: about, from, to }
}

/// A decision based on the Plan in force.
pub(crate) fn decide(state: &PlaneState, about: &str, to: Verdict) -> Command {
    decide_all(state, vec![change(state, about, to)])
}

/// Several changes, based on the Plan in force.
pub(crate) fn decide_all(state: &PlaneState, changes: Vec<Change>) -> Command {
    decide_from(plan(state).id, changes)
}

/// The same, based on any Plan.
pub(crate) fn decide_from(based_on: PlanId, changes: Vec<Change>) -> Command {
    Command::Decide { based_on, changes, falling: BTreeMap::new(), now_ms: 0 }
}

/// An override for an hour.
pub(crate) fn say(about: &str, action: model::OverrideAction) -> Command {
    Command::set_override(subject(about), action, ("a test", "the test"), 3_600_000)
}

/// Taking it back.
pub(crate) fn clear(about: &str) -> Command {
    Command::ClearOverride { subject: subject(about), reason: "a test".into(), who: "the test".into() }
}
