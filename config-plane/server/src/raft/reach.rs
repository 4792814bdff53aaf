//! Round trips to the other members, as measured: how far the slowest is, and within which time a majority answers.
//!
//! The second is what a commit takes from here, so the member for which it is smallest should lead (`placement.rs`). The first
//! says whether raft's patience is enough (`timing.rs`). Samples in, durations out; no clock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Samples that are kept of each member; the largest of them stands for the 99th percentile.
const KEPT: usize = 32;
/// Fewer samples than these say nothing.
const ENOUGH: usize = 5;

/// The latest round trips to each member.
#[derive(Debug, Default)]
pub(crate) struct Reach(BTreeMap<u64, VecDeque<Duration>>);

impl Reach {
    /// A round trip to a member; `None`: it did not answer, and what was measured before it went away counts no more.
    pub(crate) fn note(&mut self, member: u64, took: Option<Duration>) {
        let Some(took) = took else {
            self.0.remove(&member);
            return;
        };
        let samples = self.0.entry(member).or_default();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(took);
    }

    /// The middle one of a member's round trips.
    pub(crate) fn median(&self, member: u64) -> Option<Duration> {
        self.samples(member).map(|samples| median(samples.iter().copied().collect()))
    }

    /// The largest of a member's round trips.
    pub(crate) fn worst(&self, member: u64) -> Option<Duration> {
        self.samples(member).and_then(|samples| samples.iter().copied().max())
    }

    /// The time within which a majority of the voters has usually answered `own`. `None`: not enough of them answer.
    pub(crate) fn majority(&self, own: u64, voters: &BTreeSet<u64>) -> Option<Duration> {
        let distance = |voter: &u64| if *voter == own { Some(Duration::ZERO) } else { self.median(*voter) };
        within_majority(voters.iter().filter_map(distance).collect(), voters.len())
    }

    /// The member farthest away, and its largest round trip.
    pub(crate) fn farthest(&self, among: &BTreeSet<u64>) -> Option<(u64, Duration)> {
        let worst = |id: &u64| self.worst(*id).map(|worst| (*id, worst));
        among.iter().filter_map(worst).max_by_key(|(_, worst)| *worst)
    }

    fn samples(&self, member: u64) -> Option<&VecDeque<Duration>> {
        self.0.get(&member).filter(|samples| samples.len() >= ENOUGH)
    }
}

/// How a member does, in answer to another's pulse. The question has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePulse {
    /// Within which time a majority of the voters answers it, microseconds.
    pub(crate) majority_us: Option<u64>,
    /// Its present term.
    pub(crate) term: u64,
    /// Whether its log holds nothing that was asked for.
    pub(crate) bare: bool,
    /// For how long its disk has not answered, milliseconds.
    pub(crate) disk_stalled_ms: u64,
}

/// The middle one; of none, zero.
pub(crate) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// Of these distances of some of `voters` members, own zero included, the one within which a majority lies.
pub(crate) fn within_majority(mut distances: Vec<Duration>, voters: usize) -> Option<Duration> {
    distances.sort_unstable();
    distances.get(voters / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(of: &[(u64, u64)]) -> Reach {
        let mut reach = Reach::default();
        for (member, ms) in of {
            for _ in 0..ENOUGH {
                reach.note(*member, Some(Duration::from_millis(*ms)));
            }
        }
        reach
    }

    #[test]
    fn a_majority_is_as_far_as_its_farthest_member() {
        let ms = Duration::from_millis;
        let voters = BTreeSet::from([1, 2, 3, 4, 5]);
        let all = reach(&[(2, 80), (3, 10), (4, 200), (5, 90)]);
        // Oneself, 10 ms, 80 ms: three of five.
        assert_eq!(all.majority(1, &voters), Some(ms(80)));
        assert_eq!(all.farthest(&voters), Some((4, ms(200))));
        assert_eq!(reach(&[(2, 80), (4, 200)]).majority(1, &voters), Some(ms(200)));
        assert_eq!(reach(&[(2, 80)]).majority(1, &voters), None, "two of five are no majority");
        assert_eq!(Reach::default().majority(1, &BTreeSet::from([1])), Some(ms(0)), "alone");
    }

    #[test]
    fn few_samples_say_nothing_and_silence_forgets() {
        let ms = Duration::from_millis;
        let mut reach = Reach::default();
        for took in [9, 1, 2, 3] {
            reach.note(2, Some(ms(took)));
            assert_eq!(reach.median(2), None);
        }
        reach.note(2, Some(ms(2)));
        assert_eq!((reach.median(2), reach.worst(2)), (Some(ms(2)), Some(ms(9))));
        for _ in 0..KEPT {
            reach.note(2, Some(ms(2)));
        }
        assert_eq!(reach.worst(2), Some(ms(2)), "what is long ago is forgotten");
        reach.note(2, None);
        assert_eq!(reach.median(2), None);
    }
}
