//! Which worker takes the next request: the least loaded one.
//!
//! In: each candidate's load and whose turn it is. Out: an index. A full scan, not a sample of two: a region has few workers,
//! and with two of them a sample picks the busier one a quarter of the time. Ties go round, so idle workers share evenly.

/// What is known of a candidate. Ordered: a worker that just refused a connection comes after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    /// It refused or lost a connection a moment ago.
    pub(crate) suspect: bool,
    /// Requests under way.
    pub(crate) in_flight: u32,
}

/// The least loaded of `count` candidates, scanning from `turn`; `load` says `None` for one that must not be used.
pub(crate) fn least_loaded(count: usize, turn: usize, load: impl Fn(usize) -> Option<Load>) -> Option<usize> {
    let mut best: Option<(usize, Load)> = None;
    for step in 0..count {
        let index = (turn % count + step) % count;
        let Some(load) = load(index) else { continue };
        if best.is_none_or(|(_, least)| load < least) {
            best = Some((index, load));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character a candidate: a digit is its load, `!` before it marks a suspect, `-` one that must not be used.
    fn check(candidates: &str, turn: usize, expected: Option<usize>) {
        let loads: Vec<Option<Load>> = candidates
            .split_whitespace()
            .map(|text| match text.strip_prefix('!') {
                Some(load) => Some(Load { suspect: true, in_flight: load.parse().unwrap() }),
                None if text == "-" => None,
                None => Some(Load { suspect: false, in_flight: text.parse().unwrap() }),
            })
            .collect();
        assert_eq!(least_loaded(loads.len(), turn, |i| loads[i]), expected, "{candidates} at turn {turn}");
    }

    #[test]
    fn the_least_loaded_wins_and_ties_go_round() {
        check("", 0, None);
        check("-", 3, None);
        check("3 1 2", 0, Some(1));
        check("3 1 2", 2, Some(1));
        check("0 0 0", 0, Some(0));
        check("0 0 0", 1, Some(1));
        check("0 0 0", 2, Some(2));
        check("0 0 0", usize::MAX, Some(usize::MAX % 3));
        check("- 5 -", 2, Some(1));
    }

    #[test]
    fn a_suspect_is_used_only_when_nobody_else_is_left() {
        check("!0 9", 0, Some(1));
        check("!0 -", 0, Some(0));
        check("!4 !2", 0, Some(1));
    }
}
