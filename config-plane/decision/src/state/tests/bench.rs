//! A state machine on a bench: commands at the times that a test says, and what came of them in words.

use expect_test::Expect;
use model::{GateScope, Verdict};

use super::super::*;
use crate::{
    Change, Demand,
    testkit::{APART_MS, LINEAGE, change, decide_all, name, plan, request},
};

pub(super) const FOUR: [&str; 4] = ["ap", "eu", "sa", "us"];

/// A world whose requests come when the test says so.
pub(super) struct Bench {
    pub(super) state: PlaneState,
    pub(super) index: u64,
    pub(super) now_ms: u64,
}

impl Bench {
    pub(super) fn of(world: model::World) -> Self {
        let mut bench = Self { state: PlaneState::new(), index: 0, now_ms: APART_MS };
        let founded = bench.told(Command::Found { world: world.into(), lineage: LINEAGE });
        assert!(founded.starts_with("world `test` founded"), "{founded}");
        bench
    }

    pub(super) fn after(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    /// Applies a command now, and says what came of it.
    pub(super) fn told(&mut self, command: Command) -> String {
        self.index += 1;
        let mut entry = request(self.index, command);
        entry.proposed_at_ms = self.now_ms;
        match self.state.apply(self.index, &entry) {
            Outcome::Applied(_) => plan(&self.state).made_by.clone(),
            Outcome::Unchanged(_) => "unchanged".into(),
            Outcome::Refused(refusal) => refusal.to_string(),
        }
    }

    pub(super) fn change(&self, about: &str, to: Verdict) -> Change {
        let mut change = change(&self.state, about, to);
        change.evidence.quorum_at_ms = self.now_ms;
        change
    }

    pub(super) fn decide(&mut self, about: &str, to: Verdict) -> String {
        let changes = vec![self.change(about, to)];
        self.told(decide_all(&self.state, changes))
    }

    pub(super) fn decide_under(&mut self, about: &str, to: Verdict, demand_rps: &Demand) -> String {
        let mut change = self.change(about, to);
        change.evidence.demand_rps = demand_rps.clone();
        self.told(decide_all(&self.state, vec![change]))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
pub(super) fn check(told: String, expected: Expect) {
    expected.assert_eq(&told);
}

pub(super) fn because() -> (String, String) {
    ("a storm".into(), "maria".into())
}

pub(super) fn close(scope: GateScope, binds_people: bool) -> Command {
    let (reason, who) = because();
    Command::SetGate { scope, binds_people, reason, who, lasts_ms: 3_600_000 }
}

pub(super) fn demand(each: u32) -> Demand {
    FOUR.iter().map(|region| (name(region), each)).collect()
}
