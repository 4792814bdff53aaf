//! Dots as they lie in memory: one word each, the replica as a number that is local to its partition.

use smallvec::SmallVec;

use crate::{Dot, Hlc, ReplicaId};

const SEQ_BITS: u32 = 48;

/// A dot whose replica is an index into [`Replicas`]. Indexes differ between regions: never sent, never ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PackedDot(u64);

impl PackedDot {
    pub(crate) fn new(replica: u16, seq: u64) -> Self {
        Self(u64::from(replica) << SEQ_BITS | seq)
    }

    pub(crate) fn replica(self) -> u16 {
        (self.0 >> SEQ_BITS) as u16
    }

    pub(crate) fn seq(self) -> u64 {
        self.0 & ((1 << SEQ_BITS) - 1)
    }
}

/// The replicas this partition has heard of, in order of appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replicas {
    ids: SmallVec<[ReplicaId; 4]>,
}

impl Replicas {
    pub(crate) fn index(&self, id: ReplicaId) -> Option<u16> {
        self.ids.iter().position(|&known| known == id).map(|at| at as u16)
    }

    pub(crate) fn push(&mut self, id: ReplicaId) -> u16 {
        self.ids.push(id);
        (self.ids.len() - 1) as u16
    }

    pub(crate) fn id(&self, index: u16) -> ReplicaId {
        self.ids[usize::from(index)]
    }

    pub(crate) fn pack(&self, dot: Dot) -> Option<PackedDot> {
        Some(PackedDot::new(self.index(dot.replica)?, dot.seq))
    }

    pub(crate) fn unpack(&self, dot: PackedDot) -> Dot {
        Dot { replica: self.id(dot.replica()), seq: dot.seq() }
    }
}

/// A value with its name and its time.
#[derive(Clone, Debug)]
pub(crate) struct Tagged<T> {
    pub(crate) dot: PackedDot,
    pub(crate) hlc: Hlc,
    pub(crate) value: T,
}

/// Values of one element that did not observe each other. One, but for conflicts.
pub(crate) type Siblings<T> = SmallVec<[Tagged<T>; 1]>;

/// What orders concurrent writes, the same everywhere.
pub(crate) type Rank = (Hlc, ReplicaId, u64);

pub(crate) fn rank<T>(tagged: &Tagged<T>, replicas: &Replicas) -> Rank {
    (tagged.hlc, replicas.id(tagged.dot.replica()), tagged.dot.seq())
}

/// The sibling that last-writer-wins shows: greatest stamp, then greatest replica.
pub(crate) fn winner<'a, T>(siblings: &'a [Tagged<T>], replicas: &Replicas) -> Option<&'a Tagged<T>> {
    match siblings {
        [] => None,
        [only] => Some(only),
        many => many.iter().max_by_key(|tagged| rank(tagged, replicas)),
    }
}

/// Takes the sibling called `dot` out.
pub(crate) fn take<T>(siblings: &mut Siblings<T>, dot: PackedDot) -> Option<T> {
    let at = siblings.iter().position(|tagged| tagged.dot == dot)?;
    let taken = siblings.swap_remove(at);
    if siblings.spilled() && siblings.len() <= 1 {
        siblings.shrink_to_fit();
    }
    Some(taken.value)
}
