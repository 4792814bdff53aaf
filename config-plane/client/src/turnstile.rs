//! How many followers a member lets in at a time. Pure: time is an argument.
//!
//! A new stream costs a member a whole Plan, ten times what a second of an old one costs. After a long cut all followers come at
//! once; so at most [`Turnstile::BURST`] get in together and [`Turnstile::PER_SECOND`] after that, and whoever is turned away
//! comes back by its own scattered pause. It stands here since both ends count on the figures.

/// Lets through a burst, then a steady number a second.
#[derive(Debug, Clone)]
pub struct Turnstile {
    /// Thousandths of an admission that may be used now.
    credit: u64,
    counted_at_ms: u64,
}

impl Turnstile {
    /// How many may come at once: more than a world can have regions.
    pub const BURST: u64 = 100;
    /// How many may come each second after that.
    pub const PER_SECOND: u64 = 100;

    /// All of the burst is there.
    pub fn new(now_ms: u64) -> Self {
        Self { credit: Self::BURST * 1000, counted_at_ms: now_ms }
    }

    /// Whether one more may come in at this moment. A clock that goes back gives nothing.
    pub fn admit(&mut self, now_ms: u64) -> bool {
        let elapsed_ms = now_ms.saturating_sub(self.counted_at_ms);
        self.counted_at_ms = self.counted_at_ms.max(now_ms);
        self.credit = self.credit.saturating_add(elapsed_ms.saturating_mul(Self::PER_SECOND)).min(Self::BURST * 1000);
        let admitted = self.credit >= 1000;
        if admitted {
            self.credit -= 1000;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let mut turnstile = Turnstile::new(5000);
        let mut admitted = |now_ms| (0..1000).filter(|_| turnstile.admit(now_ms)).count();
        assert_eq!(admitted(5000), 100);
        assert_eq!(admitted(5009), 0);
        assert_eq!(admitted(5010), 1);
        assert_eq!(admitted(4000), 0, "a clock that goes back gives nothing");
        assert_eq!(admitted(5510), 50);
        assert_eq!(admitted(u64::MAX), 100, "what was not used is not saved up");
    }
}
