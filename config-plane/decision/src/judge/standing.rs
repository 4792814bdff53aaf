//! Where each subject stands with the judge, for `status` and `explain`.

use std::collections::BTreeMap;

use model::{RegionName, Subject, Verdict};
use serde::Serialize;

use super::{Judge, observers_of};
use crate::{Now, Refusal, Tally, Timing};

/// Where a subject stands with the judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// The votes agree with the verdict in force, or no quorum wants another.
    Steady,
    /// Too few observers have an opinion: the verdict is frozen.
    Blind,
    /// A quorum wants another verdict.
    Leaning {
        /// Which.
        to: Verdict,
        /// Since when, Unix milliseconds.
        since_ms: u64,
        /// How long it must stand, milliseconds.
        hold_ms: u64,
    },
    /// A quorum wanted another verdict for long enough, but a guard says no.
    HeldBack {
        /// Which.
        to: Verdict,
        /// Why not.
        refusal: Refusal,
    },
}

impl Judge {
    /// Every subject's count and standing, for `status` and `explain`.
    pub fn standings(&self, now: Now) -> BTreeMap<Subject, (Tally, Standing)> {
        let Some(plan) = self.plan.clone() else { return BTreeMap::new() };
        let observers = observers_of(&plan);
        let timing = Timing::of_world(&plan.world);
        let counting = self.book.counting(now.mono_ms, timing.vote_life_ms, &observers);
        let of = |subject: &Subject| {
            let tally = counting.tally(subject);
            let standing = self.standing(subject, &tally);
            (subject.clone(), (tally, standing))
        };
        plan.verdicts.keys().map(of).collect()
    }

    /// Whether a quorum calls a region Down at this time, whatever the verdict in force and however long it has said so.
    pub fn is_called_down(&self, now: Now, region: &RegionName) -> bool {
        let Some(plan) = &self.plan else { return false };
        let life_ms = Timing::of_world(&plan.world).vote_life_ms;
        let counting = self.book.counting(now.mono_ms, life_ms, &observers_of(plan));
        counting.tally(&Subject::Region(region.clone())).is_down()
    }

    fn standing(&self, subject: &Subject, tally: &Tally) -> Standing {
        if tally.is_blind() {
            return Standing::Blind;
        }
        match (self.leanings.get(subject), self.held_back.get(subject)) {
            (None, _) => Standing::Steady,
            (Some(leaning), Some(refusal)) => Standing::HeldBack { to: leaning.to, refusal: refusal.clone() },
            (Some(leaning), None) => {
                Standing::Leaning { to: leaning.to, since_ms: leaning.since.wall_ms, hold_ms: leaning.hold_ms }
            }
        }
    }
}
