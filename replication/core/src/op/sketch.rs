//! Commands on HyperLogLogs.

use bytes::Bytes;

/// What can be asked of a HyperLogLog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SketchOp {
    /// PFADD.
    Add {
        /// What to count; with none, the key is created if it is not there.
        elements: Vec<Bytes>,
    },
    /// PFCOUNT of the key and of others in its partition.
    Count {
        /// The other keys.
        others: Vec<Bytes>,
    },
    /// PFMERGE: the key is the destination.
    Merge {
        /// What is merged into it.
        sources: Vec<Bytes>,
    },
    /// The HyperLogLog as Redis would store it, nil without one: for a PFCOUNT over several partitions
    /// ([`crate::count_sketches`]).
    Read,
}

impl SketchOp {
    pub(super) fn is_write(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Merge { .. })
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        match self {
            Self::Count { others: keys } | Self::Merge { sources: keys } => keys,
            Self::Add { .. } | Self::Read => &[],
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        if let Self::Add { elements } = self {
            elements.iter().for_each(visit);
        }
    }
}
