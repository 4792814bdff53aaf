//! How long a failover takes, as named terms that add up.
//!
//! Death to decision is the sum of [`Timing::out_terms`], at a round trip of 100 ms between the regions:
//!
//! | | `default` | `fast` |
//! |---|---|---|
//! | until the next probe starts | 500 | 200 |
//! | further probes until the vote | 1000 | 400 |
//! | the last probe's timeout | 1000 | 300 |
//! | the vote's way to the leader | 50 | 50 |
//! | hold | 300 | 120 |
//! | commit | 120 | 120 |
//! | **decided after at most** | **2970 ms** | **1190 ms** |
//!
//! It is a timeout less when the dead region's host still refuses connections. To it comes the push to the followers: one way of a
//! link. A decision waits one hold longer, once, if another subject is brewing; and if the leader died, for the next one: three round
//! trips from the quorum's votes on, beside the hold.

use model::{Check, Profile, World};
use serde::Serialize;

/// Every delay of probing and deciding, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// From one probe's start to the next one's. Probes may overlap: the next one starts even if the last one still waits.
    pub interval_ms: u64,
    /// A probe without an answer after this long has failed.
    pub timeout_ms: u64,
    /// A probe that has no answer yet tries another connection each time after this long: an eighth of the timeout. A lost packet
    /// of a handshake is sent again after a second only, so that a probe of one connection would fail with every fifth of them
    /// where one packet in ten is lost, and blame a region for the path.
    pub redial_ms: u64,
    /// Failures that make a vote Down.
    pub down_after: u32,
    /// Successes in a row that make a Down vote Up.
    pub up_after: u32,
    /// From one vote vector to the next. A vote that changes is sent at once, so this period adds nothing to a failover.
    pub vote_period_ms: u64,
    /// A vote not renewed for this long is Unknown: three rounds of probing, and a second at least, so that a few lost packets
    /// on a long link blind nobody.
    pub vote_life_ms: u64,
    /// How long a quorum for Down must stand: three fifths of an interval, more than a vote period, so that each observer has
    /// said it twice.
    /// Also how long a decision that is due waits for another one that is brewing.
    pub hold_ms: u64,
    /// How long a quorum for Down must stand that lasting views had waited for and one new view completes: twelve rounds of probing.
    /// Who has blamed a subject alone for long tells of its own path there; a chance failure of one more observer passes within a
    /// few rounds.
    pub split_hold_ms: u64,
    /// Views began apart if this lies between the first and the last of them: twenty rounds of probing. All who can see a death see
    /// it within three.
    pub apart_ms: u64,
    /// How long a quorum for Up must stand, before doubling for flaps: six rounds of probing.
    pub up_hold_ms: u64,
    /// How long a quorum for Degraded must stand: four rounds of probing, since a cut of weight is a matter of degree and nobody
    /// is cut off for waiting.
    pub degraded_hold_ms: u64,
    /// A vote's way to the leader, milliseconds: half a round trip between regions.
    pub vote_link_ms: u64,
    /// From a proposal to its commit, milliseconds: a round trip to a quorum, and the fsyncs at both ends.
    pub commit_ms: u64,
}

/// One named part of a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What takes the time.
    pub what: &'static str,
    /// At most how long, milliseconds.
    pub at_most_ms: u64,
}

impl Timing {
    /// No observer's word on a region that flaps is believed after a longer wait than this, milliseconds.
    pub const UP_HOLD_MAX_MS: u64 = 30 * 60 * 1000;
    /// The round trip between regions that the promised sums are for, milliseconds.
    pub const ROUND_TRIP_MS: u64 = 100;
    /// How many connections a probe tries at most.
    pub const DIALS: u32 = 8;
    /// On how many of them it asks at most: whoever is slow because it has too much to do is not asked eight times instead of once.
    /// (With one packet in ten lost on the way and on the way back, a fifth of the questions goes unanswered in time, and so one
    /// probe in a hundred.)
    pub const ASKS: u32 = 3;
    /// What the disks of a quorum take for one entry, milliseconds.
    const FSYNCS_MS: u64 = 20;
    /// `fast` probes at least this often, milliseconds.
    const FAST_INTERVAL_MS: u64 = 200;
    /// `fast` waits no longer than this for an answer, milliseconds: for regions whose round trip is below a third of it.
    const FAST_TIMEOUT_MS: u64 = 300;

    /// The delays that follow from a profile and a check. `fast` caps the check's interval and timeout, nothing else.
    pub fn of(profile: Profile, check: &Check) -> Self {
        let (interval_ms, timeout_ms) = match profile {
            Profile::Default => (check.interval_ms, check.timeout_ms),
            Profile::Fast => {
                (check.interval_ms.min(Self::FAST_INTERVAL_MS), check.timeout_ms.min(Self::FAST_TIMEOUT_MS))
            }
        };
        Self {
            interval_ms,
            timeout_ms,
            redial_ms: (timeout_ms / u64::from(Self::DIALS)).max(1),
            down_after: check.down_after,
            up_after: check.up_after,
            vote_period_ms: interval_ms,
            vote_life_ms: (3 * interval_ms).max(1000),
            hold_ms: interval_ms * 3 / 5,
            split_hold_ms: 12 * interval_ms,
            apart_ms: 20 * interval_ms,
            up_hold_ms: 6 * interval_ms,
            degraded_hold_ms: 4 * interval_ms,
            vote_link_ms: 0,
            commit_ms: 0,
        }
        .over(Self::ROUND_TRIP_MS)
    }

    /// The same between regions of another round trip, milliseconds.
    pub fn over(self, round_trip_ms: u64) -> Self {
        let commit_ms = round_trip_ms.saturating_add(Self::FSYNCS_MS);
        Self { vote_link_ms: round_trip_ms / 2, commit_ms, ..self }
    }

    /// The delays of a whole world, which sends one vector for all subjects: those of its quickest check.
    pub fn of_world(world: &World) -> Self {
        let quickest = world.checks.values().min_by_key(|check| check.interval_ms);
        Self::of(world.profile, quickest.unwrap_or(&Check::default()))
    }

    /// What passes between a region's death and the decision that takes it out.
    pub fn out_terms(&self) -> [Term; 6] {
        [
            Term { what: "until the next probe starts", at_most_ms: self.interval_ms },
            Term { what: "further probes until the vote", at_most_ms: rounds(self.down_after, self.interval_ms) },
            Term { what: "the last probe's timeout", at_most_ms: self.timeout_ms },
            Term { what: "the vote's way to the leader", at_most_ms: self.vote_link_ms },
            Term { what: "hold", at_most_ms: self.hold_ms },
            Term { what: "commit", at_most_ms: self.commit_ms },
        ]
    }

    /// What passes between a region's recovery and the decision that brings it back, if it did not flap.
    pub fn back_terms(&self) -> [Term; 5] {
        [
            Term { what: "until the next probe starts", at_most_ms: self.interval_ms },
            Term { what: "further probes until the vote", at_most_ms: rounds(self.up_after, self.interval_ms) },
            Term { what: "the vote's way to the leader", at_most_ms: self.vote_link_ms },
            Term { what: "hold", at_most_ms: self.up_hold_ms },
            Term { what: "commit", at_most_ms: self.commit_ms },
        ]
    }

    /// Death to decision at most, milliseconds.
    pub fn out_ms(&self) -> u64 {
        self.out_terms().iter().map(|term| term.at_most_ms).sum()
    }

    /// Recovery to decision at most, without flaps, milliseconds.
    pub fn back_ms(&self) -> u64 {
        self.back_terms().iter().map(|term| term.at_most_ms).sum()
    }

    /// How long a quorum for Up must stand after `flaps` recent relapses: doubled for each, half an hour at most.
    pub fn up_hold_after(&self, flaps: u32) -> u64 {
        self.up_hold_ms.saturating_mul(1 << flaps.min(20)).min(Self::UP_HOLD_MAX_MS.max(self.up_hold_ms))
    }
}

fn rounds(threshold: u32, interval_ms: u64) -> u64 {
    u64::from(threshold.saturating_sub(1)) * interval_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_keep_the_promised_sums() {
        let timing = Timing::of(Profile::Default, &Check::default());
        assert_eq!(timing.out_terms().map(|t| t.at_most_ms), [500, 1000, 1000, 50, 300, 120]);
        assert_eq!((timing.out_ms(), timing.back_ms()), (2970, 6170));
        assert!(timing.out_ms() <= 3500, "the bar at a round trip of 100 ms");
        let fast = Timing::of(Profile::Fast, &Check::default());
        assert_eq!(fast.out_terms().map(|t| t.at_most_ms), [200, 400, 300, 50, 120, 120]);
        assert_eq!((fast.out_ms(), fast.back_ms()), (1190, 2570));
        assert_eq!((timing.redial_ms, fast.redial_ms), (125, 37), "eight connections in a timeout");
        assert!(fast.out_ms() <= 1200, "the bar at a round trip of 100 ms");
        assert_eq!(fast.over(1).out_ms(), 1041, "on a LAN");
    }

    #[test]
    fn the_manual_has_these_terms_and_sums() {
        let manual = include_str!("../../../docs/failover.md");
        let [default, fast] = [Profile::Default, Profile::Fast].map(|profile| Timing::of(profile, &Check::default()));
        let check = |head: &str, default: &[Term], fast: &[Term]| {
            let mut table = format!("| from {head} to decision | `default` | `fast` |\n|---|---|---|\n");
            for (default, fast) in default.iter().zip(fast) {
                table += &format!("| {} | {} | {} |\n", default.what, default.at_most_ms, fast.at_most_ms);
            }
            let sum = |terms: &[Term]| terms.iter().map(|term| term.at_most_ms).sum::<u64>();
            table += &format!("| **in all** | **{}** | **{}** |\n", sum(default), sum(fast));
            assert!(manual.contains(&table), "docs/failover.md should have\n{table}");
        };
        check("death", &default.out_terms(), &fast.out_terms());
        check("recovery", &default.back_terms(), &fast.back_terms());
    }

    #[test]
    fn coming_back_takes_twice_as_long_for_each_flap_up_to_half_an_hour() {
        let timing = Timing::of(Profile::Default, &Check::default());
        assert_eq!(
            [0, 1, 2, 5, 9, 10, u32::MAX].map(|flaps| timing.up_hold_after(flaps) / 1000),
            [3, 6, 12, 96, 1536, 1800, 1800]
        );
    }
}
