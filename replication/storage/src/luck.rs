//! Where random numbers come from: new names, and the commands that choose at random.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A source of random words. A test may hand in one that repeats itself.
#[derive(Clone)]
pub struct Luck(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Luck {
    /// A source that asks `draw`.
    pub fn new(draw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// The sequence that `seed` stands for (SplitMix64).
    pub fn seeded(seed: u64) -> Self {
        let state = AtomicU64::new(seed);
        Self::new(move || {
            let mut z = state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        })
    }

    /// The next word.
    pub fn draw(&self) -> u64 {
        (self.0)()
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Default for Luck {
    /// A sequence of its own for each source, begun with the system's randomness.
    fn default() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }
}

impl fmt::Debug for Luck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Luck")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_sources_differ() {
        let draw = |luck: Luck| [luck.draw(), luck.draw(), luck.draw()];
        assert_eq!(draw(Luck::seeded(7)), draw(Luck::seeded(7)));
        assert_ne!(draw(Luck::seeded(7)), draw(Luck::seeded(8)));
        assert_ne!(draw(Luck::default()), draw(Luck::default()));
    }
}
