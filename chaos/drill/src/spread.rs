//! What many measurements of one thing amount to. In: milliseconds, in any order. Out: their median, p99 and worst.
//!
//! A quantile is the measurement of nearest rank: always one that was measured, never a mean of two. So of fewer than a hundred
//! p99 is the worst one.

use serde::{Deserialize, Serialize};

/// The middle and the upper end of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many there are; 1 at least.
    pub count: usize,
    /// Half of them took no longer.
    pub median_ms: u64,
    /// 99 % of them took no longer.
    pub p99_ms: u64,
    /// None took longer.
    pub worst_ms: u64,
}

impl Spread {
    /// Of some measurements; `None` if there are none.
    pub fn of(measured: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = measured.into_iter().collect();
        sorted.sort_unstable();
        let worst_ms = *sorted.last()?;
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(worst_ms)
        };
        Some(Self { count: sorted.len(), median_ms: rank(50), p99_ms: rank(99), worst_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measurements_of_nearest_rank() {
        let check = |measured: &[u64], expected: (u64, u64, u64)| {
            let spread = Spread::of(measured.iter().copied()).unwrap();
            assert_eq!((spread.median_ms, spread.p99_ms, spread.worst_ms), expected, "{measured:?}");
            assert_eq!(spread.count, measured.len());
        };
        check(&[7], (7, 7, 7));
        check(&[9, 1], (1, 9, 9));
        check(&[3, 1, 2], (2, 3, 3));
        check(&[4, 4, 1, 9], (4, 9, 9));
        check(&(1..=99).collect::<Vec<_>>(), (50, 99, 99));
        check(&(1..=100).rev().collect::<Vec<_>>(), (50, 99, 100));
        check(&(1..=1000).collect::<Vec<_>>(), (500, 990, 1000));
        assert_eq!(Spread::of([]), None);
    }
}
