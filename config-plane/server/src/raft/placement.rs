//! Where the leader should be: at the member from which a majority is nearest, since that is what every commit waits for.
//!
//! The leader looks after each round of pulses and hands over to a member that is better by a fifth and by 5 ms, and has been so
//! for half a minute. Within a region or on a LAN nobody is ever that much better. A new leader moves nothing for a minute, so
//! two members that disagree about the distance between them cannot pass the lead to and fro quickly. Durations in, a member out.

use std::time::Duration;

/// By how much another member must be nearer, at least.
const GAIN_LEAST: Duration = Duration::from_millis(5);
/// For how long it must have been.
const HOLD: Duration = Duration::from_secs(30);
/// How long a new leader waits before it looks at all.
const SETTLE: Duration = Duration::from_secs(60);

/// The leader's memory of who would be a better one.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    leading_since: Option<Duration>,
    better: Option<(u64, Duration)>,
}

impl Placement {
    /// Somebody else leads.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// One look while leading: the time on a clock that only goes forward, within which time a majority answers here, and within
    /// which each of the other voters says it answers them. Gives the member to hand over to.
    pub(crate) fn look(&mut self, now: Duration, own: Duration, others: &[(u64, Duration)]) -> Option<u64> {
        let since = *self.leading_since.get_or_insert(now);
        let enough = |(_, theirs): &&(u64, Duration)| *theirs * 5 <= own * 4 && *theirs + GAIN_LEAST <= own;
        let Some((best, _)) = others.iter().filter(enough).min_by_key(|(id, theirs)| (*theirs, *id)) else {
            self.better = None;
            return None;
        };
        let better_since = match self.better {
            Some((same, since)) if same == *best => since,
            _ => now,
        };
        self.better = Some((*best, better_since));
        let due = now >= since + SETTLE && now >= better_since + HOLD;
        if due {
            // Should the transfer fail, the next one is half a minute away.
            self.better = None;
        }
        due.then_some(*best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULSE: u64 = 5;

    /// Seconds until somebody is asked to take over; 300 at most.
    fn moves(own: u64, others: &[(u64, u64)]) -> Option<(u64, u64)> {
        let mut placement = Placement::default();
        let ms = Duration::from_millis;
        let others: Vec<_> = others.iter().map(|(id, theirs)| (*id, ms(*theirs))).collect();
        (0..300)
            .step_by(PULSE as usize)
            .find_map(|s| placement.look(Duration::from_secs(s), ms(own), &others).map(|to| (s, to)))
    }

    #[test]
    fn the_lead_goes_to_who_is_clearly_nearer_to_a_majority_and_stays_otherwise() {
        assert_eq!(moves(150, &[(2, 80), (3, 200)]), Some((60, 2)));
        assert_eq!(moves(150, &[(2, 80), (3, 70)]), Some((60, 3)), "to the best of them");
        assert_eq!(moves(150, &[(2, 80), (3, 80)]), Some((60, 2)), "of two equals to the first");
        assert_eq!(moves(100, &[(2, 81)]), None, "not for less than a fifth");
        assert_eq!(moves(4, &[(2, 0)]), None, "not for less than 5 ms");
        assert_eq!(moves(150, &[]), None, "not to nobody");
    }

    #[test]
    fn who_is_better_only_now_and_then_does_not_get_the_lead() {
        let mut placement = Placement::default();
        let ms = Duration::from_millis;
        for s in (0..600).step_by(PULSE as usize) {
            let theirs = if s % 30 == 0 { 150 } else { 80 };
            assert_eq!(placement.look(Duration::from_secs(s), ms(150), &[(2, ms(theirs))]), None, "at {s} s");
        }
    }

    #[test]
    fn a_leader_that_was_followed_by_another_starts_anew() {
        let mut placement = Placement::default();
        let ms = Duration::from_millis;
        assert_eq!(placement.look(ms(0), ms(150), &[(2, ms(80))]), None);
        placement.rest();
        assert_eq!(placement.look(ms(100_000), ms(150), &[(2, ms(80))]), None);
        assert_eq!(placement.look(ms(160_000), ms(150), &[(2, ms(80))]), Some(2));
    }
}
