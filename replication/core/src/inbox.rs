//! Causal delivery within a partition: a delta waits for what its maker had seen.

use crate::{Delta, VersionVector};

/// Deltas that came before what they depend on. One per partition.
#[derive(Debug, Default)]
pub struct Inbox {}

/// What became of a delta that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It will come out of [`Inbox::next_ready`] when its time has come.
    Taken,
    /// The state, or the inbox, has it already.
    Duplicate,
    /// Changes of the same replica before it are missing: not taken, catch up first.
    Gap {
        /// The replica's last change here or held.
        have: u64,
        /// The first change of the refused delta.
        got: u64,
    },
    /// The inbox holds as much as it may: not taken, catch up later.
    Full,
}

/// A delta to merge now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The delta.
    pub delta: Delta,
    /// What it depends on did not come in time; it is applied all the same, and counted.
    pub late: bool,
}

impl Inbox {
    /// Takes a delta from a link; `vv` is the partition's context now.
    pub fn offer(&mut self, _now_ms: u64, _delta: Delta, _vv: &VersionVector) -> Offered {
        unimplemented!()
    }
    /// The next delta to merge; call again with the raised context until there is none.
    pub fn next_ready(&mut self, _now_ms: u64, _vv: &VersionVector) -> Option<Ready> {
        unimplemented!()
    }
    /// When to ask again though nothing came, in the caller's milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        unimplemented!()
    }
    /// How many deltas are held.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
