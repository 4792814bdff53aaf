//! What the World says about keys by their prefix, as far as state depends on it: who wins when an add meets a remove, how large
//! a value may be, and how durable a change is before it is acknowledged.
//!
//! Rules decide what a write *puts* (a remove under remove-wins leaves a mark), never how elements are merged or read: regions
//! that hold different rules for a while still converge.

use bytes::Bytes;

use crate::MAX_VALUE_BYTES;

/// The rules of a region, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Longest value, field or member that a command may store, in bytes; at most [`MAX_VALUE_BYTES`].
    pub max_value_bytes: usize,
    /// Key prefixes and what holds for them. The longest prefix that fits a key decides.
    prefixes: Vec<(Bytes, PrefixRule)>,
}

/// What holds for the keys of one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixRule {
    /// A remove beats adds that it did not observe: for sessions and revocations.
    pub remove_wins: bool,
    /// A change is acknowledged only once it is synced to the disk, whatever the store does otherwise.
    pub always_synced: bool,
}

/// Longest value by default, in bytes.
pub const DEFAULT_MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;

impl Default for Rules {
    fn default() -> Self {
        Self { max_value_bytes: DEFAULT_MAX_VALUE_BYTES, prefixes: Vec::new() }
    }
}

impl Rules {
    /// Rules for some prefixes; of equal prefixes the last one counts.
    pub fn new(max_value_bytes: usize, prefixes: impl IntoIterator<Item = (Bytes, PrefixRule)>) -> Self {
        let mut prefixes: Vec<(Bytes, PrefixRule)> = prefixes.into_iter().collect();
        // Longest first, so that the first fit is the longest; the sort is stable, so reversing puts the last of equals first.
        prefixes.reverse();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { max_value_bytes: max_value_bytes.min(MAX_VALUE_BYTES), prefixes }
    }

    /// What holds for a key.
    pub fn of(&self, key: &[u8]) -> PrefixRule {
        if self.prefixes.is_empty() {
            return PrefixRule::default();
        }
        let fitting = self.prefixes.iter().find(|(prefix, _)| key.starts_with(prefix));
        fitting.map(|(_, rule)| *rule).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let wins = PrefixRule { remove_wins: true, ..PrefixRule::default() };
        let adds = PrefixRule::default();
        let rules =
            Rules::new(100, [("s:".into(), wins), ("s:open:".into(), adds), ("x".into(), adds), ("x".into(), wins)]);
        for (key, expected) in [("s:1", wins), ("s:open:1", adds), ("t", adds), ("x1", wins), ("", adds)] {
            assert_eq!(rules.of(key.as_bytes()), expected, "{key}");
        }
    }
}
