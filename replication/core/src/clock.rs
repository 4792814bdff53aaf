//! Hybrid logical clock: wall time where it can be had, order where it cannot.
//!
//! Stamps break ties between *concurrent* writes only; a write that observed another beats it whatever the clocks say. So a
//! region whose clock runs ahead wins its true conflicts, and nothing else: what others write after they saw its value
//! replaces that value. A region whose clock runs behind loses its conflicts. Neither can poison the others:
//!
//! | remote stamp, against our wall clock | what happens |
//! |---|---|
//! | up to 500 ms ahead | adopted: our next stamp is greater |
//! | more than 500 ms ahead | merged and reported ([`RemoteStamp::Ahead`]): the operator should look at that clock; adopted up to 500 ms |
//! | more than 10 s ahead | **not** adopted, reported ([`RemoteStamp::FarAhead`]); links put such changes off until our clock is there |
//!
//! Our own stamp therefore never exceeds our wall clock by more than 500 ms (plus what was issued before our own clock went
//! back). What was put off is not lost: its maker keeps it, and sends it again when it is asked.

use std::fmt;

const COUNTER_BITS: u32 = 16;

/// A stamp: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

/// Beyond this a remote stamp is worth an operator's look, in milliseconds.
pub const AHEAD_MS: u64 = 500;
/// Beyond this a remote stamp is not adopted, in milliseconds.
pub const FAR_AHEAD_MS: u64 = 10_000;

impl Hlc {
    /// Before every stamp.
    pub const ZERO: Self = Self(0);

    /// The first stamp of a millisecond.
    pub fn from_ms(ms: u64) -> Self {
        Self(ms.min(u64::MAX >> COUNTER_BITS) << COUNTER_BITS)
    }

    /// Its wall-clock part, in milliseconds since 1970.
    pub fn ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Its place within the millisecond.
    pub fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The stamp to use next when `self` was the last: `max(now, last + 1)`. For shells that keep the last stamp in an atomic.
    #[must_use]
    pub fn next(self, wall_ms: u64) -> Self {
        Self::from_ms(wall_ms).max(Self(self.0.saturating_add(1)))
    }

    /// What of this stamp, made elsewhere, our clock may follow: nothing that is far in the future, and never more than
    /// [`AHEAD_MS`] beyond our wall clock.
    #[must_use]
    pub fn adoptable(self, wall_ms: u64) -> Self {
        match self.judge(wall_ms) {
            RemoteStamp::Fine => self,
            RemoteStamp::Ahead { .. } => Self::from_ms(wall_ms + AHEAD_MS),
            RemoteStamp::FarAhead { .. } => Self::ZERO,
        }
    }

    /// How this stamp, made elsewhere, stands against our wall clock.
    pub fn judge(self, wall_ms: u64) -> RemoteStamp {
        let ahead_ms = self.ms().saturating_sub(wall_ms);
        if ahead_ms > FAR_AHEAD_MS {
            RemoteStamp::FarAhead { ahead_ms }
        } else if ahead_ms > AHEAD_MS {
            RemoteStamp::Ahead { ahead_ms }
        } else {
            RemoteStamp::Fine
        }
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.ms(), self.counter())
    }
}

/// What a remote stamp says about the remote clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteStamp {
    /// Within 500 ms, or behind.
    Fine,
    /// 500 ms to 10 s ahead of us: adopted in part, worth reporting.
    Ahead {
        /// By how much, in milliseconds.
        ahead_ms: u64,
    },
    /// More than 10 s ahead of us: not adopted.
    FarAhead {
        /// By how much, in milliseconds.
        ahead_ms: u64,
    },
}

/// A region's clock: the last stamp it issued or adopted.
#[derive(Clone, Copy, Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// A clock that goes on after `last` (recovered from the journal), so that stamps never run backwards over a restart.
    pub fn resume_after(last: Hlc) -> Self {
        Self { last }
    }

    /// The last stamp issued or adopted.
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// A stamp greater than every stamp before it, and not before `wall_ms`.
    pub fn tick(&mut self, wall_ms: u64) -> Hlc {
        self.last = self.last.next(wall_ms);
        self.last
    }

    /// Takes note of a stamp made elsewhere; adopts it as far as [`Hlc::adoptable`] says.
    pub fn observe(&mut self, remote: Hlc, wall_ms: u64) -> RemoteStamp {
        self.last = self.last.max(remote.adoptable(wall_ms));
        remote.judge(wall_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_even_when_the_wall_clock_steps_back() {
        let mut clock = HlcClock::default();
        let stamps: Vec<Hlc> = [1000, 1000, 400, 1000, 1001].into_iter().map(|ms| clock.tick(ms)).collect();
        assert!(stamps.windows(2).all(|w| w[0] < w[1]), "{stamps:?}");
        assert_eq!(stamps[4], Hlc::from_ms(1001));
    }

    #[test]
    fn a_counter_that_overflows_borrows_from_the_next_millisecond() {
        let full = Hlc(Hlc::from_ms(7).0 | 0xffff);
        assert_eq!(full.next(7), Hlc::from_ms(8));
    }

    #[test]
    fn a_clock_90_s_ahead_is_reported_and_not_adopted() {
        let mut clock = HlcClock::default();
        let mine = clock.tick(1_000_000);
        let judged = |clock: &mut HlcClock, ahead: u64| clock.observe(Hlc::from_ms(1_000_000 + ahead), 1_000_000);
        assert_eq!(judged(&mut clock, 90_000), RemoteStamp::FarAhead { ahead_ms: 90_000 });
        assert_eq!(clock.last(), mine);
        assert_eq!(judged(&mut clock, 501), RemoteStamp::Ahead { ahead_ms: 501 });
        assert_eq!(judged(&mut clock, 500), RemoteStamp::Fine);
        assert_eq!(clock.last(), Hlc::from_ms(1_000_500), "followed, but not further than half a second");
        assert_eq!(judged(&mut clock, 9_000), RemoteStamp::Ahead { ahead_ms: 9_000 });
        assert!(clock.tick(1_000_000) < Hlc::from_ms(1_000_501));
    }
}
