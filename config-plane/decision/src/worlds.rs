//! The Worlds that went before, so that a change can be looked at and taken back when it matters: after a restart, on any
//! member, and long after a member's own memory of Plans has moved on.
//!
//! A World is kept when another one replaces it; the one in force is in the Plan. Bounded twice, by count and by bytes, since it
//! travels in every snapshot. Part of the replicated state: every member forgets the same one at the same entry.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use model::{Plan, SharedWorld, World};
use serde::{Deserialize, Serialize};

/// Who made a World, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldHead {
    /// The first version of a Plan that held it.
    pub version: u64,
    /// When that Plan was made, Unix milliseconds of the proposer.
    pub made_at_ms: u64,
    /// By what, in words.
    pub made_by: String,
}

impl WorldHead {
    fn of(plan: &Plan) -> Self {
        Self { version: plan.id.version, made_at_ms: plan.made_at_ms, made_by: plan.made_by.clone() }
    }
}

/// Worlds that were replaced, oldest first, and since when the one in force is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Worlds {
    present: Option<WorldHead>,
    past: VecDeque<PastWorld>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PastWorld {
    head: WorldHead,
    /// Size as JSON.
    bytes: usize,
    world: SharedWorld,
}

impl Worlds {
    /// How many replaced Worlds are kept.
    pub const KEPT: usize = 32;
    /// How large they are together at most, bytes of JSON. The one that was replaced last is kept, whatever its size.
    pub const BYTES_KEPT: usize = World::JSON_MAX;

    pub(crate) fn is_empty(&self) -> bool {
        self.present.is_none() && self.past.is_empty()
    }

    /// Notes that a Plan was followed by one with another World. The first Plan follows none.
    pub(crate) fn note(&mut self, before: Option<&Plan>, after: &Plan) {
        if let Some(before) = before {
            let head = self.present.take().unwrap_or_else(|| WorldHead::of(before));
            let bytes = json_bytes(&before.world);
            self.past.push_back(PastWorld { head, bytes, world: before.world.clone() });
        }
        self.present = Some(WorldHead::of(after));
        while self.past.len() > Self::KEPT || (self.past.len() > 1 && self.bytes() > Self::BYTES_KEPT) {
            self.past.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        self.past.iter().map(|past| past.bytes).sum()
    }

    /// Which Worlds there are, oldest first; the last one is in force.
    pub fn heads(&self) -> impl Iterator<Item = &WorldHead> {
        self.past.iter().map(|past| &past.head).chain(&self.present)
    }

    /// The World that was in force at a version of `plan`'s lineage, and since when; none if it is kept no more, or not made yet.
    pub fn at<'w>(&'w self, plan: &'w Plan, version: u64) -> Option<(WorldHead, &'w World)> {
        if version > plan.id.version {
            return None;
        }
        let present = self.present.clone().unwrap_or_else(|| WorldHead::of(plan));
        if version >= present.version {
            return Some((present, &plan.world));
        }
        let past = self.past.iter().rev().find(|past| past.head.version <= version)?;
        Some((past.head.clone(), &past.world))
    }
}

/// How long something is as JSON, without writing it down anywhere.
fn json_bytes(what: &impl Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, what) {
        Ok(()) => count.0,
        // A World that has no JSON was never proposed; counted as too large, it would go first.
        Err(_) => usize::MAX / 64,
    }
}

#[cfg(test)]
mod tests {
    use model::PlanId;

    use super::*;
    use crate::testkit::world;

    fn plan(version: u64, name: &str) -> Plan {
        let world = World { name: name.into(), ..world(&["ap", "eu", "us"]) };
        Plan::new(PlanId { lineage: 1, version }, version * 10, format!("made {version}"), world)
    }

    /// Plans with these versions, each with a World of its own.
    fn after(versions: &[u64], name: impl Fn(u64) -> String) -> (Worlds, Plan) {
        let mut worlds = Worlds::default();
        let mut last: Option<Plan> = None;
        for version in versions {
            let next = plan(*version, &name(*version));
            worlds.note(last.as_ref(), &next);
            last = Some(next);
        }
        (worlds, last.unwrap())
    }

    #[test]
    fn every_version_has_the_world_that_was_in_force_then() {
        let (worlds, now) = after(&[1, 5, 9], |version| format!("w{version}"));
        let now = Plan { id: PlanId { version: 12, ..now.id }, ..now };
        for (version, name) in [
            (1, Some("w1")),
            (4, Some("w1")),
            (5, Some("w5")),
            (8, Some("w5")),
            (9, Some("w9")),
            (12, Some("w9")),
            (13, None),
            (0, None),
        ] {
            let found = worlds.at(&now, version).map(|(_, world)| world.name.as_str());
            assert_eq!(found, name, "version {version}");
        }
        assert_eq!(worlds.heads().map(|head| head.version).collect::<Vec<_>>(), [1, 5, 9]);
        assert_eq!(worlds.at(&now, 7).unwrap().0, WorldHead { version: 5, made_at_ms: 50, made_by: "made 5".into() });
    }

    #[test]
    fn a_state_that_never_noted_anything_begins_with_the_plan_that_it_holds() {
        let (before, after) = (plan(7, "old"), plan(8, "new"));
        let mut worlds = Worlds::default();
        assert_eq!(worlds.at(&before, 7).unwrap().1.name, "old");
        worlds.note(Some(&before), &after);
        assert_eq!(worlds.at(&after, 7).unwrap().1.name, "old");
        assert_eq!(worlds.at(&after, 6), None);
    }

    #[test]
    fn what_is_kept_is_bounded_by_count_and_by_bytes() {
        let versions: Vec<u64> = (1..=100).collect();
        let (worlds, now) = after(&versions, |version| format!("w{version}"));
        assert_eq!(worlds.past.len(), Worlds::KEPT);
        assert_eq!(worlds.at(&now, 99).unwrap().1.name, "w99");
        let (large, now) = after(&[1, 2, 3, 4, 5], |version| version.to_string().repeat(Worlds::BYTES_KEPT / 2 - 2000));
        assert_eq!(large.past.len(), 2, "{} bytes", large.bytes());
        assert!(large.at(&now, 4).is_some() && large.at(&now, 2).is_none());
        let (huge, now) = after(&[1, 2], |version| version.to_string().repeat(Worlds::BYTES_KEPT + 1));
        assert!(huge.at(&now, 1).is_some(), "the last one can be taken back, whatever its size");
    }
}
