//! SINTER, SUNION and SDIFF: one function for sets that lie side by side in a partition and for copies of sets that came from
//! several.

use bytes::Bytes;
use hashbrown::HashSet;

use super::sides::{Side, difference};
use crate::Combine;

/// What `how` makes of `sides`, at most `limit` members of it. Costs what the smallest set costs for an intersection, else what all
/// of them cost.
pub(super) fn combine(how: Combine, sides: &[Side<'_>], limit: usize) -> Vec<Bytes> {
    match how {
        Combine::Inter => {
            let smallest = sides.iter().min_by_key(|side| side.len()).into_iter().flat_map(Side::rows);
            copied(smallest.filter(|(member, _)| sides.iter().all(|side| side.has(member))), limit)
        }
        Combine::Diff => copied(difference(sides), limit),
        Combine::Union => {
            let mut seen = HashSet::new();
            copied(sides.iter().flat_map(Side::rows).filter(|(member, _)| seen.insert(*member)), limit)
        }
    }
}

fn copied<'s>(rows: impl Iterator<Item = (&'s [u8], f64)>, limit: usize) -> Vec<Bytes> {
    rows.take(limit).map(|(member, _)| Bytes::copy_from_slice(member)).collect()
}

/// What `how` makes of copies of sets, the first one first; at most `limit` members of it.
pub fn combine_sets(how: Combine, sets: &[Vec<Bytes>], limit: usize) -> Vec<Bytes> {
    combine(how, &sets.iter().map(|set| Side::copy_of_set(set)).collect::<Vec<_>>(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(how: Combine, sets: &[&str], expected: &str) {
        let set = |text: &&str| text.split_whitespace().map(|word| Bytes::from(word.to_owned())).collect();
        let mut result = combine_sets(how, &sets.iter().map(set).collect::<Vec<_>>(), usize::MAX);
        result.sort();
        let result: Vec<String> = result.iter().map(|member| String::from_utf8_lossy(member).into_owned()).collect();
        assert_eq!(result.join(" "), expected, "{how:?}");
    }

    #[test]
    fn sets_are_combined() {
        check(Combine::Inter, &["a b c", "b c d", "c b"], "b c");
        check(Combine::Inter, &["a b c", ""], "");
        check(Combine::Inter, &["a b"], "a b");
        check(Combine::Union, &["a b", "", "b c"], "a b c");
        check(Combine::Diff, &["a b c", "b", "c x"], "a");
        check(Combine::Diff, &["", "b"], "");
        check(Combine::Union, &[], "");
        assert_eq!(combine_sets(Combine::Inter, &vec![vec!["a".into(), "b".into()]; 2], 1).len(), 1);
    }
}
