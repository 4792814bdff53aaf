//! The judge's clock: the wall's, but not its steps.
//!
//! ```text
//!   wall ────────────╮ one hour
//!                    ╰──────────────────────── the wall stepped; the judge goes on with the monotonic clock,
//!   judge ───────────────────────────╮         and believes the step once it has stood for ten minutes
//! ```
//!
//! What protects a world counts in wall time, since it must outlive a leader: velocity windows, holds of ramps, penalties, the
//! ends of overrides. A clock that jumps ahead would end them all at once. Ten minutes are longer than the window of velocity:
//! by the time that a step is believed, the window has passed in truth.
//!
//! A clock that is wrong from a member's start on cannot be told from a right one here; it may end a window once too early, when
//! that member becomes the leader.

use crate::Now;

/// A wall clock without steps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    anchor: Option<Anchor>,
    /// When the wall clock began to say something else, monotonic milliseconds.
    stepped_since_ms: Option<u64>,
}

/// Two clocks read at one moment.
type Anchor = Now;

impl Pace {
    /// A difference up to this is no step, milliseconds; the clock is followed at once then.
    const SLACK_MS: u64 = 1000;
    /// A step is believed after it has stood this long, milliseconds.
    const BELIEVED_AFTER_MS: u64 = 600_000;

    /// The time, Unix milliseconds.
    pub(crate) fn now_ms(&mut self, now: Now) -> u64 {
        let anchor = *self.anchor.get_or_insert(now);
        let paced_ms = anchor.wall_ms.saturating_add(now.mono_ms.saturating_sub(anchor.mono_ms));
        if paced_ms.abs_diff(now.wall_ms) <= Self::SLACK_MS {
            (self.anchor, self.stepped_since_ms) = (Some(now), None);
            return now.wall_ms;
        }
        let since_ms = *self.stepped_since_ms.get_or_insert(now.mono_ms);
        if now.mono_ms.saturating_sub(since_ms) < Self::BELIEVED_AFTER_MS {
            return paced_ms;
        }
        (self.anchor, self.stepped_since_ms) = (Some(now), None);
        now.wall_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_stepped_by_an_hour_is_believed_after_ten_minutes_and_a_slow_drift_at_once() {
        const HOUR: u64 = 3_600_000;
        let mut pace = Pace::default();
        let mut at = |mono_ms, wall_ms| pace.now_ms(Now { mono_ms, wall_ms });
        assert_eq!(at(0, 9 * HOUR), 9 * HOUR);
        assert_eq!(at(1000, 9 * HOUR + 1500), 9 * HOUR + 1500, "half a second of drift");
        assert_eq!(at(2000, 10 * HOUR), 9 * HOUR + 2500, "an hour ahead");
        assert_eq!(at(601_000, 10 * HOUR + 599_000), 9 * HOUR + 601_500, "not yet");
        assert_eq!(at(602_000, 10 * HOUR + 600_000), 10 * HOUR + 600_000, "it has stood");
        assert_eq!(at(603_000, HOUR), 10 * HOUR + 601_000, "back by nine");
        assert_eq!(at(604_000, 10 * HOUR + 602_000), 10 * HOUR + 602_000, "and right again");
    }
}
