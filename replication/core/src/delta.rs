//! What one command did, mergeable anywhere, any number of times, in any order.

use crate::{Hlc, ReplicaId, VersionVector};

/// One command's effect: atomic everywhere. It takes `max(1, puts)` consecutive sequence numbers of its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The partition it belongs to.
    pub partition: u16,
    /// Who made it.
    pub replica: ReplicaId,
    /// Its first sequence number.
    pub first_seq: u64,
    /// The stamp of the command.
    pub hlc: Hlc,
    /// What its maker had seen of other replicas and had not seen at its previous delta: these must be here first.
    pub needs: VersionVector,
}

/// Why bytes were not taken for a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(&'static str);

impl Delta {
    /// The last sequence number it takes.
    pub fn last_seq(&self) -> u64 {
        unimplemented!()
    }
    /// Appends one frame to `out`.
    pub fn encode(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }
    /// Reads one frame from the head of `bytes`; `Ok(None)` means the frame is not complete yet. Gives the bytes it took.
    pub fn decode(_bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        unimplemented!()
    }
}
