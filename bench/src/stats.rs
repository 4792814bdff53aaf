//! Medians and ratios of the figures of several runs.

use std::fmt;

use serde::Serialize;

/// The figures of several runs in three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Nothing comes of nothing.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min, max })
    }

    /// The ratio of the medians, between the smallest and the largest ratio that a run gave by itself. `ours` and `theirs`
    /// are in the order of runs.
    pub(crate) fn of_ratio(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let median = Self::of(ours)?.median / Self::of(theirs)?.median;
        let each: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let each = Self::of(&each)?;
        median.is_finite().then_some(Self { median, ..each })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(figures: &[f64], wanted: Option<(f64, f64, f64)>) {
        assert_eq!(Spread::of(figures), wanted.map(|(median, min, max)| Spread { median, min, max }));
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 100.0], Some((3.0, 1.0, 100.0)));
    }

    #[test]
    fn one_bad_run_moves_the_range_and_not_the_ratio() {
        let ratio = Spread::of_ratio(&[10.0, 11.0, 40.0], &[10.0, 10.0, 10.0]).unwrap();
        assert_eq!(ratio, Spread { median: 1.1, min: 1.0, max: 4.0 });
    }

    #[test]
    fn a_peer_that_cost_nothing_gives_no_ratio() {
        assert_eq!(Spread::of_ratio(&[10.0], &[0.0]), None);
        assert_eq!(Spread::of_ratio(&[], &[]), None);
    }
}
