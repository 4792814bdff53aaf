//! Intersection, union and difference: one function for sets that lie side by side in a partition and for copies of sets that came
//! from several.

use std::borrow::Cow;

use bytes::Bytes;
use hashbrown::HashSet;

use crate::Combine;
use crate::types::set::Members;

/// A set to be combined.
pub(super) enum Side<'a> {
    /// As it lies in the partition; `None` for a key that is not there.
    Here(Option<&'a Members>),
    /// A copy.
    Copy(HashSet<Bytes>),
}

impl Side<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Here(members) => members.map_or(0, Members::len),
            Self::Copy(members) => members.len(),
        }
    }

    fn has(&self, member: &[u8]) -> bool {
        match self {
            Self::Here(members) => members.is_some_and(|members| members.has(member)),
            Self::Copy(members) => members.contains(member),
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = Cow<'_, [u8]>> + '_> {
        match self {
            Self::Here(members) => Box::new(members.iter().flat_map(|members| members.iter()).map(Cow::Borrowed)),
            Self::Copy(members) => Box::new(members.iter().map(|member| Cow::Borrowed(&member[..]))),
        }
    }
}

/// What `how` makes of `sides`, at most `limit` members of it. Costs what the smallest set costs for an intersection, else what all
/// of them cost.
pub(super) fn combine(how: Combine, sides: &[Side<'_>], limit: usize) -> Vec<Bytes> {
    let Some(first) = sides.first() else { return Vec::new() };
    let copy = |member: Cow<'_, [u8]>| Bytes::copy_from_slice(&member);
    match how {
        Combine::Inter => {
            let smallest = sides.iter().min_by_key(|side| side.len()).unwrap_or(first);
            let everywhere = smallest.iter().filter(|member| sides.iter().all(|side| side.has(member)));
            everywhere.take(limit).map(copy).collect()
        }
        Combine::Diff => {
            let alone = first.iter().filter(|member| !sides[1..].iter().any(|side| side.has(member)));
            alone.take(limit).map(copy).collect()
        }
        Combine::Union => {
            let mut seen = HashSet::new();
            sides
                .iter()
                .flat_map(Side::iter)
                .map(copy)
                .filter(|member| seen.insert(member.clone()))
                .take(limit)
                .collect()
        }
    }
}

/// What `how` makes of copies of sets, the first one first; at most `limit` members of it.
pub fn combine_sets(how: Combine, sets: Vec<Vec<Bytes>>, limit: usize) -> Vec<Bytes> {
    let sides: Vec<Side<'_>> = sets.into_iter().map(|set| Side::Copy(set.into_iter().collect())).collect();
    combine(how, &sides, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(how: Combine, sets: &[&str], expected: &str) {
        let sets = sets.iter().map(|set| set.split_whitespace().map(|word| Bytes::from(word.to_owned())).collect());
        let mut result = combine_sets(how, sets.collect(), usize::MAX);
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
        assert_eq!(combine_sets(Combine::Inter, vec![vec!["a".into(), "b".into()]; 2], 1).len(), 1);
    }
}
