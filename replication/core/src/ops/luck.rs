//! Choices at random, out of the one random word that the shell gives a command: the same word, the same choices.

use hashbrown::HashMap;

/// Most draws of one command with repetition (SRANDMEMBER with a negative count).
pub(super) const MAX_DRAWS: u64 = 1 << 20;

/// A stream of random words (splitmix64).
pub(super) struct Luck(u64);

impl Luck {
    pub(super) fn new(word: u64) -> Self {
        Self(word)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`; 0 for an empty range.
    pub(super) fn below(&mut self, n: usize) -> usize {
        // The high word of a product is as even as a remainder is not, and cheaper.
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// `count` different ones of `0..n` (all, if there are no more), in random order, in time that follows `count`.
    pub(super) fn distinct(&mut self, count: usize, n: usize) -> Vec<usize> {
        // The first steps of shuffling `0..n`; only what was swapped is written down.
        let mut swapped: HashMap<usize, usize> = HashMap::new();
        let count = count.min(n);
        let mut chosen = Vec::with_capacity(count);
        for at in 0..count {
            let other = at + self.below(n - at);
            let picked = swapped.get(&other).copied().unwrap_or(other);
            let here = swapped.get(&at).copied().unwrap_or(at);
            swapped.insert(other, here);
            chosen.push(picked);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_different_ones_and_reach_everything() {
        let mut seen = vec![0; 10];
        for word in 0..2000 {
            let mut chosen = Luck::new(word).distinct(3, 10);
            chosen.iter().for_each(|&at| seen[at] += 1);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 3);
        }
        assert!(seen.iter().all(|&times| (450..750).contains(&times)), "{seen:?}");
        let mut all = Luck::new(7).distinct(99, 10);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!(Luck::new(7).distinct(3, 0).is_empty());
    }
}
