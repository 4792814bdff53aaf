//! How many observers must agree. Two watermarks (Rapid, ATC'18) over the qualified observers other than the subject.
//!
//! - **Sight**: of `n` regions at least `max(2, majority(n) − 1)` others must have an opinion, else the plane is blind and
//!   verdicts stay as they are. With three regions that is both others: one observer alone never takes a region out.
//! - **High**: ⌈2q/3⌉ of the `q` qualified must agree to change a verdict.
//! - **Low**: from ⌈q/3⌉ on, something is going on; a decision that is due waits one round for it, so that groups go together.

/// What a decision needs, for a world of a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Observers other than the subject that must have an opinion.
    pub sight: usize,
}

impl Quorum {
    /// The quorum of a world of `regions` regions. Below three regions no automatic decision is possible; drains still are.
    pub fn of(regions: usize) -> Self {
        let majority = regions / 2 + 1;
        Self { sight: 2.max(majority - 1) }
    }

    /// How many of `qualified` observers must agree.
    pub fn high(qualified: usize) -> usize {
        (2 * qualified).div_ceil(3)
    }

    /// From how many on a subject is under suspicion.
    pub fn low(qualified: usize) -> usize {
        qualified.div_ceil(3)
    }
}
