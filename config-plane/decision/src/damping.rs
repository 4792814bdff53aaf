//! Flap damping, as routers have it (RFC 2439): each Down costs a penalty, which halves over time.
//!
//! ```text
//!   penalty                                            a Down adds 1000; it halves every 15 minutes
//!    3000 ┤      ╭╮                                    at 2500 or more the subject is frozen: it stays Down,
//!    2500 ┤┄┄┄┄┄╭╯╰╮┄┄┄┄┄┄┄ frozen ┄┄┄┄┄┄┄┄┄           the safer of the two it flaps between
//!    2000 ┤   ╭╮│   ╰──╮                               below 750 it is released
//!    1000 ┤╭╮╭╯╰╯      ╰────╮
//!     750 ┤││╯┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄╰───┄ released ┄┄┄
//!         └┴┴──────────────────────────────────→ time
//! ```
//!
//! Integers only, since the penalty is a part of the replicated state: between two half-lives it falls in a straight line, at
//! most 6 % above the true curve, and exact at each of them.
//!
//! The penalty is also what the wait before a return is doubled by ([`Penalty::flaps`]), so that one command clears both.

use model::SubjectState;

/// A subject's penalty at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// What it was when it was last reckoned.
    stored: u64,
    /// How long ago that was, milliseconds.
    after_ms: u64,
    /// What is left of it now.
    now: u64,
}

impl Penalty {
    /// What each Down costs.
    pub const DOWN: u64 = 1000;
    /// From here on a subject is frozen.
    pub const FREEZE: u64 = 2500;
    /// Below this a frozen subject is released.
    pub const RELEASE: u64 = 750;
    /// In this time a penalty halves, milliseconds.
    pub const HALF_LIFE_MS: u64 = 15 * 60 * 1000;

    /// The penalty of a subject at a time (Unix milliseconds). Before the time it was reckoned at, it is what it was then.
    pub fn of(state: &SubjectState, now_ms: u64) -> Self {
        let after_ms = now_ms.saturating_sub(state.penalty_at_ms);
        Self { stored: state.penalty, after_ms, now: decayed(state.penalty, after_ms) }
    }

    /// What is left of it.
    pub fn left(self) -> u64 {
        self.now
    }

    /// After one more Down.
    pub fn raised(self) -> u64 {
        self.now.saturating_add(Self::DOWN)
    }

    /// Whether the subject stays out. No flag is kept: a frozen subject is Down and so gains no penalty, which is why the stored
    /// one tells whether the threshold was reached.
    pub fn is_frozen(self) -> bool {
        self.stored >= Self::FREEZE && self.now >= Self::RELEASE
    }

    /// How often it went Down lately beyond the first time, by what is left of the penalty, rounded.
    pub fn flaps(self) -> u32 {
        let downs = self.now.saturating_add(Self::DOWN / 2) / Self::DOWN;
        u32::try_from(downs.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// In how long a frozen subject is released, milliseconds, to the next second; 0 if it is not frozen.
    pub fn frozen_for_ms(self) -> u64 {
        const STEP_MS: usize = 1000;
        let has_ended = |ms: &u64| decayed(self.stored, self.after_ms.saturating_add(*ms)) < Self::RELEASE;
        if !self.is_frozen() {
            return 0;
        }
        // A stored penalty is below 3500 and so released within three half-lives: 2700 steps.
        (0..=3 * Self::HALF_LIFE_MS).step_by(STEP_MS).find(has_ended).unwrap_or(3 * Self::HALF_LIFE_MS)
    }
}

/// What is left of a penalty after some milliseconds.
fn decayed(penalty: u64, after_ms: u64) -> u64 {
    let halvings = after_ms / Penalty::HALF_LIFE_MS;
    let begun = u32::try_from(halvings).ok().and_then(|n| penalty.checked_shr(n)).unwrap_or(0);
    let into_ms = after_ms % Penalty::HALF_LIFE_MS;
    // At most 3500 times 900 000: far below the end of u64. A damaged state may hold anything, so it saturates.
    begun - (begun / 2).saturating_mul(into_ms) / Penalty::HALF_LIFE_MS
}

#[cfg(test)]
mod tests {
    use model::Verdict;

    use super::*;

    const MIN: u64 = 60_000;

    fn at(penalty: u64, minutes: u64) -> Penalty {
        let state = SubjectState { penalty, penalty_at_ms: 7, ..SubjectState::new(Verdict::Down, 0, 0) };
        Penalty::of(&state, 7 + minutes * MIN)
    }

    #[test]
    fn it_halves_every_quarter_of_an_hour_and_falls_in_between() {
        assert_eq!([0, 5, 15, 30, 45, 60, 10_000].map(|m| at(3000, m).left()), [3000, 2500, 1500, 750, 375, 187, 0]);
        let mut last = u64::MAX;
        for minute in 0..200 {
            let left = at(3499, minute).left();
            assert!(left <= last, "minute {minute}: {left} after {last}");
            last = left;
        }
    }

    #[test]
    fn three_quick_downs_freeze_and_half_an_hour_of_quiet_releases() {
        let frozen = |penalty, minutes| at(penalty, minutes).is_frozen();
        assert_eq!(
            [(1000, 0), (2499, 0), (2500, 0), (3000, 29), (3000, 31)].map(|(p, m)| frozen(p, m)),
            [false, false, true, true, false]
        );
        let left = at(3000, 0).frozen_for_ms() / MIN;
        assert!((29..=31).contains(&left), "{left} min");
        assert_eq!(at(2400, 0).frozen_for_ms(), 0);
    }

    #[test]
    fn flaps_are_the_downs_beyond_the_first_as_long_as_they_are_remembered() {
        assert_eq!([0, 1000, 1400, 1600, 2000, 2900].map(|p| at(p, 0).flaps()), [0, 0, 0, 1, 1, 2]);
        assert_eq!([0, 14, 20].map(|m| at(2000, m).flaps()), [1, 0, 0]);
    }
}
