//! What a member does while its disk does not answer. Durations in, steps out; no clock.
//!
//! ```text
//!            a write takes longer than the patience          it has ended             calm for long enough
//!   Well ─────────────────────────────────────────→ Quiet ────────────────→ Wary ──────────────────────────→ Well
//!            hand over, if this member leads;         ↑ the next one stalls   │
//!            no heartbeats, proposals, campaigns      └───────────────────────┘ everything but campaigns
//! ```
//!
//! Why: a leader whose disk stands still goes on sending heartbeats, so nobody replaces it, while whatever needs its disk waits
//! for ever (etcd's #13527 and #15247). The others commit without its disk meanwhile, so it has one election timeout to
//! recover, and then somebody else should lead. Handing over is asked for and may fail; falling silent always works.
//!
//! A disk that stalled once tends to do it again: for a while the member follows and does not campaign. Nothing here ends the
//! process: the region's DNS and gateway do not need this disk.

use std::time::Duration;

/// After a stall the member does not campaign for this many times its patience.
const CALM: u32 = 4;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hand the lead over if this member has it; then no heartbeats, no proposals, no campaigns.
    FallSilent,
    /// Everything but campaigns.
    Serve,
    /// Campaigns too.
    Rejoin,
}

/// Looks at a disk.
#[derive(Debug)]
pub(crate) struct Watchdog {
    patience: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    Quiet,
    /// Since when the disk has answered.
    Wary(Duration),
}

impl Watchdog {
    /// A write may take as long as `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, state: State::Well }
    }

    /// Whether nothing can come of a look as long as the disk has nothing to do.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state == State::Well
    }

    /// One look: the time on a clock that only goes forward, and how long the write under way has been taking.
    pub(crate) fn look(&mut self, now: Duration, stalled: Duration) -> Option<Step> {
        let stuck = stalled > self.patience;
        let (state, step) = match self.state {
            State::Well | State::Wary(_) if stuck => (State::Quiet, Some(Step::FallSilent)),
            State::Quiet if !stuck => (State::Wary(now), Some(Step::Serve)),
            State::Wary(since) if now >= since + self.patience * CALM => (State::Well, Some(Step::Rejoin)),
            state => (state, None),
        };
        self.state = state;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_answered_once_and_campaigns_wait_until_the_disk_was_calm() {
        let ms = Duration::from_millis;
        let mut dog = Watchdog::new(ms(1200));
        let table = [
            (0, 0, None),
            (1000, 1000, None),
            (1200, 1200, None),
            (1300, 1300, Some(Step::FallSilent)),
            (5000, 5000, None),
            // The write has ended, and another one is under way.
            (5100, 50, Some(Step::Serve)),
            (6400, 1250, Some(Step::FallSilent)),
            (6500, 0, Some(Step::Serve)),
            (11_200, 0, None),
            (11_300, 0, Some(Step::Rejoin)),
            (20_000, 0, None),
        ];
        for (now, stalled, want) in table {
            assert_eq!(dog.look(ms(now), ms(stalled)), want, "at {now} ms");
        }
    }
}
