//! Names of replicas, of changes, and of "everything up to here".

use std::fmt;

use smallvec::SmallVec;

/// One life of one region's state. Never reused: any doubt about continuity takes the next incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The region's number in the World.
    pub region: u16,
    /// Counts the region's lives.
    pub incarnation: u32,
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.region, self.incarnation)
    }
}

/// The last sequence number a replica can use in one partition. 48 bits let a dot fit one word in memory; at a million writes a
/// second to one partition they last nine years.
pub const MAX_SEQ: u64 = (1 << 48) - 1;

/// The name of one change: which replica, and its how-manieth in this partition (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who made the change.
    pub replica: ReplicaId,
    /// The replica's sequence number within the partition, `1..=MAX_SEQ`.
    pub seq: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.seq)
    }
}

/// "Every change of each replica up to here": the context of one partition. Sorted by replica; absent means 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VersionVector {
    entries: SmallVec<[(ReplicaId, u64); 4]>,
}

impl VersionVector {
    /// The context that covers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last change of `replica` covered, 0 if none.
    pub fn get(&self, replica: ReplicaId) -> u64 {
        match self.entries.binary_search_by_key(&replica, |e| e.0) {
            Ok(at) => self.entries[at].1,
            Err(_) => 0,
        }
    }

    /// Raises `replica` to at least `seq`.
    pub fn raise(&mut self, replica: ReplicaId, seq: u64) {
        if seq == 0 {
            return;
        }
        match self.entries.binary_search_by_key(&replica, |e| e.0) {
            Ok(at) => self.entries[at].1 = self.entries[at].1.max(seq),
            Err(at) => self.entries.insert(at, (replica, seq)),
        }
    }

    /// Whether `dot` is covered.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.seq <= self.get(dot.replica)
    }

    /// Whether everything `other` covers is covered here.
    pub fn dominates(&self, other: &Self) -> bool {
        other.iter().all(|(replica, seq)| seq <= self.get(replica))
    }

    /// The least context that covers both.
    pub fn join(&mut self, other: &Self) {
        for (replica, seq) in other.iter() {
            self.raise(replica, seq);
        }
    }

    /// The greatest context covered by both: what two peers are known to share.
    pub fn meet(&self, other: &Self) -> Self {
        let shared = self.iter().map(|(replica, seq)| (replica, seq.min(other.get(replica))));
        Self { entries: shared.filter(|e| e.1 > 0).collect() }
    }

    /// Replicas and their last covered change, sorted by replica.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// How many changes all replicas together have made.
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|e| e.1).sum()
    }

    /// How many replicas have made a change.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(ReplicaId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut vv = Self::new();
        for (replica, seq) in entries {
            vv.raise(replica, seq);
        }
        vv
    }
}

impl fmt::Display for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (replica, seq)) in self.iter().enumerate() {
            write!(f, "{}{replica}:{seq}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
